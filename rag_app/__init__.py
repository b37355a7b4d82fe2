"""Puts the parts together: presets, the pipeline, indexing, evaluation and the command line."""
