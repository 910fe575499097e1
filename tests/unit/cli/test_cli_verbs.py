"""The verbs against a supervisor that says what a test wants."""

from __future__ import annotations

import json
import os
import signal
import threading
from pathlib import Path
from typing import Any

import pytest
from cli_support import (
    DONE,
    Event,
    Link,
    action,
    err,
    exited,
    having,
    log,
    out,
    plan,
    says,
    session,
    supervisor,
)

from stackup.base.errors import PlanRefused, StackFileError, StackupError, UsageError
from stackup.base.paths import Layout
from stackup.cli.registry import load
from stackup.cli.session import Session

WEB = "container shop-web-1"
ROW = {
    "id": "0123456789abcdef",
    "name": "shop-web-1",
    "service": "web",
    "number": 1,
    "image": "nginx",
    "phase": "running",
    "ports": [{"host_ip": "", "host_port": 8080, "container_port": 80, "protocol": "tcp"}],
}
ENDED = {**ROW, "id": "fedcba9876543210", "name": "shop-job-1", "service": "job", "phase": "exited", "exit_code": 0}


@pytest.fixture
def layout(tmp_path: Path) -> Layout:
    return Layout.at(tmp_path)


def run(of: Session, verb: str, **request: Any) -> int:
    found = load(verb)
    return found.run(of, found.request(**request))


def result(data: Any) -> Event:
    return {"event": "result", "data": data}


def test_ps_shows_what_runs(layout: Layout) -> None:
    of = session(layout)
    with supervisor(layout, says(result([ROW, ENDED]))):
        assert run(of, "ps") == 0
    lines = out(of).splitlines()
    assert lines[0].split() == ["NAME", "IMAGE", "COMMAND", "SERVICE", "CREATED", "STATUS", "PORTS"]
    assert len(lines) == 2
    assert "0.0.0.0:8080->80/tcp" in lines[1]


@pytest.mark.parametrize(
    ("request_", "expected"),
    [
        ({"quiet": True}, ["0123456789abcdef"]),
        ({"quiet": True, "all": True}, ["fedcba9876543210", "0123456789abcdef"]),
        ({"only_services": True, "all": True}, ["job", "web"]),
        ({"only_services": True, "status": ("exited",)}, ["job"]),
        ({"only_services": True, "all": True, "services": ("web",)}, ["web"]),
    ],
)
def test_ps_choices(layout: Layout, request_: dict[str, Any], expected: list[str]) -> None:
    of = session(layout)
    with supervisor(layout, says(result([ROW, ENDED]))):
        assert run(of, "ps", **request_) == 0
    assert out(of).splitlines() == expected


def test_ps_as_json_is_a_line_a_container(layout: Layout) -> None:
    of = session(layout)
    with supervisor(layout, says(result([ROW, ENDED]))):
        run(of, "ps", all=True, format="json")
    assert [json.loads(line)["Service"] for line in out(of).splitlines()] == ["job", "web"]


def test_ps_says_what_is_wrong_below_the_table(layout: Layout) -> None:
    of = session(layout)
    with supervisor(layout, says(result([{**ROW, "notice": "output waits"}]))):
        run(of, "ps")
    assert "output waits" not in out(of)
    assert err(of) == "shop-web-1: output waits\n"


def test_ps_of_a_service_that_is_not_there(layout: Layout) -> None:
    with supervisor(layout, says(result([ROW]))), pytest.raises(UsageError):
        run(session(layout), "ps", services=("nope",))


def test_ps_of_nothing(layout: Layout) -> None:
    of = session(layout)
    assert run(of, "ps") == 0
    assert len(out(of).splitlines()) == 1


def test_an_error_event_is_raised(layout: Layout) -> None:
    error = StackFileError("cannot read it")
    with (
        supervisor(layout, says({"event": "error", "error": error.to_dict()}, {"event": "done", "exit": 1})),
        pytest.raises(StackFileError, match="cannot read it"),
    ):
        run(session(layout), "ps")


