"""The project's firewall table as it should be, kept in memory, and the transactions that make it so."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence

from stackup.linux.nftables import Nft, NftError
from stackup.network import firewall, foreign
from stackup.network.types import NetworkState, PublishedPort


class ProjectTable:
    """One nftables table, and the project's rules in foreign chains. Callers hold the host lock."""

    def __init__(self, table: str, project: str) -> None:
        self._table = table
        self._project = project
        self._networks: dict[str, NetworkState] = {}  # by bridge
        self._ports: tuple[PublishedPort, ...] = ()
        self._nft: Nft | None = None

    def add(self, state: NetworkState) -> None:
        self._networks[state.bridge] = state
        self._write()

    def know(self, state: NetworkState) -> None:
        """``add`` for what is there already; ``verify`` sees to it."""
        self._networks[state.bridge] = state

    def drop(self, state: NetworkState) -> None:
        self._networks.pop(state.bridge, None)
        self._write()

    def forget(self, state: NetworkState) -> None:
        """``drop`` for the way out of a failure: does not fail again."""
        try:
            self.drop(state)
        except NftError:
            self._networks.pop(state.bridge, None)

    def reset(self, states: Iterable[NetworkState], ports: Sequence[PublishedPort]) -> None:
        self._networks = {state.bridge: state for state in states}
        self._ports = tuple(ports)
        self._write()

    def publish(self, ports: Sequence[PublishedPort]) -> list[str]:
        """Answers the container addresses whose UDP ports are no longer published as they were."""
        before, self._ports = self._ports, tuple(ports)
        if not self._present():
            self._write()
        elif set(before) != set(self._ports):
            self._open().run(firewall.ports_text(self._table, self._ports))
        gone = {port.address for port in before if port.protocol == "udp" and port not in self._ports}
        return sorted(gone)

    def publishes_udp(self, addresses: Collection[str]) -> bool:
        return any(port.protocol == "udp" and port.address in addresses for port in self._ports)

    def published(self) -> set[str]:
        """Addresses of containers that have published ports."""
        return {port.address for port in self._ports} - {""}

    def silent(self) -> set[str]:
        """Bridges whose containers may not talk to each other."""
        return {state.bridge for state in self._networks.values() if not state.talk}

    def verify(self) -> list[str]:
        if not self._needed():
            return []
        if not self._present():
            self._write()
            return [f"table {self._table}"]
        lost = self._lost()
        if lost:
            self._write()
        texts = [f"{', '.join(lost)} of table {self._table}"] if lost else []
        return texts + self._sync_foreign()

    def _lost(self) -> list[str]:
        """Chains, sets and maps that do not hold what was put into them."""
        states = [state for state in self._networks.values() if not state.external]
        wanted = firewall.shape(states, self._ports)
        found = firewall.shape_of(self._open().query(f"list table inet {self._table}"))
        return [name for name, size in wanted.items() if found.get(name, -1) != size]

    def _write(self) -> None:
        nft = self._open()
        states = [state for state in self._networks.values() if not state.external]
        if self._needed():
            nft.run(firewall.table_text(self._table, self._project, states, self._ports))
        else:
            nft.run(firewall.removal_text(self._table))
        self._sync_foreign()

    def _sync_foreign(self) -> list[str]:
        own = [state for state in self._networks.values() if not state.external]
        ipv6 = any(state.subnet6 for state in own)
        return foreign.sync(self._open(), self._table, {state.bridge for state in own}, ipv6=ipv6)

    def _needed(self) -> bool:
        return bool(self._networks or self._ports)

    def _present(self) -> bool:
        tables = (item.get("table", {}) for item in self._open().query("list tables inet"))
        return any(item.get("name") == self._table for item in tables)

    def _open(self) -> Nft:
        if self._nft is None:
            self._nft = Nft()
        return self._nft
