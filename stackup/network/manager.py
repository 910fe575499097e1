"""Makes, finds and removes the networks of one project. Synchronous: the engine calls it from worker threads.

Every effect is under ``host_lock`` and is undone when a later step of it fails. What exists can be found again without
records: links by their ``sk`` names and ifalias, the firewall table by name, rules in foreign chains by comment.
"""

from __future__ import annotations

import errno
import os
import threading
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from typing import TYPE_CHECKING

from stackup.base import names
from stackup.base.errors import HostUnfit, PlanRefused, StackFileError
from stackup.base.paths import Layout
from stackup.linux.nftables import NftError
from stackup.network import conntrack, links, sysctl
from stackup.network.address import DEFAULT_POOLS, Pool
from stackup.network.attach import Places
from stackup.network.bridges import Bridges, forwarding_before, index_of
from stackup.network.leases import Book, Books, host_lock
from stackup.network.links import Link, LinkError, Rtnl
from stackup.network.neighbours import Neighbours
from stackup.network.request import Options, Subnets, choose_subnets, read_options, rechosen
from stackup.network.table import ProjectTable
from stackup.network.types import Attachment, NetworkState, PublishedPort, Wanted

if TYPE_CHECKING:
    from stackup.model.resources import Network


class NetworkManager:
    """The networks of ``project``. Thread-safe; one instance a process and project."""

    def __init__(
        self, layout: Layout, project: str, pools: Sequence[Pool] = DEFAULT_POOLS, *, identity: str = ""
    ) -> None:
        """``identity``: the project's id where it is not that of ``layout``'s root, for ``purge``."""
        self._layout = layout
        self._project = project
        self._pools = pools
        self._id = identity or names.project_id(project, layout.root)
        self._books = Books(layout.leases)
        self._places = Places(self._books, project, self._id)
        self._table = ProjectTable(f"{names.NFT_TABLE_PREFIX}{self._id}", project)
        self._bridges = Bridges(project, self._id)
        self._lock = threading.RLock()

    # networks

    def create(self, key: str, network: Network, config_hash: str = "") -> NetworkState:
        """Makes the bridge with its addresses and lets it through the firewall; an external network is looked up.

        Raises StackFileError (the request makes no sense), PlanRefused (the subnet is taken), HostUnfit.
        """
        with self._session(f"create network {network.name}") as rtnl:
            if network.external:
                state = self._find_external(rtnl, key, network.name, config_hash)
                self._table.add(state)
                return state
            options = read_options(self._project, self._layout.root, key, network)
            found = rtnl.links()
            self._bridges.clear_the_way(rtnl, options.bridge, network.name, found)
            identity = f"{self._id}/{key}"
            chosen = choose_subnets(identity, network, self._bridges.taken(rtnl, found, options.bridge), self._pools)
            state = self._planned(key, network, options, chosen, config_hash)
            return self._make(rtnl, state, found)

    def remove(self, state: NetworkState) -> None:
        """Deletes the bridge and all that belonged to it. An external network is only forgotten.

        Raises PlanRefused while containers of other stacks are in it.
        """
        with self._session(f"remove network {state.name}") as rtnl:
            if state.external:
                self._table.drop(state)
                return
            self._refuse_if_used(state)
            found = rtnl.links()
            mine = [link for link in found if link.name == state.bridge and self._bridges.is_mine(link)]
            self._bridges.delete(rtnl, mine, found)
            self._books.drop(state.bridge)
            self._table.drop(state)  # after the bridge: until then, the table keeps late packets on this machine

    def stands(self, state: NetworkState) -> bool:
        """Its bridge is there, with its leases; the firewall is looked after from now on, by ``verify``."""
        with self._session(f"look at network {state.name}") as rtnl:
            there = any(link.name == state.bridge and self._bridges.is_mine(link) for link in rtnl.links())
            if there and self._books.read(state.bridge) is not None:
                self._table.know(state)
                return True
            return False

    def find(self, name: str) -> NetworkState | None:
        """The existing network of that full name, of any stack under this state root."""
        with self._locked(f"look for network {name}"):
            return self._books.find(name)

    def neighbours(self) -> Neighbours:
        """The names of other stacks' containers in networks shared with them, for the responder."""
        return Neighbours(self._books, self._project)

    # containers

    def attach(
        self,
        state: NetworkState,
        container_id: str,
        incarnation: int,
        wanted: Wanted | None = None,
        *,
        interface: str = "eth0",
        default_route: bool = True,
    ) -> Attachment:
        """Leases an address and names the links. The same container gets the same address until ``release``."""
        with self._locked(f"attach a container to network {state.name}"):
            return self._places.attach(
                state, container_id, incarnation, wanted or Wanted(), interface=interface, default_route=default_route
            )

    def attach_all(
        self,
        container_id: str,
        incarnation: int,
        places: Sequence[tuple[NetworkState, Wanted]],
        names_known: Sequence[str] = (),
    ) -> tuple[Attachment, ...]:
        """``attach`` for every network of a container: interfaces in order of priority, then of network name, and one
        default route, through the network of the highest gw_priority (ties: first name) that is not internal. That
        one comes first in the answer, whatever its interface is called: it is where published ports lead.
        ``names_known`` are what the container is called besides its aliases, for other stacks in the same networks."""
        with self._locked("attach a container to its networks"):
            return self._places.attach_all(container_id, incarnation, places, names_known)

    def release(self, container_id: str) -> None:
        """Gives the container's addresses back, and forgets connections to them. Nothing happens if it has none."""
        with self._locked("release a container's addresses"):
            addresses = self._places.release(container_id)
            if self._table.publishes_udp(addresses):
                conntrack.forget(addresses)

    def rename(self, container_id: str, names_known: Mapping[str, Sequence[str]]) -> None:
        """What the container is called from now on, by bridge, for other stacks in the same networks."""
        with self._locked("rename a container"):
            self._places.rename(container_id, names_known)

    # ports

    def publish(self, ports: Sequence[PublishedPort]) -> None:
        """Makes the project's published ports exactly ``ports``, in one transaction. To be called when the links of
        their containers exist: those get what they need to reach themselves."""
        with self._session("publish ports") as rtnl:
            gone = self._table.publish(ports)
            self._places.settle(rtnl, self._table.published(), self._table.silent())
            if gone:
                conntrack.forget(gone)

    # looking after

    def recover(
        self,
        states: Sequence[NetworkState],
        attachments: Iterable[Attachment] = (),
        ports: Sequence[PublishedPort] = (),
    ) -> tuple[NetworkState, ...]:
        """Takes over after a crash or a reboot: what the records say exists, made true again.

        A bridge that is gone is made anew: with another subnet if its own was taken meanwhile, and then with another id
        if somebody lives on it. Who lives on one that was made anew must be connected again (``mending``). A bridge of
        this project that no record knows is deleted.
        Answers the states as they are now, in the same order.
        """
        attachments = tuple(attachments)
        inhabited = {item.network_id for item in attachments}
        with self._session("recover networks") as rtnl:
            found = rtnl.links()
            known = {state.bridge for state in states}
            strays = [link for link in self._bridges.among(found) if link.name not in known]
            self._bridges.delete(rtnl, strays, found)
            for stray in strays:
                self._books.drop(stray.name)
            current = tuple(self._recovered(rtnl, state, found, state.id in inhabited) for state in states)
            own = [state for state in current if not state.external and not state.internal]
            if own:
                sysctl.enable_forwarding(ipv6=any(state.subnet6 for state in own))
            self._places.recover(current, attachments)
            self._table.reset(current, ports)
            return current

    def verify(self) -> list[str]:
        """Puts back what others flushed: our table, our rules in foreign chains. Answers what was missing, in words.
        Costs under a millisecond when nothing is; meant to be called now and then, and after firewall events."""
        with self._locked("check the firewall"):
            return self._table.verify()

    def sweep(self) -> None:
        """Deletes all veths of the project that are left, in one message; for the end of ``down``."""
        with self._session("remove links") as rtnl:
            if any(link.group == self._places.group for link in rtnl.links()):
                rtnl.send(links.delete_group(self._places.group))

    def purge(self) -> None:
        """Removes everything of this project that the kernel and the lease files still hold, without any record."""
        with self._session("purge networks") as rtnl:
            found = rtnl.links()
            if any(link.group == self._places.group for link in found):
                rtnl.send(links.delete_group(self._places.group))
            self._bridges.delete(rtnl, self._bridges.among(found), found)
            for bridge in self._books.bridges():
                book = self._books.read(bridge)
                if book is None or book.state.get("owner") == self._project:
                    self._books.drop(bridge)
            self._places.forget_project()
            self._table.reset((), ())

    # steps

    @contextmanager
    def _locked(self, verb: str) -> Iterator[None]:
        """The locks, and the kernel's refusals turned into sentences."""
        with self._lock, host_lock(self._layout):
            try:
                yield
            except LinkError as error:
                raise _unfit(verb, error) from error
            except NftError as error:
                raise HostUnfit(f"cannot {verb}: nftables refused: {str(error).splitlines()[0]}") from error

    @contextmanager
    def _session(self, verb: str) -> Iterator[Rtnl]:
        """``_locked``, with a netlink socket."""
        with self._locked(verb), Rtnl() as rtnl:
            yield rtnl

    def _planned(self, key: str, network: Network, options: Options, chosen: Subnets, config_hash: str) -> NetworkState:
        return NetworkState(
            key=key,
            name=network.name,
            id=os.urandom(32).hex(),
            owner=self._project,
            bridge=options.bridge,
            ifindex=0,
            group=self._places.group,
            subnet=chosen.subnet,
            gateway=chosen.gateway,
            ip_range=chosen.ip_range,
            reserved=chosen.reserved,
            pooled=chosen.pooled,
            subnet6=chosen.subnet6,
            gateway6=chosen.gateway6,
            internal=network.internal,
            mtu=options.mtu,
            masquerade=options.masquerade,
            talk=options.talk,
            config_hash=config_hash,
        )

    def _make(
        self, rtnl: Rtnl, state: NetworkState, found: Sequence[Link], *, remembered: bool = False
    ) -> NetworkState:
        """Bridge, addresses, switches, firewall. Whatever was made is taken away again when a step fails.
        ``remembered``: how the machine's switches were before is in ``state``, for they have been changed since."""
        if not (remembered and state.forwarding):
            state = replace(state, forwarding=forwarding_before(found).text)
        self._bridges.add(rtnl, state)
        try:
            state = self._bridges.open(rtnl, state)
            self._books.write(state.bridge, Book(state.to_dict()))
            self._table.add(state)
        except BaseException:
            self._table.forget(state)
            self._books.drop(state.bridge)
            made = Link(index_of(state.bridge), state.bridge, "bridge", self._bridges.alias(state), 0, 0, False)
            self._bridges.delete(rtnl, [made], [*found, made])
            raise
        return state

    def _find_external(self, rtnl: Rtnl, key: str, name: str, config_hash: str) -> NetworkState:
        state = self._books.find(name)
        if state is None or all(link.name != state.bridge for link in rtnl.links()):
            raise StackFileError(
                f"cannot use network {name}: it is declared as external, but does not exist",
                hint=f"make it with `stackup network create {name}`, or bring up the stack that it belongs to",
            )
        return replace(state, key=key, external=True, config_hash=config_hash)

    def _refuse_if_used(self, state: NetworkState) -> None:
        book = self._books.read(state.bridge)
        others = sorted({lease.project for lease in book.addresses.values()} - {self._project}) if book else []
        if others:
            raise PlanRefused(
                f"cannot remove network {state.name}: containers of {', '.join(others)} are attached to it",
                hint=f"take {others[0]} down first",
            )

    def _recovered(self, rtnl: Rtnl, state: NetworkState, found: Sequence[Link], inhabited: bool) -> NetworkState:
        if state.external:
            now = self._books.find(state.name)
            return replace(now, key=state.key, external=True, config_hash=state.config_hash) if now else state
        link = next((link for link in found if link.name == state.bridge), None)
        if link is not None and (self._bridges.is_mine(link) or not link.alias):
            return replace(state, ifindex=link.index)
        taken = self._bridges.taken(rtnl, found, state.bridge)
        fresh = rechosen(state, taken, self._pools)
        if inhabited and fresh.subnet != state.subnet:  # who lives there must be given another address
            fresh = replace(fresh, id=os.urandom(32).hex())
        before = self._books.read(state.bridge)
        made = self._make(rtnl, fresh, found, remembered=inhabited)
        if before is not None and made.subnet == state.subnet:  # what others hold in it stays theirs
            self._books.write(state.bridge, Book(made.to_dict(), before.addresses, before.last))
        return made


def _unfit(verb: str, error: LinkError) -> HostUnfit:
    reason = f"cannot {verb}: {error.step}: {error.strerror}"
    if error.errno == errno.EPERM:
        return HostUnfit(reason, hint="networks need root: run it with sudo")
    if error.errno == errno.EOPNOTSUPP:
        return HostUnfit(reason, hint="this kernel has no bridges: modprobe bridge")
    return HostUnfit(reason)
