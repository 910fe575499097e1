"""Actions that put back what somebody took away from running containers. ``engine.drift`` plans them."""

from __future__ import annotations

from typing import ClassVar

from stackup.base.values import frozen
from stackup.model.plan import ContainerAction, NetworkAction


@frozen(kw_only=True)
class RemakeNetwork(NetworkAction):
    """Its bridge, as it was."""

    verb: ClassVar[str] = "restore"


@frozen(kw_only=True)
class Reconnect(ContainerAction):
    """Its links, with the same addresses; it runs on."""

    verb: ClassVar[str] = "reconnect"


@frozen(kw_only=True)
class Remount(ContainerAction):
    """``paths`` inside of it, from the same sources; it runs on. Files of ours that are missing are written anew."""

    paths: tuple[str, ...]
    verb: ClassVar[str] = "mount"

    def describe(self) -> str:
        return f"mount {', '.join(self.paths)} in {self.target} again"


@frozen(kw_only=True)
class Relimit(ContainerAction):
    """Its limits, as they should be; it runs on."""

    verb: ClassVar[str] = "limit"

    def describe(self) -> str:
        return f"set the limits of {self.target} again"


@frozen(kw_only=True)
class RenewContainer(ContainerAction):
    """Stopped with grace and started again: what is wrong cannot be put right while it runs."""

    verb: ClassVar[str] = "restart"
