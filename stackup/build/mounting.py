"""Makes what ``RUN --mount`` asks for, for as long as the command runs. Nothing of it becomes part of the layer.

Caches lie below ``build_cache/mounts`` and outlive builds. Secrets lie in memory, below the run directory.
"""

from __future__ import annotations

import os
import posixpath
import stat
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path

from stackup.base.errors import ImageError
from stackup.base.files import locked, try_lock
from stackup.base.names import short_hash
from stackup.base.paths import Layout
from stackup.base.values import frozen
from stackup.base.workroom import Workroom, delete, new_name
from stackup.build.agents import agent_socket
from stackup.build.changes import Changes
from stackup.build.command import RunMount
from stackup.build.filecopy import copy_file
from stackup.build.mounts import MountRequest
from stackup.build.orphans import is_orphan
from stackup.build.request import Secret
from stackup.build.snapshots import Bound, Snapshots
from stackup.build.sources import Source, collect
from stackup.build.writer import LayerWriter, Override
from stackup.images import prepare
from stackup.linux.overlay import Overlay

_AGENTS = "/run/buildkit"
AGENTS_HINT = "`ssh: [default]` below `build`, or --ssh default, hands in the one of SSH_AUTH_SOCK"
_SLOTS = 64  # private caches of one id, for commands that run at the same time


@dataclass(slots=True)
class Mounted:
    """``overlays`` beside the root's; ``directories`` and ``files``: what is mounted on; ``environment`` on top."""

    mounts: list[RunMount] = field(default_factory=list)
    overlays: list[Overlay] = field(default_factory=list)
    directories: list[str] = field(default_factory=list)
    files: list[str] = field(default_factory=list)
    environment: dict[str, str] = field(default_factory=dict)


@frozen
class Supplies:
    """What mounts are made of: ``find`` as for COPY --from; secrets and agents (sockets or key files) by id.
    ``hidden``: a directory in memory that is not there yet, named after the build's owner."""

    layout: Layout
    find: Callable[[str], Source]
    secrets: Mapping[str, Secret]
    agents: Mapping[str, tuple[str, ...]]
    hidden: Path

    @property
    def secrets_hint(self) -> str:
        there = f"its secrets are {', '.join(map(repr, self.secrets))}; " if self.secrets else ""
        return f"{there}a build gets those that `secrets` below `build` names"

    def lacking(self, requests: Sequence[MountRequest]) -> list[str]:
        """What a command may have missed: secrets and agents that it need not have, and that are not there."""
        secrets = [item.id for item in requests if item.kind == "secret" and item.id not in self.secrets]
        agents = [item.id for item in requests if item.kind == "ssh" and not self.agents.get(item.id)]
        return [
            *(f"there was no secret '{name}': {self.secrets_hint}" for name in secrets),
            *(f"there was no ssh agent '{name}': {AGENTS_HINT}" for name in agents),
        ]


@frozen
class ContextFiles:
    """What binds show of contexts: copies of what was read."""

    snapshots: Snapshots
    bound: Mapping[MountRequest, Bound]
    changes: Changes

    def of(self, request: MountRequest) -> Path:
        with self.changes.watched():
            return self.snapshots.of(self.bound[request], self.changes)


@contextmanager
def mounted(
    requests: Sequence[MountRequest],
    supplies: Supplies,
    files: ContextFiles,
    room: Path,
    texts: Mapping[str, str] | None = None,
) -> Iterator[Mounted]:
    """``room``: a directory for as long as the block. ``texts``: scripts, by the absolute path that they appear at."""
    found = Mounted()
    with ExitStack() as stack:
        maker = _Maker(supplies, files, room, stack, found)
        # Two commands that lock the same caches lock them in the same order.
        for request in sorted(requests, key=lambda item: (item.kind != "cache", item.id or item.target)):
            maker.make(request)
        maker.texts(texts or {})
        yield found


