"""Networks as ``network ls`` and ``network inspect`` show them, with docker's keys."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from stackup.base.errors import NotFound
from stackup.cli.things import ID_DIGITS, label_text

if TYPE_CHECKING:
    from stackup.engine.inventory import Inventory, NetworkView
    from stackup.engine.records import ContainerRecord

DRIVER, SCOPE = "bridge", "local"
ALIVE = ("starting", "running", "stopping", "paused")


def find(inventory: Inventory, name: str) -> NetworkView:
    """By name, or by the beginning of its id. Raises NotFound."""
    found = inventory.networks()
    named = [item for item in found if item.name == name] or [
        item for item in found if len(name) >= 3 and item.state.get("id", "").startswith(name)
    ]
    if len(named) == 1:
        return named[0]
    reason = "several ids begin like that" if named else "there is no such network"
    raise NotFound(f"cannot find network {name}: {reason}", hint="stackup network ls")


def brief(view: NetworkView, *, whole: bool) -> dict[str, Any]:
    """A row of ``ls --format json``."""
    state = view.state
    return {
        "CreatedAt": view.created,
        "Driver": DRIVER,
        "ID": state.get("id", "") if whole else state.get("id", "")[:ID_DIGITS],
        "IPv4": str(bool(state.get("subnet"))).lower(),
        "IPv6": str(bool(state.get("subnet6"))).lower(),
        "Internal": str(bool(view.config.get("internal"))).lower(),
        "Labels": label_text(view.labels),
        "Name": view.name,
        "Project": view.project,
        "Scope": SCOPE,
    }


def whole(view: NetworkView, users: list[tuple[str, ContainerRecord]]) -> dict[str, Any]:
    """An entry of ``inspect``. ``Containers`` are those that run in it."""
    state = view.state
    pairs = (("subnet", "gateway"), ("subnet6", "gateway6"))
    pools = [{"Subnet": state[net], "Gateway": state[gate]} for net, gate in pairs if state.get(net)]
    if pools and state.get("ip_range"):
        pools[0]["IPRange"] = state["ip_range"]
    options = {key: str(item) for key, item in view.config.get("driver_opts", {}).items()}
    return {
        "Name": view.name,
        "Id": state.get("id", ""),
        "Created": view.created,
        "Scope": SCOPE,
        "Driver": DRIVER,
        "EnableIPv4": bool(state.get("subnet")),
        "EnableIPv6": bool(state.get("subnet6")),
        "IPAM": {"Driver": "default", "Options": {}, "Config": pools},
        "Internal": bool(view.config.get("internal")),
        "Attachable": True,
        "Ingress": False,
        "Project": view.project,
        "Containers": {record.definition.id: _endpoint(view, record) for _, record in users if _is_in(view, record)},
        "Options": {"com.docker.network.bridge.name": state.get("bridge", ""), **options},
        "Labels": dict(view.labels),
    }


def _is_in(view: NetworkView, record: ContainerRecord) -> bool:
    return record.state.phase in ALIVE and any(_here(view, item) for item in record.state.attachments)


def _here(view: NetworkView, attachment: dict[str, Any]) -> bool:
    return bool(attachment["network_id"] == view.state.get("id"))


def _endpoint(view: NetworkView, record: ContainerRecord) -> dict[str, str]:
    place = next(item for item in record.state.attachments if _here(view, item))
    four = next((item for item in place["addresses"] if ":" not in item), "")
    six = next((item for item in place["addresses"] if ":" in item), "")
    return {
        "Name": record.definition.name,
        "EndpointID": "",
        "MacAddress": place["mac"],
        "IPv4Address": four,
        "IPv6Address": six,
    }
