"""Puts files into the upper directories of a step, as a process inside would: through the image's links, copying up
directories, never outside. No mount is needed for it.
"""

from __future__ import annotations

import os
import posixpath
import stat
from pathlib import Path

from stackup.base.errors import ImageError
from stackup.base.values import frozen
from stackup.base.workroom import delete
from stackup.build.arguments import Mode
from stackup.build.changes import Changes
from stackup.build.filecopy import copy_file
from stackup.build.sources import Item
from stackup.images.copyout import copy_attributes, copy_leaf
from stackup.images.lookup import Place, Stack
from stackup.linux.overlay import Overlay


@frozen
class Override:
    """What --chown and --chmod, or the rules for contexts, put in place of the source's own. ``seconds``: the time of
    everything that is copied (SOURCE_DATE_EPOCH). ``usual``: a file's mode where --chmod says nothing; unlike that, it
    is no directory's that is made for the file."""

    owner: tuple[int, int] | None = None
    mode: Mode | None = None
    usual: Mode | None = None
    seconds: int | None = None

    @property
    def identity(self) -> list[object]:
        """For the key of a step: it must not change with names in the code."""
        modes = (self.mode.text if self.mode else None, self.usual.text if self.usual else None)
        return [list(self.owner) if self.owner else None, *modes, self.seconds]


