"""Finds passages: PreFLMR (arXiv:2402.08327), its index and its training.

Knows the records of `knowledge_bases`, no langchain and no gradio. `retriever.checkpoints.load_retriever` gives an
`Encoder`; `retriever.index.opening` gives the index that searches what it encoded.
"""
