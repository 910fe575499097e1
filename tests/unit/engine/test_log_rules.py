"""``logging:``: what it comes to, what is wrong with it, and what receivers are sent."""

from __future__ import annotations

import asyncio
import os
import socket
import struct
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from stackup.engine import forwarder, sinks
from stackup.engine.forwarder import Forwarder
from stackup.engine.logreader import LogLine
from stackup.engine.logrules import address_of, fill_in, mistakes, rule_of
from stackup.engine.logwriter import Limits, LogWriter
from stackup.engine.sinks import Journal, journal_message, syslog_message


def logging(driver: str | None = None, **options: str) -> dict[str, Any]:
    return {"driver": driver, "options": {key.replace("_", "-"): value for key, value in options.items()}}


@pytest.mark.parametrize(
    ("given", "limits"),
    [
        (None, Limits(0, 1)),
        (logging(), Limits(0, 1)),
        (logging("json-file", max_size="10m"), Limits(10_000_000, 1)),
        (logging("json-file", max_size="1.5KB", max_file="3"), Limits(1500, 3)),
        (logging("json-file", max_size="-1"), Limits(0, 1)),
        (logging("local"), Limits(20_000_000, 5)),
        (logging("local", max_size="1g", max_file="2"), Limits(10**9, 2)),
        (logging("syslog", cache_max_size="5m"), Limits(5_000_000, 5)),
    ],
)
def test_limits(given: dict[str, Any] | None, limits: Limits) -> None:
    assert not list(mistakes(given))
    assert rule_of(given).limits == limits


@pytest.mark.parametrize(
    ("given", "option", "hint"),
    [
        (logging("gelf"), "", "one of json-file, local"),
        (logging("json-file", max_sise="1m"), "max-sise", "max-size"),
        (logging("local", max_size="much"), "max-size", "a size such as"),
        (logging("local", max_file="0"), "max-file", "a number from 1"),
        (logging(max_file="3"), "max-file", "max-size: 10m"),
        (logging("syslog", syslog_address="nowhere"), "syslog-address", "udp://HOST:PORT"),
        (logging("syslog", syslog_address="tcp+tls://a:1"), "syslog-address", "tcp://HOST:PORT"),
        (logging("syslog", syslog_facility="loud"), "syslog-facility", "local7"),
        (logging("syslog", syslog_format="rfc1"), "syslog-format", "rfc5424"),
        (logging("journald", tag="{{.Colour}}"), "tag", "{{.Name}}"),
        (logging("journald", mode="quick"), "mode", "non-blocking"),
    ],
)
def test_mistakes(given: dict[str, Any], option: str, hint: str) -> None:
    (mistake,) = mistakes(given)
    assert mistake.option == option
    assert hint in mistake.hint


def test_addresses_and_tags() -> None:
    assert address_of("unix:///dev/log") == ("unix", "/dev/log", 0)
    assert address_of("udp://logs.example:5514") == ("udp", "logs.example", 5514)
    assert address_of("tcp://[::1]") == ("tcp", "::1", 514)
    assert fill_in("{{.Name}}/{{ .ID }}", {".Name": "web-1", ".ID": "0123"}) == "web-1/0123"


LINE = LogLine(1_700_000_000_123_456_789, "web-1", "stderr", "a \udcff b")


def test_syslog_messages() -> None:
    at = "<27>Nov 14 "
    assert syslog_message(LINE, 27, "web", "").startswith(at.encode())
    assert syslog_message(LINE, 27, "web", "").endswith(f" web[{os.getpid()}]: a ".encode() + b"\xff b")
    assert f" {socket.gethostname()} web[".encode() in syslog_message(LINE, 27, "web", "rfc3164")
    new = syslog_message(LINE, 27, "web", "rfc5424").decode("utf-8", "surrogateescape")
    assert new == (f"<27>1 2023-11-14T22:13:20Z {socket.gethostname()} web {os.getpid()} web - a \udcff b")
    assert b" 2023-11-14T22:13:20.123456Z " in syslog_message(LINE, 27, "web", "rfc5424micro")


def test_journal_messages() -> None:
    message = journal_message(LINE, {"CONTAINER_NAME": "web-1"})
    assert message == (
        b"MESSAGE\n" + struct.pack("<Q", 5) + b"a \xff b\nPRIORITY=3\n"
        b"SYSLOG_TIMESTAMP=2023-11-14T22:13:20.123456789Z\nCONTAINER_NAME=web-1\n"
    )


