"""Blobs on their way into the store: ``images/.parts/<hex>``, kept when a transfer breaks, continued by the next one.

One transfer of a blob at a time on this machine: a flock says whose turn it is, and dies with its holder. The locks are
files of which there are 4096 at most, so that they need not be deleted; a thread never holds more than one.
"""

from __future__ import annotations

import hashlib
import os
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from stackup.base.files import locked, sync_directory, try_lock, write_atomic
from stackup.images.blobs import BlobStore
from stackup.images.layers import allocated

KEPT = 7 * 24 * 3600  # seconds for which what has arrived of a blob is kept after the last byte
_HASHED = 1 << 20


class Abandoned(Exception):
    """The bytes that were read so far are not worth reading on: the transfer failed, or begins anew."""


class Parts:
    """The directory of half blobs beside the store's whole ones."""

    def __init__(self, blobs: BlobStore) -> None:
        self._blobs = blobs
        self._path = blobs.root / ".parts"

    @contextmanager
    def turn(self, digest: str) -> Iterator[None]:
        """Nobody else on this machine brings the blob in during the block."""
        lock = self._lock(digest)
        with locked(lock):
            yield

    def _lock(self, digest: str) -> Path:
        return self._path / f"{self._blobs.path(digest).name[:3]}.lock"

    def open(self, digest: str, size: int) -> Part:
        """Inside ``turn``. With what an earlier transfer has left."""
        return Part(self._path / self._blobs.path(digest).name, digest, size, self._blobs)

    def sweep(self, now: float | None = None) -> None:
        """Deletes what nobody has continued for long."""
        oldest = (time.time() if now is None else now) - KEPT
        for name in self._idle():
            path = self._path / name
            with suppress(OSError):
                if path.stat().st_mtime <= oldest:
                    path.unlink()

    def forget(self) -> int:
        """Deletes what nobody is bringing in right now; answers the bytes of the disk that are free then."""
        freed = 0
        for name in self._idle():
            path = self._path / name
            size = allocated(path)
            with suppress(OSError):
                path.unlink()
                freed += size
        return freed

    def sizes(self) -> tuple[int, int]:
        """Bytes of the disk: of all that has arrived, and of that which ``forget`` would free."""
        return sum(allocated(self._path / name) for name in self._names()), sum(
            allocated(self._path / name) for name in self._idle()
        )

    def _names(self) -> list[str]:
        try:
            return sorted(name for name in os.listdir(self._path) if not name.endswith(".lock"))
        except OSError:
            return []

    def _idle(self) -> Iterator[str]:
        """Each stays so until the next one is asked for."""
        for name in self._names():
            lock = try_lock(self._path / f"{name[:3]}.lock")
            if lock is not None:
                yield name
                os.close(lock)


class Part:
    """One blob while it arrives: written by one thread, read behind it by another one."""

    def __init__(self, path: Path, digest: str, size: int, blobs: BlobStore) -> None:
        self.digest = digest
        self.size = size
        self._path = path
        self._blobs = blobs
        self._fd = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
        self._hash = hashlib.sha256()
        self._changed = threading.Condition()
        self._arrived = 0
        self._generation = 0
        self._over = False
        self._whole = False
        self.continued = self._take_over()

    def _take_over(self) -> bool:
        """Hashes what is there already; True when that is anything."""
        there = os.fstat(self._fd).st_size
        if there > self.size:
            os.ftruncate(self._fd, 0)
            there = 0
        while self._arrived < there:
            data = os.pread(self._fd, min(_HASHED, there - self._arrived), self._arrived)
            self._hash.update(data)
            self._arrived += len(data)
        return there > 0

    @property
    def arrived(self) -> int:
        return self._arrived

    @property
    def complete(self) -> bool:
        return self._arrived == self.size

    @property
    def genuine(self) -> bool:
        return self.complete and f"sha256:{self._hash.hexdigest()}" == self.digest

    @property
    def actual(self) -> str:
        return f"sha256:{self._hash.hexdigest()}"

    # Where the bytes came from: only the same thing from the same place may be continued

    @property
    def origin(self) -> tuple[str, str]:
        """Host and ETag of what has arrived; empty where nobody told."""
        try:
            host, _, tag = self._path.with_suffix(".origin").read_text(encoding="utf-8").partition("\n")
        except OSError:
            return "", ""
        return host, tag

    @origin.setter
    def origin(self, value: tuple[str, str]) -> None:
        if value != self.origin:
            write_atomic(self._path.with_suffix(".origin"), "\n".join(value), mode=0o600)

    # Writing

    def write(self, data: bytes) -> None:
        rest = memoryview(data)
        at = self._arrived
        while rest:
            count = os.pwrite(self._fd, rest, at)
            rest, at = rest[count:], at + count
        self._hash.update(data)
        with self._changed:
            self._arrived = at
            self._changed.notify_all()

    def restart(self) -> None:
        """Nothing of what has arrived counts."""
        with self._changed:
            self._generation += 1
            self._arrived = 0
            self._hash = hashlib.sha256()
            self.continued = False
            os.ftruncate(self._fd, 0)
            self._changed.notify_all()

    def give_up(self) -> None:
        """No more will come: readers end with Abandoned."""
        with self._changed:
            self._over = True
            self._changed.notify_all()

    def commit(self) -> None:
        """Makes it a blob of the store: durable before it is visible."""
        os.fsync(self._fd)
        os.fchmod(self._fd, 0o444)
        self._blobs.directory.mkdir(parents=True, exist_ok=True)
        os.rename(self._path, self._blobs.path(self.digest))
        sync_directory(self._blobs.directory)
        self._path.with_suffix(".origin").unlink(missing_ok=True)
        with self._changed:
            self._whole = True
            self._changed.notify_all()

    def delete(self) -> None:
        self._path.unlink(missing_ok=True)
        self._path.with_suffix(".origin").unlink(missing_ok=True)

    def close(self) -> None:
        """Inside ``turn``. Of what has not begun to arrive nothing is kept."""
        if not self._whole and not self._arrived:
            self.delete()
        os.close(self._fd)

    # Reading behind

    def follow(self) -> Behind:
        return Behind(self)

    def read_behind(self, at: int, count: int, generation: int) -> bytes:
        """Waits for at least one byte from ``at`` on; b"" at the end. Raises Abandoned."""
        with self._changed:
            while True:
                if self._generation != generation or self._over:
                    raise Abandoned
                if at >= self.size:
                    return b""
                if at < self._arrived:
                    break
                self._changed.wait()
            count = min(count, self._arrived - at)
        return os.pread(self._fd, count, at)

    def agreed(self, generation: int) -> None:
        """Returns when the blob is in the store, made of what was read. Raises Abandoned when it will not be."""
        with self._changed:
            while not self._whole:
                if self._generation != generation or self._over:
                    raise Abandoned
                self._changed.wait()

    @property
    def generation(self) -> int:
        return self._generation


class Behind:
    """Reads like a file that ends where the blob ends, and waits where the transfer has not come so far."""

    def __init__(self, part: Part) -> None:
        self._part = part
        self._generation = part.generation
        self._at = 0

    def read(self, size: int, /) -> bytes:
        data = self._part.read_behind(self._at, size, self._generation)
        self._at += len(data)
        return data

    def head(self, size: int) -> bytes:
        """The first bytes; they are read again afterwards."""
        data = b""
        while len(data) < size and (more := self._part.read_behind(len(data), size - len(data), self._generation)):
            data += more
        return data
