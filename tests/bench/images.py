"""Images: how long a layer takes to be unpacked, beside GNU tar. Both write to the same disk, taking turns.

What is unpacked are this machine's own programs and libraries, until the gzip archive has 300 MB: files of all sizes,
as an image has them. stackup hashes everything on the way (a layer is only used when its content is what its image
says); tar does not.
"""

from __future__ import annotations

import gzip
import hashlib
import os
import statistics
import subprocess
import sys
import tarfile
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

from stackup.base.paths import Layout
from stackup.images.blobs import BlobStore
from stackup.images.layers import LayerStore
from stackup.images.streams import Compression, decompressed
from stackup.oci import image as oci
from tests.bench.report import Bound, shown

SIZE = 300_000_000  # bytes, compressed
_LEVEL = 6  # gzip's own default, and docker's
_SOURCES = ("/usr/bin", "/usr/lib", "/usr/share", "/usr/sbin", "/opt")
_FEWEST = 0.5  # of SIZE: a machine with less than that on it is not measured


@dataclass(frozen=True)
class Unpacking:
    """Medians, in seconds. ``size`` is that of the gzip archive, ``entries`` how many it holds; ``hashing`` is what
    SHA-256 of its content takes alone."""

    own: float
    tar: float
    size: int
    entries: int
    hashing: float


def rows(found: Unpacking) -> list[str]:
    return [
        "| unpacking | stackup | tar -xz | stackup / tar |",
        "| --- | ---: | ---: | ---: |",
        f"| gzip layer, {found.size / 1e6:.0f} MB, {found.entries} entries | {shown(found.own)} | {shown(found.tar)} "
        f"| {found.own / found.tar:.2f} |",
        "",
        f"SHA-256 of what is in it takes {shown(found.hashing)} alone on this machine (about a quarter of that on "
        "processors that have instructions for it).",
    ]


def bound(found: Unpacking) -> Bound:
    return Bound(f"unpacking a gzip layer of {found.size / 1e6:.0f} MB over tar -xz", found.own / found.tar, 0.5)


def measure(work: Path, repeat: int, size: int = SIZE) -> Unpacking:
    """``work`` lies on the disk that is written to."""
    archive = work / "layer.tar.gz"
    print("making the layer", file=sys.stderr)
    entries = make_layer(archive, size)
    blobs = BlobStore(work / "images")
    with archive.open("rb") as file:
        blob = blobs.put(iter(lambda: file.read(1 << 20), b""), oci.LAYER_GZIP)
    diff_id, hashing = _diff_id(archive)

    def own(target: Path) -> None:
        LayerStore(Layout.at(target).layers).ensure(blob, diff_id, blobs)

    def tar(target: Path) -> None:
        subprocess.run(["tar", "-C", target, "-xzf", archive], check=True)

    times: dict[str, list[float]] = {"own": [], "tar": []}
    for turn in range(repeat + 1):
        for name, unpack in (("own", own), ("tar", tar)):
            print(f"round {turn}/{repeat}: {name}", file=sys.stderr)
            seconds = _timed(work / f"{name}{turn}", unpack)
            if turn:  # the first round warms the file cache
                times[name].append(seconds)
    return Unpacking(statistics.median(times["own"]), statistics.median(times["tar"]), blob.size, entries, hashing)


def _timed(target: Path, unpack: Callable[[Path], None]) -> float:
    """What was unpacked stays: for minutes after a large deletion ext4 is slow to make files."""
    target.mkdir()
    os.sync()
    began = time.perf_counter()
    unpack(target)
    return time.perf_counter() - began


def _diff_id(archive: Path) -> tuple[str, float]:
    """With the seconds that hashing alone took."""
    state, seconds = hashlib.sha256(), 0.0
    with archive.open("rb") as file:
        for chunk in decompressed(file, Compression.GZIP):
            began = time.perf_counter()
            state.update(chunk)
            seconds += time.perf_counter() - began
    return f"sha256:{state.hexdigest()}", seconds


def make_layer(archive: Path, size: int) -> int:
    """Answers how many entries it has. Raises SystemExit where the machine has too little on it."""
    count = 0
    with (
        archive.open("wb") as raw,
        gzip.GzipFile("", "wb", _LEVEL, raw, 0) as packed,
        tarfile.open(fileobj=packed, mode="w|", format=tarfile.GNU_FORMAT) as tar,
    ):
        for path in _files():
            tar.add(path, recursive=False)
            count += 1
            if raw.tell() >= size:
                break
    if archive.stat().st_size < size * _FEWEST:
        sys.exit(f"bench: {', '.join(_SOURCES)} have too little in them for a layer of {size} bytes")
    return count


def _files() -> Iterator[str]:
    for source in _SOURCES:
        for place, directories, names in os.walk(source):
            directories.sort()
            yield place
            for name in sorted(names):
                path = os.path.join(place, name)
                if os.path.islink(path) or os.path.isfile(path):
                    yield path
