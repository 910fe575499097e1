"""Caches of RUN --mount=type=cache, as ``system prune`` takes them away; and what the history says of steps."""

from __future__ import annotations

import os
from pathlib import Path

from stackup.base.files import try_lock
from stackup.base.paths import Layout
from stackup.build.dockerfile import parse_dockerfile
from stackup.build.mounting import forget_cache_mounts
from stackup.build.running import _told
from stackup.build.state import State


def test_caches_that_nobody_uses_are_forgotten(tmp_path: Path) -> None:
    layout = Layout.at(tmp_path)
    forget_cache_mounts(layout)
    mounts = layout.build_cache / "mounts"
    for name in ("used", "unused"):
        (mounts / name).mkdir(parents=True)
        (mounts / name / "file").touch()
    held = try_lock(mounts / ".locks/used")
    assert held is not None
    forget_cache_mounts(layout)
    assert [path.name for path in mounts.iterdir() if not path.name.startswith(".")] == ["used"]
    assert not list((mounts / ".work").glob("[!.]*"))
    os.close(held)
    forget_cache_mounts(layout)
    assert not (mounts / "used").exists()


def test_history_of_run() -> None:
    shell, plain = parse_dockerfile('FROM x\nRUN --network=none a  "b c"\nRUN ["d", "e"]\n', "Dockerfile").instructions[
        1:
    ]
    state = State(arguments={"A": "1", "HTTP_PROXY": "http://proxy", "B": "2"})
    assert _told(state, shell) == 'RUN |2 A=1 B=2 /bin/sh -c a  "b c" # buildkit'
    assert _told(State(), plain) == "RUN d e # buildkit"
