"""``stackup network``: a verb a file."""
