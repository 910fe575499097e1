"""COPY and ADD: which files go where, under which identity. ``placing`` does it."""

from __future__ import annotations

import os
import posixpath
from collections.abc import Callable
from dataclasses import replace

from stackup.base.errors import StackFileError, StackupError
from stackup.base.values import frozen
from stackup.build import arguments, download, gitsource
from stackup.build.dockerfile import Heredoc, Instruction
from stackup.build.ignore import IgnoreError, IgnoreRules
from stackup.build.metadata import Scope
from stackup.build.placing import Copy, Piece
from stackup.build.sources import Source, collect, collect_with_parents, has_wildcards
from stackup.build.state import State
from stackup.build.words import expand, expand_raw
from stackup.build.writer import Override
from stackup.images import resolve_user
from stackup.linux.overlay import Overlay

_PRIVATE = arguments.Mode("600")  # of what comes from a URL


@frozen
class Fetchers:
    """Where sources come from: ``find`` answers what ``--from`` names, "" for the context. ``view``: the file system
    of a state, for names of users."""

    find: Callable[[str], Source]
    downloads: download.Downloads
    checkouts: gitsource.GitCheckouts
    view: Callable[[State], tuple[Overlay, ...]]


def read_copy(state: State, item: Instruction, scope: Scope, fetchers: Fetchers, epoch: int | None = None) -> Copy:
    """Finds and expands everything. Raises StackFileError with the instruction's place."""
    return _Reader(state, item, scope, fetchers).read(epoch)


def check_copy(item: Instruction) -> None:
    """Mistakes that can be seen without looking at any file. Raises StackFileError, ValueError."""
    words = _plain_words(item)
    if len(words) < 2:
        raise _problem(item, f"{item.keyword} needs at least one source and a destination")
    *sources, last = words
    if any(last == heredoc.word for heredoc in item.heredocs):
        raise _problem(item, "the destination cannot be a heredoc")
    reference = item.flag("from")
    if "$" in reference:
        hint = "declare `ARG` before the first FROM and a stage of its own: FROM $NAME AS other"
        raise _problem(item, "--from knows no variables", hint, word="--from")
    mode = item.flag("chmod")
    if mode and "$" not in mode:
        _mode(item, mode)
    checksum = item.flag("checksum")
    if not checksum or "$" in checksum:
        return
    if len(sources) != 1:
        raise _problem(item, "--checksum needs exactly one source", word="--checksum")
    if "$" in sources[0]:
        return
    if gitsource.parse_git(sources[0]) is None:
        if not download.is_url(sources[0]):
            raise _problem(item, "--checksum is for what comes over the network", word="--checksum")
        download.check_checksum(checksum)


def _mode(item: Instruction, text: str) -> arguments.Mode:
    try:
        return arguments.mode(text)
    except ValueError as error:
        raise _problem(item, str(error), word="--chmod") from None


def _plain_words(item: Instruction) -> list[str]:
    """Unexpanded."""
    return list(item.json if item.json is not None else item.pieces)


def _problem(item: Instruction, reason: str, hint: str = "", *, word: str = "") -> StackFileError:
    return item.error(f"cannot {item.keyword}: {reason}", hint, word=word)


