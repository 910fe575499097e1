"""``stackup port``: where a container's port is published."""

from __future__ import annotations

from dataclasses import dataclass

from stackup.base.errors import UsageError
from stackup.cli.containers import read
from stackup.cli.naming import suggestion
from stackup.cli.options import argument, value
from stackup.cli.session import Session


@dataclass(frozen=True)
class Request:
    """Print the address that a port of a service is published at."""

    service: str = argument("The service.", metavar="SERVICE", required=True)
    private_port: str = argument("The port inside the container.", metavar="PORT", required=True)
    index: int = value("--index", help="Which of its containers (default: the first).", kind=int, default=0)
    protocol: str = value("--protocol", help="Protocol.", default="tcp", choices=("tcp", "udp", "sctp"))


def run(session: Session, request: Request) -> int:
    wanted, _, protocol = request.private_port.partition("/")
    protocol = protocol or request.protocol
    rows = read(session)
    mine = [row for row in rows if row.service == request.service and request.index in (0, row.number)]
    if not mine:
        known = {row.service for row in rows}
        which = f" {request.index}" if request.index else ""
        raise UsageError(
            f"cannot look up a port of service {request.service}: it has no container{which}",
            hint=suggestion(request.service, known),
        )
    for port in mine[0].ports:
        if (str(port.container_port), port.protocol) == (wanted, protocol) and port.host_port:
            host = f"[{port.host_ip}]" if ":" in port.host_ip else port.host_ip or "0.0.0.0"
            session.console.print(f"{host}:{port.host_port}")
            return 0
    raise UsageError(f"cannot look up port {wanted}/{protocol}: container {mine[0].name} does not publish it")
