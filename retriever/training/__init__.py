"""Training of the retriever: pictures, data, losses, stages; the application itself uses `losses` and `cloze` alone."""
