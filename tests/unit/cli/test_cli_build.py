"""``build``: options of docker compose, what is asked of the supervisor, ``--print``, ``--check``."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from cli_support import action, err, out, plan, says, session, supervisor

from stackup.base.errors import ImageError
from stackup.base.paths import Layout
from stackup.cli.options import options_of
from stackup.cli.registry import load
from stackup.cli.terminal import Console
from stackup.engine.build_requests import QUIET

IMAGE = "image shop-web"


@pytest.fixture
def layout(tmp_path: Path) -> Layout:
    return Layout.at(tmp_path / "state")


def asked(layout: Layout, project: str = "shop", **request: Any) -> tuple[dict[str, Any], str]:
    """The request, and what was said meanwhile."""
    of = session(layout, project=project)
    found = load("build")
    with supervisor(layout, says(), project) as fake:
        assert found.run(of, found.request(**request)) == 0
    return fake.requests[0], err(of)


def test_options_that_do_nothing_are_said_once(layout: Layout) -> None:
    request, said = asked(layout, provenance="mode=max", builder="x", memory="1g", force_rm=True)
    assert [line.split(" ")[1] for line in said.splitlines()] == ["--provenance", "--builder", "--memory", "--force-rm"]
    assert (request["args"]["provenance"], request["args"]["sbom"]) == ("false", None)
    request, said = asked(layout, "other", provenance="false", sbom="false")
    assert said == "" and request["args"]["provenance"] == "false"


@pytest.mark.parametrize(("progress", "quiet"), [("plain", False), ("rawjson", True), ("quiet", True)])
def test_output_that_nobody_sees_is_not_asked_for(
    layout: Layout, monkeypatch: pytest.MonkeyPatch, progress: str, quiet: bool
) -> None:
    monkeypatch.setenv(QUIET, "")
    request, _ = asked(layout, progress=progress)
    assert bool(request["env"][QUIET]) is quiet


def test_rawjson_is_json() -> None:
    assert Console.detect(None, "rawjson", {}).progress == "json"
    assert Console.detect(None, None, {"COMPOSE_PROGRESS": "rawjson"}).progress == "json"


def test_a_build_argument_without_a_name() -> None:
    (option,) = [item for item in options_of(load("build").request) if item.name == "build_arg"]
    assert option.convert("A=") == "A="
    with pytest.raises(ValueError, match="has no name"):
        option.convert("=x")


def test_quiet_shows_the_error_alone(layout: Layout) -> None:
    failed = ImageError("cannot build: the command failed", snippet="RUN x").to_dict()
    events = [
        plan(("build", IMAGE)), action("build", IMAGE, "started"),
        {"event": "progress", "action": f"build {IMAGE}", "lines": [f"line {number}" for number in range(50)]},
        action("build", IMAGE, "failed", error=failed),
    ]  # fmt: skip
    of = session(layout)
    found = load("build")
    with supervisor(layout, says(*events)):
        assert found.run(of, found.request(quiet=True)) != 0
    assert "line" not in err(of) and "the command failed" in err(of)


def test_what_would_be_built_as_a_bake_file(layout: Layout, tmp_path: Path) -> None:
    (tmp_path / "compose.yaml").write_text(
        "name: shop\nservices:\n"
        "  web: {build: {context: ., target: fin, args: {A: 1}, secrets: [key]}}\n"
        "  other: {image: x}\n"
        "secrets: {key: {environment: KEY}}\n"
    )
    of = session(layout, cwd=tmp_path, environment={"KEY": "secret"})
    found = load("build")
    assert found.run(of, found.request(print=True, build_arg=("B=2",))) == 0
    assert json.loads(out(of)) == {
        "group": {"default": {"targets": ["web"]}},
        "target": {
            "web": {
                "context": str(tmp_path), "dockerfile": "Dockerfile", "args": {"A": "1", "B": "2"},
                "tags": ["shop-web"], "target": "fin", "secret": ["id=key,type=env,env=KEY"],
                "output": ["type=docker"],
            }
        },
    }  # fmt: skip
