"""The batch evaluation: asking a dataset, scoring it, reporting, merging shards, comparing runs."""
