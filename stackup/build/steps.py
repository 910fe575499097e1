"""One step that changes files: looked up in the cache, or made in a room of its own and recorded.

Nothing of a step is visible before its layer is stored and recorded; until then all its files lie in the build's room.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TypeVar

from stackup.base.clock import now_ns, rfc3339
from stackup.base.diskroom import as_no_room, is_full
from stackup.base.errors import ContainerFault, ImageError
from stackup.base.values import frozen
from stackup.base.workroom import delete, new_name
from stackup.build.cache import Done, StepCache, step_key
from stackup.build.changes import Changes, steadily
from stackup.build.dockerfile import Instruction
from stackup.build.filedigests import FileDigests
from stackup.build.metadata import Scope
from stackup.build.patience import Patience
from stackup.build.progress import Noted, OnProgress, Warned
from stackup.build.state import State
from stackup.images import ImageStore, Layer, prepare
from stackup.linux.overlay import Overlay

T = TypeVar("T")
Overlays = tuple[Overlay, ...]
BY = "# buildkit"  # ends the history's text of RUN, COPY and ADD


class Stopped(Exception):
    """Another stage has failed; nobody wants this one any more."""


@frozen
class Step:
    """``key``: its identity. ``text``: as written, for records. ``alone``: on nothing (COPY --link). ``told``: what the
    history says, where that is not the text. ``repeats``: doing it twice is more than doing it once (RUN). ``changes``:
    hears of files that the key was not made of; what was made of them is not recorded."""

    key: str
    text: str
    alone: bool = False
    told: str = ""
    repeats: bool = False
    changes: Changes = field(default_factory=Changes)


@frozen
class Situation:
    """An instruction that is come to, and what it stands on."""

    state: State
    item: Instruction
    scope: Scope
    changes: Changes
    patience: Patience


@dataclass(slots=True)
class StepMaker:
    """Shared by the stages of one build, from several threads. ``epoch`` is SOURCE_DATE_EPOCH."""

    store: ImageStore
    cache: StepCache
    room: Path
    files: FileDigests
    say: OnProgress
    epoch: int | None = None
    on_failure: Callable[[Overlays, Path], None] = lambda _overlays, _writable: None
    stopped: threading.Event = field(default_factory=threading.Event)
    outcomes: list[bool] = field(default_factory=list)  # of each step: whether it came out of the cache

    @property
    def counts(self) -> tuple[int, int]:
        """Steps, and those of them that were cached."""
        return len(self.outcomes), sum(self.outcomes)

    def run(
        self,
        state: State,
        step: Step,
        make: Callable[[Overlays], None],
        on_start: Callable[[], None],
        *,
        no_cache: bool = False,
        patience: Patience | None = None,
    ) -> tuple[State, bool]:
        """The state after the step, and whether it came out of the cache. ``patience`` says that another build, which
        does the same, is waited for."""
        key = self._key(state, step)

        def wait() -> None:
            self.go_on()
            if patience is not None and key not in self.cache.held:
                patience.tell("waiting", lambda: f"waiting for another build, which is doing the same: {step.text}")

        self.go_on()
        with self.cache.alone(key, wait):
            done = None if no_cache else self.cache.find(key)
            cached = done is not None
            if done is None:
                on_start()
                done = self._make(state, step, make)
                if not step.changes.paths:
                    self.cache.put(key, done, step.text)
        self.outcomes.append(cached)
        return state.with_layer(done.created, step.told or step.text, done.layer, step.key), cached

    def go_on(self) -> None:
        """Raises Stopped when nobody wants the build any more."""
        if self.stopped.is_set():
            raise Stopped

    def steadily(self, do: Callable[[Changes], T], item: Instruction) -> T:
        """``do`` reads files that may change meanwhile: it is repeated then, a few times."""
        result, paths = steadily(do, lambda path: self.say(Noted(f"{path} has changed meanwhile: reading it again")))
        if paths:
            text = f"{paths[0]} keeps changing while it is read: {item.keyword} is not recorded in the cache"
            self.say(Warned(text, item.position.file, item.position.line))
        return result

    def _key(self, state: State, step: Step) -> str:
        """A command that stands there twice is done twice, also where the first time has changed no file: it may have
        changed a cache, or something elsewhere."""
        before = state.idle.count(step.key) if step.repeats else 0
        more = ([] if self.epoch is None else [str(self.epoch)]) + ([f"again {before}"] if before else [])
        return step_key(step.key, *more) if more else step.key

    def _make(self, state: State, step: Step, make: Callable[[Overlays], None]) -> Done:
        with self._writable() as writable:
            overlays = self.overlays(state, writable, alone=step.alone)
            prepare(overlays)
            try:
                self._do(make, overlays, writable)
                self.go_on()
                return Done(self._layer(overlays), self.now())
            except OSError as error:
                raise as_no_room(error, self.store.layout) if is_full(error) else error from None

    def _do(self, make: Callable[[Overlays], None], overlays: Overlays, writable: Path) -> None:
        try:
            make(overlays)
        except (ImageError, ContainerFault):
            self.on_failure(overlays, writable)
            raise

    def overlays(self, state: State, writable: Path | None, *, alone: bool = False) -> Overlays:
        """The file system of a state, with everything below it unpacked."""
        image = state.image
        if alone:
            self.store.layers.prepare()
            return (Overlay("/", (image.empty,), f"{writable}/upper.root", f"{writable}/work.root"),)
        if image.host and not self.store.ready(image):
            self.say(Noted("preparing the image host (once per state of this machine)"))
        self.store.materialize(image)
        return image.overlays(writable)

    def _layer(self, overlays: Overlays) -> Layer | None:
        parts = [(overlay.target, Path(overlay.upper)) for overlay in overlays]
        return self.store.put_layer(parts, epoch=self.epoch)

    def now(self) -> str:
        return rfc3339(now_ns() if self.epoch is None else self.epoch * 10**9)

    @contextmanager
    def _writable(self) -> Iterator[Path]:
        path = self.room / f"step-{new_name()}"
        path.mkdir()
        try:
            yield path
        finally:
            delete(path)