@pytest.mark.parametrize("verb", ["stop", "start", "restart", "kill", "down"])
def test_changes_of_a_project_that_is_not_there(layout: Layout, verb: str) -> None:
    of = session(layout)
    assert run(of, verb) == 0
    assert "for project shop" in err(of)


def test_down_sends_its_flags_and_shows_what_happens(layout: Layout) -> None:
    of = session(layout)
    script = says(plan(("stop", WEB)), action("stop", WEB, "started"), action("stop", WEB, "done", ms=100))
    with supervisor(layout, script) as fake:
        assert run(of, "down", volumes=True, timeout=3) == 0
    assert fake.requests[0]["verb"] == "down"
    assert fake.requests[0]["args"] == {
        "services": [],
        "volumes": True,
        "timeout": 3,
        "remove_orphans": False,
        "all": False,
        "purge": False,
        "rmi": "",
        "yes": False,
        "dry_run": False,
    }
    assert fake.requests[0]["files"]["project_name"] == "shop"
    assert err(of) == f"{WEB}: stopping\n{WEB}: stopped (0.1s)\n"


def test_up_detached(layout: Layout) -> None:
    of = session(layout)
    with supervisor(layout, says(plan(("start", WEB)), action("start", WEB, "done", ms=5))) as fake:
        assert run(of, "up", detach=True, scale=("web=3",)) == 0
    assert fake.requests[0]["args"]["scale"] == {"web": 3}
    assert fake.requests[0]["args"]["detach"] is True


def test_wait_implies_detach(layout: Layout) -> None:
    with supervisor(layout, says()) as fake:
        run(session(layout), "up", wait=True)
    assert fake.requests[0]["args"]["detach"] is True


def test_a_failed_action_is_shown_once_and_ends_with_1(layout: Layout) -> None:
    of = session(layout)
    error = StackupError("cannot start container shop-web-1: no such command").to_dict()
    script = says(
        plan(("start", WEB)),
        action("start", WEB, "failed", ms=5, error=error),
        {"event": "error", "error": error},
        {"event": "done", "exit": 1},
    )
    with supervisor(layout, script):
        assert run(of, "up", detach=True) == 1
    assert err(of).count("no such command") == 1


def test_foreground_prints_output(layout: Layout) -> None:
    of = session(layout)
    script = says(
        plan(("start", WEB)),
        action("start", WEB, "done", ms=5),
        log("web-1", "hello"),
        log("web-1", "oops", "stderr"),
        exited("web-1", 0),
    )
    with supervisor(layout, script):
        assert run(of, "up") == 0
    assert out(of) == "web-1  | hello\nweb-1 exited with code 0\n"
    assert err(of).endswith("web-1  | oops\n")


def source(name: str) -> Event:
    return {"event": "source", "name": name, "service": name.rsplit("-", 1)[0]}


def test_all_prefixes_are_as_wide_as_the_widest_name_shown(layout: Layout) -> None:
    lines = [log("web-1", "hello"), log("databases-1", "hi")]
    with supervisor(layout, says(source("web-1"), source("databases-1"), *lines)):
        of = session(layout)
        assert run(of, "logs", follow=True) == 0
    assert out(of) == "web-1        | hello\ndatabases-1  | hi\n"
    starts = plan(("start", WEB), ("start", "container shop-databases-1"), ("start", "container shop-longest-name-1"))
    for item in starts["actions"]:
        item["name"] = item["target"].removeprefix("container ")
        item["service"] = item["name"].removeprefix("shop-").removesuffix("-1")
    other = Layout.at(layout.state / "other")
    with supervisor(other, says(starts, *lines)):
        of = session(other)
        assert run(of, "up", no_attach=("longest-name",)) == 0
    assert out(of) == "web-1        | hello\ndatabases-1  | hi\n"


