"""A PostgreSQL client as small as it can be (protocol version 3, simple queries, a server that trusts us)."""

from __future__ import annotations

import socket
import struct


class DatabaseError(Exception):
    """The server said no; what a broken connection raises is OSError."""


class Database:
    """One connection. ``port`` of 127.0.0.1; every answer must come within ``timeout`` seconds."""

    def __init__(self, port: int, user: str = "postgres", timeout: float = 5.0) -> None:
        self._sock = socket.create_connection(("127.0.0.1", port), timeout)
        try:
            hello = b"user\0" + user.encode() + b"\0\0"
            self._sock.sendall(struct.pack(">II", len(hello) + 8, 196608) + hello)
            self._answers()
        except BaseException:
            self._sock.close()
            raise

    def query(self, sql: str) -> list[tuple[str, ...]]:
        """Rows as texts. It has been committed when this returns."""
        body = sql.encode() + b"\0"
        self._sock.sendall(b"Q" + struct.pack(">I", len(body) + 4) + body)
        return self._answers()

    def close(self) -> None:
        self._sock.close()

    def _answers(self) -> list[tuple[str, ...]]:
        """Until the server is ready for the next query."""
        rows: list[tuple[str, ...]] = []
        failed = ""
        while True:
            kind, body = self._message()
            if kind == b"D":
                rows.append(_row(body))
            elif kind == b"E":
                failed = b" ".join(part[1:] for part in body.split(b"\0") if part[:1] in (b"C", b"M")).decode()
                if not rows and body[:1] == b"S" and b"SFATAL" in body:
                    raise DatabaseError(failed)
            elif kind == b"R" and body != bytes(4):
                raise DatabaseError("the server wants a password")
            elif kind == b"Z":
                if failed:
                    raise DatabaseError(failed)
                return rows

    def _message(self) -> tuple[bytes, bytes]:
        kind, size = struct.unpack(">cI", self._exactly(5))
        return kind, self._exactly(size - 4)

    def _exactly(self, size: int) -> bytes:
        data = b""
        while len(data) < size:
            part = self._sock.recv(size - len(data))
            if not part:
                raise ConnectionResetError("the server has gone")
            data += part
        return data


def _row(body: bytes) -> tuple[str, ...]:
    (count,) = struct.unpack_from(">H", body)
    at, fields = 2, []
    for _ in range(count):
        (size,) = struct.unpack_from(">i", body, at)
        fields.append("" if size < 0 else body[at + 4 : at + 4 + size].decode())
        at += 4 + max(size, 0)
    return tuple(fields)
