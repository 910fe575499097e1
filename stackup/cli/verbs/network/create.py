"""``stackup network create``: a network that belongs to no stack."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import zip_longest
from typing import TYPE_CHECKING

from stackup.base.errors import StackupError, UsageError
from stackup.cli.options import argument, switch, value, values
from stackup.cli.session import Session
from stackup.cli.things import pairs

if TYPE_CHECKING:
    from stackup.model.resources import Network


@dataclass(frozen=True)
class Request:
    """Create a network that belongs to no stack, for external: true; its id is printed."""

    name: str = argument("Its name.", metavar="NETWORK", required=True)
    driver: str = value("-d", "--driver", help="Driver; there is one.", default="bridge", metavar="DRIVER")
    opt: tuple[str, ...] = values("-o", "--opt", help="Driver option, as driver_opts has them.", metavar="KEY=VALUE")
    label: tuple[str, ...] = values("--label", help="Label.", metavar="KEY=VALUE")
    subnet: tuple[str, ...] = values("--subnet", help="Subnet, one for each of IPv4 and IPv6.", metavar="CIDR")
    gateway: tuple[str, ...] = values("--gateway", help="Gateway, of the subnet in its place.", metavar="ADDRESS")
    ip_range: tuple[str, ...] = values("--ip-range", help="Addresses to choose from.", metavar="CIDR")
    internal: bool = switch("--internal", help="No way out of it.")
    ipv6: bool = switch("--ipv6", help="Addresses of IPv6, too.")
    attachable: bool = switch("--attachable", help="Accepted; every network is.", hidden=True)


def run(session: Session, request: Request) -> int:
    from stackup.network.standalone import Standalones

    made = Standalones(session.layout).create(_network(request))
    session.console.print((made.state or {})["id"])
    return 0


def _network(request: Request) -> Network:
    from stackup.model.resources import Network

    if len(request.gateway) > len(request.subnet) or len(request.ip_range) > len(request.subnet):
        raise UsageError(f"cannot create network {request.name}: a gateway or range needs its --subnet")
    if request.driver not in ("bridge", "default"):
        raise StackupError(
            f"cannot create network {request.name}: driver {request.driver!r} is not supported",
            hint="leave --driver out, or use --driver bridge",
        )
    pools = [
        {key: text for key, text in (("subnet", subnet), ("gateway", gateway), ("ip_range", ip_range)) if text}
        for subnet, gateway, ip_range in zip_longest(request.subnet, request.gateway, request.ip_range)
    ]
    return Network.model_validate(
        {
            "name": request.name,
            "driver": "bridge",
            "driver_opts": pairs("option", request.opt),
            "labels": pairs("label", request.label),
            "internal": request.internal,
            "enable_ipv6": request.ipv6 or None,
            "ipam": {"config": pools},
        }
    )
