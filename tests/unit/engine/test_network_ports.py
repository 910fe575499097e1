"""Host ports, from one container to the next."""

from __future__ import annotations

import asyncio
import socket
from types import SimpleNamespace
from typing import Any

import pytest

from stackup.base.errors import PlanRefused
from stackup.engine.network_ports import PortDesk
from stackup.engine.records import PortRecord


class Forking:
    """A launcher whose fork has a copy of each socket that it was given to keep."""

    def __init__(self) -> None:
        self.copies: list[socket.socket] = []

    async def store(self, name: str, fd: int) -> None:
        self.copies.append(socket.fromfd(fd, socket.AF_INET, socket.SOCK_STREAM))

    def starts_its_container(self) -> None:
        while self.copies:
            self.copies.pop().close()


def desk_of(launcher: Forking) -> Any:
    nobody: Any = SimpleNamespace()
    keeper: Any = launcher
    return PortDesk(nobody, keeper, {})


def definition(name: str, port: int) -> Any:
    return SimpleNamespace(id=name, ports=(PortRecord(80, str(port), "tcp", "127.0.0.1"),))


def test_a_port_that_was_just_given_back_is_waited_for() -> None:
    async def scenario() -> None:
        launcher = Forking()
        desk = desk_of(launcher)
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            port = probe.getsockname()[1]
        await desk.reserve(definition("old", port))
        desk._close_reservations("old")
        coming = asyncio.create_task(desk.reserve(definition("new", port)))
        await asyncio.sleep(0)
        assert not coming.done()
        launcher.starts_its_container()
        assert [item.host_port for item in await coming] == [str(port)]
        desk._close_reservations("new")
        launcher.starts_its_container()
        desk.close()

    asyncio.run(scenario())


def test_a_port_of_somebody_else_is_refused_at_once() -> None:
    async def scenario(port: int) -> None:
        desk = desk_of(Forking())
        with pytest.raises(PlanRefused, match="in use"):
            await desk.reserve(definition("web", port))
        desk.close()

    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        asyncio.run(scenario(other.getsockname()[1]))
