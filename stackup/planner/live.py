"""What of a container's configuration can be changed while it lives, and what takes a new container.

Better than docker compose, which makes a new one for every difference (pkg/compose/hash.go): here only what the kernel
fixes at the start of a process does. What is watched, limited or published from outside is changed in place.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from stackup.model.observed import ObservedContainer

Plain = Mapping[str, Any]

# Read by the supervisor, or written into control groups, whenever they are needed.
LIVE = frozenset(
    {
        *("restart", "healthcheck", "stop_signal", "stop_grace_period", "post_start", "pre_stop", "labels", "expose"),
        *("mem_limit", "mem_reservation", "memswap_limit", "pids_limit"),
        *("cpus", "cpu_shares", "cpu_quota", "cpu_period", "cpuset"),
        "ports",
    }
)
LIVE_EXTRAS = frozenset({"restart_when", "backoff", "success_exit_codes", "ready"})
SCHEDULE = "schedule"  # another one, where there was one
LIVE_DEPLOY = frozenset({"labels", "restart_policy"})


def needs_new_container(old: Plain, new: Plain) -> bool:
    """Whether two hashed configurations differ in more than what can be changed in place."""
    return _fixed(old) != _fixed(new)


def _fixed(config: Plain) -> dict[str, Any]:
    """The part that takes a new container."""
    part: dict[str, Any] = {key: value for key, value in config.items() if key not in LIVE}
    networks = part.get("networks") or {}
    part["networks"] = {key: _without(end or {}, {"aliases"}) for key, end in networks.items()}
    deploy = _without(part.pop("deploy", None) or {}, LIVE_DEPLOY)
    resources = deploy.pop("resources", None) or {}
    part["reserved"] = _without(resources.get("reservations") or {}, {"memory"})
    part["deploy"] = deploy
    extras = part.get("stackup") or {}
    part["stackup"] = _without(extras, {*LIVE_EXTRAS, SCHEDULE}) | {SCHEDULE: bool(extras.get(SCHEDULE))}
    return part


def _without(value: Plain, keys: Iterable[str]) -> dict[str, Any]:
    left = set(keys)
    return {key: item for key, item in value.items() if key not in left}


def ports_in_the_way(container: ObservedContainer, new: Plain, others: Iterable[ObservedContainer]) -> bool:
    """Whether ``container`` cannot just take the ports of its ``new`` configuration: it has no network of its own to
    publish from, or another container (or itself, on other addresses) has them now. New containers sort that out, for
    they are started when the old ones have stopped."""
    before, after = _bindings(container.config), _bindings(new)
    fresh = {(published, protocol) for published, protocol, _, _ in after - before if published}
    if before == after:
        return False
    if not new.get("networks"):
        return True
    going = {(published, protocol) for published, protocol, _, _ in before - after}
    held = {
        (published, protocol)
        for other in others
        if other.live and other.id != container.id
        for published, protocol, _, _ in _bindings(other.config)
    }
    return not fresh.isdisjoint(going | held)


def _bindings(config: Plain) -> set[tuple[str, str, str, int]]:
    """Published port, protocol, address; and the container's port where any host port will do."""
    found = set()
    for port in config.get("ports") or ():
        published = str(port.get("published") or "")
        target = 0 if published else int(port["target"])
        found.add((published, str(port.get("protocol") or "tcp"), str(port.get("host_ip") or ""), target))
    return found


def given_up(old: Plain, new: Plain) -> set[tuple[str, str]]:
    """Published port and protocol of what only the ``old`` configuration publishes."""
    gone = _bindings(old) - _bindings(new)
    return {(published, protocol) for published, protocol, _, _ in gone if published}
