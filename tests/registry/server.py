"""Debian's docker-registry over a directory, and the registries.conf that makes it the mirror of docker.io."""

from __future__ import annotations

import os
import socket
import subprocess
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from tests.support.waiting import eventually

MARK = "complete"  # a file in the storage directory, written last: what the images were made from


def stored(directory: Path) -> bool:
    """Whether the images have been made in ``directory``."""
    return (directory / MARK).is_file()


@dataclass(frozen=True)
class RegistryServer:
    """``host``: where it listens, ``127.0.0.1:PORT``. ``settings``: a registries.conf that names it as a mirror."""

    host: str
    settings: Path

    @property
    def environment(self) -> dict[str, str]:
        """What a command needs to find docker.io's images here."""
        return {"CONTAINERS_REGISTRIES_CONF": str(self.settings)}

    @classmethod
    @contextmanager
    def running(cls, directory: Path, port: int = 0) -> Iterator[RegistryServer]:
        """Serves ``directory`` on ``port`` of 127.0.0.1 (0: a free one) until the block ends."""
        host = f"127.0.0.1:{port or free_port()}"
        directory.mkdir(parents=True, exist_ok=True)
        settings = directory / f"registries-{host.rpartition(':')[2]}.conf"
        settings.write_text(
            f'[[registry]]\nlocation = "docker.io"\n\n[[registry.mirror]]\nlocation = "{host}"\ninsecure = true\n'
        )
        configuration = directory / f"serve-{host.rpartition(':')[2]}.yml"
        configuration.write_text(
            "version: 0.1\nlog: {level: error, accesslog: {disabled: true}}\n"
            f"storage: {{filesystem: {{rootdirectory: {directory / 'storage'}}}, delete: {{enabled: true}}}}\n"
            f"http: {{addr: '{host}'}}\n"
        )
        with (directory / "registry.log").open("ab") as log:
            process = subprocess.Popen(
                ["docker-registry", "serve", configuration],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                env={**os.environ, "OTEL_TRACES_EXPORTER": "none"},
            )
        try:
            eventually(lambda: _answers(process, host), f"the registry at {host} answers")
            yield cls(host, settings)
        finally:
            process.terminate()
            process.wait()
            configuration.unlink()
            settings.unlink()


def free_port() -> int:
    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))
        port: int = sock.getsockname()[1]
        return port


def _answers(process: subprocess.Popen[bytes], host: str) -> bool:
    if process.poll() is not None:
        raise RuntimeError(f"docker-registry ended with code {process.returncode}; see registry.log")
    try:
        with urllib.request.urlopen(f"http://{host}/v2/", timeout=5) as answer:
            return bool(answer.status == 200)
    except (urllib.error.URLError, OSError):
        return False
