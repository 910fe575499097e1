"""Services named on the command line: unknown ones, and those that have no container."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from cli_support import err, having, out, session, supervisor

from stackup.base.errors import HostUnfit, UsageError
from stackup.base.paths import Layout
from stackup.cli.registry import load
from stackup.cli.session import Session

VERBS = {
    "ps": "list",
    "logs": "show logs of",
    "stop": "stop",
    "start": "start",
    "restart": "restart",
    "kill": "kill",
    "down": "take down",
    "rm": "remove",
    "top": "show processes of",
    "wait": "wait for",
}


@pytest.fixture
def layout(tmp_path: Path) -> Layout:
    return Layout.at(tmp_path / "root")


@pytest.fixture
def shop(layout: Layout, tmp_path: Path) -> Session:
    """In a directory with a stack file of three services, one of them in a profile."""
    directory = tmp_path / "shop"
    directory.mkdir()
    (directory / "compose.yaml").write_text(
        "services: {web: {image: host}, store: {image: host}, later: {image: host, profiles: [x]}}"
    )
    return session(layout, cwd=directory)


def run(of: Session, verb: str, **request: Any) -> int:
    found = load(verb)
    return found.run(of, found.request(**request))


@pytest.mark.parametrize("verb", VERBS)
@pytest.mark.parametrize("running", [True, False])
def test_an_unknown_service(layout: Layout, shop: Session, verb: str, running: bool) -> None:
    expected = f"cannot {VERBS[verb]} service wbe: there is no such service"
    with pytest.raises(UsageError, match=expected) as caught:
        if running:
            with supervisor(layout, having(["web", "store"])):
                run(shop, verb, services=("store", "wbe"))
        run(shop, verb, services=("wbe",))
    assert caught.value.hint == "did you mean web?"


def test_a_name_like_no_other_gets_the_list(layout: Layout, shop: Session) -> None:
    with supervisor(layout, having(["web", "old"])), pytest.raises(UsageError) as caught:
        run(shop, "stop", services=("zz",))
    assert caught.value.hint == "services: later, old, store, web"


def test_a_service_without_a_container_is_no_mistake(layout: Layout, shop: Session) -> None:
    with supervisor(layout, having(["web"])) as fake:
        assert run(shop, "ps", services=("later",)) == 0
        assert run(shop, "logs", services=("later",)) == 0
        assert run(shop, "stop", services=("later", "store")) == 0
        assert {request["verb"] for request in fake.requests} == {"ps"}
    assert out(shop).splitlines()[1:] == []
    assert err(shop) == "warning: nothing to stop for service later, store\n"


def test_only_those_with_containers_are_asked_for(layout: Layout, shop: Session) -> None:
    with supervisor(layout, having(["web"])) as fake:
        assert run(shop, "restart", services=("later", "web")) == 0
        assert fake.requests[-1]["args"]["services"] == ["web"]


def test_a_service_that_only_the_machine_knows(layout: Layout) -> None:
    of = session(layout)  # by name, in a directory without a stack file
    with supervisor(layout, having(["web"])):
        assert run(of, "ps", services=("web",)) == 0
        with pytest.raises(UsageError):
            run(of, "ps", services=("wbe",))
    assert "shop-web-1" in out(of)


def test_exec_where_nothing_runs(shop: Session) -> None:
    with pytest.raises(UsageError, match="cannot exec in service wbe: there is no such service") as caught:
        run(shop, "exec", service="wbe", command=("ls",))
    assert caught.value.hint == "did you mean web?"
    with pytest.raises(HostUnfit, match="cannot exec in service web: it is not running") as stopped:
        run(shop, "exec", service="web", command=("ls",))
    assert stopped.value.hint == "start it: stackup up -d web"
