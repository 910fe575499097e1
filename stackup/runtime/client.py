"""The supervisor's end of the launcher's socket: start, exec, signal, list, adopt. asyncio; never blocks the loop.

Every call may raise ``ContainerFault``; ``LauncherLost`` when the launcher has gone (``on_lost`` is called once, too).
Descriptors in answers belong to the caller, who closes them.
"""

from __future__ import annotations

import asyncio
import os
from collections import deque
from collections.abc import Callable
from pathlib import Path
from socket import SO_SNDBUF, SOL_SOCKET, socket
from typing import Any

from stackup.base.clock import boot_id
from stackup.base.errors import ContainerFault, StackupError
from stackup.base.values import frozen
from stackup.oci.codec import encode as encode_spec
from stackup.oci.runtime import Process
from stackup.runtime import packets
from stackup.runtime.faults import sentence

_ROOM = 256  # bytes of a packet for its id and tag
_SO_SNDBUFFORCE = 32  # absent from Python's socket module

_Answer = tuple[dict[str, Any], list[int]]
_Fds = tuple[int, ...] | list[int]


class LauncherLost(StackupError):
    """The launcher has gone; its containers live on and want a new launcher that adopts them."""

    kind = "launcher-lost"


@frozen
class Exit:
    """``id`` of a container or an exec. ``status`` 0-255 (128 + n for a signal n), None: nobody could observe it."""

    id: str
    status: int | None
    signal: int
    oom: bool
    at_ns: int


@frozen
class Started:
    """``start_time`` in clock ticks since boot, as in /proc/PID/stat. ``stdin`` is the write end when it is open."""

    container_id: str
    pid: int
    pidfd: int
    start_time: int
    dns_udp: int | None = None
    dns_tcp: int | None = None
    console: int | None = None
    stdin: int | None = None


@frozen
class ExecStarted:
    exec_id: str
    pid: int
    console: int | None = None


@frozen
class Running:
    """A container that the launcher knows: alive, or ended and not yet ``drained``. ``pidfd`` -1 when it has ended."""

    container_id: str
    incarnation: int
    pid: int
    start_time: int
    pidfd: int
    exit: Exit | None = None
    dns_udp: int | None = None
    dns_tcp: int | None = None
    console: int | None = None
    stdin: int | None = None


@frozen
class Orphan:
    """What the records know of a container whose launcher died. ``pid`` 0: look for it in the cgroup."""

    bundle: Path
    pid: int = 0
    start_time: int = 0
    boot_id: str = ""


