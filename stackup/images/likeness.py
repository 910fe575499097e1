"""When two files are the same, for whoever compares images or verifies layers: kind, mode, owner, device, extended
attributes and content. Times do not count."""

from __future__ import annotations

import os
import stat
from collections.abc import Callable, Iterator

from stackup.images.streams import CHUNK
from stackup.images.unpack import wanted_xattr

CAPABILITIES = "security.capability"


def differences(
    one: bytes, other: bytes, wanted: Callable[[str], bool] = wanted_xattr, *, content: bool = True
) -> Iterator[tuple[str, str]]:
    """In what ``other`` differs: a word, and what can be said of ``other`` when ``one`` is right. ``wanted``: which
    extended attributes count. The costly things come last; a directory is itself, without what is in it.

    Raises OSError.
    """
    info, there = os.lstat(one), os.lstat(other)
    if stat.S_IFMT(info.st_mode) != stat.S_IFMT(there.st_mode):
        yield "kind", "is of another kind"
        return
    if stat.S_IMODE(info.st_mode) != stat.S_IMODE(there.st_mode):
        yield "mode", f"has mode {stat.S_IMODE(there.st_mode):o} instead of {stat.S_IMODE(info.st_mode):o}"
    if (info.st_uid, info.st_gid) != (there.st_uid, there.st_gid):
        yield "owner", f"belongs to {there.st_uid}:{there.st_gid} instead of {info.st_uid}:{info.st_gid}"
    if info.st_rdev != there.st_rdev:
        yield "device", "is another device"
    yield from _attributes(_xattrs(one, wanted), _xattrs(other, wanted))
    if content:
        yield from _content(one, other, info, there)


def _attributes(one: dict[str, bytes], other: dict[str, bytes]) -> Iterator[tuple[str, str]]:
    if one.pop(CAPABILITIES, b"") != other.pop(CAPABILITIES, b""):
        yield "capabilities", "has other capabilities"
    if one != other:
        yield "attributes", "has other extended attributes"


def _xattrs(path: bytes, wanted: Callable[[str], bool]) -> dict[str, bytes]:
    try:
        names = os.listxattr(path, follow_symlinks=False)
        return {name: os.getxattr(path, name, follow_symlinks=False) for name in names if wanted(name)}
    except OSError:
        return {}


def _content(one: bytes, other: bytes, info: os.stat_result, there: os.stat_result) -> Iterator[tuple[str, str]]:
    if stat.S_ISLNK(info.st_mode):
        if os.readlink(one) != os.readlink(other):
            yield "link", "leads elsewhere"
    elif stat.S_ISREG(info.st_mode):
        if info.st_size != there.st_size:
            yield "content", f"has {there.st_size} bytes instead of {info.st_size}"
        elif (info.st_dev, info.st_ino) != (there.st_dev, there.st_ino) and not _same(one, other):
            yield "content", "has other content"


def _same(one: bytes, other: bytes) -> bool:
    with open(one, "rb") as expected, open(other, "rb") as actual:
        while chunk := expected.read(CHUNK):
            if chunk != actual.read(len(chunk)):
                return False
    return True
