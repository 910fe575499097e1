"""Takes over containers of a launcher that died: the recorded process, or none; never another one that got its pid."""

from __future__ import annotations

import os

from stackup.linux import cgroups, nfnetlink, pidfd, process
from stackup.linux.cgroups import Hierarchies
from stackup.linux.kernel import Kernel
from stackup.runtime.launcher.container import Container
from stackup.runtime.launcher.limiting import oom_kills
from stackup.runtime.launcher.operations.network import DNS_PORT
from stackup.runtime.launcher.starting import clone_flags, hold_fifos, read_bundle

TYPE_CHECKING = False
if TYPE_CHECKING:
    from _socket import socket as Socket
    from typing import Any


def adopt(bundle: str, pid: int, start_time: int, hierarchies: Hierarchies) -> Container | None:
    """``pid`` 0: look for the first process in the container's cgroup. Raises OSError when the bundle is unreadable."""
    config, launch = read_bundle(bundle)
    pid = pid or _first_process(hierarchies, launch["cgroup"])
    if not pid:
        return None
    try:
        fd = pidfd.open_pid(pid)
    except OSError:
        return None
    # The descriptor came first: what is true of the pid now is true of the process behind it.
    started = pidfd.start_time(pid)
    if not started or (start_time and started != start_time) or not _in_group(pid, launch["cgroup"], hierarchies):
        os.close(fd)
        return None
    namespaces = {item["type"]: item.get("path") or "" for item in (config.get("linux") or {}).get("namespaces") or ()}
    container = Container(launch, pid, fd, None, 0)
    container.start_time = started
    container.own_pids = namespaces.get("pid") == ""
    container.namespaces = clone_flags(dict.fromkeys(("mount", "uts", "ipc", "network"), ""))
    if namespaces.get("cgroup") == "":
        container.namespaces |= process.CLONE_NEWCGROUP
    _find_groups(container, hierarchies)
    if not launch["tty"]:
        container.holds = hold_fifos(launch["stdout"], launch["stderr"])
    if launch["dns"] and namespaces.get("network") == "":
        sockets = make_resolver(container)
        if sockets:
            container.fds["dns_udp"], container.fds["dns_tcp"] = (socket.detach() for socket in sockets)
    return container


def make_resolver(container: Container) -> tuple[Socket, Socket] | None:
    """Fresh DNS sockets in the namespace of a running container; None: somebody still has the old ones, or it ended.

    The launcher, single-threaded, goes there and comes back.
    """
    home = os.open("/proc/self/ns/net", os.O_RDONLY | os.O_CLOEXEC)
    try:
        process.setns(container.pidfd, process.CLONE_NEWNET)
        try:
            return Kernel.listen_dns(DNS_PORT if nfnetlink.is_redirected() else 53)
        finally:
            process.setns(home, process.CLONE_NEWNET)
    except OSError:
        return None
    finally:
        os.close(home)


def _first_process(hierarchies: Hierarchies, group: str) -> int:
    """PID 1 of the container's own pid namespace; without one, the oldest process of the group."""
    found = cgroups.processes(hierarchies, group) if group else []
    for pid in found:
        for line in cgroups.read_file(f"/proc/{pid}/status").splitlines():
            if line.startswith("NSpid:"):
                inner = line.split()[1:]
                if len(inner) > 1 and inner[-1] == "1":
                    return pid
    return min(found, key=pidfd.start_time, default=0)


def _in_group(pid: int, group: str, hierarchies: Hierarchies) -> bool:
    """A recorded cgroup must match, unless this machine let us make none."""
    if not group or not any(os.path.isdir(f"{point}/{group}") for point in hierarchies.mount_points()):
        return True
    return any(path == f"/{group}" or f"/{group}/" in f"{path}/" for path in cgroups.groups_of(pid))


def _find_groups(container: Container, hierarchies: Hierarchies) -> None:
    """Where an exec has to go."""
    if not container.cgroup:
        return
    for point in dict.fromkeys(hierarchies.v1.values()):
        if os.path.isdir(f"{point}/{container.cgroup}"):
            container.join.append((f"{point}/{container.cgroup}", "tasks"))
    if hierarchies.v2 and os.path.isdir(f"{hierarchies.v2}/{container.cgroup}"):
        container.v2_directory = f"{hierarchies.v2}/{container.cgroup}"
    container.oom_baseline = oom_kills(hierarchies, container.cgroup)


def records_match(message: dict[str, Any]) -> bool:
    """A record of another boot describes processes that are gone."""
    return bool(message.get("same_boot", True))
