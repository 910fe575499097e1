"""Reserving host ports: a bound socket per address family, so that nobody else gets the port while a stack has it.

Packets never reach these sockets: the kernel translates them before (see ``firewall``). The exception is what it cannot
translate, IPv6 clients of a container without IPv6, and ``::1``; there the socket listens, and ``relay`` serves it.
"""

from __future__ import annotations

import errno
import socket
from collections.abc import Sequence
from ipaddress import ip_address
from pathlib import Path

from stackup.base.errors import PlanRefused, StackFileError
from stackup.base.values import frozen
from stackup.network.holders import describe_holder
from stackup.network.types import PortBinding

_ATTEMPTS = 32  # for a port that is free in both families
_BACKLOG = 1024
_TAKEN = (errno.EADDRINUSE, errno.EACCES)
_KINDS = {"tcp": socket.SOCK_STREAM, "udp": socket.SOCK_DGRAM}
PROTOCOLS = ("tcp", "udp", "sctp")


@frozen
class Reservation:
    """A host port that is ours until ``close``. ``sockets`` may be kept by another process (the launcher) instead:
    the reservation lives as long as any copy of them does. ``relayed`` are those of them that ``relay`` must serve."""

    binding: PortBinding
    host_port: int
    sockets: tuple[socket.socket, ...]

    @property
    def relayed(self) -> tuple[socket.socket, ...]:
        return tuple(item for item in self.sockets if item.family == socket.AF_INET6)

    def close(self) -> None:
        for item in self.sockets:
            item.close()

    @classmethod
    def of_fds(cls, binding: PortBinding, host_port: int, fds: Sequence[int]) -> Reservation:
        """The same again, from descriptors that were kept elsewhere."""
        return cls(binding, host_port, tuple(socket.socket(fileno=fd) for fd in fds))


def reserve(binding: PortBinding) -> Reservation:
    """Takes the host port, the first free one of a range, or any free one when none is named.

    Raises PlanRefused naming who holds it, or StackFileError when the address is not this machine's.
    """
    if binding.protocol not in PROTOCOLS:
        raise StackFileError(f"cannot publish port {binding}: protocol {binding.protocol!r} is none of tcp, udp, sctp")
    candidates = host_ports(binding)
    if not candidates:
        return _reserve_any(binding)
    failure: OSError | None = None
    for port in candidates:
        try:
            return Reservation(binding, port, _bind_all(binding, port))
        except OSError as error:
            if error.errno not in _TAKEN:
                raise _not_ours(binding, error) from error
            failure = error
    assert failure is not None
    raise _refused(binding, candidates, failure) from failure


def host_ports(binding: PortBinding) -> range:
    """The host ports that will do, in order; empty when any will. Raises StackFileError."""
    text = binding.host_port
    if not text:
        return range(0)
    first, dash, last = text.partition("-")
    if not first.isdecimal() or (dash and not last.isdecimal()):
        raise StackFileError(f"cannot publish port {binding}: {text!r} is neither a port nor a range of ports")
    low, high = int(first), int(last or first)
    if not 0 < low <= high < 65536:
        raise StackFileError(f"cannot publish port {binding}: {text!r} is not within 1 to 65535")
    return range(low, high + 1)


def _reserve_any(binding: PortBinding) -> Reservation:
    """The kernel names a port that is free in the first family; it must be free in the second by chance.

    The socket that asked the kernel is not the one that stays: a port that bind() chose is given up at shutdown.
    """
    places = _places(binding)
    if not places:
        raise StackFileError(f"cannot publish port {binding}: {binding.protocol} needs a host port to be named")
    failure: OSError | None = None
    for _ in range(_ATTEMPTS):
        try:
            port = _free_port(binding.protocol, *places[0])
            return Reservation(binding, port, _bind_all(binding, port))
        except OSError as error:
            if error.errno not in _TAKEN:
                raise _not_ours(binding, error) from error
            failure = error
    raise PlanRefused(f"cannot publish port {binding}: no free port was found ({failure})")


def _free_port(protocol: str, family: socket.AddressFamily, host: str) -> int:
    with socket.socket(family, _KINDS[protocol] | socket.SOCK_CLOEXEC) as probe:
        probe.bind((host, 0))
        return int(probe.getsockname()[1])


def _bind_all(binding: PortBinding, port: int) -> tuple[socket.socket, ...]:
    taken: list[socket.socket] = []
    try:
        for family, host in _places(binding):
            taken.append(_bind(binding.protocol, family, host, port))
    except OSError:
        _close(taken)
        raise
    return tuple(taken)


def _places(binding: PortBinding) -> list[tuple[socket.AddressFamily, str]]:
    if binding.protocol not in _KINDS:
        return []  # sctp: few kernels have it as sockets; the translation alone does
    if not binding.host_ip:
        both = [(socket.AF_INET, "0.0.0.0"), (socket.AF_INET6, "::")]
        return both if has_ipv6() else both[:1]
    try:
        address = ip_address(binding.host_ip)
    except ValueError as error:
        raise StackFileError(
            f"cannot publish port {binding}: {binding.host_ip!r} is no IP address",
            hint="write an address of this machine, such as 127.0.0.1, or leave it out",
        ) from error
    return [(socket.AF_INET if address.version == 4 else socket.AF_INET6, binding.host_ip)]


def has_ipv6() -> bool:
    """Whether this network namespace has any IPv6 address."""
    try:
        return bool(Path("/proc/net/if_inet6").read_text())
    except OSError:
        return False


def _bind(protocol: str, family: socket.AddressFamily, host: str, port: int) -> socket.socket:
    sock = socket.socket(family, _KINDS[protocol] | socket.SOCK_CLOEXEC | socket.SOCK_NONBLOCK)
    try:
        if family == socket.AF_INET6:
            sock.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
        if protocol == "udp":
            sock.bind((host, port))
            if family == socket.AF_INET:
                sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1)  # never read
            return sock
        # A server's old connections (TIME_WAIT) must not block the port, so REUSEADDR at bind; but then another such
        # socket could bind it too, unless this one has once listened. After shutdown it is bound, exclusive and, having
        # given REUSEADDR back, refuses connections instead of letting them hang.
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        sock.bind((host, port))
        sock.listen(_BACKLOG)
        if family == socket.AF_INET:
            sock.shutdown(socket.SHUT_RDWR)
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 0)
    except OSError:
        sock.close()
        raise
    return sock


def _close(sockets: Sequence[socket.socket]) -> None:
    for item in sockets:
        item.close()


def _refused(binding: PortBinding, candidates: range, error: OSError) -> PlanRefused:
    if error.errno == errno.EACCES:
        return PlanRefused(
            f"cannot publish port {binding}: this user may not bind ports below 1024", hint="run it with sudo"
        )
    if len(candidates) > 1:
        return PlanRefused(f"cannot publish port {binding}: all of {binding.host_port} are in use")
    holder = describe_holder(binding.protocol, binding.host_ip, candidates[0])
    place = f"{binding.host_ip}:{candidates[0]}" if binding.host_ip else str(candidates[0])
    return PlanRefused(
        f"cannot publish port {binding}: {place} is in use{f' by {holder}' if holder else ''}",
        hint=f'stop it, or publish another port (ports: - "OTHER:{binding.container_port}")',
    )


def _not_ours(binding: PortBinding, error: OSError) -> StackFileError:
    if error.errno == errno.EADDRNOTAVAIL:
        return StackFileError(
            f"cannot publish port {binding}: this machine has no address {binding.host_ip}",
            hint="use one of `ip address`, or leave the address out to publish on all",
        )
    return StackFileError(f"cannot publish port {binding}: {error.strerror}")
