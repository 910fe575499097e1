"""The instructions that change files: RUN, COPY, ADD, WORKDIR. Each makes one layer at most, or finds it cached."""

from __future__ import annotations

from collections.abc import Callable

from stackup.base.values import frozen
from stackup.build.cache import step_key
from stackup.build.copying import Fetchers, read_copy
from stackup.build.dockerfile import Instruction
from stackup.build.metadata import Scope
from stackup.build.running import Runner
from stackup.build.state import State
from stackup.build.steps import BY, Overlays, Step, StepMaker
from stackup.build.targets import refusal, why_not_run
from stackup.build.writer import LayerWriter
from stackup.images import resolve_user

FILE_KEYWORDS = ("RUN", "COPY", "ADD", "WORKDIR")


@frozen
class Filesystem:
    """Of one stage. ``on_start`` is called before a step that is not in the cache."""

    maker: StepMaker
    runner: Runner
    fetchers: Fetchers
    no_cache: bool = False

    def run(self, state: State, item: Instruction, scope: Scope, on_start: Callable[[], None]) -> tuple[State, bool]:
        """The state after the instruction, and whether it came out of the cache."""
        read = {"RUN": self._command, "WORKDIR": self._working_directory}.get(item.keyword, self._copy)
        step, make = read(state, item, scope)
        return self.maker.run(state, step, make, on_start, no_cache=self.no_cache)

    def _command(self, state: State, item: Instruction, scope: Scope) -> tuple[Step, Callable[[Overlays], None]]:
        if why_not_run(state.platform):
            raise refusal(item, [state.platform])
        run = self.runner.read(state, item, scope)
        return run.step, lambda overlays: self.runner.run(run, overlays, item)

    def _working_directory(
        self, state: State, item: Instruction, scope: Scope
    ) -> tuple[Step, Callable[[Overlays], None]]:
        """The directory belongs to USER when it is new (as in BuildKit); where it exists, nothing changes."""
        path = state.working_dir

        def make(overlays: Overlays) -> None:
            writer = LayerWriter(overlays)
            if not writer.view.find(path).is_directory:
                user = resolve_user(overlays, state.config.user)
                writer.directory(path, (user.uid, user.gid))

        return Step(step_key("WORKDIR", state.chain, path, state.config.user), item.text), make

    def _copy(self, state: State, item: Instruction, scope: Scope) -> tuple[Step, Callable[[Overlays], None]]:
        copy = read_copy(state, item, scope, self.fetchers, self.maker.epoch)
        below = "" if copy.link else state.chain
        key = step_key(item.keyword, below, *copy.identity(self.maker.files))
        return Step(key, item.text, copy.link, f"{item.text} {BY}"), lambda overlays: copy.carry_out(
            overlays, self.maker.room
        )
