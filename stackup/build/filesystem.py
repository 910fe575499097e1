"""The instructions that change files: RUN, COPY, ADD, WORKDIR. Each makes one layer at most, or finds it in the cache.

Nothing of a step is visible before its layer is stored and recorded; until then all its files lie in the build's room.
"""

from __future__ import annotations

import json
import posixpath
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from stackup.base.clock import now_ns, rfc3339
from stackup.base.errors import ImageError, StackFileError
from stackup.base.workroom import delete
from stackup.build.cache import Done, StepCache, step_key
from stackup.build.command import Command, RunCommand
from stackup.build.copying import Copy, read_copy
from stackup.build.dockerfile import Instruction
from stackup.build.metadata import PROXIES, Scope
from stackup.build.mounts import RunMount, read_mounts
from stackup.build.request import BuildRequest
from stackup.build.sources import Source
from stackup.build.state import State
from stackup.build.stubs import Stubs
from stackup.build.writer import LayerWriter
from stackup.images import ImageStore, prepare, resolve_user
from stackup.linux.overlay import Overlay

_TAIL_LINES = 20
_NETWORKS = ("default", "host", "none")

Overlays = tuple[Overlay, ...]


@dataclass(slots=True)
class Steps:
    """``find_source`` answers what ``--from`` names; ``epoch`` is SOURCE_DATE_EPOCH."""

    store: ImageStore
    cache: StepCache
    run_command: RunCommand
    room: Path
    request: BuildRequest
    find_source: Callable[[str], Source]
    on_line: Callable[[str, str], None]
    on_note: Callable[[str], None]
    epoch: int | None = None
    on_start: Callable[[], None] = lambda: None
    _tail: deque[str] = field(default_factory=lambda: deque(maxlen=_TAIL_LINES))

    def run(self, state: State, item: Instruction, scope: Scope) -> tuple[State, bool]:
        """The state after the instruction, and whether it came out of the cache."""
        match item.keyword:
            case "RUN":
                return self._command(state, item)
            case "WORKDIR":
                return self._working_directory(state, item)
            case _:
                return self._copy(state, item, scope)

    # The step as such

    def _step(self, state: State, item: Instruction, key: str, make: Callable[[Overlays], None]) -> tuple[State, bool]:
        with self.cache.alone(key):
            done = None if self.request.no_cache else self.cache.find(key)
            cached = done is not None
            if done is None:
                self.on_start()
                done = self._make(state, make)
                self.cache.put(key, done, item.text)
        return state.with_layer(done.created, item.text, done.layer), cached

    def _make(self, state: State, make: Callable[[Overlays], None]) -> Done:
        with self._writable() as writable:
            image = state.image
            if image.host and not self.store.ready(image):
                self.on_note("preparing the image host (once per state of this machine)")
            self.store.materialize(image)
            overlays = image.overlays(writable)
            prepare(overlays)
            make(overlays)
            parts = [(overlay.target, Path(overlay.upper)) for overlay in overlays]
            layer = self.store.put_layer(parts, epoch=self.epoch)
        return Done(layer, self.now())

    def now(self) -> str:
        return rfc3339(now_ns() if self.epoch is None else self.epoch * 10**9)

    @contextmanager
    def _writable(self) -> Iterator[Path]:
        path = self.room / "step"
        delete(path)
        path.mkdir()
        try:
            yield path
        finally:
            delete(path)

    # RUN

    def _command(self, state: State, item: Instruction) -> tuple[State, bool]:
        network = item.flag("network") or self.request.network or "default"
        if network not in _NETWORKS:
            text = f"cannot use network '{network}' in a build: it must be one of {', '.join(_NETWORKS)}"
            if not item.flag("network"):
                raise StackFileError(text, about=".build.network")
            raise item.error(text, word="--network")
        argv = _argv(state, item)
        mounts = read_mounts(item, self.store.layout, Path(self.request.context))
        environment = state.process_environment
        key = step_key(
            "RUN",
            state.chain,
            json.dumps([argv, sorted(environment.items()), state.config.user, state.working_dir, network]),
            json.dumps([repr(mount) for mount in mounts]),
            json.dumps([sorted((name, list(all_)) for name, all_ in self.request.extra_hosts.items())]),
        )
        proxies = {name: value for name, value in self.request.args.items() if name in PROXIES}
        command = Command(
            argv,
            {**proxies, **environment},
            state.config.user,
            state.working_dir,
            network,
            self.request.extra_hosts,
            self.request.shm_size,
            tuple(mounts),
        )
        return self._step(state, item, key, lambda overlays: self._run(overlays, command, item, mounts))

    def _run(self, overlays: Overlays, command: Command, item: Instruction, mounts: list[RunMount]) -> None:
        self._tail.clear()
        stubs = Stubs.before(overlays, tuple(mount.target for mount in mounts))
        for mount in mounts:
            mount.make()
        code = self.run_command(overlays, command, self._output)
        if code:
            raise ImageError(
                f"cannot build: the command failed with exit code {code}: {_shown(item)}",
                where=item.position,
                snippet="\n".join([item.text, *self._tail]),
                hint="" if self._tail else "it printed nothing",
            )
        stubs.remove()

    def _output(self, stream: str, line: str) -> None:
        self._tail.append(line)
        self.on_line(stream, line)

    # WORKDIR

    def _working_directory(self, state: State, item: Instruction) -> tuple[State, bool]:
        """The directory belongs to USER when it is new (as in BuildKit); where it exists, nothing changes."""
        path = state.working_dir
        key = step_key("WORKDIR", state.chain, path, state.config.user)

        def make(overlays: Overlays) -> None:
            user = resolve_user(overlays, state.config.user)
            writer = LayerWriter(overlays)
            if not writer.view.find(path).is_directory:
                writer.directory(path, (user.uid, user.gid))

        return self._step(state, item, key, make)

    # COPY, ADD

    def _copy(self, state: State, item: Instruction, scope: Scope) -> tuple[State, bool]:
        copy: Copy = read_copy(state, item, scope, self.find_source)
        key = step_key(item.keyword, state.chain, *copy.identity())
        return self._step(state, item, key, lambda overlays: copy.carry_out(overlays, self.room))


def _argv(state: State, item: Instruction) -> tuple[str, ...]:
    """A heredoc alone is a script; behind a command it is that command's input, which the shell arranges."""
    if item.json is not None:
        return item.json
    if not item.heredocs:
        return (*state.shell, item.rest)
    (first, *others) = item.heredocs
    alone = not others and item.rest.lstrip("0123456789").lstrip("<").lstrip("-").strip("\"'") == first.name
    if alone and first.content.startswith("#!"):
        interpreter = first.content.splitlines()[0][2:].split(None, 1)
        return (*interpreter, *(("-c",) if _is_shell(interpreter[0]) else ()), first.content)
    if alone:
        return (*state.shell, first.content)
    bodies = "".join(f"{heredoc.content}{heredoc.name}\n" for heredoc in item.heredocs)
    return (*state.shell, f"{item.rest}\n{bodies}")


def _is_shell(path: str) -> bool:
    return posixpath.basename(path) in ("sh", "bash", "dash", "ash", "zsh", "ksh", "python3", "python")


def _shown(item: Instruction) -> str:
    text = item.rest if item.json is None else " ".join(item.json)
    text = " ".join(text.split())
    return text if len(text) <= 200 else text[:197] + "..."
