"""``stackup volume create``: a volume that belongs to no stack."""

from __future__ import annotations

import os
from dataclasses import dataclass

from stackup.base.errors import PlanRefused, StackupError
from stackup.cli.options import argument, value, values
from stackup.cli.session import Session
from stackup.cli.things import pairs


@dataclass(frozen=True)
class Request:
    """Create a volume that belongs to no stack, for external: true; its name is printed."""

    name: str = argument("Its name (default: one is made up).", metavar="VOLUME")
    driver: str = value("-d", "--driver", help="Driver; there is one.", default="local", metavar="DRIVER")
    opt: tuple[str, ...] = values(
        "-o", "--opt", help="Option of the local driver: type, device, o.", metavar="KEY=VALUE"
    )
    label: tuple[str, ...] = values("--label", help="Label.", metavar="KEY=VALUE")


def run(session: Session, request: Request) -> int:
    from stackup.volumes.store import VolumeStore

    name = request.name or os.urandom(32).hex()
    if request.driver not in ("local", "default"):
        raise StackupError(
            f"cannot create volume {name}: there is no volume driver {request.driver!r}",
            hint="leave --driver out, or use --driver local",
        )
    options, labels = pairs("option", request.opt), pairs("label", request.label)
    made = VolumeStore(session.layout).create(name, options=options, labels=labels, anonymous=not request.name)
    if dict(made.options) != options:
        raise PlanRefused(
            f"cannot create volume {name}: it exists already, with other options", hint="stackup volume ls"
        )
    session.console.print(name)
    return 0
