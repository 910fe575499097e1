"""How long a command waits for an answer, and for whom."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
from pathlib import Path

import pytest

from stackup.base.errors import HostUnfit
from stackup.base.paths import Layout
from stackup.control import client as client_module
from stackup.control import replacing
from stackup.control.client import Client
from tests.support.waiting import eventually


def test_a_supervisor_that_was_stopped_is_not_waited_for(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(client_module, "LOOK_EVERY", 0.01)
    monkeypatch.setattr(replacing, "stopped", lambda *_: (7, "supervisor"))
    ours, theirs = socket.socketpair()
    with ours, theirs, pytest.raises(HostUnfit, match=r"its supervisor \(process 7\) was stopped") as caught:
        list(Client(Layout.at(tmp_path), "shop", ours).request("ps", {}))
    assert "kill -CONT 7" in caught.value.hint


def test_whoever_waits_for_a_disk_is_told(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(client_module, "LOOK_EVERY", 0.01)
    ours, theirs = socket.socketpair()
    seen = iter([0, 7, 0, 7, 7, 7])  # a moment of it is nothing
    monkeypatch.setattr(replacing, "waits_for_disk", lambda *_: next(seen, 0))
    monkeypatch.setattr(replacing, "stopped", lambda *_: None)
    with ours, theirs:
        events = Client(Layout.at(tmp_path), "shop", ours).request("ps", {})
        notice = next(events)
        assert "process 7) waits for a disk" in notice["text"]
        assert list(seen) == [7]
        theirs.sendall(b'{"event": "done", "exit": 0}\n')
        assert list(events) == [{"event": "done", "exit": 0}]


def test_who_is_stopped(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    process = subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE)
    try:
        monkeypatch.setattr(replacing, "_own", lambda *_: [(process.pid, "supervisor", {})])
        assert replacing.stopped(Layout.at(tmp_path), "shop") is None
        os.kill(process.pid, signal.SIGSTOP)
        eventually(lambda: replacing.stopped(Layout.at(tmp_path), "shop") == (process.pid, "supervisor"), "it is seen")
    finally:
        process.kill()
        process.communicate()
