"""Events and commands on disk: bounded, whole whatever happened, told as Docker does."""

from __future__ import annotations

import json
from pathlib import Path
from types import SimpleNamespace
from typing import Any

from stackup.base.paths import Layout
from stackup.cli.verbs.history import _details, _plain
from stackup.engine.chronicle import (
    STEPS,
    Chronicle,
    Command,
    Journal,
    chosen,
    commands,
    commands_path,
    entries,
    events_path,
)


def test_a_journal_is_bounded_and_keeps_the_newest(tmp_path: Path) -> None:
    journal = Journal(tmp_path / "h/shop.events", limit=1000)
    for number in range(500):
        journal.append({"n": number})
    found = [entry["n"] for entry in entries(tmp_path / "h/shop.events")]
    assert found == list(range(500 - len(found), 500))
    assert 80 < len(found) < 250
    assert sum(path.stat().st_size for path in (tmp_path / "h").iterdir()) <= 2000


def test_a_torn_line_costs_only_itself(tmp_path: Path) -> None:
    Journal(tmp_path / "shop.events").append({"n": 1})
    with (tmp_path / "shop.events").open("ab") as file:
        file.write(b'{"n": 2')
    Journal(tmp_path / "shop.events").append({"n": 3})
    assert [entry["n"] for entry in entries(tmp_path / "shop.events")] == [1, 3]


