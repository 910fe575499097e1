"""What in a service names another service besides ``depends_on``: each text that does, and how it is read.

Read here and nowhere else, so that the circles that are refused when a file is checked are those that a plan could not
put into an order.
"""

from __future__ import annotations

# Attributes that share a namespace with ``service:NAME``.
NAMESPACES = ("network_mode", "pid", "ipc", "uts", "cgroup", "userns_mode")
_SERVICE = "service:"


def shared_with(text: str | None) -> str:
    """The service behind ``service:NAME``, in a namespace's mode or a build context; empty for anything else."""
    return text.removeprefix(_SERVICE) if text and text.startswith(_SERVICE) else ""


def linked(text: str) -> str:
    """The service that a link names: ``NAME`` or ``NAME:ALIAS``."""
    parts = text.split(":")
    return parts[0] if len(parts) == 2 else text


def volumes_of(text: str) -> str:
    """The service whose volumes ``NAME[:ro]`` mounts; empty for a container."""
    return "" if text.startswith("container:") else text.partition(":")[0]
