"""How a command goes on with the successor of its supervisor: nothing twice, nothing left out."""

from __future__ import annotations

from typing import Any

import pytest

from stackup.control.resuming import Progress


def log(at_ns: int, text: str, name: str = "web-1", stream: str = "stdout") -> dict[str, Any]:
    return {"event": "log", "name": name, "service": "web", "stream": stream, "time_ns": at_ns, "text": text}


def happened(at_ns: int, action: str) -> dict[str, Any]:
    return {"event": "happened", "time_ns": at_ns, "action": action}


def plan(*names: str) -> dict[str, Any]:
    return {"event": "plan", "actions": [{"id": name} for name in names]}


def action(name: str, state: str) -> dict[str, Any]:
    return {"event": "action", "id": name, "state": state}


def texts(progress: Progress, *events: dict[str, Any]) -> list[str]:
    return [left["text"] for event in events if (left := progress.take(event))]


def test_logs_go_on_after_the_last_line_of_each_stream() -> None:
    progress = Progress("logs", {"services": [], "tail": 10, "since_ns": 0})
    first = (log(1, "old"), {"event": "shown", "time_ns": 4}, log(5, "a\nb"), log(5, "c"), log(7, "x", name="db-1"))
    for event in first:
        assert progress.take(event) == event
    assert progress.again() == {"services": [], "tail": None, "since_ns": 4}
    again = (log(4, "gone by"), log(5, "a\nb\nc\nd"), log(5, "e"), log(6, "f"), log(7, "x", name="db-1"))
    assert texts(progress, *again) == ["d", "e", "f"]
    assert texts(progress, log(8, "y", name="db-1"), log(2, "another", name="new-1")) == ["y", "another"]


def test_a_second_loss_counts_the_lines_of_both_answers() -> None:
    progress = Progress("logs", {})
    progress.take(log(5, "a"))
    progress.take({"event": "shown", "time_ns": 5})
    progress.again()
    assert texts(progress, log(5, "a\nb")) == ["b"]
    progress.again()
    assert texts(progress, log(5, "a\nb\nc")) == ["c"]


def test_logs_of_which_nothing_was_seen_are_asked_for_again() -> None:
    args = {"tail": 3, "since_ns": 0}
    assert Progress("logs", args).again() == args
    begun = Progress("logs", {"tail": 0}).again()
    assert begun is not None and begun["tail"] is None and begun["since_ns"] > 0


def test_events_go_on_after_the_last_one() -> None:
    progress = Progress("events", {"since_ns": 0})
    first = progress.again()
    assert first is not None and first["since_ns"] > 0
    for event in (happened(1, "create"), happened(2, "start"), happened(2, "connect")):
        progress.take(event)
    assert progress.again() == {"since_ns": 2}
    again = [happened(2, "start"), happened(2, "connect"), happened(2, "start"), happened(3, "die")]
    assert [event for event in again if progress.take(event)] == again[2:]


@pytest.mark.parametrize("verb", ["restart", "kill", "exec", "pause", "apply", "rollback", "build"])
def test_what_would_be_done_a_second_time_is_not_repeated(verb: str) -> None:
    progress = Progress(verb, {})
    assert progress.again() == {}
    assert progress.take({"event": "begun"}) is None
    assert progress.again() is None


def test_an_up_goes_on_unless_it_would_replace_what_it_has_made() -> None:
    assert Progress("up", {"detach": True, "build": True}).again() == {"detach": True, "build": True}
    anew = Progress("up", {"detach": True, "force_recreate": True})
    anew.take({"event": "begun"})
    assert anew.again() is None


def test_an_attached_up_goes_on_until_everything_was_done_once() -> None:
    progress = Progress("up", {})
    progress.take(plan("create", "start"))
    progress.take(action("create", "done"))
    progress.take(action("start", "started"))
    again = progress.again()
    assert again is not None and again["since_ns"] > 0
    progress.take(action("start", "done"))
    assert progress.again() is None
    nothing_to_do = Progress("up", {})
    nothing_to_do.take(plan())
    assert nothing_to_do.again() is None
