"""Networks and volumes for ``up``: what is missing, what has changed, what somebody else must have made."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from stackup.base.errors import PlanRefused
from stackup.base.values import frozen
from stackup.model.observed import Observed, ObservedNetwork, ObservedVolume
from stackup.model.plan import CreateNetwork, CreateVolume, Question, RemoveNetwork, RemoveVolume
from stackup.model.stack import Network, Service, Stack, Volume
from stackup.planner.desired import Desired
from stackup.planner.difference import Change, apart, differences, in_full, inline, summary
from stackup.planner.draft import Draft
from stackup.planner.hashing import config_hash, network_config, volume_config
from stackup.planner.words import listed

_REMAKE = "answer with --yes to make it anew, without its data, or change the stack file back"


@frozen
class Resource:
    """A network or volume that the stack uses. ``create`` and ``remove`` are ids of actions, "" for none; ``id`` is
    what containers are compared with (network id or volume name), "" while unknown."""

    key: str
    name: str
    id: str = ""
    create: str = ""
    remove: str = ""

    @property
    def remade(self) -> bool:
        return bool(self.remove)


def used_networks(services: Iterable[Service]) -> dict[str, list[str]]:
    """Key of network -> services in it."""
    used: dict[str, list[str]] = {}
    for service in services:
        for key in service.networks:
            used.setdefault(key, []).append(service.name)
    return used


def used_volumes(services: Iterable[Service]) -> dict[str, list[str]]:
    """Key of named volume -> services that mount it."""
    used: dict[str, list[str]] = {}
    for service in services:
        for mount in service.volumes:
            if mount.type == "volume" and mount.source:
                used.setdefault(mount.source, []).append(service.name)
    return used


def plan_networks(draft: Draft, stack: Stack, observed: Observed, services: Iterable[Service]) -> dict[str, Resource]:
    """A diverged network is made anew: it holds no data. Raises PlanRefused when an external one is missing."""
    own = {item.key: item for item in observed.networks if not item.external}
    by_name = {item.name: item for item in observed.networks}
    resources = {}
    for key, users in used_networks(services).items():
        network = stack.networks.get(key)
        if network is None:
            continue
        if network.external:
            resources[key] = _external("network", key, network, users, by_name)
        else:
            resources[key] = _network(draft, key, network, users, own.get(key))
    return resources


def _network(draft: Draft, key: str, network: Network, users: list[str], found: ObservedNetwork | None) -> Resource:
    name, wanted = network.name, network_config(network)
    reason = f"{listed(users)} {'uses' if len(users) == 1 else 'use'} it"
    remove = ""
    if found is not None:
        if found.config_hash in ("", config_hash(wanted)):
            return Resource(key, found.name, found.id)
        changes = differences(found.config, wanted)
        reason = f"config changed: {summary(changes)}" if changes else "config changed"
        removal = f"remove network {found.name}"
        whole, shown = in_full(changes), apart(changes)
        remove = draft.add(RemoveNetwork(removal, reason, key=key, name=found.name, changes=whole, shown=shown))
        reason = "made anew"
    create = draft.add(CreateNetwork(f"create network {name}", reason, key=key, name=name))
    draft.after(create, [remove] if remove else [])
    return Resource(key, name, "", create, remove)


_IN_MEMORY = ("tmpfs", "ramfs")
_APART = "each container gets one of its own, and nothing that one writes is seen by another"


def plan_volumes(
    draft: Draft, desired: Desired, stack: Stack, observed: Observed, services: Iterable[Service]
) -> dict[str, Resource]:
    """A diverged volume is made anew only when the question has been answered with yes: its data would be lost."""
    by_name = {item.name: item for item in observed.volumes if not item.deleted}
    mounted = {name for item in observed.containers for name in item.volumes.values()}
    resources = {}
    for key, users in used_volumes(services).items():
        volume = stack.volumes.get(key)
        if volume is None:
            continue
        if volume.driver_opts.get("type") in _IN_MEMORY and len(users) > 1:
            draft.notice(f"volume {volume.name} is in memory ({volume.driver_opts['type']}): {_APART}")
        if volume.external:
            resources[key] = _external("volume", key, volume, users, by_name)
        else:
            resources[key] = _volume(
                draft, desired, key, volume, users, by_name.get(volume.name), volume.name in mounted
            )
    return resources


def _volume(
    draft: Draft,
    desired: Desired,
    key: str,
    volume: Volume,
    users: list[str],
    found: ObservedVolume | None,
    mounted: bool,
) -> Resource:
    """``mounted``: a container has it, whether it is there or not."""
    name, wanted = volume.name, volume_config(volume)
    if found is None:
        reason = f"{listed(users)} {'mounts' if len(users) == 1 else 'mount'} it"
        if mounted:
            reason = "its directory was deleted, and what was in it"
        return Resource(key, name, name, draft.add(CreateVolume(f"create volume {name}", reason, key=key, name=name)))
    if found.external:
        draft.notice(f"volume {name} was not made by this project and is used as it is; external: true would say so")
        return Resource(key, name, name)
    if found.config_hash in ("", config_hash(wanted)):
        return Resource(key, name, name)
    question = f"remake volume {name}"
    found_changes = differences(found.config, wanted)
    changes = inline(found_changes) or "its configuration"
    answer = desired.answers.of(question)
    if answer is None and (desired.answers.asks or not _only_labels(found_changes)):
        text = f"volume {name} no longer matches the stack file ({changes}). Make it anew? Its data would be lost"
        draft.questions.append(Question(question, text, hint=_REMAKE, about=f"volumes.{key}", spared=True))
    elif not answer:
        draft.notice(f"volume {name} is kept although it no longer matches the stack file ({changes})")
    if not answer:
        return Resource(key, name, name)
    reason = f"config changed: {changes}; its data is given up"
    whole = in_full(found_changes)
    remove = draft.add(RemoveVolume(f"remove volume {name}", reason, key=key, name=name, changes=whole))
    create = draft.add(CreateVolume(f"create volume {name}", "made anew", key=key, name=name))
    draft.after(create, [remove])
    return Resource(key, name, name, create, remove)


def _only_labels(changes: Iterable[Change]) -> bool:
    """What is in it, and where, is the same: it can be used as it is."""
    return all(change.path.split(".")[0] == "labels" for change in changes)


def _external(
    kind: str,
    key: str,
    wanted: Network | Volume,
    users: list[str],
    by_name: Mapping[str, ObservedNetwork | ObservedVolume],
) -> Resource:
    found = by_name.get(wanted.name)
    if found is None:
        raise PlanRefused(
            f"cannot start {listed(users)}: {kind} {wanted.name} is declared external but does not exist",
            hint=f"make it with `stackup {kind} create {wanted.name}`, or take external: true from {kind}s.{key}",
            about=f"{kind}s.{key}.external",
        )
    return Resource(key, found.name, found.id if isinstance(found, ObservedNetwork) else found.name)
