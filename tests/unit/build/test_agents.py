"""The socket that RUN --mount=type=ssh gets: the user's agent behind it, or one that holds keys."""

from __future__ import annotations

import os
import shutil
import socket
import stat
import subprocess
import threading
from pathlib import Path

import pytest

from stackup.base.errors import ImageError
from stackup.build.agents import agent_socket

OWN = (os.getuid(), os.getgid())


def test_what_is_said_goes_through(tmp_path: Path) -> None:
    """Several clients, one after the other, each with an answer of its own."""
    with socket.socket(socket.AF_UNIX) as server:
        server.bind(str(tmp_path / "agent"))
        server.listen()

        def serve() -> None:
            for _ in range(2):
                connection, _ = server.accept()
                with connection:
                    connection.sendall(b"re: " + connection.recv(100))

        thread = threading.Thread(target=serve)
        thread.start()
        with agent_socket(tmp_path / "own", (str(tmp_path / "agent"),), OWN, 0o600):
            assert stat.S_IMODE(os.stat(tmp_path / "own").st_mode) == 0o600
            assert [_ask(tmp_path / "own", text) for text in (b"one", b"two")] == [b"re: one", b"re: two"]
        thread.join()
    assert not (tmp_path / "own").exists()


def _ask(path: Path, text: bytes) -> bytes:
    with socket.socket(socket.AF_UNIX) as client:
        client.connect(str(path))
        client.sendall(text)
        client.shutdown(socket.SHUT_WR)
        return client.recv(100)


@pytest.mark.skipif(not shutil.which("ssh-agent"), reason="openssh-client is not installed")
def test_an_agent_of_keys(tmp_path: Path) -> None:
    key = tmp_path / "key"
    subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-C", "a key", "-f", str(key)], check=True)
    with agent_socket(tmp_path / "own", (str(key),), OWN, 0o600):
        environment = {**os.environ, "SSH_AUTH_SOCK": str(tmp_path / "own")}
        listed = subprocess.run(["ssh-add", "-L"], env=environment, capture_output=True, text=True, check=True).stdout
    assert listed.split()[:2] == key.with_suffix(".pub").read_text().split()[:2]
    assert [path.name for path in tmp_path.iterdir() if path.name.startswith("own")] in ([], ["own-own"])


def test_what_is_no_agent(tmp_path: Path) -> None:
    with pytest.raises(ImageError, match="No such file"), agent_socket(tmp_path / "own", ("/nowhere",), OWN, 0o600):
        pass
