"""Writes a directory as a layer archive, byte for byte the same for the same content: sorted, numeric owners, PAX.

In overlay form (an upper directory) whiteout devices become ``.wh.NAME`` and opaque directories get ``.wh..wh..opq``.
Times are whole seconds, as the classic tar header has them, so that an unpacked layer and its archive agree.
"""

from __future__ import annotations

import errno
import hashlib
import os
import stat
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

from stackup.base.errors import Bug
from stackup.base.foreign import shown
from stackup.images import tarstream
from stackup.images.tarstream import BLOCK, CHUNK
from stackup.images.unpack import wanted_xattr
from stackup.images.unpackdirs import OPAQUE

_OVERLAY_XATTRS = "trusted.overlay."
_MAX_OCTAL_SIZE = 8**11
_MAX_OCTAL_ID = 8**7


Steps = Iterator["bytes | Steps"]
"""Pieces of an archive, with those of a directory in their place."""


def digest_of(data: bytes) -> str:
    return f"sha256:{hashlib.sha256(data).hexdigest()}"


def _pax_record(key: str, value: bytes) -> bytes:
    body = b" " + key.encode() + b"=" + value + b"\n"
    length = len(body) + len(str(len(body)))
    if len(str(length)) != len(str(len(body))):
        length = len(body) + len(str(length))
    return str(length).encode() + body


def _raw_header(name: bytes, kind: bytes, info: tuple[int, int, int, int, int], link: bytes, device: int) -> bytes:
    """``info``: mode, uid, gid, size, seconds."""
    mode, uid, gid, size, seconds = info
    numbers = b"%07o\0%07o\0%07o\0%011o\0%011o\0" % (mode, uid, gid, size, seconds)
    major, minor = os.major(device), os.minor(device)
    header = b"".join(
        (
            name.ljust(100, b"\0"),
            numbers,
            b" " * 8,
            kind,
            link.ljust(100, b"\0"),
            b"ustar\x0000",
            bytes(64),
            b"%07o\0%07o\0" % (major, minor),
            bytes(167),
        )
    )
    return header[:148] + b"%06o\0 " % sum(header) + header[156:]


def header(
    name: bytes, kind: bytes, info: os.stat_result, *, size: int = 0, seconds: int = 0, link: bytes = b"",
    xattrs: Sequence[tuple[str, bytes]] = (),
) -> bytes:  # fmt: skip
    """A tar header, with a PAX one before it where the classic form cannot hold the values."""
    extended: list[tuple[str, bytes]] = []
    if len(name) > 100 or not name.isascii():
        extended.append(("path", name))
    if len(link) > 100 or not link.isascii():
        extended.append(("linkpath", link))
    numbers = {"size": size, "uid": info.st_uid, "gid": info.st_gid, "mtime": seconds}
    limits = {"size": _MAX_OCTAL_SIZE, "uid": _MAX_OCTAL_ID, "gid": _MAX_OCTAL_ID, "mtime": _MAX_OCTAL_SIZE}
    for key, value in numbers.items():
        if not 0 <= value < limits[key]:
            extended.append((key, str(value).encode()))
            numbers[key] = 0
    extended += [(f"SCHILY.xattr.{key}", value) for key, value in xattrs]
    fields = (stat.S_IMODE(info.st_mode), numbers["uid"], numbers["gid"], numbers["size"], numbers["mtime"])
    device = info.st_rdev if kind in (tarstream.CHAR, tarstream.BLOCK_DEVICE) else 0
    main = _raw_header(name[:100], kind, fields, link[:100], device)
    if not extended:
        return main
    payload = b"".join(_pax_record(key, value) for key, value in sorted(extended))
    prefix = _raw_header(b"PaxHeaders/x", b"x", (0o644, 0, 0, len(payload), 0), b"", 0)
    return prefix + payload + bytes(-len(payload) % BLOCK) + main


def _xattrs(path: bytes) -> list[tuple[str, bytes]]:
    try:
        names = os.listxattr(path, follow_symlinks=False)
    except OSError as error:
        if error.errno in (errno.ENOTSUP, errno.EPERM, errno.EACCES):
            return []
        raise
    wanted = sorted(name for name in names if wanted_xattr(name))
    return [(name, os.getxattr(path, name, follow_symlinks=False)) for name in wanted]


def _is_opaque(path: bytes) -> bool:
    try:
        if os.getxattr(path, OPAQUE, follow_symlinks=False) != b"y":
            return False
    except OSError:
        return False
    return True


def _refuse_redirect(path: bytes) -> None:
    """Uppers are mounted with redirect_dir and metacopy off; with them on, a plain walk would miss content."""
    try:
        names = os.listxattr(path, follow_symlinks=False)
    except OSError:
        return
    for name in (f"{_OVERLAY_XATTRS}redirect", f"{_OVERLAY_XATTRS}metacopy"):
        if name in names:
            raise Bug(f"cannot make a layer: {shown(path)} carries {name}")


