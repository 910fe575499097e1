"""One change of a project, from the first look to the last container: look, decide, act; what has failed is taken
back, or rolled back. The planner decides and the effects act; here stands in which order, and what may not go away
meanwhile.
"""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine, Mapping
from contextlib import AbstractContextManager, nullcontext
from typing import Any

from stackup.base.errors import PlanRefused, StackupError
from stackup.base.values import frozen
from stackup.engine.apply import Outcome, Report, apply
from stackup.engine.attending import attended
from stackup.engine.damage import damage
from stackup.engine.effects import StackEffects
from stackup.engine.images_desk import claim_images, marks_of, without_pulls
from stackup.engine.loading import LoadedStack
from stackup.engine.observe import observe
from stackup.engine.records import ContainerRecord
from stackup.engine.runner import Runner
from stackup.engine.session import Session
from stackup.engine.turns import Turns
from stackup.engine.wishes import refuse_open_questions
from stackup.engine.world import World
from stackup.model.observed import Observed
from stackup.model.plan import Plan, Watch
from stackup.model.stack import Stack
from stackup.planner import Desired, Verb, decide
from stackup.planner.fingerprint import fingerprint, what_moved

Args = Mapping[str, Any]
_ONLY_IMAGES = (Verb.BUILD, Verb.PULL)  # whose plans nothing follows


@frozen
class Expected:
    """A plan that was saved under ``name``, and what it was made for (``planner.fingerprint``)."""

    plan: Plan
    marks: Args
    name: str

    def check(self, desired: Desired, observed: Observed, plan: Plan) -> None:
        """Raises PlanRefused when ``plan``, what would be decided now, is another one."""
        moved = what_moved(self.plan, dict(self.marks), plan, fingerprint(desired, observed, plan))
        if moved:
            raise PlanRefused(
                f"cannot apply {self.name}: {moved}", hint=f"look at a new one: stackup plan --out {self.name}"
            )


class Reconciler:
    """Brings the project to what is desired. Whose turn it is, is others' business."""

    def __init__(self, world: World, runner: Runner, turns: Turns) -> None:
        self._world = world
        self._runner = runner
        self._turns = turns

    async def reconcile(
        self, desired: Desired, loaded: LoadedStack | None, session: Session, expected: Expected | None = None
    ) -> Report:
        """Look, decide, act; no image that is needed goes away from the first look to the last container's record."""
        with await self._claim(desired):
            return await self._claimed(desired, loaded, session, expected)

    async def _claim(self, desired: Desired) -> AbstractContextManager[object]:
        if desired.stack is None or desired.verb is Verb.DOWN:
            return nullcontext()
        return await claim_images(self._world, desired.stack)

    async def _claimed(
        self, desired: Desired, loaded: LoadedStack | None, session: Session, expected: Expected | None
    ) -> Report:
        """Where the outcome of a build decides what else is to be done, looks and decides twice."""
        if desired.stack is not None and desired.verb is not Verb.DOWN:
            await self._world.starts_over()
        observed = await self.look(desired)
        plan = self.decided(desired, observed, loaded)
        if expected is not None:
            expected.check(desired, observed, plan)
        session.emit({"event": "plan", **plan.to_dict()})
        refuse_open_questions(plan, desired, loaded)
        if plan.image_stage() and desired.verb not in _ONLY_IMAGES:  # before anything else: what fails leaves nothing
            images = self._apply(plan.image_stage(), desired, loaded, session)
            report = await self._attended(images, session, desired.verb)
            if not report.ok:
                return report
            desired = desired.after_images()
            plan = await self._decide(desired, loaded)
            session.emit({"event": "plan", **plan.to_dict()})
            refuse_open_questions(plan, desired, loaded)
        work = self._apply(plan, desired, loaded, session)
        return await (self._attended(work, session, desired.verb) if desired.verb in _ONLY_IMAGES else work)

    async def _attended(self, work: Coroutine[Any, Any, Report], session: Session, verb: Verb) -> Report:
        with self._turns.attended():
            return await attended(work, session, verb.value)

    async def _decide(self, desired: Desired, loaded: LoadedStack | None) -> Plan:
        return self.decided(desired, await self.look(desired), loaded)

    def decided(self, desired: Desired, observed: Observed, loaded: LoadedStack | None) -> Plan:
        try:
            return decide(desired, observed)
        except StackupError as error:
            if loaded and error.about and error.where is None:
                loaded.point(error, error.about)
            raise

    async def _apply(self, plan: Plan, desired: Desired, loaded: LoadedStack | None, session: Session) -> Report:
        tell = without_pulls(session.emit) if desired.quiet_pull else session.emit
        effects = StackEffects(self._world, self._runner, desired.stack, tell, loaded, remembers=not desired.automatic)
        report = await apply(plan, effects, session.emit, at_once=desired.at_once)
        if not report.ok:
            await effects.undo()
            await self._roll_back(plan, report, loaded, session)
        await self._leave_networks()
        return report

    async def _leave_networks(self) -> None:
        """External networks that no container is in any more are none of this project's business."""
        used = {item.network for other in self._world.containers.values() for item in other.definition.endpoints}
        for key in await self._world.desk.leave(used):
            self._world.records.drop_network(key)

    async def _roll_back(self, plan: Plan, report: Report, loaded: LoadedStack | None, session: Session) -> None:
        """Services whose update has failed, and whose ``failure_action`` is rollback. The failure stays one."""
        watched = [item for item in plan if isinstance(item, Watch) and item.rollback]
        failed = {item.service for item in watched if report.outcomes[item.id] is not Outcome.DONE}
        if not failed or loaded is None:
            return
        for name in sorted(failed):
            session.emit({"event": "notice", "text": f"service {name}: its update has failed and is rolled back"})
        try:
            wanted = self.back(loaded, {"services": sorted(failed)}, automatic=True)
            back = await self.reconcile(wanted, loaded, session)
            report.errors.extend(back.errors)
        except StackupError as error:
            session.emit({"event": "error", "error": error.to_dict()})

    async def look(self, desired: Desired) -> Observed:
        """``down`` asks for nothing of what its stack names."""
        return await self.observe(None if desired.verb is Verb.DOWN else desired.stack)

    async def observe(self, stack: Stack | None) -> Observed:
        world = self._world
        volumes = await asyncio.to_thread(world.volumes.list, world.project)
        records = [ContainerRecord(item.definition, item.state) for item in world.replicas()]
        return observe(
            world.project,
            records,
            world.records.networks(),
            volumes,
            stack=stack,
            image_id=world.image_id,
            external_network=world.desk.external_id,
            any_volume=world.volumes.get,
            image_marks=lambda reference: marks_of(world.image(reference)),
            damage=lambda definition: damage(world.layout, world.container_paths(definition.id), definition),
        )

    def back(self, loaded: LoadedStack, args: Args, *, automatic: bool = False) -> Desired:
        from stackup.engine.rolling import desired_back  # seldom needed

        world = self._world
        present = [item.definition for item in world.replicas()]
        return desired_back(
            loaded.stack,
            args,
            meta=world.records.meta,
            image_id=world.image_id,
            present=present,
            automatic=automatic,
        )
