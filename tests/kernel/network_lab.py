"""A small world for tests of the network: this namespace is the host, boxes are network namespaces beside it.

``Box`` stands for a container (attached as the runtime's child would do it) or for a machine outside. Its sockets are
made by a thread that has entered its namespace, and used from anywhere.
"""

from __future__ import annotations

import ctypes
import os
import socket
import subprocess
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any, TypeVar

from stackup.network.types import Attachment

T = TypeVar("T")
CLONE_NEWNET = 0x40000000
WORLD, HOST_ADDRESS, FAR_AWAY = "192.0.2.1", "192.0.2.2", "198.51.100.7"
_libc = ctypes.CDLL(None, use_errno=True)


def sh(command: str) -> str:
    done = subprocess.run(["sh", "-ec", command], capture_output=True, text=True, check=False)
    assert done.returncode == 0, f"{command}\n{done.stdout}{done.stderr}"
    return done.stdout


def in_thread(act: Callable[[], T], fd: int | None = None) -> T:
    """Runs ``act`` in a thread of its own, in the network namespace ``fd`` or a new one."""
    result: dict[str, Any] = {}

    def run() -> None:
        try:
            changed = _libc.unshare(CLONE_NEWNET) if fd is None else _libc.setns(fd, CLONE_NEWNET)
            assert changed == 0, os.strerror(ctypes.get_errno())
            result["value"] = act()
        except BaseException as error:  # noqa: BLE001 - handed to the caller
            result["error"] = error

    thread = threading.Thread(target=run)
    thread.start()
    thread.join()
    if "error" in result:
        raise result["error"]
    return result["value"]  # type: ignore[no-any-return]


@dataclass
class Box:
    """A network namespace, kept alive by ``fd``."""

    fd: int = -1
    closers: list[Callable[[], None]] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.fd = in_thread(lambda: os.open("/proc/thread-self/ns/net", os.O_RDONLY | os.O_CLOEXEC))
        self.sh("ip link set lo up")

    def sh(self, command: str) -> str:
        return sh(f"nsenter --net=/proc/{os.getpid()}/fd/{self.fd} sh -ec '{command}'")

    def run(self, act: Callable[[], T]) -> T:
        return in_thread(act, self.fd)

    def attach(self, *places: Attachment) -> Box:
        """What the child of the launcher does for each veth."""
        path = f"/proc/{os.getpid()}/fd/{self.fd}"
        for place in places:
            sh(
                f"ip link add {place.host_name} type veth peer name {place.container_name} address {place.mac} "
                f"netns {path}; ip link set {place.host_name} master {place.bridge} group {place.group} up; "
                f"ip link set {place.host_name} alias '{place.alias}'"
            )
            commands = [f"ip addr add {item} dev {place.container_name} nodad" for item in place.addresses]
            commands.append(f"ip link set {place.container_name} up")
            commands += [f"ip route add default via {item}" for item in (place.gateway, place.gateway6) if item]
            self.sh("; ".join(commands))
        return self

    def serve(self, text: str, port: int = 80, host: str = "0.0.0.0", udp: bool = False) -> Box:
        """Answers ``text`` and the client's address to everybody who comes."""
        family = socket.AF_INET6 if ":" in host else socket.AF_INET
        if udp:
            sock = self.run(lambda: _bound(family, host, port))
            threading.Thread(target=_answer_datagrams, args=(sock, text), daemon=True).start()
        else:
            sock = self.run(lambda: socket.create_server((host, port), family=family))
            threading.Thread(target=_answer_connections, args=(sock, text), daemon=True).start()
        self.closers.append(lambda: _shut(sock))
        return self

    def get(self, host: str, port: int = 80, timeout: float = 2.0) -> str:
        return self.run(lambda: get(host, port, timeout))

    def ask(self, host: str, port: int, timeout: float = 2.0) -> str:
        return self.run(lambda: ask(host, port, timeout))

    def close(self) -> None:
        for closer in self.closers:
            closer()
        os.close(self.fd)


def get(host: str, port: int = 80, timeout: float = 2.0) -> str:
    """What the TCP server there says; "refused" or "timeout" when nothing."""
    try:
        with socket.create_connection((host, port), timeout) as sock:
            return sock.recv(200).decode()
    except TimeoutError:
        return "timeout"
    except OSError as error:
        return "refused" if isinstance(error, ConnectionRefusedError) else os.strerror(error.errno or 0)


def ask(host: str, port: int, timeout: float = 2.0, sock: socket.socket | None = None) -> str:
    """The same over UDP."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    with sock or socket.socket(family, socket.SOCK_DGRAM) as used:
        used.settimeout(timeout)
        try:
            used.sendto(b"?", (host, port))
            return used.recv(200).decode()
        except TimeoutError:
            return "timeout"
        except OSError as error:
            return "refused" if isinstance(error, ConnectionRefusedError) else os.strerror(error.errno or 0)


@contextmanager
def world() -> Iterator[Box]:
    """A machine outside: it is the host's default gateway, and has an address far away. It has no route to containers,
    so what comes back from it proves that the host put its own address in front."""
    box = Box()
    path = f"/proc/{os.getpid()}/fd/{box.fd}"
    sh(
        f"ip link add up0 type veth peer name eth0 netns {path}; ip addr add {HOST_ADDRESS}/24 dev up0; "
        f"ip link set up0 up"
    )
    box.sh(f"ip addr add {WORLD}/24 dev eth0; ip link set eth0 up; ip addr add {FAR_AWAY}/32 dev lo")
    sh(f"ip route add default via {WORLD}")
    try:
        yield box
    finally:
        sh("ip link del up0")
        box.close()


def _bound(family: int, host: str, port: int) -> socket.socket:
    sock = socket.socket(family, socket.SOCK_DGRAM)
    sock.bind((host, port))
    return sock


def _answer_connections(sock: socket.socket, text: str) -> None:
    while True:
        try:
            client, address = sock.accept()
        except OSError:
            return
        with client:
            client.sendall(f"{text} {address[0]}".encode())


def _answer_datagrams(sock: socket.socket, text: str) -> None:
    while True:
        try:
            _, address = sock.recvfrom(200)
            if address is None:
                return
            sock.sendto(f"{text} {address[0]}".encode(), address)
        except OSError:
            return


def _shut(sock: socket.socket) -> None:
    try:
        sock.shutdown(socket.SHUT_RDWR)
    except OSError:
        pass
    sock.close()
