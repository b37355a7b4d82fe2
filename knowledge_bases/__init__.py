"""What is known: records, readers of files, the passage store and the embedded knowledge bases. Imports no torch."""
