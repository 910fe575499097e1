"""What large files hold, remembered: a file that is still the same to the kernel is not read again.

"The same" is device, inode, size, and both times to the nanosecond; the time of the last change of an inode cannot be
set by anybody. A file that has just been written may change again within one tick of the clock: it is read when that is
over, so that whatever changes it later also changes its times, and it is not noted.
"""

from __future__ import annotations

import hashlib
import json
import os
import threading
import time
from collections.abc import Callable
from pathlib import Path

from stackup.base.files import write_atomic
from stackup.build.filecopy import attributes

LARGE = 256 << 10  # bytes; smaller ones are read faster than they are looked up
_SETTLED = 2 * 10**9  # ns since the last change
_TICK = 20 * 10**6  # ns; more than the coarsest clock that kernels mark files with
_CHUNK = 1 << 20
_MOST = 20_000  # files


class FileDigests:
    """Of all builds on this machine; the last one to write wins. Used from several threads."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._lock = threading.Lock()
        self._known: dict[str, list[str]] | None = None
        self._changed = False

    def of(self, path: str, info: os.stat_result, tick: Callable[[], None] | None = None) -> bytes:
        """SHA-256 of a regular file and, where it has any, of those extended attributes that layers keep; ``info`` as
        it was found. ``tick`` is called while it is read."""
        age = time.time_ns() - info.st_ctime_ns
        if 0 <= age < _TICK:
            time.sleep((_TICK - age) / 10**9)
        if info.st_size < LARGE:
            return _read(path, info.st_size, tick)
        key = f"{info.st_dev}:{info.st_ino}"
        mark = f"{info.st_size}:{info.st_mtime_ns}:{info.st_ctime_ns}"
        with self._lock:
            found = self._load().get(key)
        if found is not None and found[0] == mark:
            return bytes.fromhex(found[1])
        result = _read(path, info.st_size, tick)
        if max(info.st_mtime_ns, info.st_ctime_ns) < time.time_ns() - _SETTLED:
            with self._lock:
                self._load()[key] = [mark, result.hex()]
                self._changed = True
        return result

    def _load(self) -> dict[str, list[str]]:
        if self._known is None:
            try:
                data = json.loads(self._path.read_bytes())
                self._known = {str(key): [str(value[0]), str(value[1])] for key, value in data.items()}
            except (OSError, ValueError, AttributeError, IndexError, TypeError, KeyError):
                self._known = {}
        return self._known

    def save(self) -> None:
        with self._lock:
            if self._changed and self._known is not None:
                latest = list(self._known.items())[-_MOST:]
                write_atomic(self._path, json.dumps(dict(latest)))
                self._changed = False


def _read(path: str, size: int, tick: Callable[[], None] | None) -> bytes:
    """``size``: what it probably has."""
    state, at_once = hashlib.sha256(), min(size + 1, _CHUNK)
    fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        while data := os.read(fd, at_once):
            state.update(data)
            if tick is not None:
                tick()
            if len(data) < at_once:  # its end
                break
        for name in attributes(fd):
            value = os.getxattr(fd, name)
            state.update(b"\0%s=%d:%s" % (os.fsencode(name), len(value), value))
    finally:
        os.close(fd)
    return state.digest()
