"""What names in a Dockerfile mean: for FROM a state to begin with, for ``--from`` and mounts a source of files.

A named context comes before a stage of its name, a stage before an image (BuildKit, "named contexts").
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path

from stackup.base.errors import ImageError, StackFileError
from stackup.base.values import frozen
from stackup.build import inputs, layouts, remote
from stackup.build.cache import step_key
from stackup.build.changes import Changes
from stackup.build.dockerfile import Instruction
from stackup.build.download import Downloads
from stackup.build.gitsource import GitCheckouts
from stackup.build.patience import Patience
from stackup.build.progress import Noted
from stackup.build.sources import Source, collect, digest
from stackup.build.stages import SCRATCH, Stage
from stackup.build.state import State
from stackup.build.steps import Overlays, Step, StepMaker
from stackup.build.targets import platform_of
from stackup.build.writer import LayerWriter, Override
from stackup.images import Image, ImageStore
from stackup.images.lookup import Stack
from stackup.images.store import DEFAULT_PATH
from stackup.oci import image as oci

_IMAGE, _LAYOUT = "docker-image://", "oci-layout://"


@frozen
class Origins:
    """``named``: additional contexts. ``find_image`` answers an image that is here, or brings it. ``root``: where
    fetched contexts are kept; ``directory``: what relative paths begin at. ``target``: what is built for; ``strict``:
    because somebody has asked for it."""

    store: ImageStore
    maker: StepMaker
    named: Mapping[str, str]
    find_image: Callable[[str, Instruction, oci.Platform, bool], Image]
    downloads: Downloads
    checkouts: GitCheckouts
    root: Path
    directory: Path
    target: oci.Platform
    strict: bool

    def base(self, stage: Stage) -> State:
        """What a stage that does not begin with another one begins with."""
        try:
            platform = platform_of(stage.platform) if stage.platform else self.target
        except ImageError as error:
            raise stage.source.error(error.message, word="--platform") from None
        return replace(self._base(stage, platform), platform=platform)

    def _base(self, stage: Stage, platform: oci.Platform) -> State:
        if stage.base in self.named_keys:
            return self._named_state(stage.base, stage.source, platform)
        if stage.base == SCRATCH:
            return self._nothing()
        strict = self.strict or bool(stage.platform)
        return self.on(self.find_image(stage.base, stage.source, platform, strict))

    @property
    def named_keys(self) -> frozenset[str]:
        """Names as they may be written: ``alpine`` and ``alpine:latest`` are the same."""
        return frozenset(self.named) | {f"{name}:latest" for name in self.named if ":" not in name}

    def _value(self, name: str) -> str:
        return self.named.get(name) or self.named[name.removesuffix(":latest")]

    def on(self, image: Image) -> State:
        """A stage that begins with an image. Raises ImageError for one of another machine's userland."""
        image.check_own()
        history: tuple[oci.History, ...] = ()
        author = ""
        if image.digest:
            document = oci.ConfigFile.from_json(self.store.blobs.read_json(image.id))
            history, author = document.history, document.author
        base = f"host:{self.store.host.state().packages}" if image.host else ""
        return State.on(image, history, base, author)

    def of_state(self, state: State) -> Source:
        return Source(Stack(self.maker.overlays(state, None)), keep_owner=True, chain=state.chain)

    def _nothing(self) -> State:
        """Below it is nothing, but not in its configuration (BuildKit, dockerfile2llb: ``emptyImage``)."""
        return State(oci.ImageConfig(env=(DEFAULT_PATH,), working_dir="/"), empty=str(self.store.layers.empty))

    # Named contexts

    def source(self, reference: str, item: Instruction, platform: oci.Platform) -> Source:
        """What ``--from=reference`` means, where it is no stage."""
        if reference not in self.named_keys:
            return self.of_state(self.on(self.find_image(reference, item, platform, self.strict)))
        image = self._named_image(reference, item, platform)
        return self.of_state(self.on(image)) if image is not None else self._directory(reference)

    def _named_state(self, name: str, item: Instruction, platform: oci.Platform) -> State:
        if self._value(name) == f"{_IMAGE}{SCRATCH}":
            return self._nothing()
        image = self._named_image(name, item, platform)
        return self.on(image) if image is not None else self._whole(name, item)

    def _named_image(self, name: str, item: Instruction, platform: oci.Platform) -> Image | None:
        value = self._value(name)
        if value.startswith(_IMAGE):
            return self.find_image(value.removeprefix(_IMAGE), item, platform, self.strict)
        if value.startswith(_LAYOUT):
            return layouts.image_of_layout(value, self.store, self.directory, platform)
        return None

    def _directory(self, name: str) -> Source:
        value, about = self._value(name), f".build.additional_contexts.{name.removesuffix(':latest')}"
        if remote.is_remote(value):
            found = remote.fetch_context(value, self.root, self.downloads, self.checkouts, about=about)
            return Source.directory(found.path, inputs.read_rules([found.path / ".dockerignore"], found.hidden))
        path = Path(self.directory, value.removeprefix("file://"))
        if "://" in value and not value.startswith("file://"):
            raise StackFileError(
                f"cannot use context {name}: there is no kind {value.partition('://')[0]}", about=about
            )
        if not path.is_dir():
            raise StackFileError(f"cannot use context {name}: {path} is not a directory", about=about)
        return Source.directory(path, inputs.read_rules([path / ".dockerignore"]))

    def _whole(self, name: str, item: Instruction) -> State:
        """FROM a directory: its files are the only layer."""
        source, state = self._directory(name), self._nothing()
        patience = Patience(lambda text: self.maker.say(Noted(text)))

        def begin(changes: Changes) -> State:
            with changes.watched():
                items = list(collect(source, "/", ""))
                identity = digest(items, self.maker.files, owners=False, watch=patience.reading(name))
            step = Step(step_key("CONTEXT", identity), f"FROM {name}", changes=changes)

            def make(overlays: Overlays) -> None:
                with changes.watched():
                    LayerWriter(overlays, changes).put(items, "/", Override((0, 0), seconds=self.maker.epoch))

            return self.maker.run(state, step, make, lambda: None, patience=patience)[0]

        return replace(self.maker.steadily(begin, item), own_command=False)
