"""COPY and ADD: which files go where, under which identity, and doing it."""

from __future__ import annotations

import json
import os
import posixpath
import stat
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from stackup.base.errors import ImageError, StackFileError, StackupError
from stackup.base.workroom import delete
from stackup.build import arguments
from stackup.build.dockerfile import Heredoc, Instruction
from stackup.build.metadata import Scope
from stackup.build.sources import Item, Source, collect, digest
from stackup.build.state import State
from stackup.build.words import expand, expand_raw, split_quoted
from stackup.build.writer import LayerWriter, Override
from stackup.images import resolve_user
from stackup.images.streams import Compression, Pump, decompressed
from stackup.images.unpack import unpack_layer
from stackup.linux.overlay import Overlay

_UNSUPPORTED = ("link", "parents", "exclude", "checksum", "keep-git-dir", "unpack")
_URL = ("http://", "https://", "git@", "git://", "ssh://")


@dataclass(frozen=True, slots=True)
class Piece:
    """One source: its items, to be named below the destination or to be the destination (``base`` empty)."""

    items: tuple[Item, ...]
    base: str  # file name; empty for a directory, whose content is copied


@dataclass(frozen=True, slots=True)
class Copy:
    """``destination`` absolute, with a trailing slash when it must be a directory. ``texts``: heredocs as files."""

    pieces: tuple[Piece, ...]
    texts: tuple[tuple[str, str], ...]
    destination: str
    override: Override
    keep_owner: bool
    extract: bool

    def identity(self) -> Sequence[str]:
        """All that decides the outcome, beside the file system that it is done to."""
        contents = [digest(list(piece.items), owners=self.keep_owner) + piece.base for piece in self.pieces]
        return (json.dumps([contents, self.texts, self.destination, repr(self.override), self.extract]),)

    def carry_out(self, overlays: tuple[Overlay, ...], room: Path) -> None:
        """Into the upper directories of prepared ``overlays``; ``room`` is for what must be unpacked on the way."""
        writer = LayerWriter(overlays)
        into_directory = self.destination.endswith("/") or writer.view.find(self.destination).is_directory
        for piece in self.pieces:
            if self.extract and piece.base and _is_archive(piece.items[0]):
                self._extract(writer, piece.items[0], room)
            elif piece.base and into_directory:
                named = tuple(replace(item, name=piece.base) for item in piece.items)
                writer.put(list(named), self.destination.rstrip("/") + "/", self.override)
            else:
                writer.put(list(piece.items), self.destination, self.override)
        for name, text in self.texts:
            self._text(writer, name if into_directory else "", text, room)

    def _extract(self, writer: LayerWriter, item: Item, room: Path) -> None:
        target = room / "archive"
        delete(target)
        target.mkdir()
        try:
            with open(item.path, "rb") as file:
                compression = Compression.of(file.read(6))
                file.seek(0)
                pump = Pump(decompressed(file, compression))
                with pump.running():
                    unpack_layer(pump.reader.read, target, whiteouts=False)
            override = self.override if self.keep_owner else replace(self.override, owner=self._chown)
            items = list(collect(Source.directory(target), "/", ""))
            writer.put(items, self.destination.rstrip("/") + "/", override)
        finally:
            delete(target)

    @property
    def _chown(self) -> tuple[int, int] | None:
        """An archive's own owners stay, unless --chown says otherwise."""
        return None if self.override.owner == (0, 0) else self.override.owner

    def _text(self, writer: LayerWriter, name: str, text: str, room: Path) -> None:
        path = room / "heredoc"
        path.write_text(text, encoding="utf-8", errors="surrogateescape")
        path.chmod(0o644)
        override = self.override if self.override.owner else replace(self.override, owner=(0, 0))
        writer.put([Item(name, str(path), os.lstat(path))], self.destination, override)
        path.unlink()


