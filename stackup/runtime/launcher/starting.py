"""Starts containers and execs: reads the bundle, makes what must exist before the clone, forks, hears the child out.

A few set-ups run at once (siblings use the other cores); the rest wait in order. The launcher never blocks on a child.
"""

from __future__ import annotations

import json
import os
from _socket import AF_UNIX, SOCK_CLOEXEC, SOCK_SEQPACKET, if_nametoindex, socketpair
from _socket import socket as Socket
from collections import deque
from fcntl import fcntl

from stackup.linux import netlink, pidfd, process
from stackup.linux.cgroups import read_bytes
from stackup.runtime import packets
from stackup.runtime.launcher.channel import close_all
from stackup.runtime.launcher.child import become
from stackup.runtime.launcher.container import Child, Container, Life
from stackup.runtime.launcher.ending import forget_exit
from stackup.runtime.launcher.limiting import Groups, Limiter, oom_kills
from stackup.runtime.launcher.operations.base import Refusal
from stackup.runtime.launcher.plan import container_operations, exec_operations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

    from stackup.linux.cgroups import Hierarchies
    from stackup.runtime.launcher.loop import Loop
    from stackup.runtime.launcher.operations.base import Operation
    from stackup.runtime.launcher.plan import Surroundings

# More than this only adds contention for locks in the kernel (two cores: 2 to 4 measured best).
MAX_SETTING_UP = 4
PIPE_BYTES = 1 << 20
_F_SETPIPE_SZ = 1031
_ALL_BUT_PID = process.CLONE_NEWNS | process.CLONE_NEWUTS | process.CLONE_NEWIPC | process.CLONE_NEWNET


class Request:
    """A start that waits its turn."""

    __slots__ = ("bundle", "fds", "tag")

    def __init__(self, tag: int, bundle: str, fds: list[int]) -> None:
        self.tag = tag
        self.bundle = bundle
        self.fds = fds


