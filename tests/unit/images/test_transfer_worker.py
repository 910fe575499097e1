"""The process that carries out one transfer: how it ends, whatever happens to it and around it."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from stackup.base.paths import Layout
from stackup.images import transfers
from tests.support.fakeregistry import FakeRegistry, Fault, some_layer
from tests.support.waiting import eventually, gone

LARGE = 3_000_000
PARENT = """
import subprocess, sys
from stackup.base.paths import Layout
from stackup.images import transfers
worker = subprocess.Popen(transfers.command(), stdin=subprocess.PIPE, env=transfers.environment(sys.argv[1]))
worker.stdin.write(sys.stdin.buffer.readline())
worker.stdin.close()
print(worker.pid, flush=True)
worker.wait()
"""


@contextmanager
def stalled() -> Iterator[tuple[FakeRegistry, bytes]]:
    """A registry that has sent a part of the only layer and says no more, and the request for that image."""
    with FakeRegistry().serving() as registry:
        registry.image("team/app", "1", [some_layer("etc", size=LARGE)])
        layer = registry.layers_of("team/app", "1")[0]
        registry.faults.append(Fault(f"blobs/{layer}", stall=LARGE // 2))
        request = transfers.pull_request(f"{registry.host}/team/app:1", {"HOME": "/nonexistent"})
        yield registry, json.dumps(request).encode() + b"\n"


def half_arrived(root: Path) -> None:
    parts = Layout.at(root).images / ".parts"
    found = eventually(lambda: [path for path in parts.glob("*") if not path.suffix and path.stat().st_size])
    assert found


@contextmanager
def running(root: Path, request: bytes) -> Iterator[subprocess.Popen[bytes]]:
    worker = subprocess.Popen(
        transfers.command(),
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        env=transfers.environment(str(root)),
    )
    try:
        assert worker.stdin
        worker.stdin.write(request)
        worker.stdin.close()
        yield worker
    finally:
        worker.kill()
        worker.wait()
        for stream in (worker.stdout, worker.stderr):
            if stream:
                stream.close()


@pytest.mark.parametrize("signum", (signal.SIGTERM, signal.SIGINT, signal.SIGHUP))
def test_a_signal_ends_it_though_the_registry_is_silent(tmp_path: Path, signum: signal.Signals) -> None:
    with stalled() as (_, request), running(tmp_path, request) as worker:
        half_arrived(tmp_path)
        worker.send_signal(signum)
        assert worker.wait(20) == -signum
        assert worker.stderr and worker.stderr.read() == b""


def test_it_ends_with_who_started_it(tmp_path: Path) -> None:
    with stalled() as (_, request):
        command = [sys.executable, "-c", PARENT, str(tmp_path)]
        parent = subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, env=transfers.environment(str(tmp_path))
        )
        with parent:
            assert parent.stdin and parent.stdout
            parent.stdin.write(request)
            parent.stdin.close()
            worker = int(parent.stdout.readline())
            half_arrived(tmp_path)
            parent.kill()
        gone(worker)


def test_of_a_parent_that_is_gone_already(tmp_path: Path) -> None:
    command = transfers.command()[:-1]
    done = subprocess.run([*command, "1" if os.getpid() != 1 else "2"], env=transfers.environment(str(tmp_path)))
    assert done.returncode == 143


def test_nobody_listens_any_more(tmp_path: Path) -> None:
    """That is no fault of the transfer: nothing is said about it, and it ends."""
    with FakeRegistry().serving() as registry:
        registry.image("team/app", "1", [some_layer("etc")])
        request: dict[str, Any] = transfers.pull_request(f"{registry.host}/team/app:1", {"HOME": "/nonexistent"})
        reading, writing = os.pipe()
        os.close(reading)
        done = subprocess.run(
            transfers.command(),
            input=json.dumps(request).encode() + b"\n",
            stdout=writing,
            stderr=subprocess.PIPE,
            env=transfers.environment(str(tmp_path)),
            check=False,
        )
        os.close(writing)
    assert (done.returncode, done.stderr) == (141, b"")
