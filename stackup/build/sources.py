"""Where COPY and ADD take files from: a context, another stage, an image. Looks and hashes; writes nothing.

Links are resolved inside the source, never outside: an absolute one starts at the source's own root.
"""

from __future__ import annotations

import hashlib
import os
import posixpath
import re
import stat
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path

from stackup.base.values import frozen
from stackup.build.filedigests import FileDigests
from stackup.build.ignore import IgnoreRules, to_regex
from stackup.images.lookup import Place, Stack
from stackup.linux.overlay import Overlay

_ESCAPED = re.compile(r"\\(.)")
_WILD = re.compile(r"(?:\\.|[^*?\[\\])*[*?\[]", re.DOTALL)


def has_wildcards(pattern: str) -> bool:
    return _WILD.match(pattern) is not None


def plain(pattern: str) -> str:
    """A pattern without wildcards as the path that it means."""
    return _ESCAPED.sub(r"\1", pattern)


class Source:
    """``rules`` hide files of a context. ``keep_owner``: files of stages keep theirs, files of a context become
    root's. ``chain``: identity of all of it, where that is known without reading it. ``plain``: one directory of this
    machine, nothing stacked."""

    def __init__(self, stack: Stack, *, rules: IgnoreRules | None = None, keep_owner: bool, chain: str = "") -> None:
        self.stack = stack
        self.chain = chain
        self.plain = False
        self.rules = rules or IgnoreRules()
        self.keep_owner = keep_owner

    @classmethod
    def directory(cls, path: Path, rules: IgnoreRules | None = None, *, keep_owner: bool = False) -> Source:
        found = cls(Stack((Overlay("/", (str(path),)),)), rules=rules, keep_owner=keep_owner)
        found.plain = True
        return found

    def hidden(self, path: str) -> bool:
        relative = path.strip("/")
        return bool(relative) and bool(self.rules) and self.rules.excludes(relative)

    def find(self, path: str) -> Place | None:
        """What ``path`` is, links followed; None when it is not there or hidden."""
        place = self.stack.find(posixpath.normpath("/" + path))
        if not place.paths:
            return None
        if place.is_directory:
            return None if place.path != "/" and self.rules.prunes(place.path.strip("/")) else place
        return None if self.hidden(place.path) else place

    def names(self, place: Place) -> list[str]:
        return self.stack.names(place)

    def entries(self, place: Place) -> Iterator[tuple[Place, os.stat_result]]:
        """What is in a directory, in the order of the names; links not followed."""
        if not self.plain:
            for name in self.stack.names(place):
                child = self.stack.child(place, name)
                if child.paths:
                    yield child, os.lstat(child.paths[0])
            return
        above = place.path.rstrip("/")
        with os.scandir(place.paths[0]) as found:
            entries = sorted(found, key=lambda item: item.name)
        for entry in entries:
            info = entry.stat(follow_symlinks=False)
            if not (stat.S_ISCHR(info.st_mode) and info.st_rdev == 0):
                yield Place(f"{above}/{entry.name}", (entry.path,), info.st_mode), info

    def matches(self, pattern: str) -> list[str]:
        """Paths that a COPY argument means, sorted; wildcards never cross a slash. Without wildcards: itself."""
        clean = posixpath.normpath("/" + pattern)
        if not has_wildcards(clean):
            path = plain(clean)
            return [path] if self.find(path) else []
        found = ["/"]
        for part in clean.strip("/").split("/"):
            found = [item for base in found for item in self._expand(base, part)]
        return [path for path in found if self.find(path)]

    def _expand(self, base: str, part: str) -> Iterator[str]:
        if not has_wildcards(part):
            yield posixpath.join(base, plain(part))
            return
        place = self.find(base)
        if place is None or not place.is_directory:
            return
        regex = re.compile(to_regex(re.sub(r"\*\*+", "*", part)) + r"\Z", re.DOTALL)
        for name in self.names(place):
            if regex.match(name):
                yield posixpath.join(base, name)