def interruptible(seen: list[str]) -> Any:
    """Sends SIGINT to ourselves once the request is under way, and answers the cancellation."""

    def script(request: Event, link: Link) -> None:
        link.send(log("web-1", "hello"))
        for _ in range(len(seen) or 1):
            os.kill(os.getpid(), signal.SIGINT)
            seen.append(link.cancelled())
        link.send(plan(("stop", WEB)), action("stop", WEB, "done", ms=3), {"event": "done", "exit": 0})

    return script


def test_ctrl_c_stops_gracefully(layout: Layout, capfd: pytest.CaptureFixture[str]) -> None:
    of = session(layout)
    seen: list[str] = []
    with supervisor(layout, interruptible(seen)):
        assert run(of, "up") == 130
    assert seen == ["graceful"]
    assert "Gracefully stopping... (press Ctrl+C again to force)" in capfd.readouterr().err
    assert f"{WEB}: stopped" in err(of)


def test_a_second_ctrl_c_kills(layout: Layout) -> None:
    seen: list[str] = []

    def script(request: Event, link: Link) -> None:
        for _ in range(2):
            os.kill(os.getpid(), signal.SIGINT)
            seen.append(link.cancelled())
        link.send(DONE)

    with supervisor(layout, script):
        assert run(session(layout), "up") == 130
    assert seen == ["graceful", "kill"]
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler


def test_logs_are_left_at_the_first_ctrl_c(layout: Layout) -> None:
    left = threading.Event()

    def script(request: Event, link: Link) -> None:
        link.send(log("web-1", "hello"))
        os.kill(os.getpid(), signal.SIGINT)
        with pytest.raises((EOFError, ConnectionError)):
            link.receive()
        left.set()

    of = session(layout)
    with supervisor(layout, script):
        with pytest.raises(KeyboardInterrupt):
            run(of, "logs", follow=True)
        assert left.wait(5)


def endings(*codes: tuple[str, int]) -> Any:
    """Containers end one by one; after the first cancellation the rest end with 143."""
    cancelled: list[str] = []

    def script(request: Event, link: Link) -> None:
        for name, code in codes:
            link.send(exited(name, code))
        try:
            link.socket.settimeout(0.5)
            cancelled.append(link.cancelled())
            link.send(exited("late-1", 143))
        except TimeoutError:
            pass
        link.send({"event": "done", "exit": 130 if cancelled else 0})

    return script


@pytest.mark.parametrize(
    ("request_", "codes", "expected"),
    [
        ({"abort_on_container_exit": True}, [("web-1", 3)], 3),
        ({"abort_on_container_exit": True}, [("web-1", 0)], 0),
        ({"abort_on_container_failure": True}, [("web-1", 0), ("db-1", 5)], 5),
        ({"abort_on_container_failure": True}, [("web-1", 0)], 0),
        ({"exit_code_from": "db"}, [("web-1", 3), ("db-1", 7)], 7),
        ({"exit_code_from": "late"}, [("web-1", 3)], 143),
        ({}, [("web-1", 3)], 0),
    ],
)
def test_abort(layout: Layout, request_: dict[str, Any], codes: list[tuple[str, int]], expected: int) -> None:
    with supervisor(layout, endings(*codes)):
        assert run(session(layout), "up", **request_) == expected


@pytest.mark.parametrize(
    "request_",
    [
        {"force_recreate": True, "no_recreate": True},
        {"build": True, "no_build": True},
        {"detach": True, "abort_on_container_exit": True},
        {"wait_timeout": 5.0},
    ],
)
def test_flags_that_contradict(layout: Layout, request_: dict[str, Any]) -> None:
    with pytest.raises(UsageError):
        run(session(layout), "up", **request_)


def test_a_refused_plan_without_a_terminal_stays_refused(layout: Layout) -> None:
    event = plan(("remove", "volume shop_data"))
    event["questions"] = [{"id": "q", "text": "Recreate volume shop_data?", "default": False}]
    error = PlanRefused("cannot carry out the plan").to_dict()
    with supervisor(layout, says(event, {"event": "error", "error": error}, {"event": "done", "exit": 1})) as fake:
        assert run(session(layout), "up", detach=True) == 1
    assert len(fake.requests) == 1


