"""kill -9 in the middle of a pull: nothing has a name that is not whole, and a repeat is all that it takes."""

from __future__ import annotations

import multiprocessing
import os
import signal
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from registry_support import Client

from stackup.images.catalog import listed
from stackup.images.verifying import Verifier
from tests.support.fakeregistry import FakeRegistry, some_layer

STEPS = ("rename", "replace", "mkdir", "pwrite", "write", "unlink", "fsync")  # what leaves a trace on the disk
STRIDE = 8


def killed_at(number: int, work: Callable[[], object]) -> bool:
    """Does the work in a process of its own, which is killed right before its n-th step, whichever thread does that;
    False when it had fewer."""

    def child() -> None:
        lock, count = threading.Lock(), 0

        def counted(step: Callable[..., Any]) -> Callable[..., Any]:
            def call(*args: Any, **options: Any) -> Any:
                nonlocal count
                with lock:
                    count += 1
                    if count >= number:
                        os.kill(os.getpid(), signal.SIGKILL)
                return step(*args, **options)

            return call

        for name in STEPS:
            setattr(os, name, counted(getattr(os, name)))
        work()

    process = multiprocessing.get_context("fork").Process(target=child)
    process.start()
    process.join(60)
    assert process.exitcode in (0, -signal.SIGKILL)
    return process.exitcode != 0


@pytest.mark.parametrize("first", (1, 5))
def test_a_pull_killed_anywhere(tmp_path: Path, first: int) -> None:
    with FakeRegistry().serving() as registry:
        registry.image("team/app", "1", [some_layer("etc"), some_layer("usr", "bin", size=400_000)])
        name, number = f"{registry.host}/team/app:1", first
        while True:
            directory = tmp_path / str(number)
            directory.mkdir()
            client = Client(directory)
            died = killed_at(number, lambda client=client: client.pull(name))  # type: ignore[misc]
            if listed(client.store):
                assert Verifier(client.store).run() == []
            client.pull(name)
            assert client.content(name) == {"etc", "usr", "bin", "large"}
            assert Verifier(client.store).run() == []
            client.store.sweep()
            assert client.leftovers() == client.parts() == []
            if not died:
                break
            number += STRIDE
    assert number > 3 * STRIDE
