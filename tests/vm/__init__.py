"""A whole machine for the tests: Debian with its own kernel, cgroup v2 only, in an emulator, with no way out.

What the host's kernel cannot show is shown here: a kernel without ``lowerdir+`` and without exit statuses from pidfds,
control groups as most users have them, systemd as their owner. ``python -m tests.vm`` (``./dev vm``) makes the image
once (``image``: Debian packages, kept in the user's cache), boots it (``machine``), runs a command in it and answers
with the command's output and exit code. Nothing of it needs KVM; emulated, everything takes some twenty times as long.
"""