def test_an_open_question_is_something_to_do(layout: Layout) -> None:
    event = plan()
    event["questions"] = [{"id": "q", "text": "Recreate volume shop_data?", "default": False}]
    for verb, more in (("plan", {}), ("up", {"dry_run": True}), ("scale", {"dry_run": True, "numbers": ("web=2",)})):
        own = Layout.at(layout.state / verb)
        of = session(own)
        with supervisor(own, says(event)):
            assert run(of, verb, **more) == 2
        assert "1 question waits for an answer" in out(of) and "Recreate volume shop_data?" in out(of)


def test_plan_ends_with_2_when_there_is_something_to_do(layout: Layout) -> None:
    event = {
        "event": "plan",
        "version": 1,
        "project": "shop",
        "actions": [
            {
                "type": "CreateNetwork",
                "id": "create network shop_default",
                "reason": "not there yet",
                "after": [],
                "key": "default",
                "name": "shop_default",
            }
        ],
        "notices": [],
        "questions": [],
    }
    of = session(layout)
    with supervisor(layout, says(event)) as fake:
        assert run(of, "plan", services=("web",)) == 2
    assert "shop_default" in out(of)
    assert (fake.requests[0]["verb"], fake.requests[0]["args"]["verb"]) == ("plan", "up")


def test_plan_of_nothing_ends_with_0(layout: Layout) -> None:
    of = session(layout)
    with supervisor(layout, says(plan())):
        assert run(of, "plan", format="json") == 0
    assert json.loads(out(of))["actions"] == []


def test_dry_run_asks_for_the_verbs_plan_and_ends_with_0(layout: Layout) -> None:
    with supervisor(layout, says(plan())) as fake:
        assert run(session(layout), "up", dry_run=True) == 0
        assert run(session(layout), "down", dry_run=True) == 0
    assert [(item["verb"], item["args"]["verb"]) for item in fake.requests] == [("plan", "up"), ("plan", "down")]


def test_logs_sends_what_was_asked(layout: Layout) -> None:
    of = session(layout)
    with supervisor(layout, having(["web"], log("web-1", "hello"))) as fake:
        assert run(of, "logs", follow=True, services=("web",), tail="5", since="1700000000") == 0
    assert fake.requests[1]["args"] == {
        "services": ["web"],
        "tail": 5,
        "since_ns": 1_700_000_000 * 10**9,
        "until_ns": 0,
        "grep": "",
        "index": 0,
    }
    assert out(of) == "web-1  | hello\n"


def test_logs_into_files(layout: Layout, tmp_path: Path) -> None:
    of = session(layout)
    answers = [log("web-1", "hello"), log("web-2", "there", stream="stderr"), log("db-1", "\udcff\r")]
    with supervisor(layout, says(*answers)):
        assert run(of, "logs", follow=True, files=str(tmp_path / "new/dir")) == 0
    assert (tmp_path / "new/dir/web.log").read_bytes() == b"web-1  | hello\nweb-2  | there\n"
    assert (tmp_path / "new/dir/db.log").read_bytes() == b"db-1   | \xff\r\n"
    assert out(of) == ""


def test_build_arguments_without_a_value_are_the_callers(layout: Layout) -> None:
    of = session(layout, environment={"TOKEN": "t"})
    with supervisor(layout, says()) as fake:
        assert run(of, "build", build_arg=("A=1", "TOKEN"), quiet=True) == 0
    assert fake.requests[0]["args"]["build_arg"] == ["A=1", "TOKEN=t"]


def test_progress_of_a_program_of_another_version_is_passed_over(layout: Layout) -> None:
    with supervisor(layout, says({"event": "fireworks"}, action("start", WEB, "done"))):
        assert run(session(layout), "stop") == 0
