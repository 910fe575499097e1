"""Containers' places in networks: addresses leased, links named. The container's child makes the links themselves."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from ipaddress import ip_address, ip_network

from stackup.base import names
from stackup.base.errors import HostUnfit, StackFileError
from stackup.network import links
from stackup.network.address import choose_address, inside, mac_of, mirrored
from stackup.network.leases import Book, Books, Lease
from stackup.network.links import Rtnl
from stackup.network.types import Attachment, NetworkState, Wanted

# A network without IPv4 leases bare numbers, written as addresses of this subnet.
_NUMBERS = "0.0.0.0/16"


class Places:
    """The leases of one project's containers. Callers hold the host lock."""

    def __init__(self, books: Books, project: str, project_id: str) -> None:
        self._books = books
        self._project = project
        self._id = project_id
        self._attached: dict[str, dict[str, Attachment]] = {}  # container id -> bridge -> attachment
        self._settled: set[tuple[str, bool, bool]] = set()  # link name, hairpin, isolated

    @property
    def group(self) -> int:
        """The kernel's link group of the project's veths; never 0, which is everybody's."""
        return int(self._id, 16) & 0x7FFFFFFF or 1

    def attach(
        self,
        state: NetworkState,
        container_id: str,
        incarnation: int,
        wanted: Wanted,
        *,
        interface: str,
        default_route: bool,
        names_known: Sequence[str] = (),
    ) -> Attachment:
        book = self._books.read(state.bridge)
        if book is None:
            book = Book(state.to_dict())
            self._books.write(state.bridge, book)
        number = self._lease(state, book, container_id, wanted, names_known)
        addresses = []
        if state.subnet:
            addresses.append(f"{number}/{state.subnet.rpartition('/')[2]}")
        if state.subnet6:
            address6 = self._address6(state, number, wanted)
            addresses.append(f"{address6}/{state.subnet6.rpartition('/')[2]}")
        routed = default_route and not state.internal
        attachment = Attachment(
            container_id=container_id,
            network=state.key,
            network_id=state.id,
            bridge=state.bridge,
            host_name=names.veth_name(container_id, state.id, incarnation),
            container_name=wanted.interface or interface,
            mac=_mac(wanted.mac) or mac_of(addresses[0].partition("/")[0]),
            addresses=tuple(addresses),
            gateway=state.gateway if routed else "",
            gateway6=state.gateway6 if routed else "",
            alias=f"stackup {self._id} {container_id[:12]} {self._project} {state.key}",
            group=self.group,
            mtu=state.mtu,
            aliases=wanted.aliases,
        )
        self._attached.setdefault(container_id, {})[state.bridge] = attachment
        return attachment

    def attach_all(
        self,
        container_id: str,
        incarnation: int,
        places: Sequence[tuple[NetworkState, Wanted]],
        names_known: Sequence[str] = (),
    ) -> tuple[Attachment, ...]:
        ordered = sorted(places, key=lambda place: (-place[1].priority, place[0].name))
        open_ones = [place for place in ordered if not place[0].internal]
        door = min(open_ones, key=lambda place: (-place[1].gw_priority, place[0].name), default=None)
        taken = {wanted.interface for _, wanted in ordered}
        free = (name for name in (f"eth{number}" for number in range(len(ordered) * 2)) if name not in taken)
        found = [
            self.attach(
                state,
                container_id,
                incarnation,
                wanted,
                interface=wanted.interface or next(free),
                default_route=door is not None and state is door[0],
                names_known=names_known,
            )
            for state, wanted in ordered
        ]
        return tuple(sorted(found, key=lambda item: not item.gateways))

    def rename(self, container_id: str, names_known: Mapping[str, Sequence[str]]) -> None:
        for bridge, known in names_known.items():
            book = self._books.read(bridge)
            address = book.of(container_id) if book else ""
            if address:
                self._books.lease(bridge, address, Lease(self._project, container_id, tuple(known)), asked=True)

    def release(self, container_id: str) -> tuple[str, ...]:
        """The IPv4 addresses that became free."""
        self._attached.pop(container_id, None)
        freed = []
        for bridge in self._books.bridges():
            book = self._books.read(bridge)
            address = book.of(container_id) if book else ""
            if book and address:
                self._books.free(bridge, address)
                freed.append(address)
        return tuple(freed)

    def recover(self, states: Iterable[NetworkState], attachments: Iterable[Attachment]) -> None:
        """Lease files that are missing are written anew from the records; those there are kept and completed."""
        by_bridge: dict[str, list[Attachment]] = {}
        for item in attachments:
            by_bridge.setdefault(item.bridge, []).append(item)
            self._attached.setdefault(item.container_id, {})[item.bridge] = item
        for state in states:
            book = self._books.read(state.bridge) or Book(state.to_dict())
            if not state.external:
                book.state = state.to_dict()
            for item in by_bridge.get(state.bridge, ()):
                number = item.address or _number_of(state, item.address6)
                if not book.of(item.container_id):
                    book.addresses[number] = Lease(self._project, item.container_id, item.aliases)
            self._books.write(state.bridge, book)

    def forget_project(self) -> None:
        """Gives back what this project's containers hold in networks of other stacks."""
        self._attached.clear()
        for bridge in self._books.bridges():
            book = self._books.read(bridge)
            mine = [item for item, lease in book.addresses.items() if lease.project == self._project] if book else []
            for item in mine:
                self._books.free(bridge, item)

    def settle(self, rtnl: Rtnl, published: Collection[str], silent: Collection[str]) -> None:
        """Flags of bridge ports whose links exist by now.

        Hairpin mode for containers with ``published`` addresses, so that each reaches its own published port while
        bridge-nf-call-iptables makes bridged packets pass the NAT rules. Isolation on ``silent`` bridges.
        """
        places = [item for found in self._attached.values() for item in found.values()]
        wanted = {item.host_name: (item.address in published, item.bridge in silent) for item in places}
        missing = {name for name, flags in wanted.items() if any(flags) and (name, *flags) not in self._settled}
        present = [link for link in rtnl.links() if link.name in missing] if missing else []
        rtnl.send(
            *(
                links.set_port(link.index, hairpin=wanted[link.name][0], isolated=wanted[link.name][1])
                for link in present
            )
        )
        self._settled = {item for item in self._settled if item[0] in wanted}
        self._settled |= {(link.name, *wanted[link.name]) for link in present}

    def unsettle(self, host_name: str) -> None:
        """Its link was made anew, or left its bridge: the flags are lost."""
        self._settled = {item for item in self._settled if item[0] != host_name}

    def _lease(
        self, state: NetworkState, book: Book, container_id: str, wanted: Wanted, names_known: Sequence[str]
    ) -> str:
        present = book.of(container_id)
        asked = wanted.address if state.subnet else ""
        if present and (not asked or asked == present):
            return present
        if present:
            self._books.free(state.bridge, present)
            del book.addresses[present]
        gateway = state.gateway if state.subnet else "0.0.0.1"
        used = {gateway, *state.reserved, *book.addresses}
        if asked:
            _check_asked(state, asked, used, book)
            number = asked
        else:
            found = choose_address(state.subnet or _NUMBERS, used, ip_range=state.ip_range, last=book.last)
            if found is None:
                raise HostUnfit(
                    f"cannot attach a container to network {state.name}: all addresses of "
                    f"{state.ip_range or state.subnet} are in use",
                    hint="give the network a larger subnet",
                )
            number = found
        lease = Lease(self._project, container_id, (*names_known, *wanted.aliases))
        self._books.lease(state.bridge, number, lease, asked=bool(asked))
        return number

    def _address6(self, state: NetworkState, number: str, wanted: Wanted) -> str:
        if not wanted.address6:
            return mirrored(state.subnet6, number, state.subnet or _NUMBERS)
        _check_inside(state, wanted.address6, state.subnet6)
        return str(ip_address(wanted.address6))


