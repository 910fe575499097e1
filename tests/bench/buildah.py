"""A ten-step Dockerfile beside buildah: the whole command, from its start to its end, nothing out of a cache. The base
image lies in both stores beforehand; they take turns.

What counts is ``buildah build --layers``: it makes a layer of each step, as stackup does. By default it makes a single
one, which is shown, too. It runs steps with ``--isolation chroot`` in the host's network, the least it can do; those of
stackup have control groups, namespaces and a network of their own.
"""

from __future__ import annotations

import os
import shutil
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

from tests.bench.report import Bound, shown
from tests.registry.server import serving, stored
from tests.support.cli import TREE, stackup_command
from tests.support.debianregistry import skopeo

BASE = "python:3.12-slim"
_DOCKERFILE = f"""FROM {BASE}
ENV PLACE=/app PYTHONUNBUFFERED=1
WORKDIR /app
COPY requirements.txt .
RUN grep -q something requirements.txt && echo installed > .installed
COPY modules/ modules/
RUN python3 -m compileall -q modules
RUN mkdir -p /data && chown 1000:1000 /data
RUN echo 'app:x:1000:1000::/app:/bin/sh' >> /etc/passwd
USER 1000
CMD ["python3", "-m", "modules.m1"]
"""
_STACK = "services: {app: {image: 'bench:1', build: ./context}}\n"
_MODULES = 40


@dataclass(frozen=True)
class Beside:
    """Medians, in seconds."""

    own: float
    one_layer: float
    layers: float


def why_not() -> str:
    """What keeps this from being measured here; empty when nothing does."""
    if shutil.which("buildah") is None:
        return "buildah is missing"
    return "" if stored(_stand_ins()) else "the stand-ins for Docker Hub's images have not been made"


def rows(found: Beside) -> list[str]:
    return [
        "| building | stackup | buildah --layers | stackup / it | buildah, one layer | stackup / it |",
        "| --- | ---: | ---: | ---: | ---: | ---: |",
        f"| 10 steps on {BASE} | {shown(found.own)} | {shown(found.layers)} | {found.own / found.layers:.2f} "
        f"| {shown(found.one_layer)} | {found.own / found.one_layer:.2f} |",
    ]


def bound(found: Beside) -> Bound:
    return Bound(f"a build of 10 steps on {BASE} over buildah's", found.own / found.layers, 1.0)


def measure(work: Path, repeat: int) -> Beside:
    """``work`` lies on the disk that is written to."""
    _fill(work / "context")
    (work / "compose.yaml").write_text(_STACK)
    environment = {**os.environ, "STACKUP_ROOT": str(work / "state"), "PYTHONPATH": str(TREE)}
    _bring_in(work, environment)
    times: dict[str, list[float]] = {"own": [], "one_layer": [], "layers": []}
    ways: dict[str, Callable[[], list[str]]] = {
        "own": lambda: [*stackup_command(), "build", "-q", "--no-cache"],
        "one_layer": lambda: _buildah(work, "--layers=false"),
        "layers": lambda: _buildah(work, "--layers"),
    }
    for turn in range(repeat + 1):
        for name, command in ways.items():
            print(f"round {turn}/{repeat}: {name}", file=sys.stderr)
            seconds = _timed(command(), work, environment)
            if turn:  # the first round warms the file cache
                times[name].append(seconds)
    return Beside(*(statistics.median(times[name]) for name in ways))


def _stand_ins() -> Path:
    return Path(os.environ.get("STACKUP_DEV_CACHE") or TREE / ".cache") / "registry"


def _fill(context: Path) -> None:
    (context / "modules").mkdir(parents=True)
    (context / "Dockerfile").write_text(_DOCKERFILE)
    (context / "requirements.txt").write_text("something\n")
    for number in range(_MODULES):
        (context / f"modules/m{number}.py").write_text(f"def value():\n    return {number}\n" * 50)


def _bring_in(work: Path, environment: Mapping[str, str]) -> None:
    places = f"overlay@{work}/storage+{work}/running"
    with serving(_stand_ins()) as mirror:
        words = [*stackup_command(), "pull", "-q", BASE]
        (work / "base").mkdir()
        (work / "base/compose.yaml").write_text(f"services: {{base: {{image: '{BASE}'}}}}\n")
        subprocess.run(words, env={**environment, **mirror.environment}, cwd=work / "base", check=True)
        source = f"docker://{mirror.host}/library/{BASE}"
        skopeo("copy", "-q", "--src-tls-verify=false", source, f"containers-storage:[{places}]docker.io/library/{BASE}")


def _buildah(work: Path, layers: str) -> list[str]:
    storage = ["--root", f"{work}/storage", "--runroot", f"{work}/running", "--storage-driver", "overlay"]
    how = ["--no-cache", "--pull-never", "--network=host", "--isolation", "chroot", layers, "-q", "-t", "bench:1"]
    return ["buildah", *storage, "build", *how, f"{work}/context"]


def _timed(command: list[str], work: Path, environment: Mapping[str, str]) -> float:
    os.sync()
    began = time.perf_counter()
    subprocess.run(command, env=environment, cwd=work, check=True, stdout=subprocess.DEVNULL)
    return time.perf_counter() - began
