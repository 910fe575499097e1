"""The verbs that only look, or work inside one container: ps, logs, exec, events."""

from __future__ import annotations

import asyncio
import difflib
import os
import signal
from collections.abc import Sequence

from stackup.base.clock import now_ns
from stackup.base.errors import ContainerFault, UsageError
from stackup.engine.chronicle import chosen, entries, events_path
from stackup.engine.container import Container
from stackup.engine.follow import Follower
from stackup.engine.logmerge import matcher
from stackup.engine.oneshot import start_inside
from stackup.engine.operations import Asked
from stackup.engine.records import ContainerRecord
from stackup.engine.runner import Runner
from stackup.engine.session import Session
from stackup.engine.status import row
from stackup.engine.tasks import spawn
from stackup.engine.world import World
from stackup.runtime.client import Exit


class Inquiries:
    def __init__(self, world: World, runner: Runner) -> None:
        self._world = world
        self._runner = runner

    async def ps(self, asked: Asked, session: Session) -> int:
        """With ``steps`` also what prepares containers: whoever asks for that wants nothing told beside it. With
        ``probes`` also the last ones of each, which are known only here."""
        steps = bool(asked.args.get("steps"))
        items = list(self._world.containers.values()) if steps else self._world.replicas()
        rows = [row(ContainerRecord(item.definition, item.state), self._blocked(item)) for item in items]
        if asked.args.get("probes"):
            for data, item in zip(rows, items, strict=True):
                data |= {"probes": list(item.probes), "failing": item.failing}
        notice = "" if steps else self._world.host_notice()
        if notice:
            session.emit({"event": "notice", "text": notice})
        session.emit({"event": "result", "data": rows})
        return 0

    def _blocked(self, container: Container) -> str:
        reasons = [f"output waits: {reason}" for reason in {item.blocked for item in container.writers} - {""}]
        forwarder = self._world.forwarders.get(container.id)
        if forwarder is not None and forwarder.trouble:
            reasons.append(forwarder.trouble)
        return ", ".join(sorted(reasons))

    async def events(self, asked: Asked, session: Session) -> int:
        """The past since a given time, then what happens, until the user leaves or another given time has come."""
        services = asked.args.get("services") or ()
        since_ns, until_ns = int(asked.args.get("since_ns") or 0), int(asked.args.get("until_ns") or 0)
        loop = asyncio.get_running_loop()
        with self._world.bus.subscribe() as subscription:
            if since_ns:  # read in one go after subscribing: nothing is left out, nothing comes twice
                past = entries(events_path(self._world.layout, self._world.project))
                for event in chosen(past, services, since_ns, until_ns):
                    session.emit({"event": "happened", **event})
                await session.drain()
            ends = [loop.create_task(_left(session)), loop.create_task(_moment(until_ns))]
            while not any(end.done() for end in ends):
                getting = loop.create_task(subscription.next())
                await asyncio.wait([getting, *ends], return_when=asyncio.FIRST_COMPLETED)
                if not getting.done():
                    getting.cancel()
                    break
                event = getting.result()
                if event["event"] == "happened" and any(chosen([event], services, 0, until_ns)):
                    session.emit(event)
                    await session.drain()
                if subscription.overflow:
                    raise ContainerFault("cannot show all events: they are read too slowly", hint="events --since 10m")
            for end in ends:
                end.cancel()
        return 0

    async def logs(self, asked: Asked, session: Session) -> int:
        """The past in order of time, then what comes. (Who wants the past alone reads the files himself.)"""
        args = asked.args
        index = int(args.get("index") or 0)
        chosen = [item for item in self._chosen(args.get("services") or ()) if index in (0, item.definition.number)]
        names = {item.service for item in chosen}
        wanted = set(args.get("services") or ()) or None
        follower = Follower(
            session,
            self._world.log_directory,
            wants=lambda item: (wanted is None or item.service in wanted) and index in (0, item.definition.number),
            until_ns=args.get("until_ns") or 0,
            endings=False,
            keep=matcher(args.get("grep") or ""),
        )
        since_ns = args.get("since_ns") or 0
        for container in chosen:
            follower.add(container, tail=args.get("tail"), since_ns=since_ns)
        self._world.followers.add(follower)
        try:
            await follower.show(since_ns=since_ns)
            await self._follow(follower, session, names, args.get("until_ns") or 0)
        finally:
            self._world.followers.discard(follower)
        return 0

    async def _follow(self, follower: Follower, session: Session, services: set[str], until_ns: int) -> None:
        """Until the user leaves, the time has come, or every container that is followed has ended for good."""

        def all_ended() -> bool:
            mine = [item for item in self._world.containers.values() if item.service in services]
            return all(item.phase.value in ("exited", "created", "removing") for item in mine)

        ends = [
            asyncio.get_running_loop().create_task(waiting)
            for waiting in (_left(session), self._world.any_change.until(all_ended), _moment(until_ns))
        ]
        while not any(end.done() for end in ends):
            waking = asyncio.get_running_loop().create_task(follower.wait())
            await asyncio.wait([waking, *ends], return_when=asyncio.FIRST_COMPLETED)
            waking.cancel()
            await follower.show()
        for end in ends:
            end.cancel()
        await follower.show()

    async def exec(self, asked: Asked, session: Session) -> int:
        """Runs a command inside; its exit code is the answer. The user's descriptors are the command's own."""
        args = asked.args
        container = self._one(str(args["service"]), int(args.get("index") or 0))
        tty = bool(args.get("tty"))
        stdio = None if tty or args.get("detach") else _three(session.fds)
        told = _Told(self._world, container, args["command"])
        started = await start_inside(
            self._world,
            container,
            tuple(args["command"]),
            exec_id=told.exec_id,
            stdio=stdio,
            tty=tty,
            user=args.get("user") or "",
            environment=tuple(args.get("env") or ()),
            working_dir=args.get("workdir") or "",
            privileged=bool(args.get("privileged")),
        )
        told.started()
        _close_all(session.fds)
        if started.console is not None:
            try:
                await session.emit_with_fds({"event": "console"}, [started.console])
            finally:
                os.close(started.console)
        if args.get("detach"):
            spawn(told.until_end())
            return 0
        passing = asyncio.get_running_loop().create_task(self._pass_interrupts(started.exec_id, session))
        try:
            end = await self._world.execs.wait(started.exec_id)
        finally:
            passing.cancel()
            self._world.execs.forget(started.exec_id)
        told.ended(end)
        return 1 if end.status is None else end.status

    async def _pass_interrupts(self, exec_id: str, session: Session) -> None:
        """What happens to the user happens to the command: Ctrl-C, a second one, and going away."""
        hung_up = asyncio.get_running_loop().create_task(session.closed.wait())
        for event, number in ((session.cancelled, signal.SIGINT), (session.killed, signal.SIGKILL)):
            waiting = asyncio.get_running_loop().create_task(event.wait())
            await asyncio.wait([waiting, hung_up], return_when=asyncio.FIRST_COMPLETED)
            if not waiting.done():
                waiting.cancel()
                await self._world.launcher.signal(exec_id, signal.SIGHUP)
                return
            await self._world.launcher.signal(exec_id, number)

    def _chosen(self, services: Sequence[str]) -> list[Container]:
        containers = list(self._world.containers.values())
        known = {item.service for item in containers}
        for service in services:
            if service not in known:
                raise UsageError(f"cannot show logs of service {service}: it has no container")
        return [item for item in containers if not services or item.service in services]

    def _one(self, service: str, index: int) -> Container:
        found = [item for item in self._world.of_service(service) if index in (0, item.definition.number)]
        running = [item for item in found if item.alive]
        if running:
            return running[0]
        if found:
            raise ContainerFault(
                f"cannot exec in service {service}: container {found[0].name} is not running",
                hint=f"start it: stackup up -d {service}",
            )
        numbers = [item.definition.number for item in self._world.of_service(service)]
        if numbers:
            known = ", ".join(str(number) for number in sorted(numbers))
            raise UsageError(f"cannot exec in service {service}: it has no container {index}", hint=f"it has: {known}")
        raise UsageError(f"cannot exec in service {service}: it is not running", hint=self._others(service))

    def _others(self, service: str) -> str:
        running = sorted({item.service for item in self._world.containers.values() if item.alive})
        close = difflib.get_close_matches(service, running, 1)
        if close:
            return f"did you mean {close[0]}?"
        return f"running: {', '.join(running)}" if running else f"start it: stackup up -d {service}"


