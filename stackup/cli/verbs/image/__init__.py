"""``stackup image``: a verb a file."""
