"""``stackup systemd``: a verb a file."""