def container(logging: dict[str, Any]) -> Any:
    definition = SimpleNamespace(
        id="0123456789abcdef", name="shop-web-1", image="busybox", image_id="sha256:fedcba9876543210",
        labels={"com.example.team": "blue", "other": "x"}, config={"logging": logging, "environment": {"STAGE": "one"}},
    )  # fmt: skip
    return SimpleNamespace(definition=definition, short_name="web-1")


def journal(path: Path) -> socket.socket:
    sock = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
    sock.bind(str(path))
    sock.setblocking(False)
    return sock


def test_the_journal_gets_dockers_fields_and_large_lines(tmp_path: Path) -> None:
    given = logging("journald", tag="{{.Name}}", labels="com.example.team", env_regex="^ST")
    large = LogLine(1, "web-1", "stdout", "x" * 1_000_000)

    async def main() -> tuple[bytes, bytes]:
        with journal(tmp_path / "journal") as receiver:
            sink = Journal("tag", container(given), rule_of(given), str(tmp_path / "journal"))
            await sink.send(LINE)
            first = receiver.recv(65536)
            await sink.send(large)
            _, (fd, *_), _, _ = socket.recv_fds(receiver, 16, 1)
            with open(fd, "rb") as file:
                file.seek(0)
                second = file.read()
            sink.close()
            return first, second

    first, second = asyncio.run(main())
    assert b"\nCOM_EXAMPLE_TEAM=blue\n" in first and b"\nSTAGE=one\n" in first and b"OTHER" not in first
    assert b"CONTAINER_ID=0123456789ab\n" in first
    assert b"x" * 1_000_000 in second


class Say:
    """A container's output, moved and sent on."""

    def __init__(self, directory: Path) -> None:
        os.mkfifo(directory / "fifo")
        self.holder = os.open(directory / "fifo", os.O_RDWR | os.O_NONBLOCK)
        self.writer = LogWriter(directory / "fifo", directory, "stdout", lambda: None)

    def __call__(self, text: str) -> None:
        os.write(self.holder, text.encode())
        self.writer.drain()


async def received(receiver: socket.socket, count: int) -> list[str]:
    async with asyncio.timeout(5):
        loop = asyncio.get_running_loop()
        return [(await loop.sock_recv(receiver, 65536)).decode().partition("]: ")[2] for _ in range(count)]


def test_lines_wait_for_a_receiver_that_is_away_and_a_successor_goes_on(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(forwarder, "RETRY", 0.01)
    given = logging("syslog", syslog_address=f"unixgram://{tmp_path}/log", syslog_facility="local0")

    async def main() -> None:
        say = Say(tmp_path)
        first = Forwarder(rule_of(given), container(given), tmp_path)
        say("one\ntwo\n")
        first.touched()
        await asyncio.sleep(0.05)
        assert "No such file" in first.trouble
        with journal(tmp_path / "log") as receiver:
            assert await received(receiver, 2) == ["one", "two"]
            await asyncio.sleep(0)
            assert first.trouble == ""
            first.stop()
            say("three\nunfinished")
            assert say.writer.finish(lambda: None)
            second = Forwarder(rule_of(given), container(given), tmp_path)
            assert await received(receiver, 2) == ["three", "unfinished"]
            second.stop()
        os.close(say.holder)

    asyncio.run(main())


@pytest.mark.parametrize("kind", ["tcp", "udp"])
def test_syslog_over_a_network(tmp_path: Path, kind: str) -> None:
    async def main() -> bytes:
        sock = socket.socket(socket.AF_INET, socket.SOCK_STREAM if kind == "tcp" else socket.SOCK_DGRAM)
        with sock:
            sock.bind(("127.0.0.1", 0))
            sock.setblocking(False)
            given = logging("syslog", syslog_address=f"{kind}://127.0.0.1:{sock.getsockname()[1]}", tag="web")
            loop = asyncio.get_running_loop()
            if kind == "tcp":
                sock.listen()
            sink = sinks.Syslog(rule_of(given), "web")
            await sink.send(LINE)
            peer = (await loop.sock_accept(sock))[0] if kind == "tcp" else sock
            with peer:
                data = await loop.sock_recv(peer, 1000)
            sink.close()
            return data

    data = asyncio.run(main())
    assert data.startswith(b"<27>") and data.endswith(b"]: a \xff b" + (b"\n" if kind == "tcp" else b""))
