"""Progress: what a board knows, and how it looks in a pipe and on a terminal of any size."""

from __future__ import annotations

import os
import re
import struct
import termios
from collections.abc import Iterator
from fcntl import ioctl
from typing import Any

import pytest
from cli_support import Event, action, console, err, plan, session, terminal_console

from stackup.base.paths import Layout
from stackup.cli.board import Board, Status
from stackup.cli.live import LiveProgress, fitting
from stackup.cli.progress import JsonProgress, PlainProgress, Progress, single_action
from stackup.cli.terminal import Console

WEB = "container shop-web-1"
APP = "container shop-app-1"


class Clock:
    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


def test_a_row_goes_through_the_actions_of_its_object(clock: Clock) -> None:
    board = Board("up", clock)
    board.plan(plan(("create", WEB), ("start", WEB)))
    row = board.rows[WEB]
    assert (row.status, row.left) == (Status.PENDING, 2)
    board.action(action("create", WEB, "started"))
    assert (row.status, row.word) == (Status.RUNNING, "creating")
    clock.now = 1.0
    board.action(action("create", WEB, "done"))
    assert (row.status, row.word, board.settled) == (Status.RUNNING, "created", False)
    board.action(action("start", WEB, "started"))
    clock.now = 3.0
    board.action(action("start", WEB, "done"))
    clock.now = 9.0
    assert (row.status, row.word, row.seconds(clock())) == (Status.DONE, "started", 3.0)
    assert board.settled


def test_failed_stays_failed(clock: Clock) -> None:
    board = Board("up", clock)
    board.plan(plan(("create", WEB), ("start", WEB)))
    board.action(action("create", WEB, "started"))
    board.action(action("create", WEB, "failed"))
    board.action(action("start", WEB, "skipped"))
    assert board.rows[WEB].status is Status.FAILED
    assert board.settled


def test_waiting_ends_in_the_words_of_its_condition(clock: Clock) -> None:
    board = Board("up", clock)
    event = plan(("wait", "service db"))
    event["actions"][0]["text"] = "wait until service db is healthy"
    board.plan(event)
    board.action(action("wait", "service db", "done"))
    assert board.rows["service db"].word == "healthy"


def test_a_second_plan_replaces_what_had_not_begun(clock: Clock) -> None:
    board = Board("up", clock)
    board.plan(plan(("build", "image shop-web"), ("create", WEB)))
    board.action(action("build", "image shop-web", "started"))
    board.action(action("build", "image shop-web", "done"))
    board.plan(plan(("start", WEB)))
    assert [(row.target, row.left) for row in board.rows.values()] == [("image shop-web", 0), (WEB, 1)]
    board.action(action("start", WEB, "started"))
    board.action(action("start", WEB, "done"))
    assert board.settled


def test_actions_that_no_plan_announced_are_passed_over(clock: Clock) -> None:
    assert Board("up", clock).action(action("start", WEB, "started")) is None


def test_plain_is_a_line_an_event(tmp_path: object) -> None:
    made = console()
    shown = PlainProgress(made, "up")
    shown.plan(plan(("build", "image shop-web"), ("create", WEB), ("start", WEB), ("start", "container shop-db-1")))
    shown.action(action("build", "image shop-web", "started"))
    shown.action(action("build", "image shop-web", "done", ms=61_000))
    shown.action(action("create", WEB, "started"))
    shown.action(action("create", WEB, "done", ms=12))
    shown.action(action("start", WEB, "failed", ms=340))
    shown.action(action("start", "container shop-db-1", "skipped"))
    assert made.err.text().splitlines() == [  # type: ignore[attr-defined]
        "image shop-web: building",
        "image shop-web: built (1m01s)",
        f"{WEB}: created (0.0s)",
        f"{WEB}: cannot start (0.3s)",
        "container shop-db-1: skipped",
    ]


def half_failed() -> list[Event]:
    """A container that cannot be made, another one that needs it, and the waits of ``up --wait`` for both."""
    steps = [("create", WEB), ("start", WEB), ("wait", "service web"), ("create", APP), ("start", APP)]
    events = [plan(*steps, ("wait", "service app")), action("create", WEB, "failed", ms=0)]
    return events + [action(*step, "skipped", ms=0) for step in (*steps[1:], ("wait", "service app"))]


def test_what_is_skipped_is_said_once(clock: Clock) -> None:
    made = console()
    piped, alive = PlainProgress(made, "up"), live(clock)
    first, *rest = half_failed()
    for shown in (piped, alive):
        Progress.plan(shown, first)
        for event in rest:
            shown.action(event)
    assert made.err.text() == f"{WEB}: cannot create (0.0s)\n{APP}: skipped\n"  # type: ignore[attr-defined]
    assert [" ".join(line.split()) for line in frame(alive)] == [
        "[+] up 2/2 0.0s",
        f"✘ {WEB} failed cannot create",
        f"- {APP} skipped",
    ]


