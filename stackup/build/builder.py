"""Builds an image: reads the Dockerfile, builds the stages that the target needs, in order, and stores the result."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING

from stackup.base import names
from stackup.base.errors import ImageError, StackFileError, StackupError
from stackup.base.paths import Layout
from stackup.base.workroom import Workroom
from stackup.build import inputs
from stackup.build.cache import Done, StepCache, step_key
from stackup.build.check import mistakes
from stackup.build.command import Command, OnLine
from stackup.build.dockerfile import Dockerfile, Instruction, parse_dockerfile, raise_all, read_dockerfile
from stackup.build.filesystem import Steps
from stackup.build.metadata import HANDLERS, Scope
from stackup.build.orphans import sweep_orphans
from stackup.build.progress import Built, Noted, OnProgress, Output, StepCached, StepDone, StepStarted, Warned
from stackup.build.request import BuildRequest
from stackup.build.sources import Source
from stackup.build.stages import SCRATCH, BuildPlan, Stage, find_stage, plan_stages
from stackup.build.state import State
from stackup.build.words import WordError
from stackup.images import Image, ImageStore, usage
from stackup.images.lookup import Stack
from stackup.images.store import host_platform, parse_reference
from stackup.linux.overlay import Overlay
from stackup.oci import image as oci
from stackup.runtime.cgroups import kill_all, remove_cgroups

if TYPE_CHECKING:
    from stackup.build.sandbox import Sandbox

_CHANGES_FILES = ("RUN", "COPY", "ADD", "WORKDIR")
_EPOCH = "SOURCE_DATE_EPOCH"


def build_image(request: BuildRequest, layout: Layout, on_progress: OnProgress | None = None) -> Image:
    """Builds and names the image; answers it. Blocks; not to be called inside a running event loop.

    Raises StackFileError (the Dockerfile or what it names), ImageError (a command failed, a base is missing),
    HostUnfit. On any error, and when the process dies, nothing half-made is visible.
    """
    say = on_progress or (lambda _event: None)
    store = ImageStore(layout)
    context = inputs.context_of(request)
    text, name = inputs.dockerfile_text(request, context)
    dockerfile, errors = read_dockerfile(text, name)
    raise_all([*errors, *mistakes(dockerfile, layout)])
    for warning in dockerfile.warnings:
        say(Warned(warning))
    plan = plan_stages(
        dockerfile, target=request.target, arguments=request.args, predefined=inputs.platform_arguments()
    )
    for tag in request.tags:
        parse_reference(tag)
    with usage.bringing_in(layout), _room(layout) as (room, owner):
        builder = _Builder(replace(request, context=str(context)), layout, store, dockerfile, plan, say, room, owner)
        try:
            return builder.build()
        finally:
            builder.close()


def sweep(layout: Layout) -> None:
    """Collects what killed builds left, also those of state roots that were deleted: files, control groups, networks.
    Never disturbs live ones."""
    sweep_orphans(layout)
    workroom = Workroom(layout.build_cache / ".work")
    if not workroom.path.is_dir():
        return
    before = {path.name for path in workroom.path.iterdir() if not path.name.startswith(".")}
    workroom.sweep()
    for name in before - {path.name for path in workroom.path.iterdir()}:
        from stackup.build import buildnet  # costs more to import than a cached build takes

        owner = _owner(name)
        kill_all(names.project_cgroup(owner, layout.root))
        remove_cgroups(names.project_cgroup(owner, layout.root))
        buildnet.purge(layout, owner)


def _owner(room_name: str) -> str:
    """A dot keeps it apart from every project name."""
    return f"build.{room_name}"


@contextmanager
def _room(layout: Layout) -> Iterator[tuple[Path, str]]:
    sweep(layout)
    layout.build_cache.mkdir(parents=True, exist_ok=True)
    with Workroom(layout.build_cache / ".work").directory() as room:
        yield room, _owner(room.name)


@dataclass
class _Builder:
    request: BuildRequest
    layout: Layout
    store: ImageStore
    dockerfile: Dockerfile
    plan: BuildPlan
    say: OnProgress
    room: Path
    owner: str
    states: dict[int, State] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.cache = StepCache(self.layout, self.store)
        self._sandbox: Sandbox | None = None
        self.context = Source.directory(
            Path(self.request.context), inputs.ignore_rules(self.request, Path(self.request.context))
        )
        self.current = self.plan.stages[0]
        self.at = self.current.source  # the instruction under way
        self.steps = Steps(
            store=self.store,
            cache=self.cache,
            run_command=self._run_command,
            room=self.room,
            request=self.request,
            find_source=self._find_source,
            on_line=lambda stream, line: self.say(Output(stream, line)),
            on_note=lambda message: self.say(Noted(message)),
            epoch=self._epoch(),
        )

    def _run_command(self, overlays: tuple[Overlay, ...], command: Command, on_line: OnLine) -> int:
        if self._sandbox is None:
            from stackup.build.sandbox import Sandbox  # as above

            self._sandbox = Sandbox(self.layout, self.room, self.owner)
        return self._sandbox.run(overlays, command, on_line)

    def close(self) -> None:
        if self._sandbox is not None:
            self._sandbox.close()

    def _epoch(self) -> int | None:
        text = self.request.args.get(_EPOCH, "")
        if text and not text.isdigit():
            raise StackFileError(f"cannot use {_EPOCH}={text}: it is not a number of seconds")
        return int(text) if text else None

    def build(self) -> Image:
        self.cache.forget_old()
        for number in self.plan.needed:
            self.states[number] = self._stage(self.plan.stages[number])
        return self._store(self.states[self.plan.needed[-1]])

    # Stages

    def _stage(self, stage: Stage) -> State:
        self.current = stage
        state = self._base(stage)
        triggers = self._triggers(state, stage)
        if triggers:
            state = replace(state, config=replace(state.config, on_build=()))
        instructions = (*triggers, *stage.instructions)
        scope = Scope({**inputs.platform_arguments(), **self.request.args}, self.plan.arguments, self.dockerfile.escape)
        for number, item in enumerate(instructions, 1):
            state = self._instruction(state, item, scope, (stage.label, number, len(instructions)))
        return state

    def _triggers(self, state: State, stage: Stage) -> tuple[Instruction, ...]:
        """The base image's ONBUILD instructions."""
        if not state.config.on_build or stage.base_stage is not None:
            return ()
        text = "\n".join(state.config.on_build)
        found = parse_dockerfile(text, f"ONBUILD of {stage.base}")
        return tuple(replace(item, position=stage.source.position, lines=()) for item in found.instructions)

    def _instruction(self, state: State, item: Instruction, scope: Scope, place: tuple[str, int, int]) -> State:
        started, self.at = time.monotonic(), item
        shown = (*place, item.text, item.position.line)
        before = len(state.layers)
        cached = False
        try:
            if item.keyword in HANDLERS:
                state = HANDLERS[item.keyword](state, item, scope)
            if item.keyword in _CHANGES_FILES:
                self.steps.on_start = lambda: self.say(StepStarted(*shown))
                state, cached = self.steps.run(state, item, scope)
            else:
                self.say(StepStarted(*shown))
        except (WordError, ValueError) as error:
            raise item.error(f"cannot {item.keyword}: {error}") from None
        except OSError as error:
            raise ImageError(
                f"cannot {item.keyword}: {error.strerror or error}{f': {error.filename}' if error.filename else ''}",
                where=item.position,
            ) from error
        except StackupError as error:
            if not error.about.startswith(".build"):
                error.about = ""  # what is said of a service's attributes means this instruction here
            if error.where is None and not error.about:
                placed = item.error(error.message)
                error.where, error.snippet = placed.where, error.snippet or placed.snippet
            raise
        if cached:
            self.say(StepCached(*shown))
        elif item.keyword in _CHANGES_FILES:
            size = sum(layer.size for layer in state.layers[before:])
            self.say(StepDone(*place, round((time.monotonic() - started) * 1000), size))
        return state

    def _base(self, stage: Stage) -> State:
        if stage.platform and stage.platform.split("/")[:2] != str(host_platform()).split("/")[:2]:
            raise stage.source.error(
                f"cannot build for {stage.platform}: only {host_platform()} can be built here", word="--platform"
            )
        if stage.base_stage is not None:
            return replace(self.states[stage.base_stage], own_command=False)
        if stage.base == SCRATCH:
            return State(empty=str(self.store.layers.empty))
        named = self.request.additional_contexts.get(stage.base, "")
        image = self._image(named.removeprefix("docker-image://") if named else stage.base, stage.source)
        return self._on(image)

    def _image(self, reference: str, item: Instruction) -> Image:
        try:
            image = self.store.resolve(reference)
        except ImageError as error:
            placed = item.error(error.message, word=reference)
            error.where, error.snippet = placed.where, placed.snippet
            raise
        if image is None:
            placed = item.error("", word=reference)
            raise ImageError(
                f"cannot build FROM {reference}: no such image here",
                where=placed.where,
                snippet=placed.snippet,
                hint=f"import it: stackup import ROOTFS.tar {reference}; or build FROM host",
            )
        return image

    def _on(self, image: Image) -> State:
        """A stage that begins with an image."""
        history: tuple[oci.History, ...] = ()
        if image.digest:
            descriptor = oci.Descriptor(oci.MANIFEST, image.digest, 0)
            history = self.store.config_file(self.store.manifest(descriptor)).history
        base = f"host:{self.store.host.state().packages}" if image.host else ""
        return State.on(image, history, base)

    # Where COPY --from takes from

    def _find_source(self, reference: str) -> Source:
        if not reference:
            return self.context
        stage = find_stage(self.plan.stages, reference, self.current.number)
        if stage is not None:
            return self._of_state(self.states[stage.number])
        named = self.request.additional_contexts.get(reference, "")
        if named and "://" not in named:
            path = Path(self.request.context, named)
            if not path.is_dir():
                raise StackFileError(
                    f"cannot use context {reference}: {path} is not a directory",
                    about=f".build.additional_contexts.{reference}",
                )
            return Source.directory(path)
        image = self._image(named.removeprefix("docker-image://") or reference, self.at)
        return self._of_state(self._on(image))

    def _of_state(self, state: State) -> Source:
        image = state.image
        self.store.materialize(image)
        return Source(Stack(image.overlays(None)), keep_owner=True)

    # The result

    def _store(self, state: State) -> Image:
        labels = {**state.config.labels, **self.request.labels}
        config = replace(state.config, labels=labels)
        unnamed = tuple(replace(entry, created="") for entry in state.history)
        document = oci.ConfigFile(host_platform(), config, history=unnamed)
        layers = [layer.diff_id for layer in state.layers]
        # An equal build keeps its time, and so its id: only new content makes a new image.
        key = step_key("image", state.base, str(document.to_json()), *layers)
        with self.cache.alone(key):
            done = self.cache.find(key)
            if done is None:
                done = Done(None, self.steps.now())
                self.cache.put(key, done, "image")
        history = tuple(replace(entry, created=entry.created or done.created) for entry in state.history)
        document = replace(document, history=history, created=done.created)
        image = None
        for tag in self.request.tags or ("",):
            found = self.store.put_image(state.layers, document, tag, on_host=state.host)
            image = image or found
        assert image is not None
        for layer in image.layers:
            self.store.layers.ensure(
                oci.Descriptor(layer.media_type, layer.digest, layer.size), layer.diff_id, self.store.blobs
            )
        self.say(Built(image.id, tuple(parse_reference(tag).familiar for tag in self.request.tags)))
        return image
