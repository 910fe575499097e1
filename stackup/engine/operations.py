"""The verbs that change a project, each as what it wants (``Desired``) of ``reconciling``; and what an attached ``up``
shows afterwards. One change at a time: a second one waits, and says for whom.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import replace
from typing import Any

from stackup.base.errors import StackFileError, StackupError
from stackup.base.values import frozen
from stackup.engine.container import Container
from stackup.engine.follow import Follower
from stackup.engine.foresight import saved_form
from stackup.engine.loading import LoadedStack, Loader
from stackup.engine.preflight import MAKING, beside, check, foresee
from stackup.engine.reconciling import Expected, Reconciler
from stackup.engine.runner import Runner
from stackup.engine.scoping import of_project, whole_project, without_file
from stackup.engine.session import Session
from stackup.engine.turns import Turn, Turns
from stackup.engine.wishes import (
    check_shown,
    desired_of,
    needs_stack,
    with_build_options,
    with_named_services,
    with_needed_builds,
)
from stackup.engine.world import World
from stackup.model.observed import Phase
from stackup.model.plan import Plan
from stackup.model.stack import Stack
from stackup.planner import Desired, Verb

FAILED = 1
INTERRUPTED = 130  # 128 + SIGINT, as docker compose ends
Args = Mapping[str, Any]
_PREPARED = ("up", "create", "plan")  # verbs whose errors are those of reading and those of running


@frozen
class Asked:
    """One request, as far as it concerns operations."""

    verb: str
    args: Args
    files: Args
    cwd: str
    env: Mapping[str, str]
    who: str = ""  # the command and its process, for others who have to wait for it


class GivenUp(StackupError):
    """The user did not want to wait for somebody else's command."""

    kind = "given-up"
    exit_code = INTERRUPTED