def read_copy(state: State, item: Instruction, scope: Scope, find_source: Callable[[str], Source]) -> Copy:
    """Finds and expands everything. Raises StackFileError with the instruction's place."""
    for name in _UNSUPPORTED:
        if item.flag(name) and not (name == "link" and item.flag(name) in ("true", "false")):
            raise _problem(item, f"--{name} is not supported", word=f"--{name}")
    words = _words(state, item, scope)
    if len(words) < 2:
        raise _problem(item, f"{item.keyword} needs at least one source and a destination")
    *sources, last = words
    destination = _destination(state, last)
    heredocs = {f"<<{heredoc.name}": heredoc for heredoc in item.heredocs}
    texts = tuple(_heredoc_file(heredocs[word], state, scope) for word in sources if word in heredocs)
    paths = [word for word in sources if word not in heredocs]
    if len(sources) > 1 and not destination.endswith("/"):
        raise _problem(item, f"several sources need a directory: write {last}/ with a slash at its end")
    source = find_source(expand(item.flag("from"), state.variables, scope.escape))
    pieces = tuple(piece for path in paths for piece in _pieces(source, path, item))
    if len(pieces) + len(texts) > 1 and not destination.endswith("/"):
        destination += "/"
    owner = _owner(state, expand(item.flag("chown"), state.variables, scope.escape), item)
    mode_text = expand(item.flag("chmod"), state.variables, scope.escape)
    try:
        mode = arguments.mode(mode_text) if mode_text else None
    except ValueError as error:
        raise _problem(item, str(error)) from None
    if owner is None and not source.keep_owner:
        owner = (0, 0)
    return Copy(pieces, texts, destination, Override(owner, mode), source.keep_owner, item.keyword == "ADD")


def _problem(item: Instruction, reason: str, hint: str = "", *, word: str = "") -> StackFileError:
    return item.error(f"cannot {item.keyword}: {reason}", hint, word=word)


def _words(state: State, item: Instruction, scope: Scope) -> list[str]:
    if item.json is not None:
        return [expand(word, state.variables, scope.escape) for word in item.json]
    names = {heredoc.name for heredoc in item.heredocs}
    found = []
    for word in split_quoted(item.rest, scope.escape):
        heredoc = word.lstrip("<").lstrip("-").strip("\"'")
        is_heredoc = word.startswith("<<") and heredoc in names
        found.append(f"<<{heredoc}" if is_heredoc else expand(word, state.variables, scope.escape))
    return found


def _destination(state: State, text: str) -> str:
    path = posixpath.join(state.working_dir, text or ".")
    directory = text.endswith("/") or posixpath.basename(text) in (".", "..", "")
    clean = posixpath.normpath("/" + path.lstrip("/"))
    return clean.rstrip("/") + "/" if directory else clean


def _heredoc_file(heredoc: Heredoc, state: State, scope: Scope) -> tuple[str, str]:
    if not heredoc.expand:
        return heredoc.name, heredoc.content
    return heredoc.name, expand_raw(heredoc.content, state.variables, scope.escape)


def _pieces(source: Source, pattern: str, item: Instruction) -> list[Piece]:
    if pattern.startswith(_URL):
        raise _problem(item, f"{pattern}: sources on the network are not supported", "fetch it with RUN", word=pattern)
    matches = source.matches(pattern)
    if not matches and not any(char in pattern for char in "*?["):
        raise _missing(source, pattern, item)
    return [_piece(source, path) for path in matches]


def _piece(source: Source, path: str) -> Piece:
    items = tuple(collect(source, path, ""))
    return Piece(items, "" if items[0].is_directory else posixpath.basename(path))


def _missing(source: Source, pattern: str, item: Instruction) -> StackFileError:
    place = source.stack.find(posixpath.normpath("/" + pattern))
    if place.paths:
        return _problem(item, f"{pattern} is excluded by .dockerignore", word=pattern)
    where = f"stage or image {item.flag('from')}" if item.flag("from") else "the build context"
    hint = "paths are relative to the context's root; nothing above it can be copied" if ".." in pattern else ""
    return _problem(item, f"there is no {pattern} in {where}", hint, word=pattern)


def _owner(state: State, text: str, item: Instruction) -> tuple[int, int] | None:
    """Names are looked up in the image as it is before the step. A user alone also gives its number as the group's,
    as moby does for numbers; for names it is the user's own group."""
    if not text:
        return None
    user, _, group = text.partition(":")
    if user.isdigit() and (not group or group.isdigit()):
        return int(user), int(group or user)
    try:
        found = resolve_user(state.image.overlays(None), text)
    except StackupError as error:
        raise _problem(item, error.message) from None
    return found.uid, found.gid


def _is_archive(item: Item) -> bool:
    """A tar archive, perhaps compressed, by its content."""
    if not stat.S_ISREG(item.info.st_mode):
        return False
    try:
        with open(item.path, "rb") as file:
            compression = Compression.of(file.read(6))
            file.seek(0)
            chunks = decompressed(file, compression)
            head = b""
            for chunk in chunks:
                head += chunk
                if len(head) >= 512:
                    break
            chunks.close()  # type: ignore[attr-defined]
    except (ImageError, OSError):
        return False
    return head[257:262] == b"ustar"
