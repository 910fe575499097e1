"""``stackup systemd remove``: the unit goes away; the project stays as it is."""

from __future__ import annotations

from dataclasses import dataclass

from stackup.base.errors import HostUnfit
from stackup.cli.session import Session


@dataclass(frozen=True)
class Request:
    """Disable and delete the project's systemd unit; containers that run are left running."""


def run(session: Session, request: Request) -> int:
    from stackup.cli.units import DIRECTORY, MARK, Systemctl, read

    name = f"stackup-{session.project}.service"
    path = DIRECTORY / name
    text = read(path)
    if not text:
        session.console.warn(f"nothing to remove: there is no {path}")
        return 0
    if not text.startswith(MARK):
        raise HostUnfit(f"cannot remove {path}: stackup did not make it", hint=f"systemctl disable {name}; rm {path}")
    systemctl = Systemctl()
    systemctl.require("remove a unit")
    systemctl.run("disable", name)
    path.unlink()
    systemctl.run("daemon-reload")
    session.console.print(f"{path} removed")
    return 0
