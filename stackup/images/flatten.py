"""The whole root file system of a container or an image as one tar archive, as ``docker export`` writes it."""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator

from stackup.base.errors import ImageError
from stackup.base.foreign import shown
from stackup.images.diff import Steps, TreeWriter, chunked
from stackup.images.lookup import Place, Stack
from stackup.images.tarstream import BLOCK
from stackup.linux.overlay import Overlay


def flat_tar(overlays: tuple[Overlay, ...]) -> Iterator[bytes]:
    """Merged as the kernel would, sorted by name, without whiteouts. Sockets are left out. What changes while it is
    read may be in it old or new. Raises ImageError."""
    flat = _Flat(Stack(overlays))
    try:
        yield from chunked(flat.directory(flat.stack.find("/"), b""))
    except OSError as error:
        raise ImageError(
            f"cannot read {shown(os.fsdecode(error.filename or b'')) or 'the container'}: {error.strerror}"
        ) from error
    yield bytes(2 * BLOCK)


class _Flat:
    def __init__(self, stack: Stack) -> None:
        self.stack = stack
        self.writer = TreeWriter(b"", overlay=False, epoch=None, alive=True)

    def directory(self, place: Place, prefix: bytes) -> Steps:
        try:
            names = self.stack.names(place)
        except FileNotFoundError:  # a running container deletes what it likes
            return
        for name in names:
            child = self.stack.child(place, name)
            if not child.paths:
                continue
            path, raw = os.fsencode(child.paths[0]), os.fsencode(name)
            try:
                info = os.lstat(path)
            except FileNotFoundError:
                continue
            if stat.S_ISDIR(info.st_mode):
                yield self.writer.directory(path, prefix + raw + b"/", info)
                yield self.directory(child, prefix + raw + b"/")
            else:
                yield from self.writer.leaf(path, prefix, raw, info)
