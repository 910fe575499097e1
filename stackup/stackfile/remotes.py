"""Stack files in git repositories and registries: fetched once per commit, or digest, into the cache below the state
root.

Called while files are found and assembled. A commit id that is in the cache needs no network; a branch or tag is asked
for each time.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from stackup.base.paths import Layout
from stackup.base.values import frozen
from stackup.stackfile.discovery import NAMES
from stackup.stackfile.gitaddress import AddressError, GitAddress, parse
from stackup.stackfile.request import Input

if TYPE_CHECKING:
    from stackup.stackfile.gitfetch import Git


@frozen
class Remote:
    """A stack file of a repository. ``root`` is the directory that holds the repository's content."""

    file: str
    root: str


class Remotes:
    """The repositories of one load. ``inputs`` are those that were asked for by name, which may mean another commit
    the next time: they never count as unchanged."""

    def __init__(self, environment: Mapping[str, str]) -> None:
        self.environment = environment
        self.cache = Layout.from_environment(dict(environment)).cache / "git"
        self.inputs: dict[str, Input] = {}
        self._known: dict[str, Remote | AddressError] = {}
        self._commits: dict[tuple[str, str], str] = {}
        self._git: Git | None = None

    def find(self, text: str) -> Remote:
        """The local copy of the file that ``text`` names. Raises AddressError."""
        if text not in self._known:
            try:
                self._known[text] = self._find(text)
            except AddressError as error:
                self._known[text] = error
        known = self._known[text]
        if isinstance(known, AddressError):
            raise known
        return known

    def _find(self, text: str) -> Remote:
        return self._published(text) if text.startswith("oci:") else self._in_repository(text)

    def _published(self, text: str) -> Remote:
        from stackup.stackfile.ocifetch import MAIN, fetch, parse_oci  # seldom needed, as git is

        reference = parse_oci(text)
        root = fetch(reference, self.cache.with_name("oci"), self.environment)
        if not reference.digest:
            self.inputs[text] = Input(text, 0, 0, 0)
        return Remote(str(root / MAIN), str(root))

    def _in_repository(self, text: str) -> Remote:
        address = parse(text)
        if (self.environment.get("COMPOSE_EXPERIMENTAL_GIT_REMOTE") or "1").lower() in ("0", "f", "false"):
            raise AddressError("COMPOSE_EXPERIMENTAL_GIT_REMOTE switches files in git repositories off")
        if address.is_commit:
            commit = address.ref
        else:
            key = (address.remote, address.ref)
            commit = self._commits[key] = self._commits.get(key) or self.git().resolve(address)
            self.inputs[text] = Input(text, 0, 0, 0)
        root = self.cache / commit
        if not root.is_dir():
            self.git().fetch(address, commit, root)
        return Remote(_stack_file(address, root), str(root))

    def git(self) -> Git:
        if self._git is None:
            from stackup.stackfile.gitfetch import Git  # subprocess and its like: only where they are needed

            self._git = Git(self.environment)
        return self._git


def _stack_file(address: GitAddress, root: Path) -> str:
    """The file in the copy that is meant. Symbolic links may not lead out of it."""
    place = root / address.subdir
    where = f"{address.subdir} of {address.shown}" if address.subdir else address.shown
    candidates = [place / name for name in NAMES] if place.is_dir() else [place]
    found = next((path for path in candidates if path.is_file()), None)
    for path in (place, *candidates):
        if os.path.lexists(path) and not Path(os.path.realpath(path)).is_relative_to(os.path.realpath(root)):
            raise AddressError(
                f"{path.relative_to(root)} of {address.shown} is a link that leads out of the repository"
            )
    if found is None:
        if not place.is_dir():
            raise AddressError(f"there is no {where}")
        raise AddressError(f"there is no {NAMES[0]} (or {', '.join(NAMES[1:])}) in {where}")
    return str(found)