class _Told:
    """Events of one ``exec``, as Docker's engine has them."""

    def __init__(self, world: World, container: Container, command: Sequence[str]) -> None:
        self.exec_id = f"exec-{os.urandom(8).hex()}"
        self._world = world
        self._container = container
        self._command = " ".join(command)

    def started(self) -> None:
        for action in ("exec_create", "exec_start"):
            self._tell(f"{action}: {self._command}")

    def ended(self, end: Exit) -> None:
        self._tell("exec_die", exitCode="unknown" if end.status is None else str(end.status))

    async def until_end(self) -> None:
        """Of one that nobody waits for."""
        self.ended(await self._world.execs.wait(self.exec_id))

    def _tell(self, action: str, **more: str) -> None:
        self._world.chronicle.of_container(self._container, action, execID=self.exec_id, **more)


async def _left(session: Session) -> None:
    waits = [asyncio.get_running_loop().create_task(event.wait()) for event in (session.closed, session.cancelled)]
    try:
        await asyncio.wait(waits, return_when=asyncio.FIRST_COMPLETED)
    finally:
        for wait in waits:
            wait.cancel()


async def _moment(until_ns: int) -> None:
    """Returns when that time has come; never for 0."""
    while not until_ns or until_ns > now_ns():
        await asyncio.sleep(min(60.0, (until_ns - now_ns()) / 1e9) if until_ns else 3600.0)


def _three(fds: Sequence[int]) -> tuple[int, int, int]:
    if len(fds) != 3:
        raise UsageError("cannot execute: the request carries no stdin, stdout and stderr")
    return fds[0], fds[1], fds[2]


def _close_all(fds: list[int]) -> None:
    while fds:
        os.close(fds.pop())
