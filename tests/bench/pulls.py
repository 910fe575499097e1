"""Pulls: how long an image takes to come from a registry on loopback until it can be run, beside ``skopeo copy`` to an
OCI directory and ``tar -xz`` of its layers. Both end with the same files on the same disk, taking turns.
"""

from __future__ import annotations

import json
import os
import shutil
import statistics
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from stackup.base.paths import Layout
from stackup.images.store import ImageStore
from tests.bench.images import SIZE, make_layer
from tests.bench.report import Bound, shown
from tests.support.cli import TREE, stackup_command
from tests.support.debianregistry import debian_registry, skopeo


@dataclass(frozen=True)
class Pulling:
    """Medians, in seconds. ``size`` is that of the compressed layer."""

    own: float
    skopeo: float
    size: int


def rows(found: Pulling) -> list[str]:
    return [
        "| pulling | stackup | skopeo and tar | stackup / them |",
        "| --- | ---: | ---: | ---: |",
        f"| image of one layer, {found.size / 1e6:.0f} MB | {shown(found.own)} | {shown(found.skopeo)} "
        f"| {found.own / found.skopeo:.2f} |",
    ]


def bound(found: Pulling) -> Bound:
    return Bound(f"pulling {found.size / 1e6:.0f} MB over skopeo copy and unpacking", found.own / found.skopeo, 1.0)


def measure(work: Path, repeat: int, size: int = SIZE) -> Pulling:
    """``work`` lies on the disk that is written to."""
    with debian_registry(work) as registry:
        name = f"{registry.host}/bench:1"
        fill(work, name, size)
        times: dict[str, list[float]] = {"own": [], "skopeo": []}
        for turn in range(repeat + 1):
            for who, pull in (("own", _own), ("skopeo", _skopeo)):
                print(f"round {turn}/{repeat}: {who}", file=sys.stderr)
                seconds = _timed(work / "target", name, pull)
                if turn:  # the first round warms the file cache
                    times[who].append(seconds)
        manifest = json.loads(skopeo("inspect", "--raw", "--tls-verify=false", f"docker://{name}"))
    size = manifest["layers"][0]["size"]
    return Pulling(statistics.median(times["own"]), statistics.median(times["skopeo"]), size)


def fill(work: Path, name: str, size: int) -> None:
    print("making the image", file=sys.stderr)
    archive, root = work / "layer.tar.gz", work / "source"
    make_layer(archive, size)
    ImageStore(Layout.at(root)).import_rootfs(archive, name)
    _stackup(root, "push", "-q", name)
    shutil.rmtree(root)
    archive.unlink()


def _stackup(root: Path, *words: str) -> None:
    environment = {**os.environ, "STACKUP_ROOT": str(root), "PYTHONPATH": str(TREE)}
    subprocess.run([*stackup_command(), *words], env=environment, check=True, stdout=subprocess.DEVNULL)


def _own(target: Path, name: str) -> None:
    _stackup(target, "pull", "-q", name)


def _skopeo(target: Path, name: str) -> None:
    skopeo("copy", "-q", "--src-tls-verify=false", f"docker://{name}", f"oci:{target}/image:x")
    layer = max((target / "image/blobs/sha256").iterdir(), key=lambda path: path.stat().st_size)
    (target / "root").mkdir()
    subprocess.run(["tar", "-C", target / "root", "-xzf", layer], check=True)


def _timed(target: Path, name: str, pull: Callable[[Path, str], None]) -> float:
    target.mkdir()
    os.sync()
    try:
        began = time.perf_counter()
        pull(target, name)
        return time.perf_counter() - began
    finally:
        shutil.rmtree(target)
