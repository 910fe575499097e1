"""events and history: what happened, in docker compose's shape, and who did it."""

from __future__ import annotations

import json
import re
from typing import Any

import pytest

from tests.support.scenario import Scenario
from tests.support.waiting import eventually

pytestmark = pytest.mark.root

STACK = """
    services:
      web: {image: busybox, command: sleep 1000, stop_signal: SIGKILL, labels: {team: blue}}
      fails: {image: busybox, command: sh -c 'exit 3'}
    volumes: {data: {}}
    """


def parsed(text: str) -> list[dict[str, Any]]:
    return [json.loads(line) for line in text.splitlines()]


def story(events: list[dict[str, Any]], service: str) -> list[str]:
    return [event["action"] for event in events if event["service"] == service]


def test_events_past_and_present_survive_the_supervisor_and_down(scenario: Scenario) -> None:
    scenario.compose(STACK)
    scenario.stackup("up", "-d").ok()
    scenario.has_state("fails", "exited")
    live = scenario.start("events", "--json", "--since", "1h", "web")
    live.shows('"action": "start"')
    scenario.stackup("restart", "web").ok()
    live.shows('"action": "restart"')
    live.kill()
    whole = parsed(live.text)
    assert story(whole, "web") == ["create", "start", "kill", "die", "stop", "start", "restart"]
    assert {event["service"] for event in whole} == {"web"}
    first = whole[0]
    assert set(first) == {"action", "attributes", "id", "service", "time", "type"}
    assert first["attributes"] == {"image": "busybox", "name": f"{scenario.project}-web-1", "team": "blue"}
    scenario.kill_daemon("supervisor")
    eventually(lambda: scenario.daemon("supervisor"), "a new supervisor")
    scenario.stackup("down").ok()
    after = parsed(scenario.stackup("events", "--json", "--since", "1h", "--until", "0s").ok().out)
    assert story(after, "web")[-4:] == ["kill", "die", "stop", "destroy"]
    assert story(after, "fails") == ["create", "start", "die", "destroy"]
    [code] = [event["attributes"]["exitCode"] for event in after if story([event], "fails") == ["die"]]
    assert code == "3"
    networks = [event for event in after if event["type"] == "network"]
    told = [event["action"] for event in networks]
    assert (told[0], told[-1], set(told[1:-1])) == ("create", "destroy", {"connect", "disconnect"})
    assert told.count("connect") == told.count("disconnect") == 3
    text = scenario.stackup("events", "--since", "1h", "--until", "0s").ok().out
    assert re.search(
        rf"^\d{{4}}-\d\d-\d\d \d\d:\d\d:\d\d\.\d{{6}} container die [0-9a-f]{{64}} \(exitCode=3, image=busybox, "
        rf"name={scenario.project}-fails-1\)$", text, re.MULTILINE,
    )  # fmt: skip
    assert scenario.stackup("events", "--json", "--since", after[-1]["time"], "--until", "0s").ok().out.count("\n") == 1


def test_history_says_who_did_what_and_why_and_outlives_down(scenario: Scenario) -> None:
    scenario.compose(STACK)
    scenario.stackup("up", "-d", env={"SUDO_USER": "alice"}).ok()
    scenario.stackup("kill", "nobody").refused("no such service")
    scenario.replace("team: blue", "team: red")
    scenario.kill_daemon("supervisor")
    scenario.stackup("up", "-d", "web").ok()
    scenario.stackup("ps").ok()
    scenario.stackup("down").ok()
    rows = parsed(scenario.stackup("history", "--json").ok().out)
    assert [row["verb"] for row in rows] == ["up", "up", "down"]
    assert [row["exit"] for row in rows] == [0, 0, 0]
    assert rows[0]["command"] == "stackup up -d"
    assert rows[0]["cwd"] == str(scenario.directory)
    steps = [step for plan in rows[1]["plans"] for step in plan]
    assert any("team" in step["reason"] for step in steps), steps
    table = scenario.stackup("history").ok().out
    assert re.search(r"stackup down +done in \d", table)
    assert "create network" in scenario.stackup("history", "--steps").ok().out
    assert len(scenario.stackup("history", "-n", "1").ok().out.splitlines()) == 2


def test_exec_and_hooks_are_told(scenario: Scenario) -> None:
    hook = "      hooked: {image: busybox, command: sleep 1000, stop_signal: SIGKILL, post_start: [{command: HOOK}]}\n"
    hook = hook.replace("HOOK", '[sh, -c, "echo one; echo two"]')
    scenario.compose(STACK.replace("    volumes:", f"{hook}    volumes:"))
    scenario.stackup("up", "-d").ok()
    scenario.exec("hooked", "sh", "-c", "exit 4")
    events = parsed(scenario.stackup("events", "--json", "--since", "1h", "--until", "0s", "hooked").ok().out)
    assert story(events, "hooked")[2:] == [
        "post_start",
        "exec_create: sh -c exit 4",
        "exec_start: sh -c exit 4",
        "exec_die",
    ]
    assert events[2]["attributes"]["output"] == "one\ntwo"
    assert events[-1]["attributes"]["exitCode"] == "4"
    assert "output=one\\ntwo" in scenario.stackup("events", "--since", "1h", "--until", "0s", "hooked").ok().out
    assert "stackup exec" not in scenario.stackup("history").ok().out
    assert re.search(r"stackup exec .*hooked sh -c .*exit code 4", scenario.stackup("history", "--all").ok().out)