class LauncherClient:
    def __init__(
        self, sock: socket, *, on_exit: Callable[[Exit], None], on_lost: Callable[[], None] = lambda: None
    ) -> None:
        """``sock``: the connected SOCK_SEQPACKET socket (STACKUP_LAUNCHER_FD). Must be made inside the running loop."""
        sock.setblocking(False)
        try:
            sock.setsockopt(SOL_SOCKET, _SO_SNDBUFFORCE, 1 << 20)
        except OSError:
            sock.setsockopt(SOL_SOCKET, SO_SNDBUF, 1 << 20)
        self._sock = sock
        self._on_exit = on_exit
        self._on_lost = on_lost
        self._loop = asyncio.get_running_loop()
        self._answers: dict[int, asyncio.Future[_Answer]] = {}
        self._quiet: dict[str, Callable[[Exit | StackupError], None]] = {}  # by exec id, which holds the tag
        self._quiet_name = f"probe-{os.urandom(8).hex()}-"
        self._unsent: deque[tuple[bytes, tuple[int, ...]]] = deque()
        self._tag = 0
        self._open = True
        self._loop.add_reader(sock, self._readable)

    async def start(self, bundle: Path, *, stdio: tuple[int, int, int] | None = None) -> Started:
        """Starts the container of ``bundle``; answers when its command runs.

        ``stdio`` replaces the bundle's FIFOs. At most a few containers are set up at once; the others wait their turn.
        """
        answer, fds = await self._ask({"op": "start", "bundle": str(bundle)}, stdio or ())
        named = dict(zip(answer["fds"], fds, strict=True))
        return Started(
            answer["id"],
            answer["pid"],
            named["pidfd"],
            answer["start_time"],
            named.get("dns_udp"),
            named.get("dns_tcp"),
            named.get("console"),
            named.get("stdin"),
        )

    async def exec(
        self,
        container_id: str,
        process: Process | dict[str, Any],
        *,
        exec_id: str = "",
        stdio: tuple[int, int, int] | None = None,
        tty: bool = False,
        seccomp_filter: str = "",
    ) -> ExecStarted:
        """Runs ``process`` (or what ``encode_spec`` made of it) in a container; ``on_exit`` tells its end under
        ``exec_id``. ``stdio`` None: /dev/null."""
        exec_id = exec_id or f"exec-{os.urandom(8).hex()}"
        request = {
            "op": "exec",
            "id": container_id,
            "exec_id": exec_id,
            "process": process if isinstance(process, dict) else encode_spec(process),
            "tty": tty,
            "seccomp": seccomp_filter,
        }
        answer, fds = await self._ask(request, stdio or ())
        return ExecStarted(exec_id, answer["pid"], fds[0] if fds else None)

    def prepare_exec(self, container_id: str, process: Process, seccomp_filter: str) -> bytes:
        """For ``exec_quietly``: a request that is made again and again is encoded once."""
        request = {
            "op": "exec",
            "id": container_id,
            "process": encode_spec(process),
            "tty": False,
            "seccomp": seccomp_filter,
            "quiet": True,
        }
        return _checked("exec", packets.encode(request))[:-1]

    def exec_quietly(
        self, prepared: bytes, stdio: tuple[int, int, int], ended: Callable[[Exit | StackupError], None]
    ) -> str:
        """Like ``exec``, for what runs often: answers the exec id at once, and ``ended`` is told the one thing that
        matters, how it ended or why it could not begin. ``on_exit`` hears nothing of it.

        An older launcher says besides that it began; nobody listens.
        """
        if not self._open:
            raise LauncherLost("cannot reach the launcher: it has gone")
        self._tag += 1
        exec_id = f"{self._quiet_name}{self._tag}"
        self._quiet[exec_id] = ended
        self._post(b'%b,"exec_id":"%b","tag":%d}' % (prepared, exec_id.encode(), self._tag), stdio)
        return exec_id

    async def signal(self, target_id: str, signum: int) -> None:
        """Signals a container's PID 1 or an exec by its id. Nothing happens when it has ended."""
        await self._ask({"op": "signal", "id": target_id, "signal": signum})

    async def list(self) -> tuple[Running, ...]:
        """All containers, with fresh descriptors."""
        found: tuple[Running, ...] = ()
        more = True
        while more:
            answer, fds = await self._ask({"op": "list", "skip": len(found)})
            taken = iter(fds)
            found += tuple(_running(item, {name: next(taken) for name in item["fds"]}) for item in answer["containers"])
            more = answer["more"]
        return found

    async def drained(self, container_id: str) -> None:
        """The output of an ended container has been taken: release what is held for it, forget it."""
        await self._ask({"op": "drained", "id": container_id})

    async def store(self, name: str, fd: int) -> None:
        """Has the launcher keep a duplicate of ``fd`` for the next supervisor; replaces the former of that name."""
        await self._ask({"op": "store", "name": name}, (fd,))

    async def unstore(self, name: str) -> None:
        await self._ask({"op": "unstore", "name": name})

    async def fetch(self) -> dict[str, int]:
        """Duplicates of everything stored."""
        found: dict[str, int] = {}
        more = True
        while more:
            answer, fds = await self._ask({"op": "fetch", "skip": len(found)})
            found.update(zip(answer["names"], fds, strict=True))
            more = answer["more"]
        return found

    async def adopt(self, orphan: Orphan) -> Running | None:
        """Takes over a container of a launcher that died; None when its process is gone or is not the recorded one."""
        request = {
            "op": "adopt",
            "bundle": str(orphan.bundle),
            "pid": orphan.pid,
            "start_time": orphan.start_time,
            "same_boot": orphan.boot_id in ("", boot_id()),
        }
        answer, fds = await self._ask(request)
        if not answer.get("container"):
            return None
        return _running(answer["container"], dict(zip(answer["container"]["fds"], fds, strict=True)))

    async def remake_dns(self, container_id: str) -> tuple[int, int] | None:
        """New DNS sockets for a running container (UDP, TCP); None when it has none or has ended."""
        answer, fds = await self._ask({"op": "dns", "id": container_id})
        return (fds[0], fds[1]) if answer.get("dns") else None

    async def ping(self) -> dict[str, Any]:
        """``{"pid", "protocol", "version"}`` of the launcher."""
        answer, _ = await self._ask({"op": "ping"})
        return answer

    async def quit(self) -> None:
        """Tells the launcher to end together with this supervisor instead of starting another one."""
        await self._ask({"op": "quit"})

    def close(self) -> None:
        """Closes the socket; calls that wait raise LauncherLost. ``on_lost`` is not called."""
        self._lose(tell=False)

    async def _ask(self, request: dict[str, Any], fds: tuple[int, ...] = ()) -> _Answer:
        if not self._open:
            raise LauncherLost("cannot reach the launcher: it has gone")
        self._tag += 1
        tag = self._tag
        data = _checked(request["op"], packets.encode({**request, "tag": tag}))
        future: asyncio.Future[_Answer] = self._loop.create_future()
        self._answers[tag] = future
        self._post(data, fds)
        try:
            return await future
        finally:
            self._answers.pop(tag, None)

    def _post(self, data: bytes, fds: tuple[int, ...]) -> None:
        if self._unsent or not self._send(data, fds):
            # Duplicates, so that the caller may close its own when this call is cancelled while the packet waits.
            self._unsent.append((data, tuple(os.dup(fd) for fd in fds)))
            self._loop.add_writer(self._sock, self._flush)

    def _send(self, data: bytes, fds: tuple[int, ...]) -> bool:
        """False: the launcher's queue is full. One that has gone is noticed here, and everybody told."""
        try:
            packets.send_bytes(self._sock, data, fds)
        except BlockingIOError:
            return False
        except OSError:
            self._lose(tell=True)
        return True

    def _flush(self) -> None:
        while self._unsent:
            data, fds = self._unsent[0]
            if not self._send(data, fds) or not self._open:
                return
            self._unsent.popleft()
            _close_all(fds)
        self._loop.remove_writer(self._sock)

    def _readable(self) -> None:
        for _ in range(64):
            try:
                message, fds = packets.receive(self._sock)
            except BlockingIOError:
                return
            except OSError:
                message, fds = None, []
            if message is None:
                self._lose(tell=True)
                return
            self._handle(message, fds)
            if not self._open:
                return

    def _handle(self, message: dict[str, Any], fds: _Fds) -> None:
        if message.get("event") == "exit":
            quiet = self._quiet.pop(message["id"], None)
            (quiet or self._on_exit)(_exit(message))
            return
        tag = message.get("re", 0)
        future = self._answers.pop(tag, None)
        if future is None and "fault" in message and (quiet := self._quiet.pop(f"{self._quiet_name}{tag}", None)):
            quiet(sentence(message["fault"]))
        if future is None or future.done():
            _close_all(fds)
        elif "fault" in message:
            _close_all(fds)
            future.set_exception(sentence(message["fault"]))
        else:
            future.set_result((message["ok"], [*fds]))

    def _lose(self, *, tell: bool) -> None:
        if not self._open:
            return
        self._open = False
        self._loop.remove_reader(self._sock)
        self._loop.remove_writer(self._sock)
        self._sock.close()
        for _, fds in self._unsent:
            _close_all(fds)
        self._unsent.clear()
        for future in self._answers.values():
            if not future.done():
                future.set_exception(LauncherLost("cannot reach the launcher: it has gone"))
        self._answers.clear()
        for ended in self._quiet.values():
            ended(LauncherLost("cannot reach the launcher: it has gone"))
        self._quiet.clear()
        if tell:
            self._on_lost()


def _checked(op: str, data: bytes) -> bytes:
    """Leaves room for the few fields that may still be added."""
    if len(data) > packets.MAX_PACKET - _ROOM:
        raise ContainerFault(
            f"cannot {op}: the request takes {len(data)} bytes, the limit is {packets.MAX_PACKET - _ROOM}",
            step="request",
            hint="shorten the environment or the arguments",
        )
    return data


def _exit(data: dict[str, Any]) -> Exit:
    return Exit(data["id"], data["status"], data["signal"], data["oom"], data["at_ns"])


def _running(item: dict[str, Any], fds: dict[str, int]) -> Running:
    return Running(
        item["id"],
        item["incarnation"],
        item["pid"],
        item["start_time"],
        fds.get("pidfd", -1),
        _exit(item["exit"]) if item["exit"] else None,
        fds.get("dns_udp"),
        fds.get("dns_tcp"),
        fds.get("console"),
        fds.get("stdin"),
    )


def _close_all(fds: _Fds) -> None:
    for fd in fds:
        os.close(fd)