class _Reader:
    def __init__(self, state: State, item: Instruction, scope: Scope, fetchers: Fetchers) -> None:
        self.state = state
        self.item = item
        self.scope = scope
        self.fetchers = fetchers
        self.adds = item.keyword == "ADD"

    def read(self, epoch: int | None) -> Copy:
        check_copy(self.item)
        *sources, last = self._words()
        destination = _destination(self.state, last)
        heredocs = {heredoc.word: heredoc for heredoc in self.item.heredocs}
        texts = tuple(self._heredoc_file(heredocs[word]) for word in sources if word in heredocs)
        paths = [word for word in sources if word not in heredocs]
        if len(sources) > 1 and not destination.endswith("/"):
            raise self._problem(f"several sources need a directory: write {last}/ with a slash at its end")
        pieces = tuple(piece for path in paths for piece in self._pieces(path))
        if len(pieces) + len(texts) > 1 and not destination.endswith("/"):
            destination += "/"
        keep_owner = bool(paths) and all(piece.keep_owner for piece in pieces)
        return Copy(
            pieces, texts, destination, Override(self._owner(), self._mode(), seconds=epoch), keep_owner,
            link=self.item.flag("link") == "true",
        )  # fmt: skip

    def _problem(self, reason: str, hint: str = "", *, word: str = "") -> StackFileError:
        return _problem(self.item, reason, hint, word=word)

    def _expand(self, text: str) -> str:
        return expand(text, self.state.variables, self.scope.escape)

    def _words(self) -> list[str]:
        heredocs = {heredoc.word for heredoc in self.item.heredocs}
        return [word if word in heredocs else self._expand(word) for word in _plain_words(self.item)]

    def _heredoc_file(self, heredoc: Heredoc) -> tuple[str, str]:
        if not heredoc.expand:
            return heredoc.name, heredoc.content
        return heredoc.name, expand_raw(heredoc.content, self.state.variables, self.scope.escape)

    # Sources

    def _pieces(self, pattern: str) -> list[Piece]:
        try:
            git = gitsource.parse_git(pattern)
        except ValueError as error:
            raise self._problem(f"{pattern}: {error}", word=pattern) from None
        if git is None and not download.is_url(pattern):
            return self._local(pattern)
        if not self.adds:
            raise self._problem(f"{pattern} is not in the build context", "ADD takes it", word=pattern)
        return [self._repository(git) if git is not None else self._url(pattern)]

    def _url(self, url: str) -> Piece:
        checksum = self._expand(self.item.flag("checksum"))
        if checksum:
            try:
                download.check_checksum(checksum)
            except ValueError as error:
                raise self._problem(str(error), word="--checksum") from None
        found = self.fetchers.downloads.fetch(url, checksum)
        if int(os.stat(found.path).st_mtime) != found.seconds:  # else another stage may be copying it just now
            os.utime(found.path, (found.seconds, found.seconds))
        (item,) = collect(Source.directory(found.path.parent), f"/{found.path.name}", "")
        unpack = self.item.flag("unpack") == "true"
        return Piece((item,), found.name, unpack=unpack, mode=_PRIVATE, identity=f"{found.digest} {found.seconds}")

    def _repository(self, git: gitsource.GitReference) -> Piece:
        keep = self.item.flag("keep-git-dir")
        if keep and git.keep_git is not None and git.keep_git != (keep == "true"):
            raise self._problem("--keep-git-dir and the address say different things", word="--keep-git-dir")
        checksum = self._expand(self.item.flag("checksum"))
        path, commit = self.fetchers.checkouts.checkout(replace(git, checksum=checksum or git.checksum))
        rules = None if keep == "true" or git.keep_git else IgnoreRules(".git")
        source = Source.directory(path, rules)
        if source.find(git.subdir) is None:
            raise self._problem(f"there is no {git.subdir} in {git.remote}")
        items = tuple(collect(source, git.subdir, "", self._exclude()))
        identity = f"{git.remote} {commit} {git.subdir} {bool(rules)} {self.item.flag_values('exclude')}"
        return Piece(items, "", identity=identity)

    def _local(self, pattern: str) -> list[Piece]:
        source = self.fetchers.find(self.item.flag("from"))
        exclude = self._exclude()
        if self.item.flag("parents") == "true":
            items = collect_with_parents(source, pattern, exclude)
            if items is None:
                raise self._missing(source, pattern)
            return [Piece(tuple(items), "", keep_owner=source.keep_owner)] if items else []
        matches = source.matches(pattern)
        if not matches and not has_wildcards(pattern):
            raise self._missing(source, pattern)
        wild = has_wildcards(pattern)
        return [piece for path in matches if (piece := self._piece(source, path, exclude, wild=wild))]

    def _piece(self, source: Source, path: str, exclude: IgnoreRules | None, *, wild: bool) -> Piece | None:
        items = tuple(collect(source, path, "", exclude))
        name = posixpath.basename(path)
        named = wild or not items[0].is_directory
        if exclude and named and (exclude.excludes(path.strip("/")) or exclude.excludes(name)):
            return None
        unpack = self.adds and self.item.flag("unpack") != "false"
        return Piece(items, "" if items[0].is_directory else name, unpack=unpack, keep_owner=source.keep_owner)

    def _exclude(self) -> IgnoreRules | None:
        patterns = [self._expand(value) for value in self.item.flag_values("exclude")]
        try:
            return IgnoreRules("\n".join(patterns)) if patterns else None
        except IgnoreError as error:
            raise self._problem(str(error), word="--exclude") from None

    def _missing(self, source: Source, pattern: str) -> StackFileError:
        place = source.stack.find(posixpath.normpath("/" + pattern))
        if place.paths:
            return self._problem(f"{pattern} is excluded by {source.rules.place(place.path.strip('/'))}", word=pattern)
        reference = self.item.flag("from")
        where = f"stage or image {reference}" if reference else "the build context"
        hint = "paths are relative to the context's root; nothing above it can be copied" if ".." in pattern else ""
        return self._problem(f"there is no '{pattern}' in {where}", hint, word=pattern)

    # Identity

    def _owner(self) -> tuple[int, int] | None:
        """Names are looked up in the image as it is before the step. A user alone also gives its number as the
        group's, as moby does for numbers; for names it is the user's own group."""
        text = self._expand(self.item.flag("chown"))
        if not text:
            return None
        user, _, group = text.partition(":")
        if user.isdigit() and (not group or group.isdigit()):
            return int(user), int(group or user)
        try:
            found = resolve_user(self.fetchers.view(self.state), text)
        except StackupError as error:
            reason = error.message.rpartition(": ")[2]  # what is said of running something means this option here
            raise self._problem(f"--chown={text}: {reason}", word="--chown") from None
        return found.uid, found.gid

    def _mode(self) -> arguments.Mode | None:
        text = self._expand(self.item.flag("chmod"))
        return _mode(self.item, text) if text else None


def _destination(state: State, text: str) -> str:
    path = posixpath.join(state.working_dir, text or ".")
    directory = text.endswith("/") or posixpath.basename(text) in (".", "..", "")
    clean = posixpath.normpath("/" + path.lstrip("/"))
    return clean.rstrip("/") + "/" if directory else clean
