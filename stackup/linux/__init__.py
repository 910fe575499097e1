"""The only door to the kernel: ctypes, syscalls, raw netlink, libnftables, libseccomp. Wrappers convert and raise.

Nothing here decides. Standard library only, because the launcher imports it.
"""
