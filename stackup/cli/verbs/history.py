"""``stackup history``: who gave which command when, what was planned, and how it ended."""

from __future__ import annotations

import json
import os
import time
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from stackup.base.clock import rfc3339
from stackup.cli.options import switch, value
from stackup.cli.session import Session
from stackup.cli.table import elapsed, table

HEADER = ("WHEN", "WHO", "COMMAND", "RESULT", "STEPS")


@dataclass(frozen=True)
class Request:
    """Show who changed the project when, and how; kept after down."""

    limit: int = value("-n", "--limit", help="The last so many commands.", kind=int, default=20, metavar="NUMBER")
    steps: bool = switch("--steps", help="With the steps of each plan, and why.")
    json: bool = switch("--json", help="A JSON object for each command.")


def run(session: Session, request: Request) -> int:
    from stackup.engine.chronicle import commands

    found = commands(session.layout, session.project)[-request.limit :] if request.limit > 0 else []
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
    if not found and not request.json:
        out.say(f"no command has changed project {session.project}")
    return 0


def _cells(command: dict[str, Any]) -> tuple[str, ...]:
    when = time.strftime("%Y-%m-%d %H:%M:%S", time.localtime(command["time_ns"] // 10**9))
    steps = sum(len(plan) for plan in command["plans"])
    return when, command["user"], command["command"], _result(command), str(steps)


def _result(command: dict[str, Any]) -> str:
    if not command["ended_ns"]:
        return "running" if os.path.exists(f"/proc/{command['pid']}") else "cut short"
    took = elapsed((command["ended_ns"] - command["time_ns"]) / 1e9)
    return f"done in {took}" if command["exit"] == 0 else f"exit code {command['exit']} after {took}"


def _details(command: dict[str, Any]) -> Iterator[str]:
    for plan in command["plans"]:
        for text, reason in plan:
            yield f"{text} ({reason})" if reason else text
    for error in command["errors"]:
        yield f"error: {error['text']}"


def _plain(command: dict[str, Any]) -> dict[str, Any]:
    ended = command["ended_ns"]
    return {
        "id": command["id"],
        "time": rfc3339(command["time_ns"]),
        "ended": rfc3339(ended) if ended else None,
        **{key: command[key] for key in ("user", "verb", "command", "pid", "cwd", "exit", "errors")},
        "plans": [[{"step": text, "reason": reason} for text, reason in plan] for plan in command["plans"]],
    }
