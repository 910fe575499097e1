"""How often a request reaches supervisors that are killed: what one of them has begun is done once."""

from __future__ import annotations

import json
import socket
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from stackup.base.paths import Layout
from stackup.control import client as client_module
from stackup.control.client import Client, SupervisorLost

Event = dict[str, Any]
BEGUN: Event = {"event": "begun"}
DONE: Event = {"event": "done", "exit": 0}
ONCE: list[tuple[str, Event]] = [
    ("exec", {"service": "web", "command": ["touch", "/x"]}),
    ("kill", {"signal": "SIGUSR1"}),
    ("restart", {}),
    ("start", {"now": True}),
    ("up", {"detach": True, "force_recreate": True}),
    ("apply", {}),
    ("rollback", {}),
    ("build", {}),
]
AGAIN: list[tuple[str, Event]] = [("up", {"detach": True, "scale": {"web": 3}}), ("ps", {}), ("down", {}), ("stop", {})]


class Supervisors:
    """One after the other: each reads its request, says what it is told to say, and is killed."""

    def __init__(self, *said: list[Event], unread: bool = False) -> None:
        self._said = iter(said)
        self._unread = unread  # it dies with something in its socket, which resets the connection
        self.requests: list[Event] = []
        self.threads: list[threading.Thread] = []

    def next(self) -> socket.socket:
        ours, theirs = socket.socketpair()
        thread = threading.Thread(target=self._serve, args=(theirs, next(self._said)))
        self.threads.append(thread)
        thread.start()
        return ours

    def _serve(self, sock: socket.socket, said: list[Event]) -> None:
        with sock:
            line = b""
            while not line.endswith(b"\n"):
                line += sock.recv(1 if self._unread else 1 << 16)
                if self._unread and len(line) > 5:
                    self.requests.append({})
                    break
            else:
                self.requests.append(json.loads(line))
            sock.sendall(b"".join(json.dumps(event).encode() + b"\n" for event in said))


@pytest.fixture
def layout(tmp_path: Path) -> Layout:
    return Layout.at(tmp_path)


def asked(
    monkeypatch: pytest.MonkeyPatch, layout: Layout, supervisors: Supervisors, verb: str, args: Event
) -> Iterator[Event]:
    def ensure(layout: Layout, project: str) -> Client:
        return Client(layout, project, supervisors.next())

    monkeypatch.setattr(client_module, "ensure", ensure)
    yield from ensure(layout, "shop").request(verb, args)
    for thread in supervisors.threads:
        thread.join()


@pytest.mark.parametrize(("verb", "args"), ONCE)
@pytest.mark.parametrize("said", [[BEGUN], [BEGUN, {"event": "plan", "actions": []}], [{"event": "console"}]])
@pytest.mark.parametrize("unread", [False, True])
def test_what_was_begun_is_not_done_twice(
    monkeypatch: pytest.MonkeyPatch, layout: Layout, verb: str, args: Event, said: list[Event], unread: bool
) -> None:
    supervisors = Supervisors(said, [BEGUN, DONE], unread=unread)
    with pytest.raises(SupervisorLost, match=f"cannot finish {verb}: the supervisor of project shop went away"):
        list(asked(monkeypatch, layout, supervisors, verb, args))
    assert len(supervisors.requests) == 1


@pytest.mark.parametrize(("verb", "args"), ONCE + AGAIN)
@pytest.mark.parametrize("said", [[], [{"event": "restarting"}]])
def test_what_was_not_begun_is_sent_again(
    monkeypatch: pytest.MonkeyPatch, layout: Layout, verb: str, args: Event, said: list[Event]
) -> None:
    supervisors = Supervisors(said, [BEGUN, DONE])
    assert list(asked(monkeypatch, layout, supervisors, verb, args)) == [DONE]
    assert [request["args"] for request in supervisors.requests] == [args, args]


@pytest.mark.parametrize(("verb", "args"), AGAIN)
def test_what_makes_something_so_is_begun_again(
    monkeypatch: pytest.MonkeyPatch, layout: Layout, verb: str, args: Event
) -> None:
    supervisors = Supervisors([BEGUN], [BEGUN, DONE])
    assert list(asked(monkeypatch, layout, supervisors, verb, args)) == [DONE]
    assert [request["args"] for request in supervisors.requests] == [args, args]


def test_nobody_is_asked_for_ever(monkeypatch: pytest.MonkeyPatch, layout: Layout) -> None:
    supervisors = Supervisors(*[[BEGUN]] * 9)
    with pytest.raises(SupervisorLost):
        list(asked(monkeypatch, layout, supervisors, "ps", {}))
    assert len(supervisors.requests) == client_module.RETRIES + 1