def transfer(text: str = "", **states: str) -> dict[str, Any]:
    layers = [
        {"id": name, "state": state, "done": 5_000_000, "size": 20_000_000, "rate": 1_000_000}
        for name, state in states.items()
    ]
    return {"action": "pull image nginx", "layers": layers, "rate": 2_000_000, "left": 15.2, "text": text}


def test_a_pull_in_a_pipe_tells_of_whole_layers() -> None:
    made = console()
    shown = PlainProgress(made, "up")
    shown.plan(plan(("pull", "image nginx"), ("pull", "image redis")))
    shown.action(action("pull", "image nginx", "started", ms=0))
    shown.detail(transfer(a="downloading", b="waiting"))
    shown.detail(transfer("a: pulled", a="done", b="waiting"))
    shown.action(action("pull", "image nginx", "done", ms=0))
    shown.action(action("pull", "image redis", "failed", ms=0))
    assert made.err.text().splitlines() == [  # type: ignore[attr-defined]
        "image nginx: pulling",
        "image nginx: a: pulled",
        "image nginx: pulled (0.0s)",
        "image redis: cannot pull (0.0s)",
    ]


def test_a_pull_on_a_terminal_shows_each_layer_that_moves(clock: Clock) -> None:
    shown = LiveProgress(console(progress="tty"), "up", clock)
    Progress.plan(shown, plan(("pull", "image nginx")))
    shown.action(action("pull", "image nginx", "started", ms=0))
    shown.detail(transfer(aa="done", bb="downloading", cc="waiting"))
    assert frame(shown)[1:] == [
        " ⠋ image nginx  pulling    0.0s  15MB/60MB  2MB/s  15s left  1/3 layers",
        "     bb  pulling     ━━━━━╌╌╌╌╌╌╌╌╌╌╌╌╌╌╌     5MB/20MB  1MB/s  15s left",
    ]
    shown.action(action("pull", "image nginx", "done", ms=0))
    assert len(frame(shown)) == 2


def test_what_does_not_fit_is_left_out_in_whole_parts(clock: Clock) -> None:
    shown = LiveProgress(console(progress="tty"), "up", clock)
    Progress.plan(shown, plan(("pull", "image nginx")))
    shown.action(action("pull", "image nginx", "started", ms=0))
    shown.detail(transfer(aa="done", bb="downloading", cc="waiting"))
    assert frame(shown, 60)[1:] == [
        " ⠋ image nginx  pulling    0.0s  15MB/60MB  2MB/s  15s left",
        "     bb  pulling     ━━━━━╌╌╌╌╌╌╌╌╌╌╌╌╌╌╌     5MB/20MB",
    ]
    assert frame(shown, 54)[1] == " ⠋ image nginx  pulling    0.0s  15MB/60MB  2MB/s"
    shown.detail({"event": "progress", "action": "pull image nginx", "text": "aa: the connection broke"})
    assert frame(shown, 50)[1].endswith("  aa: the")


def test_an_image_that_was_kept_is_not_called_pulled() -> None:
    made = console()
    shown = PlainProgress(made, "up")
    shown.plan(plan(("pull", "image nginx")))
    shown.detail({"event": "progress", "action": "pull image nginx", "kind": "outcome", "did": "kept"})
    shown.action(action("pull", "image nginx", "done", ms=0))
    assert made.err.text() == "image nginx: kept (0.0s)\n"  # type: ignore[attr-defined]


def test_json_is_the_events() -> None:
    made = console()
    shown = JsonProgress(made, "up")
    shown.plan(plan(("create", WEB)))
    shown.action(action("create", WEB, "done"))
    assert made.err.text().count('"event"') == 2  # type: ignore[attr-defined]


def test_single_action_reports_failure(tmp_path: os.PathLike[str]) -> None:
    of = session(Layout.at(str(tmp_path)))
    with pytest.raises(ValueError), single_action(of, "import", "image base:1"):
        raise ValueError
    assert err(of).splitlines() == ["image base:1: importing", "image base:1: cannot import (0.0s)"]


def live(clock: Clock) -> LiveProgress:
    return LiveProgress(console(progress="tty"), "up", clock)


def frame(shown: LiveProgress, columns: int = 80, rows: int = 24) -> list[str]:
    return ["".join(text for text, _ in line).rstrip() for line in shown.lines(columns, rows)]


def test_frame(clock: Clock) -> None:
    shown = live(clock)
    Board.plan(shown.board, plan(("create", "network shop_default"), ("start", WEB), ("start", "container shop-a-1")))
    shown.board.action(action("create", "network shop_default", "started"))
    shown.board.action(action("start", WEB, "started"))
    clock.now = 1.25
    shown.board.action(action("create", "network shop_default", "done"))
    shown.board.progress({"action": f"start {WEB}", "text": "pulling"})
    assert frame(shown) == [
        "[+] up 1/3  1.2s",
        " ✔ network shop_default  created     1.2s",
        " ⠋ container shop-web-1  starting    1.2s  pulling",
        " · container shop-a-1",
    ]


