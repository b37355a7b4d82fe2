"""Trains the embedded reader and BLIP-2-mini: invented worlds, real passages with gaps, and the loop over them."""
