"""Builds one stage: its base, the base's ONBUILD triggers, then instruction after instruction."""

from __future__ import annotations

import difflib
import time
from collections.abc import Callable, Sequence
from dataclasses import replace

from stackup.base.diskroom import full_now, said
from stackup.base.errors import ImageError, StackupError
from stackup.base.values import frozen
from stackup.build.command import OnLines
from stackup.build.copying import Fetchers
from stackup.build.dockerfile import Instruction, parse_dockerfile
from stackup.build.filesystem import FILE_KEYWORDS, Filesystem
from stackup.build.metadata import HANDLERS, Scope
from stackup.build.origins import Origins
from stackup.build.progress import OnProgress, Output, StepCached, StepDone, StepStarted
from stackup.build.running import Runner
from stackup.build.shown import Tail, in_one_line, snippet
from stackup.build.sources import Source
from stackup.build.stages import BuildPlan, Stage, find_stage
from stackup.build.state import State
from stackup.build.steps import Overlays, StepMaker, Stopped
from stackup.build.words import WordError


@frozen
class Workshop:
    """What all stages of a build share. ``runner`` gives a stage its own, with its way to find sources."""

    plan: BuildPlan
    origins: Origins
    maker: StepMaker
    context: Source
    say: OnProgress
    runner: Callable[[Callable[[str], Source], OnLines], Runner]
    arguments: dict[str, str]
    escape: str
    several: bool  # more than one platform
    no_cache: Callable[[Stage], bool]


class StageBuilder:
    """``require`` answers the state of another stage, by number."""

    def __init__(self, workshop: Workshop, stage: Stage, require: Callable[[int, int], State]) -> None:
        self.shop = workshop
        self.stage = stage
        self.at = stage.source  # the instruction under way
        self._require = require
        self._platform = workshop.origins.target
        self._tail = Tail()  # what the command under way has printed
        origins = workshop.origins
        self.files = Filesystem(
            workshop.maker,
            workshop.runner(self._source, self._output),
            Fetchers(self._source, origins.downloads, origins.checkouts, self._view),
            workshop.no_cache(stage),
        )  # fmt: skip

    def build(self) -> State:
        """Raises StackFileError, ImageError, HostUnfit; Stopped when another stage has failed."""
        try:
            state = self._base()
            self._platform = state.platform
            triggers = self._triggers(state)
            if triggers:
                state = replace(state, config=replace(state.config, on_build=()))
            instructions = (*triggers, *self.stage.instructions)
            scope = Scope(self.shop.arguments, self.shop.plan.arguments, self.shop.escape)
            total = sum(item.keyword in FILE_KEYWORDS for item in instructions)
            number = 0
            for item in instructions:
                number += item.keyword in FILE_KEYWORDS
                state = self._instruction(state, item, scope, (self._label, number, total))
            return state
        except (StackupError, OSError):
            if self.shop.maker.stopped.is_set():
                raise Stopped from None  # its command was ended for the sake of the one that failed first
            raise

    def _output(self, stream: str, lines: Sequence[str]) -> None:
        self._tail.add(lines)
        several = self.shop.several or len(self.shop.plan.needed) > 1
        self.shop.say(Output(stream, tuple(lines), self._label if several else ""))

    @property
    def _label(self) -> str:
        target = self.shop.origins.target
        return f"{target} {self.stage.label}" if self.shop.several else self.stage.label

    def _view(self, state: State) -> Overlays:
        return self.shop.maker.overlays(state, None)

    def _base(self) -> State:
        if self.stage.base_stage is not None:
            return replace(self._require(self.stage.base_stage, self.stage.number), own_command=False)
        return self.shop.origins.base(self.stage)

    def _source(self, reference: str) -> Source:
        """What ``--from=reference`` means here; "" is the context."""
        if not reference:
            return self.shop.context
        stage = find_stage(self.shop.plan.stages, reference)
        if stage is not None:
            return self.shop.origins.of_state(self._require(stage.number, self.stage.number))
        try:
            return self.shop.origins.source(reference, self.at, self._platform)
        except ImageError as error:
            names = [other.name for other in self.shop.plan.stages if other.name]
            close = difflib.get_close_matches(reference.lower(), names, 1)
            error.hint = f"did you mean the stage {close[0]}?" if close else error.hint
            raise

    def _triggers(self, state: State) -> tuple[Instruction, ...]:
        """The base's ONBUILD instructions."""
        if not state.config.on_build:
            return ()
        text = "\n".join(state.config.on_build)
        found = parse_dockerfile(text, f"ONBUILD of {self.stage.base}")
        return tuple(replace(item, position=self.stage.source.position, lines=()) for item in found.instructions)

    def _instruction(self, state: State, item: Instruction, scope: Scope, place: tuple[str, int, int]) -> State:
        self.at = item
        self._tail = Tail()
        begun = time.monotonic()

        def begin() -> None:
            nonlocal begun
            begun = time.monotonic()  # what other stages took is not this step's
            self.shop.say(StepStarted(*shown))

        shown = (*place, in_one_line(item), item.position.line)
        before = len(state.layers)
        cached = False
        try:
            if item.keyword in HANDLERS:
                state = HANDLERS[item.keyword](state, item, scope)
            if item.keyword in FILE_KEYWORDS:
                state, cached = self.files.run(state, item, scope, begin)
        except (WordError, ValueError) as error:
            raise item.error(f"cannot {item.keyword}: {error}") from None
        except OSError as error:
            reason, hint = said(error, self.shop.maker.store.layout)
            lines = snippet(item, self._tail.lines)
            raise ImageError(
                f"cannot {item.keyword}: {reason}", hint=hint, where=item.position, snippet=lines
            ) from error
        except StackupError as error:
            raise self._placed(error, item) from None
        if cached:
            self.shop.say(StepCached(*shown))
        elif item.keyword in FILE_KEYWORDS:
            size = sum(layer.size for layer in state.layers[before:])
            self.shop.say(StepDone(*place, round((time.monotonic() - begun) * 1000), size))
        return state

    def _placed(self, error: StackupError, item: Instruction) -> StackupError:
        """At its instruction, where it does not say another place."""
        if not error.about.startswith(".build"):
            error.about = ""  # what is said of a service's attributes means this instruction here
        if error.where is None and not error.about:
            placed = item.error(error.message)
            error.where, error.snippet = placed.where, error.snippet or placed.snippet
        error.hint = error.hint or full_now(self.shop.maker.store.layout)
        return error