class Operations:
    """Changes the project on behalf of users."""

    def __init__(self, world: World, runner: Runner, loader: Loader) -> None:
        self._world = world
        self._loader = loader
        self._turns = Turns()
        self._reconciler = Reconciler(world, runner, self._turns)
        self.active = 0  # requests under way; the supervisor stays as long as there are any

    async def up(self, asked: Asked, session: Session) -> int:
        """``up`` and ``create``."""
        loaded = await self._load(asked, session)
        loaded = replace(loaded, stack=with_named_services(loaded.stack, asked.args.get("services") or ()))
        check(self._world, loaded)
        desired = desired_of(Verb(asked.verb), loaded.stack, asked.args)
        check_shown(loaded.stack, asked.args)
        if asked.args.get("detach") or desired.verb is Verb.CREATE:
            return FAILED if await self._change(desired, loaded, session, asked.who) else 0
        return await self._attached(desired, loaded, session, asked)

    async def build(self, asked: Asked, session: Session) -> int:
        """Builds images and touches nothing else."""
        loaded = await self._load(asked, session)
        overrides = {
            key: asked.args.get(key) for key in ("build_arg", "no_cache", "pull", "ssh") if asked.args.get(key)
        }
        stack = with_build_options(loaded.stack, overrides)
        services = asked.args.get("services") or ()
        if asked.args.get("with_dependencies"):
            services = with_needed_builds(stack, services)
        desired = desired_of(Verb.BUILD, stack, {"services": services})
        return FAILED if await self._change(desired, replace(loaded, stack=stack), session, asked.who) else 0

    async def change(self, asked: Asked, session: Session) -> int:
        """down, stop, start, restart, kill, rm: from the records, so that they work without the stack file."""
        verb = Verb(asked.verb)
        stack = await self._taken_down(asked, session) if verb is Verb.DOWN else None
        desired = desired_of(verb, stack, asked.args)
        return FAILED if await self._change(desired, None, session, asked.who) else 0

    async def plan(self, asked: Asked, session: Session) -> int:
        """What another verb would do."""
        if asked.args.get("verb") == "rollback":
            before = await self._load(asked, session)
            await self._show(self._reconciler.back(before, asked.args), before, asked, session)
            return 0
        verb = Verb(asked.args.get("verb", "up"))
        loaded = await self._load(asked, session) if needs_stack(verb) else None
        stack = with_named_services(loaded.stack, asked.args.get("services") or ()) if loaded else None
        if verb is Verb.DOWN:
            stack = await self._taken_down(asked, session)
        if loaded and stack and verb in MAKING:
            foresee(replace(loaded, stack=stack), self._world.image)
        await self._show(desired_of(verb, stack, asked.args), loaded, asked, session)
        return 0

    async def _show(self, desired: Desired, loaded: LoadedStack | None, asked: Asked, session: Session) -> None:
        observed = await self._reconciler.look(desired)
        plan = self._reconciler.decided(desired, observed, loaded)
        session.emit({"event": "plan", **saved_form(desired, observed, plan, asked.args.get("request") or {})})

    async def apply(self, asked: Asked, session: Session) -> int:
        """Carries out a saved plan: exactly that one, or nothing."""
        saved, request = Plan.from_dict(asked.args["plan"]), asked.args["plan"]["request"]
        verb, args = Verb(request["verb"]), request["args"]
        loaded = await self._load(asked, session) if needs_stack(verb) else None
        if loaded is not None:
            loaded = replace(loaded, stack=with_named_services(loaded.stack, args.get("services") or ()))
            check(self._world, loaded)
        desired = desired_of(verb, loaded.stack if loaded else None, args)
        expected = Expected(saved, asked.args["plan"]["fingerprint"], str(asked.args.get("name") or "the plan"))
        return FAILED if await self._change(desired, loaded, session, asked.who, expected) else 0

    async def rollback(self, asked: Asked, session: Session) -> int:
        """Services as they were before their last change, whatever the stack file says of them."""
        loaded = await self._load(asked, session)
        return (
            FAILED if await self._change(self._reconciler.back(loaded, asked.args), loaded, session, asked.who) else 0
        )

    async def _load(self, asked: Asked, session: Session) -> LoadedStack:
        try:
            loaded = await self._loader.load(asked.files, asked.cwd, asked.env)
        except StackFileError as error:
            raise beside(error, self._world.image) if asked.verb in _PREPARED else error from None
        for warning in loaded.warnings:
            session.emit({"event": "notice", "text": warning})
        of_project(loaded.stack, self._world.project)
        return loaded

    async def _taken_down(self, asked: Asked, session: Session) -> Stack | None:
        """The stack whose services are to go; None: all of the project."""
        if whole_project(asked.files, asked.args):
            return None
        try:
            return of_project(await self._loader.look(asked.files, asked.cwd, asked.env), self._world.project)
        except StackFileError as error:
            session.emit({"event": "notice", "text": without_file(error, await self._reconciler.observe(None))})
            return None

    @asynccontextmanager
    async def _my_turn(self, turn: Turn) -> AsyncIterator[None]:
        """Once it has come."""
        session = turn.session
        self._world.audience.append(session.emit)
        untold, self._world.untold = self._world.untold, []
        for text in untold:
            session.emit({"event": "notice", "text": text})
        try:
            yield
        finally:
            self._world.audience.remove(session.emit)
            self._turns.leave(turn)

    async def _change(
        self,
        desired: Desired,
        loaded: LoadedStack | None,
        session: Session,
        who: str,
        expected: Expected | None = None,
    ) -> bool:
        """Plans and applies; True when something failed. A cancelled change stops where it is."""
        turn = await self._turns.take(who, session)
        if not turn.came.is_set():
            raise GivenUp(f"cannot {desired.verb.value}: given up while waiting for {turn.waits_for}".rstrip(","))
        async with self._my_turn(turn):
            work = asyncio.get_running_loop().create_task(
                self._reconciler.reconcile(desired, loaded, session, expected)
            )
            cancel = asyncio.get_running_loop().create_task(session.cancelled.wait())
            await asyncio.wait([work, cancel], return_when=asyncio.FIRST_COMPLETED)
            cancel.cancel()
            if work.done():
                return not work.result().ok
            work.cancel()
            await asyncio.wait([work])
            return True

    async def _attached(self, desired: Desired, loaded: LoadedStack, session: Session, asked: Asked) -> int:
        """``up`` in the foreground: output as it comes; ends with the last container, or with the user's Ctrl-C."""
        world = self._world
        who, shown = asked.who, self._shown(loaded.stack, asked.args)
        follower = Follower(session, world.log_directory, wants=shown)
        follower.since_ns = int(asked.args.get("since_ns") or 0)  # of a predecessor's request that goes on here
        for container in world.containers.values():
            if shown(container):
                follower.add(container, tail=None if follower.since_ns else 0, since_ns=follower.since_ns)
        world.followers.add(follower)
        showing = asyncio.get_running_loop().create_task(follower.show_all())
        try:
            failed = await self._change(desired, loaded, session, who)
            if session.cancelled.is_set():
                await self._stop_all(desired, session, who)
                return INTERRUPTED
            if failed:
                return FAILED
            return await self._until_ended(desired, session, who)
        finally:
            world.followers.discard(follower)
            follower.stop()
            await showing

    def _shown(self, stack: Stack, args: Args) -> Callable[[Container], bool]:
        chosen = set(args.get("attach") or args.get("services") or stack.services)
        hidden = set(args.get("no_attach") or ())
        hidden |= {name for name, service in stack.services.items() if service.attach is False}
        names = chosen - hidden
        return lambda container: container.service in names

    async def _until_ended(self, desired: Desired, session: Session, who: str) -> int:
        selected = set(desired.services or (desired.stack.services if desired.stack else ()))

        def ended() -> bool:
            mine = [item for item in self._world.containers.values() if item.service in selected]
            return all(item.phase in (Phase.EXITED, Phase.CREATED, Phase.REMOVING) for item in mine)

        waits = [
            asyncio.get_running_loop().create_task(waiting)
            for waiting in (session.cancelled.wait(), session.closed.wait(), self._world.any_change.until(ended))
        ]
        self._world.audience.append(session.emit)
        try:
            await asyncio.wait(waits, return_when=asyncio.FIRST_COMPLETED)
        finally:
            self._world.audience.remove(session.emit)
            for wait in waits:
                wait.cancel()
        if session.cancelled.is_set():
            await self._stop_all(desired, session, who)
            return INTERRUPTED
        return 0

    async def _stop_all(self, desired: Desired, session: Session, who: str) -> None:
        """First Ctrl-C: in reverse order, with grace; a second one while it runs: SIGKILL."""
        stop = Desired(Verb.STOP, services=desired.services, timeout=desired.timeout)
        async with self._my_turn(await self._turns.take(who, session, patient=True)):
            stopping = asyncio.get_running_loop().create_task(self._reconciler.reconcile(stop, None, session))
            killed = asyncio.get_running_loop().create_task(session.killed.wait())
            await asyncio.wait([stopping, killed], return_when=asyncio.FIRST_COMPLETED)
            killed.cancel()
            if not stopping.done():
                stopping.cancel()
                await asyncio.wait([stopping])
                await self._reconciler.reconcile(replace(stop, timeout=0), None, session)
