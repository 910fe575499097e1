"""A network and mount namespace in which tests may do as they like.

``./dev test`` starts pytest in one. Each pytest-xdist worker moves into a further one of its own, so that two workers
never see each other's bridges. Tests marked ``root`` refuse to run anywhere else: a packet to a container that is gone
must not leave the machine, and a leaked rule must not stay on it.
"""

from __future__ import annotations

import ctypes
import json
import os
import subprocess
from pathlib import Path

CLONE_NEWNS = 0x00020000
CLONE_NEWNET = 0x40000000


def why_not_isolated() -> str:
    """Empty when tests may use the network namespace they are in; otherwise what is wrong with it."""
    if os.geteuid() != 0:
        return "root is needed"
    links = json.loads(subprocess.run(["ip", "-d", "-j", "link"], capture_output=True, text=True, check=True).stdout)
    hardware = [link["ifname"] for link in links if link["link_type"] == "ether" and "linkinfo" not in link]
    if hardware:
        return f"this network namespace has a way out: {', '.join(hardware)}"
    routes = subprocess.run(["ip", "route", "show", "default"], capture_output=True, text=True, check=True).stdout
    return f"there is a route out: {routes.strip()}" if routes.strip() else ""


def namespace(kind: str, pid: int | str = "self") -> int:
    """Identity (inode) of a process's namespace; ``kind`` as in /proc/PID/ns."""
    return os.stat(f"/proc/{pid}/ns/{kind}").st_ino


def isolate() -> None:
    """Moves the calling thread, and what it starts from now on, into fresh network and mount namespaces; lo is up."""
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.unshare(CLONE_NEWNET | CLONE_NEWNS) != 0:
        error = ctypes.get_errno()
        raise OSError(error, f"cannot unshare: {os.strerror(error)}")
    subprocess.run(["mount", "--make-rprivate", "/"], check=True)
    subprocess.run(["ip", "link", "set", "lo", "up"], check=True)
    # A fresh namespace copies these from the machine, where Docker may have set them; tests begin with the defaults.
    for switch in ("ipv4/ip_forward", "ipv6/conf/all/forwarding"):
        Path("/proc/sys/net", switch).write_text("0")
