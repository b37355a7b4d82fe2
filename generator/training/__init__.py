"""Trains the embedded reader from nothing: invented worlds, real passages with gaps, and the loop over them."""
