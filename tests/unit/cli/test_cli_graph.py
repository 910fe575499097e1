"""``stackup graph``: the order of a start, for people and for drawing programs."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from cli_support import out, session

from stackup.base.paths import Layout
from stackup.cli.verbs import graph

FILE = """
services:
  web: {image: x, depends_on: {api: {condition: service_healthy}}}
  api: {image: x, depends_on: {db: {condition: service_started}, mail: {condition: service_started, required: false}}}
  db: {image: x}
  mail: {image: x}
"""


def show(tmp_path: Path, kind: str) -> str:
    (tmp_path / "compose.yaml").write_text(FILE)
    of = session(Layout.at(tmp_path / "root"), project="", cwd=tmp_path)
    assert graph.run(of, graph.Request(format=kind)) == 0
    return out(of)


def test_text_shows_groups_and_what_they_wait_for(tmp_path: Path) -> None:
    assert show(tmp_path, "text").splitlines() == [
        "  1  db",
        "  1  mail",
        "  2  api  after db (started), mail (started, if there is one)",
        "  3  web  after api (healthy)",
    ]


def test_json(tmp_path: Path) -> None:
    data = json.loads(show(tmp_path, "json"))
    assert data["groups"] == [["db", "mail"], ["api"], ["web"]]
    assert {"service": "web", "needs": "api", "condition": "service_healthy", "required": True} in data["edges"]


@pytest.mark.parametrize(("kind", "line"), [("dot", '  "web" -> "api" [label="healthy"];'), ("mermaid", "graph TD")])
def test_drawings(tmp_path: Path, kind: str, line: str) -> None:
    assert line in show(tmp_path, kind).splitlines()
