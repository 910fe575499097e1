"""Builds an image: reads the Dockerfile, builds the stages that the target needs, and stores the result."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from stackup.base import names
from stackup.base.diskroom import said
from stackup.base.errors import ImageError, StackFileError
from stackup.base.paths import Layout
from stackup.base.workroom import Workroom
from stackup.build import inputs
from stackup.build.bases import Bases
from stackup.build.cache import StepCache
from stackup.build.check import mistakes
from stackup.build.command import OnLines
from stackup.build.dockerfile import Dockerfile, raise_all, read_dockerfile
from stackup.build.download import Downloads
from stackup.build.filedigests import FileDigests
from stackup.build.gitsource import GitCheckouts
from stackup.build.lazysandbox import LazySandbox
from stackup.build.lint import Finding, findings, unused_arguments
from stackup.build.mounting import Supplies, sweep_secrets
from stackup.build.origins import Origins
from stackup.build.orphans import sweep_orphans
from stackup.build.outcome import store_image
from stackup.build.progress import Event, Noted, OnProgress, Warned
from stackup.build.remote import Remote
from stackup.build.request import BuildRequest
from stackup.build.running import Runner
from stackup.build.sidebyside import side_by_side
from stackup.build.snapshots import Snapshots
from stackup.build.sources import Source
from stackup.build.stagebuild import StageBuilder, Workshop
from stackup.build.stages import BuildPlan, Stage, last_name, plan_stages
from stackup.build.stagework import StageWork
from stackup.build.state import State
from stackup.build.steps import Overlays, StepMaker
from stackup.build.targets import refuse_runs, targets
from stackup.images import Image, ImageStore, usage
from stackup.images.store import parse_reference
from stackup.oci.image import Platform
from stackup.runtime.cgroups import kill_all, remove_cgroups

if TYPE_CHECKING:
    from stackup.build.cachetransfer import Transfers

_PLATFORMS_AT_A_TIME = 4
_EPOCH = "SOURCE_DATE_EPOCH"


def build_image(request: BuildRequest, layout: Layout, on_progress: OnProgress | None = None) -> Image:
    """Builds and names the image; answers it. Blocks; not to be called inside a running event loop.

    Raises StackFileError (the Dockerfile or what it names), ImageError (a command failed, a base is missing),
    HostUnfit. On any error, and when the process dies, nothing half-made is visible.
    """
    say = _one_at_a_time(on_progress or (lambda _event: None))
    try:
        return _build(request, layout, say)
    except OSError as error:
        reason, hint = said(error, layout)
        raise ImageError(f"cannot build: {reason}", hint=hint) from error


def _one_at_a_time(say: OnProgress) -> OnProgress:
    lock = threading.Lock()

    def locked(event: Event) -> None:
        with lock:
            say(event)

    return locked


def _build(request: BuildRequest, layout: Layout, say: OnProgress) -> Image:
    wanted = targets(request)
    root, downloads, checkouts = remote_places(layout, say)
    context = inputs.context_of(request, root, downloads, checkouts)
    dockerfile, plans, found = read_plans(request, context, layout, wanted)
    for finding in found:
        say(Warned(f"{finding.rule}: {finding.message}", finding.where.file, finding.where.line))
    for name, close in unused_arguments(dockerfile, request).items():
        meant = f"; did you mean {close}?" if close else ""
        say(Warned(f"build argument {name} has no effect: no ARG takes it{meant}", about=f".build.args.{name}"))
    for name in request.attestations:
        text = f"build.{name} is not carried out yet: no attestation is made"
        say(Warned(f"services.{request.service}.{text}" if request.service else text, about=f".build.{name}"))
    for tag in request.tags:
        parse_reference(tag)
    with usage.bringing_in(layout), _room(layout) as (room, owner):
        maker = _maker(request, layout, room, say)
        maker.cache.forget_old()
        _transfers(request, context, maker, say, lambda found: found.bring_in())
        commands, snapshots = LazySandbox(layout, room, owner), Snapshots(room)
        bases = Bases(maker.store, request, say)
        builders = [
            _Builder(
                request, layout, context, dockerfile, plan, say, room, owner, downloads, checkouts, maker, target,
                commands, snapshots, bases,
            )
            for target, plan in plans.items()
        ]  # fmt: skip

        def stop() -> None:
            maker.stopped.set()
            commands.abort()

        try:
            states = side_by_side([builder.build for builder in builders], stop, _PLATFORMS_AT_A_TIME)
        finally:
            with suppress(OSError):  # it only saves time
                maker.files.save()
            commands.close()
        image = store_image(states, request, maker.store, maker, say)
        _transfers(request, context, maker, say, lambda found: found.take_out(_diff_ids(states)))
        return image


def _diff_ids(states: list[State]) -> list[str]:
    return [layer.diff_id for state in states for layer in state.layers]


def _maker(request: BuildRequest, layout: Layout, room: Path, say: OnProgress) -> StepMaker:
    """Shared by the platforms: what one has done, the others find."""
    store = ImageStore(layout)
    cache = StepCache(layout, store)
    files = FileDigests(layout.build_cache / "digests.json")
    return StepMaker(store, cache, room, files, say, _epoch(request))


def _epoch(request: BuildRequest) -> int | None:
    text = request.args.get(_EPOCH, "")
    if text and not text.isdigit():
        raise StackFileError(f"cannot use {_EPOCH}={text}: it is not a number of seconds")
    return int(text) if text else None


def _transfers(
    request: BuildRequest, context: Remote, maker: StepMaker, say: OnProgress, do: Callable[[Transfers], None]
) -> None:
    if request.cache_from or request.cache_to:
        from stackup.build.cachetransfer import Transfers  # seldom needed

        do(Transfers(request, context.path, maker.store, maker.cache, say))


def remote_places(layout: Layout, say: OnProgress) -> tuple[Path, Downloads, GitCheckouts]:
    """What ``inputs.context_of`` needs for contexts that lie elsewhere."""
    cache = layout.build_cache
    return cache / "contexts", Downloads(cache / "http", lambda text: say(Noted(text))), GitCheckouts(cache / "git")


def read_plans(
    request: BuildRequest, context: Remote, layout: Layout, wanted: Sequence[Platform]
) -> tuple[Dockerfile, dict[Platform, BuildPlan], list[Finding]]:
    """Reads and checks the Dockerfile. A plan for each platform. Raises StackFileError with all its mistakes."""
    text, name = inputs.dockerfile_text(request, context)
    dockerfile, errors = read_dockerfile(text, name)
    raise_all([*errors, *mistakes(dockerfile)])
    plans = {
        platform: plan_stages(
            dockerfile,
            target=request.target,
            arguments=request.args,
            predefined=inputs.platform_arguments(request.target or last_name(dockerfile), platform),
            named=frozenset(request.additional_contexts),
        )
        for platform in wanted
    }
    refuse_runs(plans)
    ignore = inputs.ignore_rules(request, context)
    found = findings(
        dockerfile, request, ignore, lambda base: _variables_of(base, layout), lambda base: _platform_of(base, layout)
    )
    return dockerfile, plans, found


def check_build(request: BuildRequest, layout: Layout) -> list[Finding]:
    """All that can be said of a build without doing it: what the rules find, in the order of the lines.

    Raises StackFileError with all mistakes, and ImageError.
    """
    context = inputs.context_of(request, *remote_places(layout, lambda _event: None))
    return read_plans(request, context, layout, targets(request))[2]


def _variables_of(base: str, layout: Layout) -> frozenset[str] | None:
    """The environment that an image brings; None when it is not here."""
    with suppress(ImageError):
        image = ImageStore(layout).resolve(base)
        return frozenset(image.config.environment) if image is not None else None
    return None


def _platform_of(base: str, layout: Layout) -> str:
    """What an image is for; "" when it is not here or does not say."""
    with suppress(ImageError):
        image = ImageStore(layout).resolve(base)
        return str(image.platform) if image is not None and image.platform is not None else ""
    return ""


def sweep(layout: Layout) -> None:
    """Collects what killed builds left, also those of state roots that were deleted: files, control groups, networks.
    Never disturbs live ones."""
    sweep_orphans(layout)
    for name in ("http", "git", "contexts", "mounts"):
        Workroom(layout.build_cache / name / ".work").sweep()
    sweep_secrets(layout)
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
    remote: Remote
    dockerfile: Dockerfile
    plan: BuildPlan
    say: OnProgress
    room: Path
    owner: str
    downloads: Downloads
    checkouts: GitCheckouts
    maker: StepMaker
    target: Platform
    commands: LazySandbox
    snapshots: Snapshots
    bases: Bases

    def __post_init__(self) -> None:
        self.maker.on_failure = self._keep_failed
        self.origins = Origins(
            self.maker.store, self.maker, self.request.additional_contexts, self.bases.find, self.downloads,
            self.checkouts,
            self.layout.build_cache / "contexts", self.remote.path, self.target, bool(self.request.platforms),
        )  # fmt: skip
        self.shop = Workshop(
            self.plan, self.origins, self.maker,
            Source.directory(self.remote.path, inputs.ignore_rules(self.request, self.remote)),
            self.say, self._runner, dict(self.request.args), self.dockerfile.escape,
            len(self.request.platforms) > 1, self._no_cache,
        )  # fmt: skip

    def build(self) -> State:
        self._work = StageWork(self._stage, self._stop)
        return self._work.run(self.plan.needed)

    def _stage(self, number: int) -> State:
        return StageBuilder(self.shop, self.plan.stages[number], self._work.require).build()

    def _no_cache(self, stage: Stage) -> bool:
        wanted = {name.lower() for name in self.request.no_cache_filter}
        return self.request.no_cache or bool({stage.name, str(stage.number)} & wanted)

    # Commands

    def _runner(self, find: Callable[[str], Source], on_lines: OnLines) -> Runner:
        supplies = Supplies(self.layout, find, self.request.secrets, self.request.ssh, self.layout.run / self.owner)
        return Runner(self.request, self.commands.run, supplies, self.room, self.maker.files, self.snapshots, on_lines)

    def _keep_failed(self, overlays: Overlays, writable: Path) -> None:
        command = self.commands.failed
        if self.request.keep_failed and command is not None and not self.maker.stopped.is_set():
            from stackup.build.failed import keep

            keep(self.layout, self.request.keep_failed, overlays, writable, command)

    def _stop(self) -> None:
        self.maker.stopped.set()
        self.commands.abort()
