"""examples/02-guestbook: nginx, Python, redis and postgres, as its README promises. The images are built beforehand."""

from __future__ import annotations

import json
import re
import shlex
import urllib.parse
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.e2e.conftest import in_shared_root
from tests.support.scenario import Scenario
from tests.support.waiting import page

pytestmark = [pytest.mark.root, pytest.mark.timeout(300)]

PAGE = "http://127.0.0.1:18081/"


@pytest.fixture
def guestbook(request: pytest.FixtureRequest, prebuilt_images: Path) -> Iterator[Scenario]:
    yield from in_shared_root(request, prebuilt_images, "02-guestbook")


def entries() -> list[tuple[str, str]]:
    return [(entry["name"], entry["message"]) for entry in json.loads(page(PAGE + "entries", timeout=20))]


def sign(name: str, message: str) -> None:
    data = urllib.parse.urlencode({"name": name, "message": message}).encode()
    with urllib.request.urlopen(PAGE + "entries", data, timeout=10) as answer:
        assert message.split("<")[0] in answer.read().decode()


def rows(scenario: Scenario) -> list[str]:
    psql = "PGPASSWORD=$POSTGRES_PASSWORD psql -h 127.0.0.1 -U $POSTGRES_USER -At"
    return scenario.run_in("db", f"{psql} -c 'SELECT name FROM entries ORDER BY id'").splitlines()


def test_guestbook(guestbook: Scenario) -> None:
    guestbook.stackup("up", "-d", "--wait", "--no-build", timeout=120).ok()
    assert {row["Service"] for row in guestbook.ps()} == {"web", "app", "db", "cache"}
    assert guestbook.row("migrate")["ExitCode"] == 0
    assert "0 entries" in page(PAGE)

    sign("Ada", "first <b>program</b>")
    sign("Grace", "first bug")
    assert entries() == [("Grace", "first bug"), ("Ada", "first <b>program</b>")]
    assert "<b>program" not in page(PAGE), "what visitors write is escaped"
    assert rows(guestbook) == ["Ada", "Grace"]
    documented = re.findall(r"`stackup (exec .*?)`", (guestbook.directory / "README.md").read_text())
    answers = [guestbook.stackup(*shlex.split(command)).ok().out for command in documented]
    assert "first bug" in answers[0] and int(answers[1]) >= 2
    assert int(guestbook.run_in("cache", "redis-cli get visits")) >= 2

    assert guestbook.run_in("app", "getent hosts db").split()[1] == "db"
    assert guestbook.exec("web", "getent", "hosts", "db").code != 0, "web is not on the databases' network"
    assert "GET / HTTP" in guestbook.logs("web")
    migrated = guestbook.logs("-t", "migrate").split("\n")[-2].split()[0]
    assert migrated < guestbook.logs("-t", "app").split()[0]

    guestbook.stackup("down", timeout=60).ok()
    guestbook.stackup("up", "-d", "--wait", "--no-build", timeout=120).ok()
    assert [name for name, _ in entries()] == ["Grace", "Ada"]

    guestbook.stackup("down", "-v", timeout=60).ok()
    guestbook.stackup("up", "-d", "--wait", "--no-build", timeout=120).ok()
    assert entries() == []