def _number_of(state: NetworkState, address6: str) -> str:
    offset = int(ip_address(address6)) - int(ip_network(state.subnet6).network_address)
    return str(ip_address(offset & 0xFFFF)) if address6 else ""


def _check_asked(state: NetworkState, asked: str, used: Collection[str], book: Book) -> None:
    _check_inside(state, asked, state.subnet)
    if asked in book.addresses:
        holder = book.addresses[asked]
        raise StackFileError(
            f"cannot attach a container to network {state.name}: {asked} is container "
            f"{holder.container_id[:12]}'s (stack {holder.project})"
        )
    if asked == state.gateway:
        raise StackFileError(
            f"cannot attach a container to network {state.name}: {asked} is the network's gateway",
            hint="choose another ipv4_address",
        )


def _check_inside(state: NetworkState, asked: str, subnet: str) -> None:
    try:
        fits = inside(asked, subnet)
    except ValueError as error:
        raise StackFileError(f"cannot attach a container to network {state.name}: {error}") from error
    if not fits:
        raise StackFileError(
            f"cannot attach a container to network {state.name}: {asked} is not inside its subnet {subnet}",
            hint="give the network a subnet that holds it (networks: NAME: ipam: config: - subnet: ...)",
        )


def _mac(text: str) -> str:
    """A user's MAC as the kernel writes it: six pairs of lower-case hexadecimal digits."""
    if not text:
        return ""
    pairs = text.lower().replace("-", ":").split(":")
    if len(pairs) != 6 or any(len(pair) != 2 or set(pair) - set("0123456789abcdef") for pair in pairs):
        raise StackFileError(f"cannot use mac_address {text!r}: it is not six pairs of hexadecimal digits")
    if int(pairs[0], 16) & 1:
        raise StackFileError(f"cannot use mac_address {text!r}: it is a multicast address")
    return ":".join(pairs)