class Starter:
    """``on_ready`` is told when a child has become its command, ``on_refused`` why a start came to nothing."""

    def __init__(
        self,
        loop: Loop,
        around: Surroundings,
        hierarchies: Hierarchies,
        *,
        is_alive: Callable[[str], bool],
        register: Callable[[Child], None],
        on_ready: Callable[[Child], None],
        on_refused: Callable[[int, dict[str, Any]], None],
    ) -> None:
        self._loop = loop
        self._around = around
        self._hierarchies = hierarchies
        self._limiter = Limiter(hierarchies)
        self._is_alive = is_alive
        self._register = register
        self._on_ready = on_ready
        self._on_refused = on_refused
        self._waiting: deque[Request] = deque()
        self._setting_up = 0
        self._filters: dict[str, bytes] = {}
        self._own_pids = os.open("/proc/self/ns/pid", os.O_RDONLY | os.O_CLOEXEC)

    def start(self, tag: int, bundle: str, fds: list[int]) -> None:
        self._waiting.append(Request(tag, bundle, fds))
        self._next()

    def forget_waiting(self) -> None:
        """The supervisor that asked has gone: what has not begun does not begin."""
        for request in self._waiting:
            close_all(request.fds)
        self._waiting.clear()

    def _next(self) -> None:
        while self._waiting and self._setting_up < MAX_SETTING_UP:
            request = self._waiting.popleft()
            try:
                self._begin(request)
            except Refusal as refusal:
                self._on_refused(request.tag, _fault(refusal))
            except (OSError, ValueError, LookupError, TypeError, AttributeError) as error:
                self._on_refused(request.tag, _bundle_fault(request.bundle, error))
            finally:
                close_all(request.fds)

    def _begin(self, request: Request) -> None:
        config, launch = read_bundle(request.bundle)
        if self._is_alive(launch["container_id"]):
            raise Refusal("running", 17, launch["container_id"][:12], "it is running already")
        forget_exit(launch["exit_file"])
        linux, group = config.get("linux") or {}, Groups()
        namespaces = {item["type"]: item.get("path") or "" for item in linux.get("namespaces") or ()}
        flags = clone_flags(namespaces)
        bridges = [_bridge_index(veth["bridge"]) for veth in launch["veths"]]
        seccomp = self._filter(launch["seccomp_filter"])
        group = self._limiter.make(launch["cgroup"], linux.get("resources") or {})
        if self._around.unified and group.v2 and namespaces.get("cgroup") == "":
            flags |= process.CLONE_NEWCGROUP
        holds = [] if request.fds or launch["tty"] else hold_fifos(launch["stdout"], launch["stderr"])
        stdin = os.pipe2(os.O_CLOEXEC) if launch["stdin_open"] and not launch["tty"] and not request.fds else (-1, -1)

        host_links = netlink.open_socket() if launch["veths"] else None
        try:
            operations = container_operations(
                config,
                launch,
                request.bundle,
                self._around,
                join=group.join,
                bridges=bridges,
                stdin_fd=stdin[0],
                stdio_fds=request.fds or None,
                seccomp=seccomp,
            )
            pid, fd, sync = self._fork(flags, group.v2, namespaces.get("pid", ""), operations, host_links)
        except BaseException:
            close_all([*holds, *(end for end in stdin if end >= 0)])
            raise
        finally:
            if host_links:
                host_links.close()
        container = Container(launch, pid, fd, sync, request.tag)
        container.holds = holds
        container.join, container.v2_directory = group.join, group.v2
        container.namespaces = _ALL_BUT_PID | (process.CLONE_NEWCGROUP if namespaces.get("cgroup") == "" else 0)
        container.own_pids = namespaces.get("pid") == ""
        container.oom_baseline = oom_kills(self._hierarchies, launch["cgroup"])
        if stdin[1] >= 0:
            os.close(stdin[0])
            container.fds["stdin"] = stdin[1]
        self._watch(container)

    def exec(self, tag: int, container: Container, message: dict[str, Any], fds: list[int]) -> None:
        """Forks straight into the container's pid namespace: the child is the launcher's own, without a double fork."""
        try:
            operations = exec_operations(
                message["process"],
                self._around,
                container_id=container.id,
                pidfd=container.pidfd,
                namespace_flags=container.namespaces,
                join=container.join,
                stdio_fds=fds,
                tty=bool(message["tty"]),
                seccomp=self._filter(message["seccomp"]),
            )
            pid, fd, sync = self._fork(0, container.v2_directory, container.pidfd, operations, None)
        finally:
            close_all(fds)
        child = Child(message["exec_id"], pid, fd, sync, tag)
        child.quiet = message.get("quiet", False)
        self._watch(child)

    def _fork(
        self, flags: int, v2: str, pids: str | int, operations: list[Operation], host_links: Socket | None
    ) -> tuple[int, int, Socket]:
        """``pids``: the pid namespace to fork into, as a path or pidfd ("" for the launcher's own or a new one).

        Raises Refusal.
        """
        ours, theirs = socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0)
        cgroup_fd = os.open(v2, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC) if v2 else -1
        pid = -1
        try:
            if pids != "":
                self._enter_pids(pids)
            try:
                pid, fd = process.clone3(flags, cgroup_fd)
            finally:
                if pid and pids != "":
                    process.setns(self._own_pids, process.CLONE_NEWPID)
            if pid == 0:
                become(operations, theirs, host_links)
        except OSError as error:
            ours.close()
            raise Refusal("clone", error.errno or 0, "", error.strerror or "") from error
        finally:
            theirs.close()
            if cgroup_fd >= 0:
                os.close(cgroup_fd)
        ours.setblocking(False)
        return pid, fd, ours

    def _enter_pids(self, pids: str | int) -> None:
        """For children only; undone in ``_fork`` whatever happens."""
        if isinstance(pids, int):
            process.setns(pids, process.CLONE_NEWPID)
            return
        fd = os.open(pids, os.O_RDONLY | os.O_CLOEXEC)
        try:
            process.setns(fd, process.CLONE_NEWPID)
        finally:
            os.close(fd)

    def _watch(self, child: Child) -> None:
        assert child.sync is not None
        self._setting_up += 1
        self._register(child)
        self._loop.watch(child.sync.fileno(), lambda: self.hear(child))

    def hear(self, child: Child) -> None:
        """Takes in all that the child has said. The end of its socket means exec, or death."""
        while child.sync is not None:
            try:
                message, fds = packets.receive(child.sync)
            except BlockingIOError:
                return
            if message is not None:
                child.take(message, fds)
                continue
            self._loop.forget(child.sync.fileno())
            child.sync.close()
            child.sync = None
            self._setting_up -= 1
            if child.ready and not child.fault:
                child.life = Life.RUNNING
                if isinstance(child, Container):
                    child.start_time = pidfd.start_time(child.pid)
                self._on_ready(child)
            self._next()

    def _filter(self, path: str) -> bytes:
        """The compiled filter; its path names its contents, so it is read once."""
        if path and path not in self._filters:
            try:
                with open(path, "rb") as file:
                    self._filters[path] = file.read()
            except OSError as error:
                raise Refusal("seccomp", error.errno or 0, path, error.strerror or "") from error
        return self._filters.get(path, b"")