@frozen
class Item:
    """One thing to copy. ``name`` is relative to the destination, "" for the destination itself; ``path`` on this
    machine. A directory comes before what is in it. ``above``: only there for the sake of what is below it."""

    name: str
    path: str
    info: os.stat_result
    above: bool = False

    @property
    def is_directory(self) -> bool:
        return stat.S_ISDIR(self.info.st_mode)


Watch = Callable[[Sequence[Item]], None]  # is called often while these are read


def collect(source: Source, path: str, name: str, exclude: IgnoreRules | None = None) -> Iterator[Item]:
    """Everything at ``path`` of the source, to become ``name``; a directory's content becomes content of ``name``.
    ``exclude``: --exclude, relative to ``path``."""
    place = source.find(path)
    if place is None:
        return
    yield Item(name, place.paths[0], os.stat(place.paths[0]))
    if not place.is_directory:
        return
    below: Iterable[Item] = _below(source, place, "")
    if exclude:
        below = _chosen(list(below), lambda item: not exclude.excludes(item.name))
    for item in below:
        yield replace(item, name=f"{name}/{item.name}") if name else item


def _chosen(items: list[Item], wanted: Callable[[Item], bool]) -> list[Item]:
    """Those that are wanted, and the directories above them."""
    names = {item.name for item in items if wanted(item)}
    parents = {parent for name in names for parent in _parents(name)} - names
    return [replace(item, above=item.name in parents) for item in items if item.name in names | parents]


def _below(source: Source, place: Place, name: str) -> Iterator[Item]:
    for child, info in source.entries(place):
        relative = child.path.strip("/")
        child_name = child.path.rpartition("/")[2]
        inner = f"{name}/{child_name}" if name else child_name
        if source.rules and source.rules.excludes(relative):
            if child.is_directory and not source.rules.prunes(relative):
                # Something below may be let in again; the directory itself then exists only for its sake.
                kept = list(_below(source, child, inner))
                if kept:
                    yield Item(inner, child.paths[0], info)
                    yield from kept
            continue
        yield Item(inner, child.paths[0], info)
        if child.is_directory:
            yield from _below(source, child, inner)


def collect_with_parents(source: Source, pattern: str, exclude: IgnoreRules | None = None) -> list[Item] | None:
    """``COPY --parents``: what the pattern means, under its own path; what stands before ``/./`` is left out of the
    names. ``**`` is any number of directories here. None: nothing is there, and no wildcard says it may."""
    above, sign, below = pattern.partition("/./")
    if not sign:
        above, below = "/", pattern
    wanted = posixpath.normpath("/" + below).strip("/")
    found: list[Item] = []
    for base in source.matches(above):
        found += _matching(source, base, wanted, exclude)
    if not found and not has_wildcards(pattern):
        return None
    return found


def _matching(source: Source, base: str, wanted: str, exclude: IgnoreRules | None) -> list[Item]:
    rules, place = IgnoreRules(wanted), source.find(base)
    if place is None or not place.is_directory:
        return []

    def is_wanted(item: Item) -> bool:
        return (not rules or rules.excludes(item.name)) and not (exclude and exclude.excludes(item.name))

    return _chosen(list(_below(source, place, "")), is_wanted)


def _parents(name: str) -> Iterator[str]:
    while "/" in name:
        name = name.rsplit("/", 1)[0]
        yield name


def digest(items: Sequence[Item], files: FileDigests, *, owners: bool, watch: Watch | None = None) -> str:
    """Identity of what is copied: names, kinds, modes, contents, links, with ``owners`` also uid and gid; not times."""
    state = hashlib.sha256()

    def tick() -> None:
        if watch is not None:
            watch(items)

    for item in items:
        info = item.info
        owner = f"{info.st_uid}:{info.st_gid}" if owners else ""
        head = f"{item.name}\0{info.st_mode:o}\0{owner}\0"
        state.update(head.encode("utf-8", "surrogateescape"))
        if stat.S_ISREG(info.st_mode):
            state.update(files.of(item.path, info, tick))
        elif stat.S_ISLNK(info.st_mode):
            state.update(os.fsencode(os.readlink(item.path)))
        elif not item.is_directory:
            state.update(str(info.st_rdev).encode())
        state.update(b"\0")
    return state.hexdigest()
