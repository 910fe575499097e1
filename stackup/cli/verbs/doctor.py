"""``stackup doctor``: what is wrong here, why it matters, what to do."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from stackup.base.errors import StackupError
from stackup.cli.options import switch, value
from stackup.cli.session import Session

if TYPE_CHECKING:
    from stackup.engine.doctor.finding import Finding

COLOURS = {"problem": "red", "warning": "yellow", "note": "cyan"}


@dataclass(frozen=True)
class Request:
    """Look at this machine and at all projects for what is wrong; nothing is changed. Ends with 1 when there is a
    problem."""

    quiet: bool = switch("-q", "--quiet", help="Only problems and warnings.")
    format: str = value("--format", help="Output format.", default="text", choices=("text", "json"))


def run(session: Session, request: Request) -> int:
    from stackup.engine.doctor import host
    from stackup.engine.doctor.machine import ThisMachine

    machine, root = ThisMachine(), str(session.layout.state)
    facts = host.facts(machine, root)
    findings = [*host.examine(machine, root), *_of_projects(session)]
    if request.quiet:
        findings = [item for item in findings if item.level != "note"]
    if request.format == "json":
        listed = [item.to_dict() for item in findings]
        session.console.print(json.dumps({"host": facts, "findings": listed}, indent=2))
    else:
        _print(session, facts, findings)
    return 1 if any(item.level == "problem" for item in findings) else 0


def _of_projects(session: Session) -> list[Finding]:
    from stackup.engine.doctor import projects
    from stackup.engine.doctor.finding import PROBLEM, Finding

    try:
        return projects.examine(*projects.look(session.layout))
    except StackupError as error:
        return [Finding("not-looked", PROBLEM, f"projects were not looked at: {error.message}", "", error.hint)]


def _print(session: Session, facts: dict[str, str], findings: Sequence[Finding]) -> None:
    console = session.console
    for name, text in facts.items():
        console.print(f"{name + ':':<13}{text}")
    for item in sorted(findings, key=lambda item: list(COLOURS).index(item.level)):
        where = "" if item.scope == "host" else f"project {item.scope}: "
        console.print()
        console.print(f"{console.paint_out(item.level, COLOURS[item.level])}: {where}{item.what}")
        for label, text in (("why", item.why), ("do", item.do)):
            if text:
                console.print(f"  {label + ':':<5}{text}")
    counts = [sum(item.level == level for item in findings) for level in COLOURS]
    words = [
        f"{count} {level}{'' if count == 1 else 's'}" for count, level in zip(counts, COLOURS, strict=True) if count
    ]
    console.print()
    console.print(", ".join(words) or "nothing is wrong here")
