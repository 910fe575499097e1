"""``stackup system``: a verb a file."""
