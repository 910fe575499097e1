"""What is sent to a service that is asked whether it is ready, and how its answer is read."""

from __future__ import annotations

import asyncio
import shutil
import socket
import ssl
import subprocess
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from stackup.engine.logreader import ENTRY
from stackup.engine.readiness import Readiness, request_text, status_of, wanted_text
from stackup.engine.supervision import OutsideProbe


def test_a_header_of_the_stack_file_takes_the_place_of_ours() -> None:
    probe = OutsideProbe("http", 80, "/health?full=1", headers={"host": "shop.example", "X-Key": "1"})
    first, *headers = request_text(probe, "10.0.0.2").decode().split("\r\n")
    assert first == "GET /health?full=1 HTTP/1.1"
    assert "host: shop.example" in headers and "X-Key: 1" in headers and "Connection: close" in headers
    assert not [line for line in headers if line.startswith("Host:")]
    assert headers[-2:] == ["", ""]


def test_status() -> None:
    assert status_of(b"HTTP/1.1 204 No Content\r\n") == (204, "HTTP/1.1 204 No Content")
    assert status_of(b"HTTP/1.0 503\r\n")[0] == 503


@pytest.mark.parametrize("line", [b"", b"SSH-2.0-OpenSSH\r\n", b"HTTP/1.1 abc\r\n"])
def test_no_http(line: bytes) -> None:
    with pytest.raises(ValueError, match=r"HTTP|closed"):
        status_of(line)


@pytest.fixture(scope="module")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Self-signed, for a name that nobody asks for: what services have that make a certificate for themselves."""
    if shutil.which("openssl") is None:
        pytest.skip("there is no openssl to make a certificate with")
    path = tmp_path_factory.mktemp("tls") / "pem"
    kind = ("-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-subj", "/CN=somewhere.example")
    command = ("openssl", "req", "-x509", *kind, "-keyout", str(path), "-out", f"{path}.crt")
    subprocess.run(command, check=True, capture_output=True)
    path.write_text(path.read_text() + Path(f"{path}.crt").read_text())
    return path


def ask(probe: OutsideProbe, answer: bytes, path: Path) -> tuple[bool, str]:
    """What the probe says of a TLS server that answers every request with ``answer``."""

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(answer)
        writer.close()

    async def run() -> tuple[bool, str]:
        context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
        context.load_cert_chain(path)
        server = await asyncio.start_server(serve, "127.0.0.1", 0, ssl=context)
        where = server.sockets[0].getsockname()

        @asynccontextmanager
        async def connected() -> AsyncIterator[tuple[socket.socket, str]]:
            sock = socket.create_connection(where)
            sock.setblocking(False)
            yield sock, "10.0.0.2:8443"

        container: Any = SimpleNamespace(age=0.0)
        world: Any = None
        readiness = Readiness(world, container, probe)
        readiness._connected = connected  # type: ignore[method-assign]
        async with server:
            return await readiness.look(5)

    return asyncio.run(run())


@pytest.mark.parametrize(
    ("status", "wanted", "ok"), [("200 OK", (), True), ("503 No", (), False), ("401 Who", (401,), True)]
)
def test_https_with_a_certificate_of_its_own(certificate: Path, status: str, wanted: tuple[int, ...], ok: bool) -> None:
    probe = OutsideProbe("http", 8443, "/", "https", wanted)
    answer = f"HTTP/1.1 {status}\r\nContent-Length: 4\r\n\r\nbody".encode()
    found, text = ask(probe, answer, certificate)
    assert (found, text) == (ok, f"HTTP/1.1 {status}" if ok else f"{status}, wanted 200 to 399")


def test_what_was_wanted() -> None:
    assert wanted_text(OutsideProbe("http", 80, "/", "http", ())) == "200 to 399"
    assert wanted_text(OutsideProbe("http", 80, "/", "http", (200, 401))) == "200 or 401"


def look_in(directory: Path, written: bytes, pattern: str, times: int = 1) -> tuple[bool, str]:
    """What a log probe says once ``written`` has come from the container, by one reader that goes on."""
    (directory / "stdout.log").write_bytes(written)
    (directory / "stdout.idx").write_bytes(ENTRY.pack(len(written), time.time_ns()))
    container: Any = SimpleNamespace(age=0.0, id="c", short_name="web-1")
    world: Any = SimpleNamespace(log_directory=lambda _: directory)
    readiness = Readiness(world, container, OutsideProbe("log", pattern=pattern, times=times))
    readiness._since_ns = 0
    first = asyncio.run(readiness.look(5))
    assert asyncio.run(readiness.look(5)) == first or first[0]  # what it waits for is not counted twice
    return first


def test_a_pattern_is_shown_as_it_was_written(tmp_path: Path) -> None:
    said = "no line of its output matches `listening on \\d+`"
    assert look_in(tmp_path, b"starting\n", r"listening on \d+") == (False, said)


def test_a_last_line_without_newline_counts(tmp_path: Path) -> None:
    assert look_in(tmp_path, b"hello\nlogin: ", "^login: $") == (True, "login: ")
    assert look_in(tmp_path, b"ready\nready", "ready", times=2) == (True, "ready")


def test_it_counts_once(tmp_path: Path) -> None:
    said = "no line of its output matches `ready` more than 2 times"
    assert look_in(tmp_path, b"ready\nready", "ready", times=3) == (False, said)
