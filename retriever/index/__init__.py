"""Indexes over late-interaction embeddings of passages."""
