"""Which kernel settings belong to a namespace. All others are the machine's, and no container's business. Pure.

The list is runc's (libcontainer/configs/validate): what it refuses is refused here.
"""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Container

_OF_IPC = frozenset(
    f"kernel/{name}" for name in ("msgmax", "msgmnb", "msgmni", "sem", "shmall", "shmmax", "shmmni", "shm_rmid_forced")
)


def file_of(name: str) -> str:
    """Its file below /proc/sys: ``net.ipv4.ip_forward`` or, where a part holds dots, ``net/ipv4/conf/eth0.5/x``."""
    return name if "/" in name else name.replace(".", "/")


def why_not(name: str, namespaces: Container[str]) -> str:
    """Why a process with ``namespaces`` of its own ("network", "ipc", "uts") may not set it; empty when it may."""
    path = file_of(name)
    if any(part in ("", ".", "..") for part in path.split("/")):
        return "this is no name of a sysctl"
    if path in _OF_IPC or path.startswith("fs/mqueue/"):
        kind = "ipc"
    elif path.startswith("net/"):
        kind = "network"
    elif path == "kernel/domainname":
        kind = "uts"
    elif path == "kernel/hostname":
        return "the hostname has an attribute of its own"
    else:
        return "it would change the whole machine, not only the container"
    return "" if kind in namespaces else f"it would change the whole machine: the container shares the host's {kind}"
