"""Receivers of lines: systemd's journal (its native protocol) and syslog (RFC 3164 and 5424)."""

from __future__ import annotations

import asyncio
import errno
import fcntl
import os
import re
import socket
import struct
import time
from array import array
from typing import TYPE_CHECKING, Any

from stackup.base.clock import rfc3339
from stackup.engine.logreader import LogLine
from stackup.engine.logrules import FACILITIES, LogRule, address_of

if TYPE_CHECKING:
    from stackup.engine.container import Container

JOURNAL = "/run/systemd/journal/socket"
LOCAL_SYSLOGS = ("/dev/log", "/var/run/syslog", "/var/run/log")  # as Go's log/syslog looks for it
SEVERITY = {"stdout": 6, "stderr": 3}  # info and error, as docker has it
PATIENCE = 5.0  # seconds for a connection, and for a message to leave
DAEMON = 3  # facility


async def _send(sock: socket.socket, data: bytes) -> None:
    async with asyncio.timeout(PATIENCE):  # TimeoutError is an OSError
        await asyncio.get_running_loop().sock_sendall(sock, data)


class Journal:
    """systemd.io/JOURNAL_NATIVE_PROTOCOL, with the fields of docker's driver."""

    def __init__(self, tag: str, container: Container, rule: LogRule, path: str = JOURNAL) -> None:
        self.where = "the journal"
        self._path = path
        self._socket: socket.socket | None = None
        definition = container.definition
        self._fields = {
            "SYSLOG_IDENTIFIER": tag,
            "CONTAINER_TAG": tag,
            "CONTAINER_ID": definition.id[:12],
            "CONTAINER_ID_FULL": definition.id,
            "CONTAINER_NAME": definition.name,
            "IMAGE_NAME": definition.image,
            **chosen_attributes(rule, definition.labels, definition.config.get("environment") or {}),
        }

    async def send(self, line: LogLine) -> None:
        if self._socket is None:
            sock = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_NONBLOCK)
            try:
                sock.connect(self._path)
            except OSError:
                sock.close()
                raise
            self._socket = sock
        data = journal_message(line, self._fields)
        try:
            await _send(self._socket, data)
        except OSError as error:
            if error.errno in (errno.EMSGSIZE, errno.ENOBUFS):
                _send_in_memory(self._socket, data)
                return
            self.close()
            raise

    def close(self) -> None:
        if self._socket is not None:
            self._socket.close()
            self._socket = None


def _send_in_memory(sock: socket.socket, data: bytes) -> None:
    """What is too large for a datagram goes in a sealed memory file."""
    fd = os.memfd_create("line", os.MFD_CLOEXEC | os.MFD_ALLOW_SEALING)
    try:
        rest = memoryview(data)
        while rest:
            rest = rest[os.write(fd, rest) :]
        fcntl.fcntl(
            fd, fcntl.F_ADD_SEALS, fcntl.F_SEAL_SHRINK | fcntl.F_SEAL_GROW | fcntl.F_SEAL_WRITE | fcntl.F_SEAL_SEAL
        )
        sock.sendmsg([], [(socket.SOL_SOCKET, socket.SCM_RIGHTS, array("i", [fd]))])
    finally:
        os.close(fd)


def journal_message(line: LogLine, fields: dict[str, str]) -> bytes:
    own = {"MESSAGE": line.text, "PRIORITY": str(SEVERITY[line.stream]), "SYSLOG_TIMESTAMP": rfc3339(line.time_ns)}
    parts = []
    for name, text in {**own, **fields}.items():
        value = text.encode("utf-8", "surrogateescape")
        if b"\n" in value or name == "MESSAGE":
            parts.append(name.encode() + b"\n" + struct.pack("<Q", len(value)) + value + b"\n")
        else:
            parts.append(name.encode() + b"=" + value + b"\n")
    return b"".join(parts)


