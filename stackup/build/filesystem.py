"""The instructions that change files: RUN, COPY, ADD, WORKDIR. Each makes one layer at most, or finds it cached."""

from __future__ import annotations

from collections.abc import Callable

from stackup.base.values import frozen
from stackup.build.cache import step_key
from stackup.build.changes import Changes
from stackup.build.copying import Fetchers, read_copy
from stackup.build.dockerfile import Instruction
from stackup.build.metadata import Scope
from stackup.build.patience import Patience
from stackup.build.progress import Noted
from stackup.build.running import Runner
from stackup.build.state import State
from stackup.build.steps import BY, Overlays, Situation, Step, StepMaker
from stackup.build.targets import refusal, why_not_run
from stackup.build.writer import LayerWriter
from stackup.images import resolve_user

Make = Callable[[Overlays], None]
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
        patience = Patience(lambda text: self.maker.say(Noted(text)))
        begin = _once(on_start)

        def do(changes: Changes) -> tuple[State, bool]:
            step, make = read(Situation(state, item, scope, changes, patience))
            return self.maker.run(state, step, make, begin, no_cache=self.no_cache, patience=patience)

        return self.maker.steadily(do, item)

    def _command(self, now: Situation) -> tuple[Step, Make]:
        if why_not_run(now.state.platform):
            raise refusal(now.item, [now.state.platform])
        run = self.runner.read(now)
        return run.step, lambda overlays: self.runner.run(run, overlays, now.item)

    def _working_directory(self, now: Situation) -> tuple[Step, Make]:
        """The directory belongs to USER when it is new (as in BuildKit); where it exists, nothing changes."""
        state, path = now.state, now.state.working_dir

        def make(overlays: Overlays) -> None:
            writer = LayerWriter(overlays)
            if not writer.view.find(path).is_directory:
                user = resolve_user(overlays, state.config.user)
                writer.directory(path, (user.uid, user.gid))

        return Step(
            step_key("WORKDIR", state.chain, path, state.config.user), now.item.text, told=f"WORKDIR {path}"
        ), make

    def _copy(self, now: Situation) -> tuple[Step, Make]:
        item = now.item
        with now.changes.watched():
            copy = read_copy(now.state, item, now.scope, self.fetchers, self.maker.epoch)
            identity = copy.identity(self.maker.files, now.patience.reading(item.flag("from")))
        key = step_key(item.keyword, "" if copy.link else now.state.chain, *identity)

        def make(overlays: Overlays) -> None:
            with now.changes.watched():
                copy.carry_out(overlays, self.maker.room, now.changes)

        return Step(key, item.text, copy.link, f"{item.text} {BY}", changes=now.changes), make


def _once(do: Callable[[], None]) -> Callable[[], None]:
    left = [do]

    def once() -> None:
        if left:
            left.pop()()

    return once
