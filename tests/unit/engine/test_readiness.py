"""What is sent to a service that is asked whether it is ready, and how its answer is read."""

from __future__ import annotations

import pytest

from stackup.engine.readiness import request_text, status_of
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
