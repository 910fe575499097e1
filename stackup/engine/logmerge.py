"""Output of several containers and streams in the order of its times, and the part of it that somebody wants to see.

Standard library only: the CLI uses it for ``logs``.
"""

from __future__ import annotations

import heapq
import re
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path

from stackup.engine.logreader import STREAMS, Chunk, LogLine, StreamReader

Keep = Callable[[str], object]


def matcher(pattern: str) -> Keep | None:
    """Takes lines in which the regular expression is found; None when there is none."""
    return re.compile(pattern).search if pattern else None


def read_merged(
    sources: Iterable[tuple[str, Path]],
    *,
    tail: int | None = None,
    since_ns: int = 0,
    until_ns: int = 0,
    keep: Keep | None = None,
) -> Iterator[LogLine]:
    """Lines of all containers (name, log directory) in the order of their times; see ``merged_chunks``."""
    for chunk in merged_chunks(sources, tail=tail, since_ns=since_ns, until_ns=until_ns, keep=keep):
        yield from chunk.lines()


def merged_chunks(
    sources: Iterable[tuple[str, Path]],
    *,
    tail: int | None = None,
    since_ns: int = 0,
    until_ns: int = 0,
    keep: Keep | None = None,
) -> Iterator[Chunk]:
    """Everything that the containers (name, log directory) have printed, in the order of its times. ``keep``: only
    lines whose text it takes to be worth it; ``tail`` counts these."""
    containers: list[Iterator[Chunk]] = []
    for name, directory in sources:
        pair = [StreamReader(directory, name, stream) for stream in STREAMS]
        if tail is not None and keep is None and not until_ns:
            for reader in pair:
                reader.skip_to_end(tail)
        elif since_ns:
            for reader in pair:
                reader.skip_to(since_ns)
        streams = [wanted(reader.chunks(final=True), since_ns, until_ns, keep) for reader in pair]
        containers += streams if tail is None else [iter(last(in_order(streams), tail))]
    return in_order(containers)


def in_order(streams: Iterable[Iterator[Chunk]]) -> Iterator[Chunk]:
    """One after the other by time; those of one time in the order of ``streams``."""
    return heapq.merge(*streams, key=_time)


def wanted(chunks: Iterator[Chunk], since_ns: int, until_ns: int, keep: Keep | None) -> Iterator[Chunk]:
    """Those between two times (0: no bound), reduced to the lines that ``keep`` takes."""
    if not (since_ns or until_ns or keep):
        return chunks
    return _wanted(chunks, since_ns, until_ns, keep)


def _wanted(chunks: Iterator[Chunk], since_ns: int, until_ns: int, keep: Keep | None) -> Iterator[Chunk]:
    for chunk in chunks:
        if chunk.time_ns < since_ns or (until_ns and chunk.time_ns > until_ns):
            continue
        if keep is None:
            yield chunk
            continue
        texts = [text for text in chunk.data.decode("utf-8", "surrogateescape").split("\n") if keep(text)]
        if texts:
            yield chunk._replace(data="\n".join(texts).encode("utf-8", "surrogateescape"))


def last(chunks: Iterable[Chunk], count: int) -> deque[Chunk]:
    """The last ``count`` lines."""
    held: deque[Chunk] = deque()
    lines = 0
    if count <= 0:
        return held
    for chunk in chunks:
        held.append(chunk)
        lines += chunk.data.count(b"\n") + 1
        while lines - (first := held[0].data.count(b"\n") + 1) >= count:
            held.popleft()
            lines -= first
    if lines > count:
        held[0] = held[0]._replace(data=held[0].data.split(b"\n", lines - count)[-1])
    return held


def _time(chunk: Chunk) -> int:
    return chunk.time_ns
