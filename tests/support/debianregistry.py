"""Debian's docker-registry on loopback: plain, with a user, or with TLS; and skopeo, which talks to it."""

from __future__ import annotations

import socket
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from tests.support.waiting import eventually

USER, PASSWORD = "bob", "secret"
_HTPASSWD = "bob:$2y$05$abcdefghijklmnopqrstuuOQiyCxlgf/oeuTqixKmWdcYUh4Hjl0a\n"  # bcrypt, as the registry wants it


@dataclass(frozen=True)
class Server:
    """``authority``: the certificate that a client of a TLS registry has to trust."""

    host: str
    process: subprocess.Popen[bytes]
    authority: Path | None = None

    def stop(self) -> None:
        self.process.terminate()
        self.process.wait()


@contextmanager
def debian_registry(directory: Path, *, port: int = 0, users: bool = False, tls: bool = False) -> Iterator[Server]:
    """Keeps its blobs in ``directory/data``; several may share them. ``port`` 0: a free one."""
    host = f"127.0.0.1:{port or free_port()}"
    extra, authority = "", None
    if users:
        (directory / "htpasswd").write_text(_HTPASSWD)
        extra += f"auth: {{htpasswd: {{realm: test, path: {directory}/htpasswd}}}}\n"
    secured = ""
    if tls:
        authority = make_certificates(directory)
        secured = f", tls: {{certificate: {directory}/server.crt, key: {directory}/server.key}}"
    path = directory / f"{host.rpartition(':')[2]}.yml"
    path.write_text(
        "version: 0.1\nlog: {level: error, accesslog: {disabled: true}}\n"
        f"storage: {{filesystem: {{rootdirectory: {directory}/data}}, delete: {{enabled: true}}}}\n"
        f"http: {{addr: '{host}'{secured}}}\n{extra}"
    )
    with (directory / "registry.log").open("ab") as log:
        process = subprocess.Popen(
            ["docker-registry", "serve", path],
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            env={"PATH": "/usr/bin:/bin", "OTEL_TRACES_EXPORTER": "none"},
        )
    try:
        eventually(lambda: _listens(process, host), f"docker-registry listens on {host}")
        yield Server(host, process, authority)
    finally:
        process.terminate()
        process.wait()
        path.unlink()


def free_port() -> int:
    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))
        port: int = sock.getsockname()[1]
        return port


def _listens(process: subprocess.Popen[bytes], host: str) -> bool:
    assert process.poll() is None, "docker-registry has ended: see registry.log"
    name, _, port = host.partition(":")
    with socket.socket() as sock:
        return sock.connect_ex((name, int(port))) == 0


def make_certificates(directory: Path) -> Path:
    """An authority, and a certificate for 127.0.0.1 that it has signed."""

    def openssl(*words: str) -> None:
        subprocess.run(["openssl", *words], cwd=directory, check=True, capture_output=True)

    key = ("-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes")
    openssl("req", "-x509", *key, "-keyout", "ca.key", "-out", "ca.crt", "-subj", "/CN=Test CA", "-days", "3650")
    openssl("req", *key, "-keyout", "server.key", "-out", "server.csr", "-subj", "/CN=registry")
    (directory / "names").write_text("subjectAltName=IP:127.0.0.1\n")
    signing = ("-CA", "ca.crt", "-CAkey", "ca.key", "-CAcreateserial", "-days", "3650", "-extfile", "names")
    openssl("x509", "-req", "-in", "server.csr", *signing, "-out", "server.crt")
    return directory / "ca.crt"


def skopeo(*words: str) -> str:
    """Its standard output."""
    done = subprocess.run(["skopeo", "--insecure-policy", *words], capture_output=True, text=True)
    assert done.returncode == 0, f"skopeo {' '.join(words)}: {done.stderr}"
    return done.stdout
