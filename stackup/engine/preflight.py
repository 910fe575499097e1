"""What would fail, or deceive, only once containers run: said before anything is touched, all of it at once."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from stackup.base.errors import ContainerFault, PlanRefused, StackupError
from stackup.model.stack import Service, Stack

ENGINE_SOCKETS = frozenset({"/var/run/docker.sock", "/run/docker.sock"})
ALLOW_SOCKET = "docker.sock"  # in x-stackup.allow at the top of the file


def check(stack: Stack, *, confirmed: bool) -> None:
    """Raises the first problem with the others as its details. ``confirmed``: the user said --yes."""
    problems = [problem for service in stack.services.values() for problem in _problems(stack, service, confirmed)]
    if problems:
        problems[0].details = (*problems[0].details, *problems[1:])
        raise problems[0]


def _problems(stack: Stack, service: Service, confirmed: bool) -> Iterator[StackupError]:
    for mount in service.volumes:
        if mount.type != "bind" or not mount.source:
            continue
        if mount.source in ENGINE_SOCKETS and not confirmed and ALLOW_SOCKET not in stack.stackup.allow:
            yield PlanRefused(
                f"cannot give {mount.source} to service {service.name}: there is no engine of stackup behind it; what "
                "the service does with it would reach a Docker engine that knows nothing of this project, or nobody",
                hint="go on anyway with --yes, or for good with `x-stackup: {allow: [docker.sock]}` in the stack file",
            )
        elif not Path(mount.source).exists() and not (mount.bind and mount.bind.create_host_path):
            yield ContainerFault(
                f"cannot mount {mount.source} in service {service.name}: it does not exist on this machine",
                path=mount.source,
                hint="create it, or use the short form `SOURCE:TARGET`, which makes a directory",
            )
