"""``stackup history``: who gave which command when, what was planned, and how it ended; when schedules ran."""

from __future__ import annotations

import json
import os
import time
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from stackup.base.clock import rfc3339
from stackup.cli.options import argument, switch, value
from stackup.cli.session import Session
from stackup.cli.table import elapsed, table

RUNS_HEADER = ("CONTAINER", "WHEN", "RESULT")
HEADER = ("WHEN", "WHO", "COMMAND", "RESULT", "STEPS")


@dataclass(frozen=True)
class Request:
    """Show who changed the project when, and how; kept after down."""

    image: str = argument("An image: its steps instead, as `image history` shows them.", metavar="IMAGE")
    limit: int = value("-n", "--limit", help="The last so many commands.", kind=int, default=20, metavar="NUMBER")
    all: bool = switch(
        "-a", "--all", help="With what was executed in containers, which changes nothing of the project."
    )
    steps: bool = switch("--steps", help="With the steps of each plan, why, and what became of them.")
    runs: bool = switch("--runs", help="When services with a schedule ran, how that ended, and when they run next.")
    json: bool = switch("--json", help="A JSON object for each command.")


def run(session: Session, request: Request) -> int:
    if request.image:
        from stackup.cli.verbs.image import history

        return history.run(session, history.Request(request.image))
    if request.runs:
        return _show_runs(session, request)
    from stackup.engine.chronicle import EXEC, commands

    every = commands(session.layout, session.project)
    changing = every if request.all else [command for command in every if command["verb"] != EXEC]
    found = changing[-request.limit :] if request.limit > 0 else []
    out = session.console
    if request.json:
        for command in found:
            out.print(json.dumps(_plain(command)))
    elif request.steps:
        for command in found:
            out.print("  ".join(_cells(command)[:4]))
            for line in _details(command):
                out.print(f"    {line}")
    elif found:
        out.out.write(table(HEADER, map(_cells, found)))
    if not changing and not request.json:
        left_out = f" (`exec`: {len(every)} times, see --all)" if every else ""
        out.say(f"no command has changed project {session.project}{left_out}")
    return 0


def _show_runs(session: Session, request: Request) -> int:
    from stackup.cli.containers import read

    rows = [row for row in read(session) if row.next_run_ns or row.runs]
    lines = []
    for row in rows:
        for past in row.runs[-request.limit :] if request.limit > 0 else ():
            if request.json:
                data = {"container": row.name, "time": rfc3339(past["at_ns"]), "seconds": past["seconds"]}
                session.console.print(json.dumps({**data, "exit": past["code"]}))
            lines.append((row.name, _moment(past["at_ns"]), _ended(past)))
        if row.next_run_ns:
            lines.append((row.name, _moment(row.next_run_ns), "next run"))
    if request.json:
        return 0
    if lines:
        session.console.out.write(table(RUNS_HEADER, lines))
    else:
        session.console.say(f"nothing runs by a schedule in project {session.project}")
    return 0


def _moment(ns: int) -> str:
    return time.strftime("%Y-%m-%d %H:%M:%S", time.localtime(ns // 10**9))


def _ended(run: dict[str, Any]) -> str:
    took = elapsed(run["seconds"])
    if run["code"] is None:
        return f"ended while nobody watched, after {took}"
    return f"done in {took}" if run["code"] == 0 else f"exit code {run['code']} after {took}"


def _cells(command: dict[str, Any]) -> tuple[str, ...]:
    when = _moment(command["time_ns"])
    steps = sum(len(plan) for plan in command["plans"])
    return when, command["user"], command["command"], _result(command), str(steps)


def _result(command: dict[str, Any]) -> str:
    if not command["ended_ns"]:
        return "running" if os.path.exists(f"/proc/{command['pid']}") else "cut short"
    took = elapsed((command["ended_ns"] - command["time_ns"]) / 1e9)
    return f"done in {took}" if command["exit"] == 0 else f"exit code {command['exit']} after {took}"


def _details(command: dict[str, Any]) -> Iterator[str]:
    """Each step behind what became of it; entries of older versions do not tell that."""
    from stackup.planner.difference import INLINE

    at_steps = {tuple(error["at"]): error["text"] for error in command["errors"] if error["at"]}
    last = len(command["plans"]) - 1
    for number, (plan, outcomes) in enumerate(zip(command["plans"], command["outcomes"], strict=True)):
        for index, ((text, reason, *changes), outcome) in enumerate(zip(plan, outcomes, strict=True)):
            line = f"{text} ({reason})" if reason else text
            error = at_steps.get((number, index))
            if outcome is not None:
                line = f"{_word(outcome, command, later=number < last):<13}  {line}"
            yield f"{line}: {error}" if error else line
            if len(changes) > INLINE:  # the reason has their number only
                yield from (f"{'':<15}{change}" for change in changes)
    for error in command["errors"]:
        if not error["at"]:
            yield f"error: {error['text']}"


def _word(outcome: str, command: dict[str, Any], *, later: bool) -> str:
    """``later``: another plan was made after this one, of what was left."""
    if not outcome:
        return "planned anew" if later else "not begun"
    if outcome == "started":
        return "cut short" if command["ended_ns"] or _result(command) == "cut short" else "under way"
    return outcome


def _plain(command: dict[str, Any]) -> dict[str, Any]:
    ended = command["ended_ns"]
    errors = [{key: error[key] for key in ("step", "text")} for error in command["errors"]]
    pairs = zip(command["plans"], command["outcomes"], strict=True)
    return {
        "id": command["id"],
        "time": rfc3339(command["time_ns"]),
        "ended": rfc3339(ended) if ended else None,
        **{key: command[key] for key in ("user", "verb", "command", "pid", "cwd", "exit")},
        "errors": errors,
        "plans": [[_step(outcome, *step) for step, outcome in zip(*pair, strict=True)] for pair in pairs],
    }


def _step(outcome: str | None, text: str, reason: str, *changes: str) -> dict[str, Any]:
    """``changes``: of a configuration, with whole values."""
    data: dict[str, Any] = {"step": text, "reason": reason}
    if outcome is not None:
        data["state"] = outcome or "not begun"
    return data | ({"changes": list(changes)} if changes else {})
