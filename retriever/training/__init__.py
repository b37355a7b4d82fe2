"""Training of the retriever: pictures, data, losses, stages. Answering imports nothing of it but `losses`."""
