"""Ports without effects: what is asked for, and what /proc says about others. Reserving is tested on loopback."""

from __future__ import annotations

import errno
import os
import socket

import pytest

from stackup.base.errors import PlanRefused, StackFileError
from stackup.network.holders import bound_sockets, command_of, describe_holder, parse_line
from stackup.network.ports import Reservation, host_ports, reserve
from stackup.network.types import PortBinding


def test_host_ports() -> None:
    assert list(host_ports(PortBinding(80))) == []
    assert list(host_ports(PortBinding(80, "8080"))) == [8080]
    assert list(host_ports(PortBinding(80, "8000-8002"))) == [8000, 8001, 8002]


@pytest.mark.parametrize("text", ["x", "80-", "90-80", "0", "70000", "1-70000", "-5"])
def test_host_ports_that_make_no_sense(text: str) -> None:
    with pytest.raises(StackFileError, match="cannot publish port"):
        host_ports(PortBinding(80, text))


@pytest.mark.parametrize(
    ("binding", "words"),
    [
        (PortBinding(80, "8080", protocol="icmp"), "none of tcp, udp, sctp"),
        (PortBinding(80, "8080", host_ip="somewhere"), "'somewhere' is no IP address"),
        (PortBinding(80, "8080", host_ip="203.0.113.9"), "this machine has no address 203.0.113.9"),
    ],
)
def test_bindings_that_make_no_sense(binding: PortBinding, words: str) -> None:
    with pytest.raises(StackFileError, match=words):
        reserve(binding)


def test_lines_of_proc() -> None:
    four = "   1: 0100007F:0035 00000000:0000 0A 00000000:00000000 00:00000000 00000000  0  0 1234 1 0 100 0 0 10 0"
    found = parse_line(four)
    assert found is not None
    assert (str(found.address), found.port, found.state, found.inode) == ("127.0.0.1", 53, 10, 1234)
    six = four.replace("0100007F:0035", "00000000000000000000000001000000:1F90")
    found = parse_line(six)
    assert found is not None and (str(found.address), found.port) == ("::1", 8080)
    assert parse_line("sl local_address") is None


def can_bind(port: int, reuse: bool) -> bool:
    with socket.socket() as sock:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, reuse)
        try:
            sock.bind(("127.0.0.1", port))
            sock.listen()
        except OSError as error:
            assert error.errno == errno.EADDRINUSE
            return False
        return True


def test_a_reserved_port_is_nobody_elses_and_refuses_connections() -> None:
    held = reserve(PortBinding(80, host_ip="127.0.0.1"))
    assert held.host_port > 0
    assert not can_bind(held.host_port, reuse=False)
    assert not can_bind(held.host_port, reuse=True)
    with pytest.raises(ConnectionRefusedError):
        socket.create_connection(("127.0.0.1", held.host_port), 1)
    with pytest.raises(PlanRefused, match="in use"):
        reserve(PortBinding(81, str(held.host_port), host_ip="127.0.0.1"))
    again = Reservation.of_fds(held.binding, held.host_port, [os.dup(item.fileno()) for item in held.sockets])
    held.close()
    assert not can_bind(held.host_port, reuse=True)
    again.close()
    assert can_bind(held.host_port, reuse=False)


def test_a_port_with_old_connections_can_be_reserved() -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        address = server.getsockname()
        with socket.create_connection(address) as client:
            served, _ = server.accept()
            served.close()  # first: its side stays in TIME_WAIT
            client.recv(1)
    held = reserve(PortBinding(80, str(address[1]), host_ip="127.0.0.1"))
    assert not can_bind(address[1], reuse=True)
    held.close()


def test_the_next_of_a_range() -> None:
    first = reserve(PortBinding(80, "41000-41900", host_ip="127.0.0.1"))
    second = reserve(PortBinding(80, f"{first.host_port}-41900", host_ip="127.0.0.1"))
    assert second.host_port > first.host_port
    udp = reserve(PortBinding(80, str(first.host_port), protocol="udp", host_ip="127.0.0.1"))
    for item in (first, second, udp):
        item.close()


def test_the_holder_is_named() -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
        assert port in {item.port for item in bound_sockets("tcp")}
        holder = describe_holder("tcp", "", port)
        assert holder.startswith(f"process {os.getpid()} (")
        assert command_of(os.getpid()) in holder
        with pytest.raises(PlanRefused, match=rf"127.0.0.1:{port} is in use by process {os.getpid()}"):
            reserve(PortBinding(80, str(port), host_ip="127.0.0.1"))
    assert describe_holder("tcp", "", port) == ""
    assert command_of(0) == "ended meanwhile"
