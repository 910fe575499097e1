"""Registries that never come to an end: whatever they send, a pull does."""

from __future__ import annotations

import json
import socketserver
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import pytest
from registry_support import Client

from stackup.base.values import changed
from stackup.images import artifacts
from stackup.images.registry.errors import BadAnswer, RegistryError
from stackup.images.registry.transport import Patience
from tests.support.fakeregistry import MANIFEST, FakeRegistry, Fault, some_layer

PROMPT = Patience(connect=5, read=0.4, pauses=(0.1,), document=0.6)
LONG = 30.0  # seconds after which it is taken to last for ever
CHUNK = b"1000\r\n" + b"x" * 0x1000 + b"\r\n"
CHUNKED = b"Transfer-Encoding: chunked\r\n\r\n"
JSON = b"Content-Type: application/vnd.oci.image.manifest.v1+json\r\n"

# What is sent once, and what is sent again and again after it
ENDLESS: dict[str, tuple[bytes, bytes]] = {
    "an error": (b"HTTP/1.1 500 Oops\r\n" + CHUNKED, CHUNK),
    "another try": (b"HTTP/1.1 429 Slow\r\nRetry-After: 1\r\n" + CHUNKED, CHUNK),
    "a redirect": (b"HTTP/1.1 302 Found\r\nLocation: /v2/b/manifests/1\r\n" + CHUNKED, CHUNK),
    "a refusal": (b'HTTP/1.1 401 No\r\nWWW-Authenticate: Basic realm="x"\r\n' + CHUNKED, CHUNK),
    "not found": (b"HTTP/1.1 404 No\r\n" + CHUNKED, CHUNK),
    "not found, byte by byte": (b"HTTP/1.1 404 No\r\nContent-Length: 60000\r\n\r\n", b"x"),
    "a redirect, byte by byte": (b"HTTP/1.1 302 Found\r\nLocation: /v2/\r\nContent-Length: 60000\r\n\r\n", b"x"),
    "a manifest": (b"HTTP/1.1 200 OK\r\n" + JSON + CHUNKED, CHUNK),
    "a manifest, byte by byte": (b"HTTP/1.1 200 OK\r\n" + JSON + b"Content-Length: 60000\r\n\r\n", b"x"),
    "a beginning": (b"", b"HTTP/1.1 100 Continue\r\n\r\n"),
    "a header, byte by byte": (b"HTTP/1.1 200 OK\r\nX-Long: ", b"x"),
    "the length of a chunk": (b"HTTP/1.1 200 OK\r\n" + JSON + CHUNKED + b"1000;", b"x"),
    "what follows the last chunk": (b"HTTP/1.1 200 OK\r\n" + JSON + CHUNKED + b"2\r\n{}\r\n0\r\n", b"X-More: 1\r\n"),
}


@contextmanager
def endless(once: bytes, again: bytes) -> Iterator[str]:
    """A server that answers every request so; its address."""
    over = threading.Event()
    pause = 0.001 if len(again) > 1 else 0.02

    class Handler(socketserver.BaseRequestHandler):
        def handle(self) -> None:
            with suppress(OSError):
                if self.request.recv(65536)[:1] == b"\x16":  # somebody tries TLS
                    return
                self.request.sendall(once)
                while not over.wait(pause):
                    self.request.sendall(again)

    class Server(socketserver.ThreadingTCPServer):
        daemon_threads = True
        block_on_close = False

    with Server(("127.0.0.1", 0), Handler) as server:
        threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True).start()
        try:
            yield f"127.0.0.1:{server.server_address[1]}"
        finally:
            over.set()
            server.shutdown()


def outcome(pull: Callable[[], Any]) -> BaseException | None:
    """What a pull ends with, if it ends."""
    found: list[BaseException | None] = []

    def run() -> None:
        try:
            pull()
            found.append(None)
        except BaseException as error:  # noqa: BLE001 - told below
            found.append(error)

    thread = threading.Thread(target=run, daemon=True)
    thread.start()
    thread.join(LONG)
    assert found, "it goes on and on"
    return found[0]


@pytest.mark.parametrize("what", list(ENDLESS))
def test_an_answer_without_an_end(client: Client, what: str) -> None:
    client.patience = PROMPT
    with endless(*ENDLESS[what]) as host:
        error = outcome(lambda: client.pull(f"{host}/team/app:1"))
    assert isinstance(error, RegistryError)
    assert host in error.message


def test_a_status_counts_however_its_body_ends(client: Client) -> None:
    with endless(*ENDLESS["not found"]) as host:
        error = outcome(lambda: client.pull(f"{host}/team/app:1"))
    assert str(error) == f"cannot pull {host}/team/app:1: there is no repository {host}/team/app"


def test_more_and_less_each_time(client: Client) -> None:
    """A blob that is another one each time begins anew each time, and breaks off sooner or later."""
    client.patience = changed(client.patience, pauses=(0.0, 0.0, 0.0))
    with FakeRegistry().serving() as registry:
        registry.image("team/app", "1", [some_layer("etc", size=3 << 20)])
        (layer,) = registry.layers_of("team/app", "1")
        registry.faults = [
            Fault(layer, whole=True, cut=(1 << 20) * (1 + number % 2), headers={"ETag": f'"{number}"'})
            for number in range(200)
        ]
        error = outcome(lambda: client.pull(f"{registry.host}/team/app:1"))
        assert isinstance(error, RegistryError)
        assert registry.count("GET", layer) < 10


