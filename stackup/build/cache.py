"""Which step on which base made which layer: a small record per step, keyed by everything that decides its outcome.

A record is written after its layer is stored, in one rename, so a killed build leaves no false one. Records that were
not used for a month go; their layers go with the next collection of the image store.
"""

from __future__ import annotations

import hashlib
import json
import os
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from stackup.base.errors import ImageError
from stackup.base.files import try_lock, write_atomic
from stackup.base.paths import Layout
from stackup.base.values import frozen
from stackup.base.workroom import delete
from stackup.images import ImageStore, Layer

_FORMAT = "2"  # part of every key: to be raised when a step would make something else than before
_DAY = 86400.0
_LOOK_SECONDS = 0.03
_KEEP_SECONDS = 30 * _DAY


def step_key(*parts: str) -> str:
    """A key from parts that may contain anything."""
    state = hashlib.sha256(_FORMAT.encode())
    for part in parts:
        data = part.encode("utf-8", "surrogateescape")
        state.update(b"%d:" % len(data) + data)
    return state.hexdigest()


@frozen
class Done:
    """A step's outcome: its layer (None: it changed nothing) and when it was made (RFC 3339)."""

    layer: Layer | None
    created: str


def _verified(chunks: Iterable[bytes], digest: str, size: int) -> Iterator[bytes]:
    """Fails where they are more than ``size`` bytes, and at the end, where they are others: then nothing is stored.
    Raises ImageError."""
    state, left = hashlib.sha256(), size
    for chunk in chunks:
        left -= len(chunk)
        if left < 0:
            raise ImageError(f"cannot use layer {digest} of a cache: it has more than {size} bytes")
        state.update(chunk)
        yield chunk
    if f"sha256:{state.hexdigest()}" != digest:
        raise ImageError(f"cannot use layer {digest} of a cache: its content is another one")


class StepCache:
    def __init__(self, layout: Layout, store: ImageStore) -> None:
        self._steps = layout.build_cache / "steps"
        self._locks = layout.build_cache / "locks"
        self._store = store
        self.others: list[tuple[Mapping[str, dict[str, Any]], Callable[[str], Iterable[bytes]]]] = []
        self.held: set[str] = set()  # keys of steps that this build is about
        self.used: dict[str, dict[str, Any]] = {}  # records that this build has found or made

    def _path(self, key: str) -> Path:
        return self._steps / key[:2] / f"{key}.json"

    def find(self, key: str) -> Done | None:
        """What the step made before; None when it is not known, or its layer is gone."""
        path = self._path(key)
        try:
            record = json.loads(path.read_bytes())
            done = self._done(record)
            os.utime(path)
        except (FileNotFoundError, ValueError, KeyError):
            done = None
        if done is None:
            return self._elsewhere(key)
        self.used[key] = record
        return done

    def _done(self, record: Mapping[str, Any]) -> Done | None:
        digest, created = str(record["layer"]), str(record["created"])
        if not digest:
            return Done(None, created)
        if not self._store.blobs.has(digest):
            return None
        path = self._store.layers.path(digest)
        return Done(Layer(digest, digest, record["media_type"], int(record["size"]), path), created)

    def _elsewhere(self, key: str) -> Done | None:
        """In the caches of ``cache_from``: the layer is fetched, and the record becomes one of this machine's. A cache
        that fails now counts as one that does not have it."""
        for records, fetch in self.others:
            record = records.get(key)
            if record is None:
                continue
            try:
                if record["layer"] and not self._store.blobs.has(record["layer"]):
                    found = _verified(fetch(record["layer"]), record["layer"], int(record["size"]))
                    self._store.blobs.put(found, record["media_type"])
                done = self._done(record)
            except (ImageError, KeyError, ValueError, TypeError):  # somebody else's words
                continue
            if done is not None:
                self.put(key, done, str(record.get("step", "")))
                return done
        return None

    def put(self, key: str, done: Done, text: str) -> None:
        path = self._path(key)
        path.parent.mkdir(parents=True, exist_ok=True)
        record = {
            "layer": done.layer.digest if done.layer else "",
            "size": done.layer.size if done.layer else 0,
            "media_type": done.layer.media_type if done.layer else "",
            "created": done.created,
            "step": text,
        }
        self.used[key] = record
        write_atomic(path, json.dumps(record))

    @contextmanager
    def alone(self, key: str, on_wait: Callable[[], None] = lambda: None) -> Iterator[None]:
        """Two builds that come to the same step do it once: the second waits and finds the record. ``on_wait`` is
        called again and again meanwhile; what it raises ends the waiting."""
        path = self._locks / key[:16]
        while (fd := try_lock(path)) is None:
            on_wait()
            time.sleep(_LOOK_SECONDS)
        self.held.add(key)
        try:
            yield
        finally:
            self.held.discard(key)
            os.close(fd)

    def forget_old(self) -> None:
        """Records, downloads, checkouts and fetched contexts that nobody used for long. Looks once a day. A lock goes
        even while it is held: then two builds may do the same step, which harms nothing."""
        marker, now = self._steps / ".looked", time.time()
        if marker.exists() and now - marker.stat().st_mtime < _DAY:
            return
        self._steps.mkdir(parents=True, exist_ok=True)
        marker.touch()
        for pattern in ("steps/*/*.json", "locks/*", "http/*.json", "git/*", "contexts/*"):
            for path in self._steps.parent.glob(pattern):
                with suppress(FileNotFoundError):
                    if not path.name.startswith(".") and path.stat().st_mtime < now - _KEEP_SECONDS:
                        delete(path)
                        if path.parent.name == "http":  # its file has the time that the server gave it
                            delete(path.with_suffix(""))
