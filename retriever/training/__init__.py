"""Training of the retriever: pictures, data, losses, the four stages. Never imported at answer time."""
