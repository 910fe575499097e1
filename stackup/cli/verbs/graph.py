"""``stackup graph``: what waits for what, as text, for Graphviz or for Mermaid."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING

from stackup.cli.options import value
from stackup.cli.session import Session

if TYPE_CHECKING:
    from stackup.graph import Dependencies, Edge

NEEDS_ROOT = False
CONDITIONS = {
    "service_started": "started",
    "service_healthy": "healthy",
    "service_completed_successfully": "completed",
}


@dataclass(frozen=True)
class Request:
    """Show which services wait for which, in the groups that start together."""

    format: str = value("--format", help="Output format.", default="text", choices=("text", "dot", "mermaid", "json"))


def run(session: Session, request: Request) -> int:
    from stackup.graph import Dependencies

    graph = Dependencies(session.load(run=False).stack)
    formats = {"text": _text, "dot": _dot, "mermaid": _mermaid, "json": _json}
    for line in formats[request.format](graph):
        session.console.print(line)
    return 0


def _text(graph: Dependencies) -> Iterator[str]:
    for number, group in enumerate(graph.generations(), 1):
        for name in group:
            needs = ", ".join(f"{edge.dependency} ({_condition(edge)})" for edge in graph.needs(name))
            yield f"{number:>3}  {name}" + (f"  after {needs}" if needs else "")


def _dot(graph: Dependencies) -> Iterator[str]:
    yield "digraph stack {"
    yield from (f"  {json.dumps(name)};" for name in graph.order())
    for edge in graph.edges:
        label = json.dumps(_condition(edge))
        yield f"  {json.dumps(edge.dependant)} -> {json.dumps(edge.dependency)} [label={label}];"
    yield "}"


def _mermaid(graph: Dependencies) -> Iterator[str]:
    """Node ids are numbers: Mermaid takes some service names for its own words."""
    ids = {name: f"s{number}" for number, name in enumerate(graph.order())}
    yield "graph TD"
    yield from (f"  {ids[name]}[{json.dumps(name)}]" for name in ids)
    yield from (f"  {ids[edge.dependant]} -->|{_condition(edge)}| {ids[edge.dependency]}" for edge in graph.edges)


def _json(graph: Dependencies) -> Iterator[str]:
    edges = [
        {"service": edge.dependant, "needs": edge.dependency, "condition": edge.condition, "required": edge.required}
        for edge in graph.edges
    ]
    yield json.dumps({"groups": graph.generations(), "edges": edges}, indent=2)


def _condition(edge: Edge) -> str:
    return CONDITIONS[edge.condition] + ("" if edge.required else ", if there is one")
