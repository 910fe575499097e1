"""Images that a command under way needs: neither ``prune`` nor ``rmi`` takes them before its containers are recorded.

A claim is a file in ``images/.claims`` that lists references. Its maker holds a lock on it, so that a claim dies with
its maker. Claims are made and read under the index's lock: who looks an image up after claiming it has it for as long
as the claim lasts, or sees that it is gone and brings it in again. Nobody waits for a claim to end.
"""

from __future__ import annotations

import fcntl
import json
import secrets
from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING

from stackup.base.errors import ImageError
from stackup.base.files import locked

if TYPE_CHECKING:
    from types import TracebackType

    from stackup.base.paths import Layout
    from stackup.images.store import ImageStore
    from stackup.oci import image as oci


def _directory(layout: Layout) -> Path:
    return layout.images / ".claims"


class Claim:
    """Holds the references for ``owner`` (words for people) until it is released, or nobody has it any more.

    Where the disk does not take it, nothing is claimed: whoever has no room for this may still start what is there.
    """

    def __init__(self, layout: Layout, owner: str, references: Iterable[str]) -> None:
        """Waits for the index's lock."""
        self._path = _directory(layout) / secrets.token_hex(8)
        text = json.dumps({"owner": owner, "references": sorted(set(references))})
        with suppress(OSError), locked(layout.images / ".lock"):
            self._path.parent.mkdir(mode=0o700, exist_ok=True)
            list(_living(self._path.parent))  # what the dead have left goes
            self._file = self._path.open("w", encoding="utf-8")
            fcntl.flock(self._file, fcntl.LOCK_EX)
            self._file.write(text)
            self._file.flush()

    def release(self) -> None:
        with suppress(OSError):
            self._path.unlink(missing_ok=True)
        with suppress(OSError, AttributeError):
            self._file.close()

    def __enter__(self) -> Claim:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.release()


def claimed(store: ImageStore) -> list[tuple[oci.Descriptor, str]]:
    """Entries of the index that somebody claims, each with the owner of a claim. To be asked inside the index's
    lock."""
    found = []
    for owner, references in _living(_directory(store.layout)):
        for reference in references:
            with suppress(ImageError):
                if (entry := store.find(reference)) is not None:
                    found.append((entry, owner))
    return found


def _living(directory: Path) -> Iterable[tuple[str, list[str]]]:
    """What the dead have left is deleted."""
    for path in directory.glob("*"):
        try:
            with path.open(encoding="utf-8") as file:
                if _unlocked(file.fileno()):
                    path.unlink(missing_ok=True)
                    continue
                claim = json.load(file)
                yield claim["owner"], claim["references"]
        except (OSError, ValueError):  # released meanwhile; or cut short by a full disk
            continue


def _unlocked(fd: int) -> bool:
    try:
        fcntl.flock(fd, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True
