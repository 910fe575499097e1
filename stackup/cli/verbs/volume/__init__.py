"""``stackup volume``: a verb a file."""