class _Maker:
    def __init__(self, supplies: Supplies, files: ContextFiles, room: Path, stack: ExitStack, found: Mounted) -> None:
        self.supplies = supplies
        self.files = files
        self.room = room
        self.stack = stack
        self.found = found
        self._private: Path | None = None

    def make(self, request: MountRequest) -> None:
        {
            "bind": self._bind_files, "cache": self._cache, "tmpfs": self._tmpfs, "secret": self._secret,
            "ssh": self._ssh,
        }[request.kind](request)  # fmt: skip

    def texts(self, texts: Mapping[str, str]) -> None:
        for target, text in texts.items():
            path = self.room / f"text-{short_hash(target)}"
            path.write_text(text, encoding="utf-8", errors="surrogateescape")
            path.chmod(0o755)
            self._file(target, path, read_only=True)

    def _attach(self, target: str, source: Path | str, *, read_only: bool) -> None:
        flags = ("rbind", "rprivate", "ro" if read_only else "rw")
        self.found.mounts.append(RunMount(target, "bind", str(source), flags))

    def _file(self, target: str, source: Path, *, read_only: bool) -> None:
        self.found.files.append(target)
        self._attach(target, source, read_only=read_only)

    # bind

    def _bind_files(self, request: MountRequest) -> None:
        source = self.supplies.find(request.origin)
        place = source.find(request.source)
        if place is None:
            raise ImageError(f"there is no '{request.source}' in {request.origin or 'the build context'}")
        paths = place.paths if source.keep_owner else (str(self.files.of(request)),)
        if not place.is_directory:
            self._one_file(request, paths[0])
            return
        self.found.directories.append(request.target)
        if source.keep_owner or not request.read_only:
            self._stacked(request, paths)
        else:
            self._attach(request.target, paths[0], read_only=True)

    def _one_file(self, request: MountRequest, path: str) -> None:
        if request.read_only:
            self._file(request.target, Path(path), read_only=True)
            return
        copy, info = self.room / f"file-{short_hash(request.target)}", os.stat(path)
        copy_file(path, str(copy), (info.st_uid, info.st_gid), stat.S_IMODE(info.st_mode), info.st_mtime_ns)
        self._file(request.target, copy, read_only=False)

    def _plain(self, directory: Path) -> tuple[Overlay, ...]:
        for name in ("lower", "upper", "work"):
            (directory / name).mkdir(exist_ok=True)
        return (Overlay("/", (f"{directory}/lower",), f"{directory}/upper", f"{directory}/work"),)

    def _fresh(self, name: str) -> Path:
        number = 0
        while (path := self.room / f"{name}-{number}").exists():
            number += 1
        path.mkdir()
        return path

    def _stacked(self, request: MountRequest, lowers: tuple[str, ...]) -> None:
        """Layers of an image as they lie; what is written goes nowhere."""
        place = self._fresh("bind")
        (place / "empty").mkdir()
        lowers = (*lowers, str(place / "empty"))
        upper, work = ("", "") if request.read_only else (f"{place}/upper", f"{place}/work")
        overlay = Overlay(request.target, lowers, upper, work)
        prepare((overlay,))
        self.found.overlays.append(overlay)

    # cache, tmpfs

    def _cache(self, request: MountRequest) -> None:
        root = self.supplies.layout.build_cache / "mounts"
        name = short_hash(request.id or request.target, digits=24)
        locks = root / ".locks"
        path = root / name
        if request.sharing == "private":
            path = self._free_slot(root, locks, name)
        else:
            self.stack.enter_context(locked(locks / name, shared=request.sharing == "shared"))
        with locked(locks / f"{path.name}.making"):
            if not path.is_dir():
                self._new_cache(request, root, path)
        self.found.directories.append(request.target)
        self._attach(request.target, path, read_only=request.read_only)

    def _free_slot(self, root: Path, locks: Path, name: str) -> Path:
        for number in range(_SLOTS):
            slot = f"{name}.{number}" if number else name
            fd = try_lock(locks / slot)
            if fd is not None:
                self.stack.callback(os.close, fd)
                return root / slot
        raise ImageError(f"all {_SLOTS} private caches of that id are in use")

    def _new_cache(self, request: MountRequest, root: Path, path: Path) -> None:
        root.mkdir(parents=True, exist_ok=True)
        with Workroom(root / ".work").directory() as temporary:
            made = temporary / "upper"
            overlays = self._plain(temporary)
            if request.origin:
                source = self.supplies.find(request.origin)
                LayerWriter(overlays).put(list(collect(source, request.source, "")), "/", Override())
            os.chown(made, *request.owner)
            os.chmod(made, request.mode)
            os.rename(made, path)

    def _tmpfs(self, request: MountRequest) -> None:
        size = (f"size={request.size}",) if request.size else ()
        self.found.directories.append(request.target)
        flags = ("ro",) if request.read_only else ()
        self.found.mounts.append(RunMount(request.target, "tmpfs", "tmpfs", ("nosuid", "nodev", *size, *flags)))

    # secret, ssh

    def _secret(self, request: MountRequest) -> None:
        secret = self.supplies.secrets.get(request.id)
        if secret is None:
            if request.required:
                raise ImageError(f"there is no secret '{request.id}' for this build", hint=self.supplies.secrets_hint)
            return
        content = secret.read()
        if request.env:
            self.found.environment[request.env] = content.decode("utf-8", "surrogateescape")
        if request.target:
            path = self._hidden() / short_hash(request.target)
            path.write_bytes(content)
            os.chown(path, *request.owner)
            os.chmod(path, request.mode)
            self._file(request.target, path, read_only=True)

    def _ssh(self, request: MountRequest) -> None:
        named = self.supplies.agents.get(request.id)
        if not named:
            if request.required:
                raise ImageError(f"there is no ssh agent {request.id} for this build", hint=AGENTS_HINT)
            return
        target = request.target or posixpath.join(_AGENTS, f"ssh_agent.{len(self.found.files)}")
        path = self._hidden() / f"agent-{len(self.found.files)}"
        self.stack.enter_context(agent_socket(path, named, request.owner, request.mode))
        self._file(target, path, read_only=True)
        self.found.environment.setdefault("SSH_AUTH_SOCK", target)

    def _hidden(self) -> Path:
        """In memory, for as long as the command runs; whoever is killed leaves it to the next sweep."""
        if self._private is None:
            place = self.supplies.hidden
            self._private = place / new_name()
            self._private.mkdir(parents=True)
            os.chmod(place, 0o711)
            self.stack.callback(_vanish, self._private)
        return self._private


def _vanish(path: Path) -> None:
    delete(path)
    with suppress(OSError):
        path.parent.rmdir()


def forget_cache_mounts(layout: Layout) -> None:
    """Deletes the caches of ``RUN --mount=type=cache`` that no command has in use."""
    root = layout.build_cache / "mounts"
    if not root.is_dir():
        return
    with Workroom(root / ".work").directory() as leaving:
        for path in [item for item in root.iterdir() if not item.name.startswith(".")]:
            fd = try_lock(root / ".locks" / path.name)
            if fd is not None:
                try:
                    os.rename(path, leaving / path.name)  # in one step: what is left when this is killed is no cache
                finally:
                    os.close(fd)


def sweep_secrets(layout: Layout) -> None:
    """Of builders that were killed."""
    for path in layout.run.glob("build.*"):
        if is_orphan(path.name):
            delete(path)
