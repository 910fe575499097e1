"""What a stage has become so far: its layers and its configuration. Every instruction answers a new one."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import field, replace
from types import MappingProxyType

from stackup.base.values import frozen
from stackup.images import Image, Layer, Tree
from stackup.images.store import DEFAULT_PATH, host_platform
from stackup.oci import reference as references
from stackup.oci.image import History, ImageConfig, Platform

_COMMENT = "stackup"
DEFAULT_SHELL = ("/bin/sh", "-c")


def _name(image: Image) -> str:
    """In full, as a registry knows it; "" for what has none there (an id, a layout of files)."""
    if not image.digest or image.reference.startswith("sha256:"):
        return ""
    try:
        return str(references.parse(image.reference).without_digest())
    except ValueError:
        return ""


@frozen
class State:
    """``arguments``: ARGs in force, in order of declaration. ``base``: identity of what lies below ``layers`` (the
    host's packages, or nothing). ``own_command``: this stage has set CMD itself. ``base_name``, ``base_digest``: the
    image that it all stands on, for its annotations; empty on ``scratch`` and on the bare ``host``. ``idle``: keys of
    the steps since the topmost layer, which have changed no file."""

    config: ImageConfig = field(default_factory=ImageConfig)
    layers: tuple[Layer, ...] = ()
    history: tuple[History, ...] = ()
    host: bool = False
    trees: tuple[Tree, ...] = (Tree("/"),)
    base: str = ""
    empty: str = ""
    host_state: str = ""
    arguments: Mapping[str, str] = field(default_factory=lambda: MappingProxyType({}))
    own_command: bool = False
    author: str = ""
    base_name: str = ""
    base_digest: str = ""
    platform: Platform = field(default_factory=host_platform)
    idle: tuple[str, ...] = ()

    @classmethod
    def on(cls, image: Image, history: tuple[History, ...], base: str, author: str = "") -> State:
        found = cls(image.config, image.layers, history, image.host, image.trees, base, image.empty, image.host_state)
        return replace(found, author=author, base_name=_name(image), base_digest=image.digest)

    @property
    def chain(self) -> str:
        """Identity of the file system: equal for stages with equal layers on an equal base, whatever made them."""
        text = "\0".join((self.base, *(layer.diff_id for layer in self.layers)))
        return hashlib.sha256(text.encode()).hexdigest()

    @property
    def variables(self) -> dict[str, str]:
        """What ``$NAME`` means in an instruction: of ENV and ARG, whichever came later (``metadata`` sees to it)."""
        return {**self.config.environment, **self.arguments}

    @property
    def process_environment(self) -> dict[str, str]:
        found = self.variables
        found.setdefault("PATH", DEFAULT_PATH.partition("=")[2])
        return found

    @property
    def shell(self) -> tuple[str, ...]:
        return self.config.shell or DEFAULT_SHELL

    @property
    def working_dir(self) -> str:
        return self.config.working_dir or "/"

    @property
    def image(self) -> Image:
        """As if it were built already: for its overlays."""
        return Image(
            "", "", self.config, self.layers, self.host, self.trees, host_state=self.host_state, empty=self.empty
        )

    def configured(self, text: str, **changes: object) -> State:
        """A change of the configuration only. Its time is filled in at the end."""
        config = replace(self.config, **changes)  # type: ignore[arg-type]
        return replace(self, config=config, history=(*self.history, History("", text, _COMMENT, True)))

    def with_layer(self, created: str, text: str, layer: Layer | None, key: str = "") -> State:
        history = (*self.history, History(created, text, _COMMENT, layer is None))
        if layer is None:
            return replace(self, history=history, idle=(*self.idle, key))
        return replace(self, history=history, layers=(*self.layers, layer), idle=())
