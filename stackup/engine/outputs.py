"""Where a container's output goes: opens what its service's ``logging:`` asks for."""

from __future__ import annotations

import os
from contextlib import suppress
from typing import TYPE_CHECKING

from stackup.engine.logreader import STREAMS
from stackup.engine.logwriter import WITHOUT_LIMITS, LogWriter

if TYPE_CHECKING:
    from stackup.engine.container import Container
    from stackup.engine.logrules import LogRule
    from stackup.engine.records import Definition
    from stackup.engine.world import World


def log_rule(definition: Definition) -> LogRule | None:
    """None: the service says nothing about it, and everything is kept."""
    logging = definition.config.get("logging")
    if not logging:
        return None
    from stackup.engine.logrules import rule_of  # rare, and a cold start should not pay for it

    return rule_of(logging)


def keeps_output(definition: Definition) -> bool:
    rule = log_rule(definition)
    return rule is None or rule.kept


def open_writer(world: World, container: Container, stream: str, *, source: int = -1) -> LogWriter:
    """Of one stream. What is to be sent on is read from the files, so that no receiver holds up the service."""
    paths = world.container_paths(container.id)
    rule = log_rule(container.definition)
    limits = rule.limits if rule else WITHOUT_LIMITS
    if rule and rule.forwarded and container.id not in world.forwarders:
        _forward(world, container, rule)
    return LogWriter(
        _pipe(container, f"{paths.run}/{stream}", STREAMS.index(stream) + 1),
        paths.state,
        stream,
        lambda: world.output(container.id),
        source=source,
        limits=limits,
    )


def _pipe(container: Container, path: str, number: int) -> str:
    """The way to a container's output. Of one that runs, the name may have been deleted, and made again by whoever took
    over after a crash; then its process still has the pipe itself."""
    if container.state.pid > 0 and container.alive:
        own = f"/proc/{container.state.pid}/fd/{number}"
        with suppress(OSError):
            if os.readlink(own) == f"{path} (deleted)":
                return own
    return path


def _forward(world: World, container: Container, rule: LogRule) -> None:
    from stackup.engine.forwarder import Forwarder
    from stackup.engine.sinks import JOURNAL

    if rule.driver == "journald" and not os.path.exists(JOURNAL):
        world.tell(f"{container.name}: there is no journal here ({JOURNAL}); its output goes to stackup's own log only")
        return
    world.forwarders[container.id] = Forwarder(rule, container, world.log_directory(container.id))
