"""Scores predictions that others made: files in the published formats, read and paired by question."""
