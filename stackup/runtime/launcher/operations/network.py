"""Operations on the container's network namespace: its links, addresses and routes, and the resolver's sockets."""

from __future__ import annotations

from stackup.linux import features
from stackup.linux.netlink import Batch
from stackup.runtime.launcher.operations.base import Operation, Stage

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

# Outside of the range that kernels give to outgoing connections, and fixed: adoption remakes the sockets on it.
DNS_PORT = 61053
_LOOPBACK = 1
# What nf_tables answers where it, or one of the expressions, is not there.
_WITHOUT_NFT = frozenset((2, 22, 38, 93, 95, 97))


class MakeLinks(Operation):
    """The veth pairs, sent on the host's netlink socket: one end in its bridge, the other here."""

    __slots__ = ("veths",)
    step = "veth"

    def __init__(self, veths: list[tuple[dict[str, Any], int]]) -> None:
        """Each with the index of its bridge."""
        self.veths = veths

    @property
    def path(self) -> str:
        return ", ".join(veth["bridge"] for veth, _ in self.veths)

    def describe(self) -> str:
        return "make the links " + ", ".join(f"{v['host_name']}@{v['container_name']}" for v, _ in self.veths)

    def execute(self, stage: Stage) -> None:
        batch, pid = Batch(), stage.kernel.getpid()
        for veth, bridge in self.veths:
            batch.add_veth(
                veth["host_name"],
                bridge,
                veth["container_name"],
                pid,
                mac=veth["mac"],
                group=veth["group"],
                mtu=veth.get("mtu", 0),
            )
            if veth["alias"]:
                batch.set_alias(veth["host_name"], veth["alias"])
        assert stage.host_links is not None
        stage.kernel.send_links(stage.host_links, batch)
        stage.host_links.close()


class ConfigureLinks(Operation):
    """lo up; addresses on the links, links up, default route by the first: one send."""

    __slots__ = ("veths",)
    step = "veth"

    def __init__(self, veths: list[dict[str, Any]]) -> None:
        self.veths = veths

    def describe(self) -> str:
        words = [f"{veth['container_name']} {' '.join(veth['addresses'])}" for veth in self.veths]
        return "bring up " + ", ".join(["lo", *words])

    def execute(self, stage: Stage) -> None:
        kernel, batch = stage.kernel, Batch()
        batch.set_up(_LOOPBACK)
        inet6 = any(":" in address for veth in self.veths for address in veth["addresses"])
        indices = [kernel.link_index(veth["container_name"]) for veth in self.veths]
        for index, veth in zip(indices, self.veths, strict=True):
            if not inet6:
                batch.set_no_link_local(index)
            for address in veth["addresses"]:
                batch.add_address(index, address)
            batch.set_up(index)
        for index, veth in zip(indices[:1], self.veths[:1], strict=True):
            for gateway in filter(None, veth["gateway"].split(",")):
                batch.add_gateway(index, gateway.strip())
        socket = kernel.netlink_socket()
        kernel.send_links(socket, batch)
        socket.close()


class OpenResolver(Operation):
    """Sockets on 127.0.0.11 that the supervisor will serve, and the rewriting of that address's port 53 to them.

    Where the kernel has no nf_tables they are bound to port 53 itself.
    """

    step = "dns"

    def describe(self) -> str:
        return f"open the resolver's sockets on 127.0.0.11:{DNS_PORT}"

    def execute(self, stage: Stage) -> None:
        port = 53
        if features.usable(features.NFT):
            try:
                stage.kernel.redirect_dns(DNS_PORT)
                port = DNS_PORT
            except OSError as error:
                if error.errno not in _WITHOUT_NFT:
                    raise
        udp, tcp = stage.kernel.listen_dns(port)
        stage.report({"fds": ["dns_udp", "dns_tcp"]}, [udp.fileno(), tcp.fileno()])
        udp.close()
        tcp.close()
