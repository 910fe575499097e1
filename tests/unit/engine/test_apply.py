"""The executor: order, parallelism, failure. Nothing real is touched."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

from stackup.base.errors import ContainerFault
from stackup.engine.apply import Outcome, Report, apply
from stackup.model.plan import Action, Plan, StartContainer, WaitFor


def start(name: str, *after: str) -> StartContainer:
    return StartContainer(id=name, reason="test", after=after, service=name, number=1, name=name)


class Recorder:
    """Effects that note their order and fail where they are told to."""

    def __init__(self, failing: set[str] | None = None, hook: Callable[[str], Any] | None = None) -> None:
        self.done: list[str] = []
        self.failing = failing or set()
        self.hook = hook

    async def perform(self, action: Action) -> None:
        if self.hook:
            await self.hook(action.id)
        if action.id in self.failing:
            raise ContainerFault(f"cannot start {action.id}: told so")
        self.done.append(action.id)


def run(actions: tuple[Action, ...], effects: Recorder, events: list[dict[str, Any]] | None = None) -> Report:
    sink = events if events is not None else []
    return asyncio.run(apply(Plan("p", actions), effects, sink.append))


def test_requirements_come_first() -> None:
    effects = Recorder()
    report = run((start("db"), start("api", "db"), start("web", "api")), effects)
    assert effects.done == ["db", "api", "web"]
    assert report.ok


def test_siblings_run_at_the_same_time() -> None:
    met = 0
    both = asyncio.Event()

    async def meet(_name: str) -> None:
        nonlocal met
        met += 1
        if met == 2:
            both.set()
        async with asyncio.timeout(5):
            await both.wait()

    assert run((start("a"), start("b")), Recorder(hook=meet)).ok


def test_a_failure_skips_what_needs_it_and_nothing_else_and_is_reported_once() -> None:
    events: list[dict[str, Any]] = []
    effects = Recorder({"db"})
    report = run((start("db"), start("api", "db"), start("web", "api"), start("mail")), effects, events)
    assert effects.done == ["mail"]
    assert report.outcomes == {
        "db": Outcome.FAILED, "api": Outcome.SKIPPED, "web": Outcome.SKIPPED, "mail": Outcome.DONE,
    }  # fmt: skip
    assert [error.message for error in report.errors] == ["cannot start db: told so"]
    assert [event["id"] for event in events if "error" in event] == ["db"]


def test_a_tolerant_action_goes_on_after_a_failure() -> None:
    gate = WaitFor(id="gate", reason="", after=("db",), service="db", condition="service_healthy", required=False)
    effects = Recorder({"db"})
    run((start("db"), gate, start("web", "gate")), effects)
    assert effects.done == ["gate", "web"]


def test_the_unexpected_becomes_a_bug_with_its_traceback() -> None:
    class Broken(Recorder):
        async def perform(self, action: Action) -> None:
            raise KeyError("oops")

    [error] = run((start("db"),), Broken()).errors
    assert error.kind == "bug"
    assert "KeyError" in error.snippet


def test_cancelling_ends_what_runs_and_never_begins_the_rest() -> None:
    effects = Recorder()

    async def main() -> None:
        begun = asyncio.Event()

        async def block(_name: str) -> None:
            begun.set()
            await asyncio.Event().wait()

        effects.hook = block
        task = asyncio.create_task(apply(Plan("p", (start("a"), start("b", "a"))), effects, lambda _event: None))
        await begun.wait()
        task.cancel()
        await asyncio.wait([task])
        assert task.cancelled()

    asyncio.run(main())
    assert effects.done == []


def test_so_many_at_a_time_and_waiting_does_not_count() -> None:
    busy, most = 0, 0

    async def hook(action: str) -> None:
        nonlocal busy, most
        if action == "wait":
            return await asyncio.sleep(0.01)
        busy += 1
        most = max(most, busy)
        await asyncio.sleep(0)
        busy -= 1
        return None

    waiting = WaitFor(id="wait", reason="test", service="x", condition="service_started")
    actions = (waiting, *(start(f"s{number}") for number in range(6)), start("last", "wait"))
    for at_once, expected in ((2, 2), (1, 1), (0, 6)):
        most = 0
        report = asyncio.run(apply(Plan("p", actions), Recorder(hook=hook), lambda event: None, at_once=at_once))
        assert report.ok
        assert most == expected