@pytest.mark.parametrize(
    "headers",
    [
        {"Location": "http://[::1/x"},
        {"Location": "http://a.example:99999999/"},
        {"Location": "http://a.example:port/"},
        {"Location": "http://a b\x1b.example/"},
    ],
    ids=["half an address", "a large port", "no port", "control characters"],
)
def test_a_redirect_to_nowhere(client: Client, headers: dict[str, str]) -> None:
    with FakeRegistry().serving() as registry:
        registry.faults = [Fault("/manifests/", status=302, headers=headers, times=9)]
        error = outcome(lambda: client.pull(f"{registry.host}/team/app:1"))
    assert isinstance(error, RegistryError)
    assert "\x1b" not in error.message


@pytest.mark.parametrize("length", ["9" * 5000, "9" * 30, "-1", "1, 2"])
def test_lengths_that_are_none(client: Client, length: str) -> None:
    with FakeRegistry().serving() as registry:
        registry.image("team/app", "1", [some_layer("etc", size=1 << 20)])
        (layer,) = registry.layers_of("team/app", "1")
        registry.faults = [Fault(layer, cut=10), Fault(layer, headers={"Content-Range": f"bytes 10-{length}/{length}"})]
        client.pull(f"{registry.host}/team/app:1")
        registry.image("team/app", "1", [some_layer("bin", size=1 << 20)])
        (layer,) = registry.layers_of("team/app", "1")
        registry.faults = [Fault(layer, headers={"Content-Length": length}, times=9)]
        client.patience = PROMPT
        error = outcome(lambda: client.pull(f"{registry.host}/team/app:1"))
    assert error is None or isinstance(error, RegistryError)


@pytest.mark.parametrize("data", [b"[" * 100_000, b'{"a":' * 50_000, b'{"mediaType": "\\ud800"}'])
def test_a_manifest_that_nobody_can_read(client: Client, data: bytes) -> None:
    with FakeRegistry().serving() as registry:
        registry.manifests["team/app", "1"] = ("application/vnd.oci.image.manifest.v1+json", data)
        error = outcome(lambda: client.pull(f"{registry.host}/team/app:1"))
    assert isinstance(error, BadAnswer)
    assert "is no manifest: it " in error.message


def test_a_configuration_that_nobody_can_read(client: Client) -> None:
    with FakeRegistry().serving() as registry:
        registry.image("team/app", "1", [some_layer("etc")])
        config = registry.config_of("team/app", "1", b"[" * 100_000)
        error = outcome(lambda: client.pull(f"{registry.host}/team/app:1"))
    assert "nested too deeply" in str(error) and config in str(error)


@pytest.mark.parametrize("body", [b"[" * 100_000, b'{"token": "x", "expires_in": 1' + b"0" * 400 + b"}"])
def test_a_token_that_nobody_can_read(client: Client, body: bytes) -> None:
    with FakeRegistry().serving() as registry:
        registry.auth = "token"
        registry.faults = [Fault("/token", status=200, body=body)]
        error = outcome(lambda: client.pull(f"{registry.host}/team/app:1"))
    assert isinstance(error, BadAnswer)
    assert "its answer is not one" in error.message


def test_a_token_that_would_be_more_than_one_header(client: Client) -> None:
    with FakeRegistry().serving() as registry:
        registry.auth = "token"
        registry.faults = [Fault("/token", status=200, body=b'{"token": "x\\r\\nHost: other"}')]
        error = outcome(lambda: client.pull(f"{registry.host}/team/app:1"))
    assert isinstance(error, BadAnswer)
    assert "its answer is not one" in error.message


def test_a_challenge_that_takes_long_to_read() -> None:
    """In a process of its own: what reads it cannot be interrupted. All spaces are looked at once, not again for each
    of them."""
    header = """'Bearer realm="x"' + ' ' * 500_000 + '!'"""
    code = f"from stackup.images.registry.auth import challenges; print(len(list(challenges({header}))))"
    done = subprocess.run([sys.executable, "-c", code], timeout=LONG, capture_output=True, text=True, check=True)
    assert done.stdout == "1\n"


def test_more_layers_than_can_be_stacked(client: Client) -> None:
    with FakeRegistry().serving() as registry:
        registry.image("team/app", "1", [some_layer("etc")])
        document = json.loads(registry.manifests["team/app", "1"][1])
        document["layers"] *= 501
        registry.manifest("team/app", "1", document)
        with pytest.raises(BadAnswer, match="it has 501 layers"):
            client.pull(f"{registry.host}/team/app:1")
        assert registry.count("GET", "/blobs/") == 0


@pytest.mark.parametrize("config", ["x", [1], 5])
def test_a_published_stack_of_odd_parts(client: Client, tmp_path: Path, config: object) -> None:
    with FakeRegistry().serving() as registry:
        registry.manifest("team/stack", "1", {"schemaVersion": 2, "mediaType": MANIFEST, "config": config})
        registries = client.registries()
        with pytest.raises(BadAnswer, match="it is no published stack"):
            artifacts.fetch(f"oci://{registry.host}/team/stack:1", tmp_path / "cache", registries)
        registries.close()