class TreeWriter:
    """Turns files into tar headers and their content; hard links are known by what it wrote before."""

    def __init__(self, root: bytes, overlay: bool, epoch: int | None, *, alive: bool = False) -> None:
        """``alive``: somebody writes meanwhile. A file that shrinks is filled up with zeros, as GNU tar does."""
        self.root = root
        self.alive = alive
        self.overlay = overlay
        self.epoch = epoch
        self.links: dict[tuple[int, int], bytes] = {}

    def seconds(self, info: os.stat_result) -> int:
        seconds = info.st_mtime_ns // 10**9
        return seconds if self.epoch is None else min(seconds, self.epoch)

    def marker(self, name: bytes) -> bytes:
        nothing = os.stat_result((0,) * 10)
        return header(name, tarstream.FILE, nothing)

    def walk(self, directory: bytes, prefix: bytes) -> Steps:
        if self.overlay and prefix and _is_opaque(directory):
            yield self.marker(prefix + b".wh..wh..opq")
        for name in sorted(os.listdir(directory)):
            path = directory + b"/" + name
            info = os.lstat(path)
            if stat.S_ISDIR(info.st_mode):
                if self.overlay:
                    _refuse_redirect(path)
                yield self.directory(path, prefix + name + b"/", info)
                yield self.walk(path, prefix + name + b"/")
            else:
                yield from self.leaf(path, prefix, name, info)

    def directory(self, path: bytes, full: bytes, info: os.stat_result) -> bytes:
        return header(full, tarstream.DIRECTORY, info, seconds=self.seconds(info), xattrs=_xattrs(path))

    def leaf(self, path: bytes, prefix: bytes, name: bytes, info: os.stat_result) -> Iterator[bytes]:
        """Anything but a directory."""
        mode, seconds, full = info.st_mode, self.seconds(info), prefix + name
        if stat.S_ISCHR(mode) and info.st_rdev == 0:
            if self.overlay:
                yield self.marker(prefix + b".wh." + name)
            return
        if info.st_nlink > 1 and not stat.S_ISLNK(mode):
            first = self.links.setdefault((info.st_dev, info.st_ino), full)
            if first != full:
                yield header(full, tarstream.HARDLINK, info, seconds=seconds, link=first)
                return
        if stat.S_ISREG(mode):
            yield from self.file(path, full, info, seconds)
        elif stat.S_ISLNK(mode):
            yield header(full, tarstream.SYMLINK, info, seconds=seconds, link=os.readlink(path))
        elif stat.S_ISFIFO(mode):
            yield header(full, tarstream.FIFO, info, seconds=seconds)
        elif stat.S_ISCHR(mode) or stat.S_ISBLK(mode):
            kind = tarstream.CHAR if stat.S_ISCHR(mode) else tarstream.BLOCK_DEVICE
            yield header(full, kind, info, seconds=seconds)
        # Sockets mean nothing without their process; tar cannot hold them.

    def file(self, path: bytes, full: bytes, info: os.stat_result, seconds: int) -> Iterator[bytes]:
        size = info.st_size
        try:
            opened = open(path, "rb", buffering=0)  # noqa: SIM115 - closed below
        except FileNotFoundError:
            if self.alive:
                return
            raise
        with opened as file:
            yield header(full, tarstream.FILE, info, size=size, seconds=seconds, xattrs=_xattrs(path))
            left = size
            while left:
                data = file.read(min(left, CHUNK))
                if not data and self.alive:
                    data = bytes(min(left, CHUNK))
                if not data:
                    raise OSError(errno.EIO, "the file shrank while it was read", os.fsdecode(path))
                left -= len(data)
                yield data
        if size % BLOCK:
            yield bytes(-size % BLOCK)


def layer_tar(root: Path, *, overlay: bool, epoch: int | None = None) -> Iterator[bytes]:
    """The archive of a directory's content. ``overlay``: it is an upper directory. ``epoch``: latest time, seconds."""
    writer = TreeWriter(os.fsencode(root), overlay, epoch)
    yield from chunked(writer.walk(writer.root, b""))
    yield bytes(2 * BLOCK)


def chunked(pieces: Steps) -> Iterator[bytes]:
    """The same bytes in pieces that are worth a system call each."""
    pending: list[bytes] = []
    held = 0
    todo = [pieces]
    while todo:  # a container may have made directories deeper than Python calls
        piece = next(todo[-1], None)
        if piece is None:
            todo.pop()
        elif isinstance(piece, bytes):
            pending.append(piece)
            held += len(piece)
            if held >= CHUNK:
                yield b"".join(pending)
                pending, held = [], 0
        else:
            todo.append(piece)
    yield b"".join(pending)


def container_tar(parts: Iterable[tuple[str, Path]], epoch: int | None = None) -> Iterator[bytes]:
    """What a container wrote, as a layer: ``parts`` as for ``merge_parts``, but nothing is moved. The same bytes as
    ``layer_tar`` writes for them merged, where only "/" has any."""
    ordered = sorted(parts, key=lambda part: part[0].count("/") if part[0] != "/" else 0)
    for target, upper in ordered:
        if target == "/" or any(os.scandir(upper)):
            writer = TreeWriter(os.fsencode(upper), overlay=True, epoch=epoch)
            prefix = os.fsencode(target.strip("/") + "/") if target != "/" else b""
            if prefix:
                yield writer.directory(writer.root, prefix, os.lstat(upper))
            yield from chunked(writer.walk(writer.root, prefix))
    yield bytes(2 * BLOCK)


def merge_parts(parts: Iterable[tuple[str, Path]]) -> Path | None:
    """Moves the upper directories of "/usr" and the like into that of "/", and answers that; None: all are empty."""
    ordered = sorted(parts, key=lambda part: part[0].count("/") if part[0] != "/" else 0)
    root = ordered[0][1]
    for target, upper in ordered[1:]:
        if any(os.scandir(upper)):
            place = root / target.strip("/")
            place.parent.mkdir(parents=True, exist_ok=True)
            if place.is_dir():  # an empty mount point
                place.rmdir()
            os.rename(upper, place)
    return root if any(os.scandir(root)) else None