def chosen_attributes(rule: LogRule, labels: dict[str, str], environment: dict[str, str | None]) -> dict[str, str]:
    """Labels and variables that ``labels``, ``labels-regex``, ``env`` and ``env-regex`` choose, as journal fields."""
    found = {}
    for option, values in (("labels", labels), ("env", environment)):
        names = rule.options.get(option, "").split(",")
        pattern = rule.options.get(f"{option}-regex", "")
        for name, value in values.items():
            if value is not None and (name in names or (pattern and re.search(pattern, name))):
                field = re.sub("[^A-Z0-9]", "_", name.upper()).lstrip("_")
                if field and not field[0].isdigit():
                    found[field] = str(value)
    return found


class Syslog:
    """A syslog daemon here or elsewhere; messages as docker's driver makes them."""

    def __init__(self, rule: LogRule, tag: str) -> None:
        self._kind, self._host, self._port = address_of(rule.options.get("syslog-address", ""))
        self.where = rule.options.get("syslog-address") or "the local syslog"
        self._format = rule.options.get("syslog-format", "")
        facility = rule.options.get("syslog-facility", "")
        if facility:
            self._facility = int(facility) if facility.isdecimal() else FACILITIES.index(facility)
        else:
            self._facility = DAEMON
        self._tag = tag
        self._socket: socket.socket | None = None
        self._stream = False

    async def send(self, line: LogLine) -> None:
        if self._socket is None:
            async with asyncio.timeout(PATIENCE):
                self._socket = await self._connect()
            self._stream = self._socket.type == socket.SOCK_STREAM
        priority = self._facility * 8 + SEVERITY[line.stream]
        data = syslog_message(line, priority, self._tag, self._format)
        try:
            await _send(self._socket, data + b"\n" if self._stream else data)
        except OSError as error:
            if error.errno == errno.EMSGSIZE:  # more than a datagram holds: what fits
                await _send(self._socket, data[:8192])
                return
            self.close()
            raise

    async def _connect(self) -> socket.socket:
        loop = asyncio.get_running_loop()
        if self._kind in ("udp", "tcp"):
            kind = socket.SOCK_DGRAM if self._kind == "udp" else socket.SOCK_STREAM
            found = await loop.getaddrinfo(self._host, self._port, type=kind)
            return await _connected(found[0][0], kind, found[0][4])
        error: OSError = FileNotFoundError(errno.ENOENT, "there is none")
        for path in [self._host] if self._host else LOCAL_SYSLOGS:
            for kind in (socket.SOCK_DGRAM, socket.SOCK_STREAM):
                try:
                    return await _connected(socket.AF_UNIX, kind, path)
                except OSError as failure:
                    error = failure
        raise error

    def close(self) -> None:
        if self._socket is not None:
            self._socket.close()
            self._socket = None


async def _connected(family: int, kind: int, address: tuple[Any, ...] | str) -> socket.socket:
    sock = socket.socket(family, kind | socket.SOCK_NONBLOCK | socket.SOCK_CLOEXEC)
    try:
        await asyncio.get_running_loop().sock_connect(sock, address)
    except BaseException:
        sock.close()
        raise
    return sock


def syslog_message(line: LogLine, priority: int, tag: str, form: str) -> bytes:
    """Times are those of the line: RFC 3164's without year and zone are local, as it wants them."""
    text, pid = line.text, os.getpid()
    if form.startswith("rfc5424"):
        at = rfc3339(line.time_ns)
        at = f"{at[:26]}Z" if form.endswith("micro") else f"{at[:19]}Z"
        message = f"<{priority}>1 {at} {socket.gethostname()} {tag} {pid} {tag} - {text}"
    else:
        local = time.localtime(line.time_ns // 10**9)
        at = f"{time.strftime('%b', local)} {local.tm_mday:2} {time.strftime('%H:%M:%S', local)}"
        host = f"{socket.gethostname()} " if form == "rfc3164" else ""
        message = f"<{priority}>{at} {host}{tag}[{pid}]: {text}"
    return message.encode("utf-8", "surrogateescape")