class LayerWriter:
    """``overlays`` are prepared: their upper directories exist. ``changes`` hears of files that are no longer what
    they were when they were collected."""

    def __init__(self, overlays: tuple[Overlay, ...], changes: Changes | None = None) -> None:
        self.view = Stack(overlays)
        self.changes = changes or Changes()
        self._uppers = sorted(((item.target, item.upper) for item in overlays), key=lambda pair: -len(pair[0]))
        self._links: dict[tuple[int, int], Path] = {}
        self._places: dict[str, str] = {}  # of directories, in the upper ones
        self._new: set[str] = set()  # directories that the copying under way has made: nothing is below them
        self._known: dict[str, Place] = {}  # other directories that it has come to

    def _upper(self, path: str) -> Path:
        """Where a path without links lies in the upper directories."""
        return Path(self._upper_name(path))

    def _upper_name(self, path: str) -> str:
        for target, upper in self._uppers:
            if path == target or path.startswith(target.rstrip("/") + "/"):
                return upper + "/" + path[len(target.rstrip("/")) :].strip("/")
        raise AssertionError("there is no overlay at /")

    def real(self, path: str) -> str:
        """``path`` with the image's links resolved as far as it exists."""
        return posixpath.normpath(self.view.find(posixpath.normpath("/" + path)).path)

    def directory(self, path: str, owner: tuple[int, int] = (0, 0), mode: int = 0o755) -> str:
        """Makes the directory and its parents; answers its path without links. ``owner`` is for new ones only."""
        real = self.real(path)
        names = [name for name in real.split("/") if name]
        for count in range(1, len(names) + 1):
            self._one_directory("/" + "/".join(names[:count]), owner, mode)
        return real

    def _one_directory(self, path: str, owner: tuple[int, int], mode: int, *, replace: bool = False) -> bool:
        """True when it is new. ``replace``: what else is there gives way."""
        place = self.view.find(path, follow=False)
        upper = self._upper(path)
        in_the_way = bool(place.paths) and not place.is_directory
        if in_the_way and not replace:
            what = "link" if place.paths and os.path.islink(place.paths[0]) else "file"
            raise ImageError(f"cannot make directory {path} in the image: there is a {what} of that name")
        if upper.is_dir() and not upper.is_symlink():
            return False
        upper.unlink(missing_ok=True)
        upper.mkdir()
        if place.paths and not in_the_way:
            copy_attributes(place.paths[0], upper)
            return False
        os.chown(upper, *owner)
        os.chmod(upper, mode)
        return True

    def put(self, items: list[Item], destination: str, override: Override, *, replace: bool = False) -> None:
        """Copies collected items so that "" becomes ``destination``. The destination itself never takes the source's
        attributes, new or not; directories below do (as in BuildKit). ``replace``: below the destination files and
        directories give way to one another, as when an archive is unpacked."""
        self._new, self._known = set(), {}
        if items and not items[0].is_directory and not items[0].name:
            self._file(items[0], self._file_target(destination, override), override)
            return
        base = self._made(destination, override)
        below = base.rstrip("/") + "/"
        for item in items:
            if item.is_directory:
                self._directory_item(item, base, override, replace=replace)
            else:
                self._file(item, below + item.name, override, replace=replace)
        self._times(items, base, override)

    def _file_target(self, destination: str, override: Override) -> str:
        real = self.real(destination)
        self._made(posixpath.dirname(real), override)
        return real

    def _made(self, path: str, override: Override) -> str:
        """The directory, made with its parents where they are missing. A mode in octal is theirs, too."""
        mode = override.mode.absolute if override.mode else None
        return self.directory(path, override.owner or (0, 0), 0o755 if mode is None else mode)

    def _directory_item(self, item: Item, base: str, override: Override, *, replace: bool) -> None:
        if not item.name:
            return
        path = posixpath.join(base, item.name)
        made = self._one_directory(path, (0, 0), 0o755, replace=replace)
        if made:
            self._new.add(path)
        if made or not item.above:
            self._attributes(item, self._upper(path), override)

    def _file(self, item: Item, path: str, override: Override, *, replace: bool = False) -> None:
        above, _, name = path.rpartition("/")
        target = f"{self._upper_of(above or '/')}/{name}"
        if above not in self._new or os.path.lexists(target):
            self._make_room(above or "/", name, target, replace=replace)
        info = item.info
        if info.st_nlink > 1 and not stat.S_ISLNK(info.st_mode):
            first = self._links.setdefault((info.st_dev, info.st_ino), Path(target))
            if str(first) != target and first.exists():
                os.link(first, target)
                return
        if stat.S_ISREG(info.st_mode):
            mode, wanted = stat.S_IMODE(info.st_mode), override.mode or override.usual
            mode = wanted.applied(mode, directory=False) if wanted else mode
            owner = override.owner or (info.st_uid, info.st_gid)
            found = copy_file(item.path, target, owner, mode, _time(item, override))
            self.changes.compare(item.path, info, found)
            return
        if stat.S_ISSOCK(info.st_mode):
            os.close(os.open(target, os.O_CREAT | os.O_WRONLY | os.O_CLOEXEC))  # without its process: a file (BuildKit)
        else:
            copy_leaf(item.path, Path(target), info)
        self._attributes(item, Path(target), override)
        self.changes.look(item.path, info)

    def _upper_of(self, directory: str) -> str:
        found = self._places.get(directory)
        if found is None:
            found = self._places[directory] = self._upper_name(directory).rstrip("/")
        return found

    def _make_room(self, above: str, name: str, target: str, *, replace: bool) -> None:
        """Takes away what is there."""
        parent = self._known.get(above)
        if parent is None:
            parent = self._known[above] = self.view.find(above, follow=False)
        if self.view.child(parent, name).is_directory and not replace:
            raise ImageError(f"cannot copy a file to {posixpath.join(above, name)}: it is a directory in the image")
        if os.path.lexists(target):
            delete(Path(target))

    def _attributes(self, item: Item, target: Path, override: Override) -> None:
        """Of anything but a regular file."""
        info = item.info
        owner = override.owner or (info.st_uid, info.st_gid)
        os.chown(target, *owner, follow_symlinks=False)
        if not stat.S_ISLNK(info.st_mode):  # after chown, which drops setuid bits
            mode, wanted = stat.S_IMODE(info.st_mode), override.mode or override.usual
            os.chmod(target, wanted.applied(mode, directory=item.is_directory) if wanted else mode)
        when = _time(item, override)
        os.utime(target, ns=(when, when), follow_symlinks=False)

    def _times(self, items: list[Item], base: str, override: Override) -> None:
        """Directories last and deepest first: filling them changed their times."""
        for item in reversed(items):
            if item.is_directory and item.name:
                when = _time(item, override)
                os.utime(self._upper(posixpath.join(base, item.name)), ns=(when, when))


def _time(item: Item, override: Override) -> int:
    return item.info.st_mtime_ns if override.seconds is None else override.seconds * 10**9
