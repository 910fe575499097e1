"""A command that has to start the supervisor first: a terminal shows at once that something is happening."""

from __future__ import annotations

import os
import re
import signal
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from cli_support import DONE, Event, Link, Running, action, err, out, plan, session, shown, supervisor, terminal_console

from stackup.base.errors import HostUnfit
from stackup.base.paths import Layout
from stackup.cli.registry import load
from stackup.control import client

WEB = "container shop-web-1"
ERASED = "\033[J\033[?25h"  # the frame is gone, the cursor is back


class Cold(Running):
    """Nothing runs until somebody asks for it; ``begin`` is called then."""

    def __init__(self, begin: Callable[[], None]) -> None:
        self.begin = begin

    def connect(self, layout: Layout, project: str) -> client.Client | None:
        return None

    def ensure(self, layout: Layout, project: str) -> client.Client:
        self.begin()
        return super().ensure(layout, project)


@pytest.fixture
def layout(tmp_path: Path) -> Layout:
    return Layout.at(tmp_path)


def run(verb: str, of: Any, **request: Any) -> int:
    found = load(verb)
    return found.run(of, found.request(**request))


def answering(*events: Event) -> Callable[[Event, Link], None]:
    def script(request: Event, link: Link) -> None:
        time.sleep(0.3)  # about as long as a supervisor takes to import itself
        link.send(*events, DONE)

    return script


@pytest.mark.parametrize(("verb", "detach"), [("up", True), ("up", False), ("down", None), ("build", None)])
def test_a_terminal_shows_the_project_before_anybody_has_answered(
    layout: Layout, verb: str, detach: bool | None
) -> None:
    seen: list[str] = []
    request = {} if detach is None else {"detach": detach}
    events = (plan(("start", WEB)), action("start", WEB, "started"), action("start", WEB, "done"))
    with terminal_console() as (leader, console), supervisor(layout, answering(*events)):
        of = session(layout)
        of.console = console
        of._connector = Cold(lambda: seen.append(shown(leader)))
        assert run(verb, of, **request) == 0
        after = shown(leader)
    assert f"[+] {verb}" in seen[0]
    assert "project shop  starting…" in seen[0]
    assert len(set(re.findall(r"(\d+\.\d)s", after.split(WEB)[0]))) > 1, "it is alive: the time goes on"
    assert f"✔ {WEB}  started" in after
    assert after.endswith("\033[?25h")


def test_nothing_to_do_leaves_nothing_on_the_screen(layout: Layout) -> None:
    with terminal_console() as (leader, console), supervisor(layout, answering(plan())):
        of = session(layout)
        of.console = console
        of._connector = Cold(lambda: None)
        assert run("up", of, detach=True) == 0
        assert shown(leader).endswith(ERASED)


def test_the_line_makes_way_for_a_plan_and_for_an_error(layout: Layout) -> None:
    with terminal_console() as (leader, console), supervisor(layout, answering(plan())):
        of = session(layout)
        of.console = console
        assert run("plan", of) == 0
        text = shown(leader)
    assert text.rpartition(ERASED)[2] == "shop: nothing to do\n"

    def fail() -> None:
        raise HostUnfit("cannot start")

    with terminal_console() as (leader, console):
        of = session(layout)
        of.console = console
        of._connector = Cold(fail)
        with pytest.raises(HostUnfit):
            run("up", of, detach=True)
        assert shown(leader).endswith(ERASED)


def test_ctrl_c_before_anything_was_asked_just_ends(layout: Layout) -> None:
    def interrupt() -> None:
        os.kill(os.getpid(), signal.SIGINT)
        threading.Event().wait(5)

    with terminal_console() as (leader, console):
        of = session(layout)
        of.console = console
        of._connector = Cold(interrupt)
        with pytest.raises(KeyboardInterrupt):
            run("up", of, detach=True)
        assert shown(leader).endswith(ERASED)


def test_a_pipe_hears_of_what_is_done_and_nothing_else(layout: Layout) -> None:
    events = (plan(("start", WEB)), action("start", WEB, "done", ms=100))
    with supervisor(layout, answering(*events)):
        of = session(layout)
        of._connector = Cold(lambda: None)
        assert run("up", of, detach=True) == 0
    assert (out(of), err(of)) == ("", f"{WEB}: started (0.1s)\n")
