"""Layers unpacked once: ``layers/<hex of the diff id>/``, complete as soon as the directory is there.

Which blob a directory was made of, an image says; and an image may lie. ``.pairs/<hex of the blob>`` holds the diff id
that the blob's content was seen to have. Only such pairs are used: else an image could have, of what others have
brought here, another content than it has on any other machine.
"""

from __future__ import annotations

import os
import stat
from collections.abc import Callable, Container, Iterable
from contextlib import suppress
from pathlib import Path

from stackup.base.errors import ImageError
from stackup.base.files import locked, write_atomic
from stackup.base.values import frozen
from stackup.base.workroom import Workroom
from stackup.images.blobs import BlobStore
from stackup.images.streams import Compression, Pump, decompressed
from stackup.images.unpack import unpack_layer
from stackup.oci import image as oci
from stackup.oci.reference import is_digest

MOUNT_DIRECTORIES = ("dev", "etc", "proc", "sys")
MOUNT_FILES = ("etc/hosts", "etc/hostname", "etc/resolv.conf")


@frozen
class LayerStore:
    root: Path

    @property
    def workroom(self) -> Workroom:
        return Workroom(self.root / ".work")

    @property
    def empty(self) -> Path:
        """A lower directory for images without layers; overlayfs wants at least one."""
        return self.root / ".empty"

    @property
    def mount_points(self) -> Path:
        """A lower directory with what every container mounts something on, to lie below an image's own layers.

        Without it the runtime has to make them in the container's upper directory, which copies /etc up every time.
        """
        return self.root / ".mount-points"

    def path(self, diff_id: str) -> Path:
        """Raises ImageError for what is no digest: it may be a foreign image's word."""
        if not is_digest(diff_id):
            raise ImageError(f"cannot use layer {diff_id!r:.100}: that is not the digest of a layer")
        return self.root / diff_id.removeprefix("sha256:")

    def prepare(self) -> None:
        """Makes the store's own directories. Closed to others: layers hold setuid programs that nobody updates."""
        self.root.mkdir(parents=True, exist_ok=True)
        os.chmod(self.root, 0o700)
        self.empty.mkdir(mode=0o755, exist_ok=True)
        for name in MOUNT_DIRECTORIES:
            (self.mount_points / name).mkdir(mode=0o755, parents=True, exist_ok=True)
        for name in MOUNT_FILES:
            if not (self.mount_points / name).exists():  # a lower that is mounted must not change
                (self.mount_points / name).touch(mode=0o644)

    def ensure(self, descriptor: oci.Descriptor, diff_id: str, blobs: BlobStore) -> Path:
        """Unpacks the layer unless it is there; two processes wanting the same one do the work once. Raises ImageError
        where the blob's content is another than ``diff_id``, whether or not there is a layer of that name."""
        target = self.path(diff_id)
        if self.has(descriptor.digest, diff_id):
            return target
        self.prepare()
        with locked(self._lock(diff_id)):
            if not self.has(descriptor.digest, diff_id):
                with blobs.path(descriptor.digest).open("rb") as file:
                    compression = Compression.of(file.read(6))
                    file.seek(0)
                    pump = Pump(decompressed(file, compression))
                    if target.is_dir():
                        self._check(pump, diff_id)
                    else:
                        self._unpack(pump, diff_id)
                self.note(descriptor.digest, diff_id)
        return target

    # Which blobs are known to be which layers

    def has(self, digest: str, diff_id: str) -> bool:
        """Whether the layer is unpacked, and the blob ``digest`` known to be it."""
        return self.path(diff_id).is_dir() and self.known_pair(digest, diff_id)

    def known_pair(self, digest: str, diff_id: str) -> bool:
        """Whether the content of blob ``digest`` was seen to be ``diff_id``. An uncompressed one is its own."""
        if digest == diff_id:
            return True
        try:
            return self._pair(digest).read_text(encoding="ascii") == diff_id
        except (OSError, ValueError):
            return False

    def note(self, digest: str, diff_id: str) -> None:
        """Whoever calls this has seen it."""
        if not self.known_pair(digest, diff_id):
            self._pair(digest).parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            write_atomic(self._pair(digest), diff_id)

    def forget_pairs(self, keep: Container[str]) -> None:
        """All but those of the blobs ``keep``."""
        with suppress(FileNotFoundError):
            for name in os.listdir(self.root / ".pairs"):
                if f"sha256:{name}" not in keep and not name.startswith("."):  # those are being written
                    (self.root / ".pairs" / name).unlink(missing_ok=True)

    def _pair(self, digest: str) -> Path:
        return self.root / ".pairs" / self.path(digest).name

    def _check(self, pump: Pump, diff_id: str) -> None:
        with pump.running():
            actual = pump.rest()
        if actual != diff_id:
            raise _another(diff_id, actual)

    def _lock(self, diff_id: str) -> Path:
        return self.root / ".locks" / self.path(diff_id).name[:16]

    def _unpack(self, pump: Pump, diff_id: str) -> None:
        with self.workroom.directory() as temporary, pump.running():
            os.chmod(temporary, 0o755)
            unpack_layer(pump.reader.read, temporary, some=pump.reader.some)
            actual = pump.rest()
            if actual != diff_id:
                raise _another(diff_id, actual)
            os.rename(temporary, self.path(diff_id))

    def unpack_new(self, pump: Pump) -> str:
        """Unpacks a layer whose diff id is not known yet, and answers it."""
        self.prepare()
        with self.workroom.directory() as temporary, pump.running():
            os.chmod(temporary, 0o755)
            unpack_layer(pump.reader.read, temporary, some=pump.reader.some)
            diff_id = pump.rest()
            self.adopt(temporary, diff_id)
        return diff_id

    def adopt(self, directory: Path, diff_id: str) -> Path:
        """Makes an already unpacked directory the layer; it must lie on the same file system and be nobody else's."""
        self.prepare()
        target = self.path(diff_id)
        with locked(self._lock(diff_id)):
            if not target.is_dir():
                os.rename(directory, target)
        return target

    def diff_ids(self) -> list[str]:
        if not self.root.is_dir():
            return []
        return [digest for name in os.listdir(self.root) if is_digest(digest := f"sha256:{name}")]

    def bury(self, diff_ids: Iterable[str], stood_on: Callable[[], str]) -> int:
        """Deletes layers, and answers how many bytes of the disk that freed. Out of sight first: only then ``stood_on``
        is asked which ones containers name, and those come back. So a container whose record was written meanwhile
        keeps its layers, and one that is recorded later finds them missing before it is made."""
        freed = 0
        with self.workroom.directory() as grave:
            buried = []
            for diff_id in diff_ids:
                with locked(self._lock(diff_id)):
                    if self.path(diff_id).is_dir():
                        os.rename(self.path(diff_id), grave / self.path(diff_id).name)
                        buried.append(diff_id)
            used = stood_on() if buried else ""
            for diff_id in buried:
                if str(self.path(diff_id)) in used:
                    self.adopt(grave / self.path(diff_id).name, diff_id)
                else:
                    freed += allocated(grave / self.path(diff_id).name)
        return freed

    def sweep(self) -> None:
        self.workroom.sweep()


def _another(diff_id: str, actual: str) -> ImageError:
    return ImageError(f"cannot unpack the layer: its content is {actual}, not {diff_id}")


def allocated(path: Path) -> int:
    """Bytes that a file, or a directory with all below it, takes up on the disk."""
    total = 0
    todo = [str(path)]
    while todo:
        here = todo.pop()
        try:
            info = os.lstat(here)
            total += info.st_blocks * 512
            if stat.S_ISDIR(info.st_mode):
                todo += [entry.path for entry in os.scandir(here)]
        except OSError:  # gone meanwhile
            continue
    return total
