"""Log lines as ``docker compose`` prints them: ``web-1  | text``, a colour a container, stderr to stderr."""

from __future__ import annotations

import os
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

from stackup.base.clock import rfc3339
from stackup.cli.terminal import Console, paint

# docker/compose cmd/formatter/colors.go: the plain ones, then the intense ones.
_PLAIN = ("cyan", "yellow", "green", "magenta", "blue")
PALETTE = (*_PLAIN, *(f"bright_{name}" for name in _PLAIN))


@dataclass
class LogPrinter:
    """``prefix`` and ``colour`` as the user asked; colour only where the stream is a terminal."""

    console: Console
    project: str
    prefix: bool = True
    colour: bool = True
    timestamps: bool = False
    eager: bool = True  # what comes leaves at once; otherwise when a buffer is full
    only: frozenset[str] = frozenset()  # services; empty means all
    never: frozenset[str] = frozenset()
    width: int = 0
    colours: dict[str, str] = field(default_factory=dict)
    last_stream: str = "stdout"
    last_ns: int = 0  # time of the newest line that came
    one_place: bool | None = None  # both streams end up in the same file or terminal; None: nobody has looked yet

    def announce(self, sources: Iterable[tuple[str, str]]) -> None:
        """Makes room for the longest name before the first line comes. ``sources``: containers with their services."""
        for name, service in sources:
            if self._shown(service):
                self._colour_of(self.short(name))

    def log(self, event: dict[str, Any]) -> None:
        """``text`` is a line, or several; it may hold surrogates for bytes that are not UTF-8."""
        data = event["text"].encode("utf-8", "surrogateescape")
        self.lines(event["name"], event["service"], event["stream"], event["time_ns"], data)

    def lines(self, name: str, service: str, stream: str, time_ns: int, data: bytes) -> None:
        """Writes lines of one time: a newline stands between two of them, and none at the end."""
        self.last_ns = max(self.last_ns, time_ns)
        if not self._shown(service):
            return
        head = self._prefix(name, stream)
        if self.timestamps:
            head += f"{rfc3339(time_ns)} "
        begin = head.encode()
        self._write(stream, begin + data.replace(b"\n", b"\n" + begin) + b"\n", service)

    def exited(self, event: dict[str, Any]) -> None:
        """``web-1 exited with code 0``, and why, and what comes of it."""
        name = self.short(event["name"])
        code = "an unknown code" if event["code"] is None else f"code {event['code']}"
        code += ", out of memory" if event.get("oom") and event["code"] != 0 else ""
        again = " (restarting)" if event.get("restarting") else ""
        colour = self._colour_of(name)
        head = paint(name, colour) if self._coloured("stdout") else name
        self._write("stdout", f"{head} exited with {code}{again}\n".encode(), event["service"])

    def _shown(self, service: str) -> bool:
        return service not in self.never and (not self.only or service in self.only)

    def flush(self) -> None:
        self.console.out.flush()
        self.console.err.flush()

    def short(self, name: str) -> str:
        """``shop-web-1`` is ``web-1`` to somebody who works in shop."""
        return name.removeprefix(f"{self.project}-")

    def _prefix(self, name: str, stream: str) -> str:
        if not self.prefix:
            return ""
        short = self.short(name)
        colour = self._colour_of(short)
        head = f"{short.ljust(self.width)} | "
        return paint(head, colour) if self._coloured(stream) else head

    def _coloured(self, stream: str) -> bool:
        return self.colour and (self.console.colour_err if stream == "stderr" else self.console.colour_out)

    def _colour_of(self, short: str) -> str:
        if short not in self.colours:
            self.colours[short] = PALETTE[len(self.colours) % len(PALETTE)]
            self.width = max(self.width, len(short) + 1)
        return self.colours[short]

    def close(self) -> None:
        """Nothing more comes."""

    def _write(self, stream: str, data: bytes, service: str) -> None:
        if stream != self.last_stream:
            if self._one_place():
                self.flush()  # keep their order
            self.last_stream = stream
        file = self.console.err if stream == "stderr" else self.console.out
        buffer = getattr(file, "buffer", None)
        if buffer is None:
            file.write(data.decode("utf-8", "surrogateescape"))
            return
        buffer.write(data)
        if self.eager:
            buffer.flush()

    def _one_place(self) -> bool:
        if self.one_place is None:
            try:
                self.one_place = os.path.sameopenfile(self.console.out.fileno(), self.console.err.fileno())
            except (OSError, ValueError):
                self.one_place = True
        return self.one_place
