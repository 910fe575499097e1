"""Pulls and pushes that a command carries out itself, with workers of the test's own."""

from __future__ import annotations

import os
import signal
import sys
from itertools import count
from pathlib import Path

import pytest
from cli_support import console, err, out, says, session, supervisor

from stackup.base.errors import Bug, ImageError, StackFileError
from stackup.base.paths import Layout
from stackup.cli.imagenames import split
from stackup.cli.registry import load
from stackup.cli.session import Session
from stackup.cli.transfers import Job, Transfers
from stackup.images import transfers

WORKER = """
import json, os, sys
request = json.loads(sys.stdin.readline())
for event in request["events"]:
    print(json.dumps(event) if isinstance(event, dict) else event, flush=True)
code = request.get("code", 0)
sys.exit(code if code >= 0 else os.kill(os.getpid(), -code))
"""
STUBBORN = """
import json, os, signal, sys
signal.signal(signal.SIGTERM, signal.SIG_IGN)
for text in (str(os.getpid()), str(os.getsid(0))):
    print(json.dumps({"event": "progress", "kind": "note", "text": text}), flush=True)
while True:
    signal.pause()
"""
DONE = {"event": "done", "reference": "a:1"}
LAYER = {"id": "aaa", "state": "done", "done": 5, "size": 5}
PROGRESS = {"event": "progress", "kind": "transfer", "layers": [LAYER], "rate": 0, "left": None, "text": "aaa: pulled"}


@pytest.fixture
def pulling(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Session:
    monkeypatch.setattr(transfers, "command", lambda: [sys.executable, "-c", WORKER])
    made = session(Layout.at(tmp_path / "root"), project="", cwd=tmp_path)
    made.console = console()
    return made


def job(name: str, *events: object, code: int = 0) -> Job:
    return Job("pull", name, {"events": list(events), "code": code})


def test_each_job_has_its_own_end(pulling: Session) -> None:
    failure = ImageError("cannot pull b:1: no", hint="look").to_dict()
    jobs = [
        job("a:1", PROGRESS, DONE),
        job("b:1", {"event": "error", "error": failure}),
        job("c:1", code=3),
        job("d:1", "no JSON"),
        job("e:1", code=-9),
    ]
    Transfers(pulling, "pull", jobs).run()
    first, second, third, fourth, fifth = jobs
    assert (first.result, first.error) == (DONE, None)
    assert second.error is not None and second.error.hint == "look"
    assert str(third.error) == "cannot pull c:1: the worker ended with code 3"
    assert isinstance(fourth.error, Bug)
    assert str(fifth.error) == "cannot pull e:1: its worker process was killed (signal 9, SIGKILL)"
    assert fifth.error is not None and "memory" in fifth.error.hint
    text = pulling.console.err.text()  # type: ignore[attr-defined]
    assert "image a:1: aaa: pulled\n" in text
    assert "image b:1: cannot pull" in text


def test_quietly_and_one_by_one(pulling: Session) -> None:
    jobs = [job(name, PROGRESS, DONE) for name in ("a:1", "b:1")]
    Transfers(pulling, "pull", jobs, quiet=True, at_once=1).run()
    assert all(item.result == DONE for item in jobs)
    assert pulling.console.err.text() == ""  # type: ignore[attr-defined]


def test_build_pushes_what_it_has_built(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Under the service's name and ``build.tags``; nothing when the build has failed."""
    worker = """
import json, sys
reference = json.loads(sys.stdin.readline())["reference"]
print(json.dumps({"event": "done", "reference": reference, "digest": "sha256:1"}))
"""
    monkeypatch.setattr(transfers, "command", lambda: [sys.executable, "-c", worker])
    (tmp_path / "compose.yaml").write_text("""
services:
  web: {image: "r.example/web:1", build: {context: ., tags: ["r.example/web:2"]}, depends_on: [base, db]}
  base: {image: "r.example/base:1", build: .}
  nameless: {build: .}
  db: {image: busybox}
""")

    numbers = count()

    def build(answer: int, **given: object) -> tuple[int, list[str], str]:
        layout = Layout.at(tmp_path / f"root{next(numbers)}")
        of = session(layout, cwd=tmp_path)
        verb = load("build")
        with supervisor(layout, says({"event": "done", "exit": answer})):
            code = verb.run(of, verb.request(push=True, **given))
        pushed = [line.partition(": digest")[0] for line in out(of).splitlines()]
        return code, pushed, err(of)

    web, base = ["r.example/web:1", "r.example/web:2"], ["r.example/base:1"]
    code, pushed, told = build(0)
    assert (code, sorted(pushed)) == (0, sorted(web + base))
    assert "service nameless has no `image:`" in told
    assert sorted(build(0, services=("web",))[1]) == web
    assert sorted(build(0, services=("web",), with_dependencies=True, progress="quiet")[1]) == sorted(web + base)
    assert build(1)[:2] == (1, [])


def test_nothing_to_do(pulling: Session) -> None:
    Transfers(pulling, "pull", []).run()


def test_names_are_services_or_references(tmp_path: Path, pulling: Session) -> None:
    assert split(pulling, ["redis:7", "ghcr.io/a/b", "x@sha256:0"])[1:] == (
        [],
        ["redis:7", "ghcr.io/a/b", "x@sha256:0"],
    )
    assert split(pulling, ["redis"])[1:] == ([], ["redis"])
    (tmp_path / "compose.yaml").write_text("services: {web: {image: nginx}}\n")
    loaded, services, references = split(pulling, ["web", "redis:7"])
    assert loaded is not None and set(loaded.stack.services) == {"web"}
    assert (services, references) == (["web"], ["redis:7"])
    (tmp_path / "compose.yaml").write_text("services: {web: {imag: nginx}}\n")
    with pytest.raises(StackFileError):
        split(pulling, ["web"])


def test_interrupted_by_the_user_all_workers_end(pulling: Session, monkeypatch: pytest.MonkeyPatch) -> None:
    """Even those that do not want to; the terminal's own signal does not reach them."""
    monkeypatch.setattr(transfers, "command", lambda: [sys.executable, "-c", STUBBORN])
    monkeypatch.setattr("stackup.cli.transfers.GRACE", 0.01)
    running = Transfers(pulling, "pull", [job("a:1"), job("b:1"), job("c:1"), job("d:1")])
    told: list[int] = []

    def interrupt(event: dict[str, str]) -> None:
        told.append(int(event["text"]))
        if len(told) == 6:
            signal.raise_signal(signal.SIGINT)

    monkeypatch.setattr(running._shown, "detail", interrupt)
    with pytest.raises(KeyboardInterrupt, match="interrupted; what has arrived is kept, run again to continue"):
        running.run()
    assert os.getsid(0) not in told
    for item in running._jobs:
        if item.process is not None:
            assert item.process.wait(10) == -signal.SIGKILL
    assert running._jobs[3].process is None  # had not begun, and does not begin now
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler
