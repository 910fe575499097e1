"""What large files hold, remembered: a file that is still the same to the kernel is not read again.

"The same" is device, inode, size, and both times to the nanosecond; the time of the last change of an inode cannot be
set by anybody. A file that has just been written may change again within one tick of the clock, so it is not noted.
"""

from __future__ import annotations

import hashlib
import json
import os
import threading
import time
from pathlib import Path

from stackup.base.files import write_atomic

LARGE = 256 << 10  # bytes; smaller ones are read faster than they are looked up
_SETTLED = 2 * 10**9  # ns since the last change
_MOST = 20_000  # files


class FileDigests:
    """Of all builds on this machine; the last one to write wins. Used from several threads."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._lock = threading.Lock()
        self._known: dict[str, list[str]] | None = None
        self._changed = False

    def of(self, path: str, info: os.stat_result) -> bytes:
        """SHA-256 of a regular file; ``info`` as it was found."""
        if info.st_size < LARGE:
            return _read(path)
        key = f"{info.st_dev}:{info.st_ino}"
        mark = f"{info.st_size}:{info.st_mtime_ns}:{info.st_ctime_ns}"
        with self._lock:
            found = self._load().get(key)
        if found is not None and found[0] == mark:
            return bytes.fromhex(found[1])
        result = _read(path)
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


def _read(path: str) -> bytes:
    with open(path, "rb", buffering=0) as file:
        return hashlib.file_digest(file, "sha256").digest()