def test_no_line_is_wider_than_the_terminal(clock: Clock) -> None:
    shown = live(clock)
    Board.plan(shown.board, plan(("start", "container " + "x" * 200)))
    for columns in (10, 20, 80):
        assert all(len(line) < columns for line in frame(shown, columns))


def test_frame_fits_the_height_and_says_what_is_hidden(clock: Clock) -> None:
    shown = live(clock)
    Board.plan(shown.board, plan(*(("start", f"container shop-x-{number}") for number in range(50))))
    shown.board.action(action("start", "container shop-x-49", "started"))
    lines = frame(shown, rows=10)
    assert len(lines) < 10
    assert any("shop-x-49" in line for line in lines)
    assert lines[-1].strip() == "… 44 more"


def test_fitting_prefers_what_matters(clock: Clock) -> None:
    board = Board("up", clock)
    board.plan(plan(*(("start", name) for name in "abcd")))
    board.action(action("start", "a", "done"))
    board.action(action("start", "d", "failed"))
    rows, hidden = fitting(list(board.rows.values()), 3)
    assert ([row.target for row in rows], hidden) == (["b", "d"], 2)


@pytest.fixture
def terminal() -> Iterator[tuple[int, Console]]:
    with terminal_console() as found:
        yield found


def drawn(leader: int, end: str = "\033[J") -> str:
    """What has come to the terminal, up to ``end``: it may come in pieces."""
    text = ""
    while not text.endswith(end):
        text += os.read(leader, 4096).decode()
    return text


def test_frames_are_drawn_over_each_other(terminal: tuple[int, Console]) -> None:
    leader, made = terminal
    shown = LiveProgress(made, "up")
    Board.plan(shown.board, plan(("start", WEB)))
    shown._draw()
    first = drawn(leader)
    shown._draw()
    second = drawn(leader)
    assert first.startswith("\033[?25l\r[+] up 0/1")
    assert second.startswith("\033[?25l\r\033[2A[+] up 0/1")
    assert second.endswith("\033[J")


def test_a_narrower_terminal_wraps_the_last_frame(terminal: tuple[int, Console]) -> None:
    leader, made = terminal
    shown = LiveProgress(made, "up")
    Board.plan(shown.board, plan(("start", "container " + "x" * 50)))
    shown._draw()
    drawn(leader)
    ioctl(made.err.fileno(), termios.TIOCSWINSZ, struct.pack("HHHH", 24, 30, 0, 0))
    shown._draw()
    assert "\r\033[4A" in drawn(leader)  # 1 for the title, 3 for a row of 70 columns


def test_other_output_goes_between_frames(terminal: tuple[int, Console]) -> None:
    leader, made = terminal
    shown = LiveProgress(made, "up")
    Board.plan(shown.board, plan(("start", WEB)))
    shown._draw()
    drawn(leader)
    with shown.beside():
        made.say("hello")
    assert drawn(leader, "\n") == "\r\033[2A\033[J\033[?25hhello\n"
    shown._draw()
    assert drawn(leader).startswith("\033[?25l\r[+] up")


def test_the_cursor_comes_back(terminal: tuple[int, Console]) -> None:
    leader, made = terminal
    shown = LiveProgress(made, "up")
    shown.plan(plan(("start", WEB)))
    shown.action(action("start", WEB, "done"))
    shown.finish()
    text = drawn(leader, "\033[?25h")
    assert re.search(r"✔ container shop-web-1  started", text)


def test_build_output_in_a_pipe_is_printed_as_it_comes() -> None:
    made = console()
    shown = PlainProgress(made, "build")
    shown.plan(plan(("build", "image shop-web")))
    shown.detail({"event": "progress", "action": "build image shop-web", "text": "[1/2] RUN make"})
    shown.detail({"event": "progress", "action": "build image shop-web", "lines": ["cc -o x ", "", "ok"]})
    shown.detail({"event": "progress", "action": "nothing", "lines": ["x"]})
    text = "image shop-web: [1/2] RUN make\nimage shop-web | cc -o x\nimage shop-web |\nimage shop-web | ok\n"
    assert made.err.text() == text  # type: ignore[attr-defined]
    assert shown.output_of("build image shop-web") == []


def test_build_output_on_a_terminal_is_kept_for_a_failure(clock: Clock) -> None:
    shown = live(clock)
    Board.plan(shown.board, plan(("build", "image shop-web")))
    for number in range(100):
        shown.detail({"event": "progress", "action": "build image shop-web", "lines": [f"\033[1mline {number}"]})
    wanted = [f"image shop-web | line {number}" for number in range(50, 100)]
    assert shown.output_of("build image shop-web") == wanted
    assert Progress(shown.console, "build").output_of("build image shop-web") == []
    assert shown.output_of("nothing") == []