def test_a_journal_that_cannot_be_written_stops_nobody(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    Journal(tmp_path / "file/shop.events").append({"n": 1})


class Life:
    """A container's states, told to a chronicle."""

    def __init__(self, directory: Path) -> None:
        self.published: list[dict[str, Any]] = []
        self.layout = Layout.at(directory)
        self.chronicle = Chronicle(self.layout, "shop", self.published.append)
        self.state = SimpleNamespace(exit_code=None, oom_killed=False, stopped_by_user=False, error="", incarnation=1)
        self.state.health_code, self.state.health_output = None, ""
        labels = {"team": "blue", "com.docker.compose.service": "web"}
        supervision = SimpleNamespace(stop_signal="SIGTERM")
        about = {"id": "0123", "name": "shop-web-1", "service": "web", "image": "busybox", "labels": labels}
        self.definition = SimpleNamespace(**about, supervision=supervision, endpoints=())

    def goes(self, what: str, **changes: Any) -> None:
        self.state.__dict__.update(changes)
        self.chronicle.container(SimpleNamespace(state=self.state, definition=self.definition), what)  # type: ignore[arg-type]

    @property
    def actions(self) -> list[str]:
        return [event["action"] for event in self.published]


def test_a_life_in_docker_s_words(tmp_path: Path) -> None:
    life = Life(tmp_path)
    for what in ("created", "starting", "started"):
        life.goes(what)
    life.goes("health", health="starting")
    life.goes("health", health="unhealthy", health_code=1, health_output="no answer\n")
    life.goes("exited", exit_code=137, oom_killed=True)
    life.goes("started", incarnation=2, oom_killed=False)
    life.goes("exited", exit_code=0, stopped_by_user=True)
    life.goes("removed")
    assert life.actions == [
        "create", "start", "health_status: unhealthy", "oom", "die", "start", "die", "stop", "destroy",
    ]  # fmt: skip
    sick = life.published[2]["attributes"]
    assert (sick["exitCode"], sick["output"]) == ("1", "no answer")
    die = life.published[4]
    assert die["attributes"] == {"team": "blue", "image": "busybox", "name": "shop-web-1", "exitCode": "137"}
    assert (die["type"], die["id"], die["service"]) == ("container", "0123", "web")
    on_disk = entries(events_path(life.layout, "shop"))
    assert [{"event": "happened", **event} for event in on_disk] == life.published
    later = on_disk[5]["time_ns"]
    assert list(chosen(on_disk, ["web"], later, 0)) == [event for event in on_disk if event["time_ns"] >= later]
    assert not list(chosen(on_disk, ["db"], 0, 0))


def test_a_command_from_its_beginning_to_its_end(tmp_path: Path) -> None:
    life = Life(tmp_path)
    command = Command(life.chronicle, "up", "`stackup up -d` (process 0)", "/srv/shop", {"SUDO_USER": "alice"})
    network = {"id": "a", "type": "CreateNetwork", "name": "shop_default", "text": "create network shop_default"}
    start = {"id": "b", "type": "StartContainer", "name": "shop-web-1", "text": "start container shop-web-1"}
    plan = [{**network, "reason": "new"}, {**start, "reason": "not running"}]
    command.hear({"event": "plan", "actions": plan})
    command.hear({"event": "action", "id": "a", "state": "done"})
    command.hear({"event": "action", "id": "b", "state": "failed", "error": {"message": "cannot start it"}})
    assert [event["action"] for event in life.published] == ["create"]
    assert (life.published[0]["type"], life.published[0]["id"]) == ("network", "shop_default")
    (running,) = commands(life.layout, "shop")
    assert (running["ended_ns"], running["exit"]) == (0, None)
    command.ended(1)
    (done,) = commands(life.layout, "shop")
    assert (done["user"], done["command"], done["cwd"], done["exit"]) == ("alice", "stackup up -d", "/srv/shop", 1)
    assert done["plans"] == [[["create network shop_default", "new"], ["start container shop-web-1", "not running"]]]
    assert done["errors"] == [{"step": "start container shop-web-1", "text": "cannot start it", "at": [0, 1]}]
    assert done["outcomes"] == [["done", "failed"]]
    json.dumps(done)


def step(name: str, reason: str = "new") -> dict[str, Any]:
    return {"id": name, "type": "StartContainer", "name": name, "text": f"start container {name}", "reason": reason}


def test_what_became_of_each_step_and_what_was_taken_back(tmp_path: Path) -> None:
    life = Life(tmp_path)
    command = Command(life.chronicle, "up", "`stackup up -d` (process 0)", "/srv/shop", {})
    command.hear({"event": "plan", "actions": [step("a"), step("b"), step("c"), step("d")]})
    for name, state in (("a", "started"), ("a", "done"), ("b", "started"), ("c", "skipped")):
        command.hear({"event": "action", "id": name, "state": state})
    command.hear({"event": "action", "id": "b", "state": "failed", "error": {"message": "no such command"}})
    for name in "xy":
        command.hear({"event": "did", "text": f"remove container {name}", "reason": "the change has failed"})
    command.hear({"event": "plan", "actions": [step("e", "rolled back")]})
    command.hear({"event": "action", "id": "e", "state": "started"})
    (found,) = commands(life.layout, "shop")
    assert found["outcomes"] == [["done", "failed", "skipped", ""], ["done", "done"], ["started"]]
    assert [[text for text, *_ in plan] for plan in found["plans"]][1:] == [
        ["remove container x", "remove container y"],
        ["start container e"],
    ]
    assert list(_details(found)) == [
        "done           start container a (new)",
        "failed         start container b (new): no such command",
        "skipped        start container c (new)",
        "planned anew   start container d (new)",
        "done           remove container x (the change has failed)",
        "done           remove container y (the change has failed)",
        "cut short      start container e (rolled back)",
    ]
    states = [[each.get("state") for each in plan] for plan in _plain(found)["plans"]]
    assert states == [["done", "failed", "skipped", "not begun"], ["done", "done"], ["started"]]


def test_entries_of_older_versions_do_not_tell_what_became_of_their_steps(tmp_path: Path) -> None:
    layout = Layout.at(tmp_path)
    journal = Journal(commands_path(layout, "shop"))
    begin = {"verb": "up", "command": "stackup up", "user": "root", "pid": 0, "cwd": "/"}
    for entry in (
        {"what": "begin", "time_ns": 1, **begin},
        {"what": "plan", "steps": [["start container a", "new"]], "count": 1},
        {"what": "error", "step": "start container a", "text": "no such command"},
        {"what": "end", "time_ns": 2, "exit": 1},
    ):
        journal.append({"id": "1", **entry})
    (found,) = commands(layout, "shop")
    assert list(_details(found)) == ["start container a (new)", "error: no such command"]
    assert _plain(found)["plans"] == [[{"step": "start container a", "reason": "new"}]]


def test_steps_that_are_not_kept_are_not_told_of(tmp_path: Path) -> None:
    life = Life(tmp_path)
    command = Command(life.chronicle, "up", "`stackup up -d` (process 0)", "/srv/shop", {})
    command.hear({"event": "plan", "actions": [step(str(number)) for number in range(STEPS + 1)]})
    command.hear({"event": "action", "id": str(STEPS), "state": "failed", "error": {"message": "no"}})
    (found,) = commands(life.layout, "shop")
    assert found["outcomes"] == [[""] * STEPS]
    assert found["errors"] == [{"step": f"start container {STEPS}", "text": "no", "at": None}]


def test_restart_is_told_when_somebody_asked_for_it(tmp_path: Path) -> None:
    life = Life(tmp_path)
    command = Command(life.chronicle, "restart", "`stackup restart` (process 0)", "/", {})
    life.goes("started", incarnation=2)
    command.ended(0)
    life.goes("started", incarnation=3)
    assert life.actions == ["start", "restart", "start"]


def test_networks_tell_who_comes_and_goes(tmp_path: Path) -> None:
    life = Life(tmp_path)
    life.definition.endpoints = (SimpleNamespace(name="shop_default"),)
    life.goes("starting")
    life.goes("paused")
    life.goes("unpaused")
    life.goes("exited", exit_code=0)
    assert life.actions == ["connect", "pause", "unpause", "die", "disconnect"]
    assert life.published[0]["type"] == "network"
    assert life.published[0]["attributes"] == {"container": "0123", "name": "shop_default", "type": "bridge"}
