"""A full disk, told so that somebody can act: which one, how much of it is left, and what to do."""

from __future__ import annotations

import errno
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from stackup.base.errors import ImageError
from stackup.base.paths import Layout

HINT = "`stackup system df` shows what takes the room; `stackup system prune` deletes what nobody uses"
_FULL = (errno.ENOSPC, errno.EDQUOT)
_NOTHING = 64 << 10  # bytes; less than a file system may keep for itself


class NoRoom(OSError):
    """Described while the disk still is full: a step's own files go before anybody hears of it."""


def is_full(error: OSError) -> bool:
    return error.errno in _FULL


def as_no_room(error: OSError, layout: Layout) -> NoRoom:
    """``error`` is of a full disk."""
    return error if isinstance(error, NoRoom) else NoRoom(error.errno, _described(error, layout))


def said(error: OSError, layout: Layout) -> tuple[str, str]:
    """Why the machine refused, and what to do about it, if that is known."""
    if is_full(error):
        return str(as_no_room(error, layout).strerror), HINT if _same_disk(_path(error, layout), layout.state) else ""
    return f"{error.strerror or error}{f': {error.filename}' if error.filename else ''}", ""


@contextmanager
def telling(doing: str, layout: Layout, target: Path | None = None) -> Iterator[None]:
    """Whatever the machine refuses in the block becomes ImageError("cannot <doing>: ..."); a full disk also where
    somebody has made an ImageError of it before. ``target``: what is written, where that is not the state."""
    try:
        yield
    except BrokenPipeError:
        raise
    except OSError as error:
        raise _told(doing, error, layout, target) from error
    except ImageError as error:
        cause = error.__cause__
        if not isinstance(cause, OSError) or not is_full(cause):
            raise
        raise _told(doing, cause, layout, target) from cause


def _told(doing: str, error: OSError, layout: Layout, target: Path | None) -> ImageError:
    if is_full(error) and target is not None and not isinstance(error, NoRoom):
        error = OSError(error.errno, error.strerror, str(target))
    reason, hint = said(error, layout) if is_full(error) else (error.strerror or str(error), "")
    return ImageError(f"cannot {doing}: {reason}", hint=hint)


def full_now(layout: Layout) -> str:
    """What is to be said of the disk that holds the state, where it is full; else ""."""
    try:
        found = os.statvfs(_existing(layout.state))
    except OSError:
        return ""
    exhausted = found.f_files and not found.f_favail
    return f"{_left(layout.state)}\n{HINT}" if exhausted or found.f_bavail * found.f_frsize < _NOTHING else ""


def _described(error: OSError, layout: Layout) -> str:
    path = _path(error, layout)
    if error.errno == errno.EDQUOT:
        return f"the disk is full: the quota for {path} is used up"
    return _left(path)


def _path(error: OSError, layout: Layout) -> Path:
    return Path(error.filename) if isinstance(error.filename, str) else layout.state


def _same_disk(one: Path, other: Path) -> bool:
    return _existing(one).stat().st_dev == _existing(other).stat().st_dev


def _left(path: Path) -> str:
    here = _existing(path)
    found = os.statvfs(here)
    mount = next((place for place in (here, *here.parents) if os.path.ismount(place)), here)
    at = f"on {mount}" if mount == path else f"on {mount}, where {path} lies"
    if found.f_files and not found.f_favail:
        return f"the disk is full: no inode is left {at}"
    free, size = found.f_bavail * found.f_frsize, found.f_blocks * found.f_frsize
    enough = ", which is too little" if free >= _NOTHING else ""  # what was half written has gone already
    return f"the disk is full: {_mib(free)} of {_mib(size)} left {at}{enough}"


def _existing(path: Path) -> Path:
    return next(place for place in (path, *path.parents) if place.exists())


def _mib(size: int) -> str:
    return f"{size / (1 << 20):.1f} MiB" if size < 1 << 30 else f"{size / (1 << 30):.1f} GiB"
