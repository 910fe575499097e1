"""Does what COPY and ADD say: puts pieces where they belong, unpacks archives, writes heredocs."""

from __future__ import annotations

import json
import os
import stat
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from stackup.base.errors import ImageError
from stackup.base.values import frozen
from stackup.base.workroom import delete, new_name
from stackup.build.arguments import Mode
from stackup.build.changes import Changes
from stackup.build.filedigests import FileDigests
from stackup.build.sources import Item, Source, Watch, collect, digest
from stackup.build.writer import LayerWriter, Override
from stackup.images.streams import Compression, Pump, decompressed
from stackup.images.unpack import unpack_layer
from stackup.linux.overlay import Overlay

_BLOCK = 512
_CHECKSUM = slice(148, 156)


@frozen
class Piece:
    """One source: its items, to be named below the destination or to be the destination (``base`` empty).

    ``base``: the file's name; empty for a directory, whose content is copied. ``unpack``: an archive is to be
    unpacked. ``mode``: where --chmod says nothing. ``identity``: what decides the content, where that is known without
    reading it.
    """

    items: tuple[Item, ...]
    base: str
    unpack: bool = False
    keep_owner: bool = False
    mode: Mode | None = None
    identity: str = ""


@frozen
class Copy:
    """``destination`` absolute, with a trailing slash when it must be a directory. ``texts``: heredocs as files.
    ``link``: the layer does not depend on what lies below it."""

    pieces: tuple[Piece, ...]
    texts: tuple[tuple[str, str], ...]
    destination: str
    override: Override
    keep_owner: bool
    link: bool = False

    def identity(self, files: FileDigests, watch: Watch | None = None) -> Sequence[str]:
        """All that decides the outcome, beside the file system that it is done to."""
        everything = tuple(item for piece in self.pieces for item in piece.items)

        def look(_some: Sequence[Item]) -> None:
            if watch is not None:
                watch(everything)

        contents = [
            [
                piece.identity or digest(piece.items, files, owners=piece.keep_owner, watch=look),
                piece.base,
                piece.unpack,
            ]
            for piece in self.pieces
        ]
        return (json.dumps([contents, self.texts, self.destination, self.override.identity, self.keep_owner]),)

    def carry_out(self, overlays: tuple[Overlay, ...], room: Path, changes: Changes) -> None:
        """Into the upper directories of prepared ``overlays``; ``room`` is for what must be unpacked on the way.
        ``changes`` hears of files that have changed since their identity was found."""
        writer = LayerWriter(overlays, changes)
        into_directory = self.destination.endswith("/") or writer.view.find(self.destination).is_directory
        for piece in self.pieces:
            override = self._override(piece)
            if piece.unpack and piece.base and is_archive(piece.items[0]):
                self._unpack(writer, piece.items[0], room)
                changes.look(piece.items[0].path, piece.items[0].info)
            elif piece.base and into_directory:
                named = [replace(item, name=piece.base) for item in piece.items]
                writer.put(named, self.destination.rstrip("/") + "/", override)
            else:
                writer.put(list(piece.items), self.destination, override)
        for name, text in self.texts:
            self._text(writer, name if into_directory else "", text, room)

    def _override(self, piece: Piece) -> Override:
        """What comes from a context is root's."""
        owner = self.override.owner or (None if piece.keep_owner else (0, 0))
        return replace(self.override, owner=owner, usual=piece.mode)

    def _unpack(self, writer: LayerWriter, item: Item, room: Path) -> None:
        """An archive's own owners stay, unless --chown says otherwise."""
        target = room / f"archive-{new_name()}"
        target.mkdir()
        try:
            with open(item.path, "rb") as file:
                compression = Compression.of(file.read(6))
                file.seek(0)
                pump = Pump(decompressed(file, compression))
                with pump.running():
                    unpack_layer(pump.reader.read, target, whiteouts=False)
            items = list(collect(Source.directory(target), "/", ""))
            writer.put(items, self.destination.rstrip("/") + "/", self.override, replace=True)
        finally:
            delete(target)

    def _text(self, writer: LayerWriter, name: str, text: str, room: Path) -> None:
        path = room / f"heredoc-{new_name()}"
        path.write_text(text, encoding="utf-8", errors="surrogateescape")
        path.chmod(0o644)
        override = self.override if self.override.owner else replace(self.override, owner=(0, 0))
        writer.put([Item(name, str(path), os.lstat(path))], self.destination, override)
        path.unlink()


def is_archive(item: Item) -> bool:
    """A tar archive, perhaps compressed, by its content: its first header adds up."""
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
                if len(head) >= _BLOCK:
                    break
            chunks.close()  # type: ignore[attr-defined]
    except (ImageError, OSError):
        return False
    return len(head) >= _BLOCK and _adds_up(head[:_BLOCK])


def _adds_up(header: bytes) -> bool:
    try:
        written = int(header[_CHECKSUM].rstrip(b"\0 ").lstrip(b" ") or b"-1", 8)
    except ValueError:
        return False
    return written == sum(header) - sum(header[_CHECKSUM]) + 8 * ord(" ")