def read_bundle(bundle: str) -> tuple[dict[str, Any], dict[str, Any]]:
    found = []
    for name in ("config.json", "launch.json"):
        found.append(json.loads(read_bytes(f"{bundle}/{name}").decode("utf-8", "surrogateescape")))
    config, launch = found
    if not config["process"]["args"]:
        raise Refusal("command", 22, "", "the command is empty")
    launch.setdefault("init", False)
    return config, launch


def clone_flags(namespaces: dict[str, str]) -> int:
    """Of the namespaces to be made. The mount namespace always is; cgroup comes at its own time."""
    for kind in namespaces:
        if kind not in process.NAMESPACE_FLAGS or kind == "user":
            raise Refusal("clone", 22, kind, f"{kind} namespaces are not supported")
    flags = process.CLONE_NEWNS
    for kind, path in namespaces.items():
        if not path and kind != "cgroup":
            flags |= process.NAMESPACE_FLAGS[kind]
    return flags


def hold_fifos(*paths: str) -> list[int]:
    """Both directions, so that neither a reader's death nor the container's end loses what is in the pipe."""
    holds = []
    for path in dict.fromkeys(filter(None, paths)):
        try:
            fd = os.open(path, os.O_RDWR | os.O_CLOEXEC | os.O_NONBLOCK)
        except FileNotFoundError:
            os.mkfifo(path, 0o600)
            fd = os.open(path, os.O_RDWR | os.O_CLOEXEC | os.O_NONBLOCK)
        holds.append(fd)
        try:
            fcntl(fd, _F_SETPIPE_SZ, PIPE_BYTES)
        except OSError:  # a host that limits pipes: 64 KiB it is
            continue
    return holds


def _bridge_index(name: str) -> int:
    try:
        return if_nametoindex(name)
    except OSError as error:
        raise Refusal("veth", error.errno or 19, name, "there is no such bridge") from error


def _fault(refusal: Refusal) -> dict[str, Any]:
    about = {"step": refusal.step, "errno": refusal.errno, "path": refusal.path, "text": str(refusal)}
    return {**about, **refusal.more}


def _bundle_fault(bundle: str, error: Exception) -> dict[str, Any]:
    if isinstance(error, OSError):
        about = error.strerror or str(error)
        return {"step": "bundle", "errno": error.errno or 0, "path": str(error.filename or bundle), "text": about}
    return {"step": "bundle", "errno": 22, "path": bundle, "text": f"{type(error).__name__}: {error}"}
