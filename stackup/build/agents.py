"""ssh agents for ``RUN --mount=type=ssh``: the user's own through a socket of the build's, or one made of key files.

The socket in the container has the owner and mode that the mount asks for; nothing but the agent's protocol goes
through it.
"""

from __future__ import annotations

import os
import shutil
import signal
import socket
import stat
import subprocess
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from stackup.base.errors import HostUnfit, ImageError
from stackup.linux.process import die_with_parent

_SECONDS = 10
_CHUNK = 1 << 16


@contextmanager
def agent_socket(path: Path, named: tuple[str, ...], owner: tuple[int, int], mode: int) -> Iterator[None]:
    """Serves at ``path``. ``named``: the one socket of an agent, or private keys without a passphrase."""
    sockets = [name for name in named if stat.S_ISSOCK(_mode(name))]
    if sockets and len(named) > 1:
        raise ImageError(f"cannot use {sockets[0]} together with other keys: it is an agent's socket")
    if not sockets:
        with _agent_of(named, path.with_name(f"{path.name}-own")) as own, _forwarding(path, str(own), owner, mode):
            yield
    else:
        with _forwarding(path, sockets[0], owner, mode):
            yield


def _mode(name: str) -> int:
    try:
        return os.stat(name).st_mode
    except OSError as error:
        raise ImageError(f"cannot use ssh agent or key {name}: {error.strerror}") from None


def _connect(path: str) -> socket.socket:
    """Through the directory's descriptor: a socket's address holds 108 bytes only."""
    directory, name = os.path.split(path)
    fd = os.open(directory or ".", os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        found = socket.socket(socket.AF_UNIX)
        found.connect(f"/proc/self/fd/{fd}/{name}")
        return found
    finally:
        os.close(fd)


@contextmanager
def _forwarding(path: Path, agent: str, owner: tuple[int, int], mode: int) -> Iterator[None]:
    listener = socket.socket(socket.AF_UNIX)
    fd = os.open(path.parent, os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        listener.bind(f"/proc/self/fd/{fd}/{path.name}")
    finally:
        os.close(fd)
    os.chown(path, *owner)
    os.chmod(path, mode)
    listener.listen(8)
    thread = threading.Thread(target=_accept, args=(listener, agent), name="ssh-agent", daemon=True)
    thread.start()
    try:
        yield
    finally:
        with suppress(OSError):
            listener.shutdown(socket.SHUT_RDWR)  # ends accept
        thread.join()
        listener.close()
        path.unlink(missing_ok=True)


def _accept(listener: socket.socket, agent: str) -> None:
    while True:
        try:
            client, _ = listener.accept()
        except OSError:
            return
        threading.Thread(target=_serve, args=(client, agent), name="ssh-agent", daemon=True).start()


def _serve(client: socket.socket, agent: str) -> None:
    with client:
        try:
            server = _connect(agent)
        except OSError:
            return
        with server:
            back = threading.Thread(target=_pour, args=(server, client), daemon=True)
            back.start()
            _pour(client, server)
            back.join()


def _pour(source: socket.socket, target: socket.socket) -> None:
    with suppress(OSError):
        while data := source.recv(_CHUNK):
            target.sendall(data)
    with suppress(OSError):
        target.shutdown(socket.SHUT_WR)


@contextmanager
def _agent_of(keys: tuple[str, ...], path: Path) -> Iterator[Path]:
    """The host's ssh-agent, holding the keys; it dies with this process."""
    agent, add = shutil.which("ssh-agent"), shutil.which("ssh-add")
    if agent is None or add is None:
        raise HostUnfit("cannot use ssh keys: ssh-agent is not installed", hint="Install the package openssh-client.")
    process = subprocess.Popen(
        [agent, "-D", "-a", str(path)],
        stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
        preexec_fn=lambda: die_with_parent(signal.SIGKILL),
    )  # fmt: skip
    try:
        for key in keys:
            _add(add, key, path)
        yield path
    finally:
        process.kill()
        process.wait()


def _add(program: str, key: str, path: Path) -> None:
    environment = {**os.environ, "SSH_AUTH_SOCK": str(path), "SSH_ASKPASS_REQUIRE": "never"}
    for attempt in range(_SECONDS * 20):
        done = subprocess.run(
            [program, "-q", key],
            env=environment, stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False,
        )  # fmt: skip
        if done.returncode == 0:
            return
        if done.returncode != 2 or attempt == _SECONDS * 20 - 1:  # 2: the agent is not there yet
            reason = (done.stderr.strip().splitlines() or ["ssh-add refused it"])[-1]
            raise ImageError(f"cannot use ssh key {key}: {reason}")
        threading.Event().wait(0.05)
