"""Looks: a snapshot of the project from its records, which the supervisor keeps true. Touches nothing."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Mapping
from typing import Any

from stackup.base.names import LABEL_PREFIX
from stackup.engine.records import ContainerRecord, Definition
from stackup.model.observed import (
    Health,
    ImageMarks,
    Observed,
    ObservedContainer,
    ObservedNetwork,
    ObservedVolume,
    Phase,
)
from stackup.model.stack import Stack
from stackup.planner.freshness import refreshes
from stackup.volumes.store import Volume

FILES_LABEL = f"{LABEL_PREFIX}.project.config_files"


def observe(
    project: str,
    containers: Iterable[ContainerRecord],
    networks: Mapping[str, dict[str, Any]],
    volumes: Iterable[Volume],
    *,
    stack: Stack | None = None,
    image_id: Callable[[str], str | None] = lambda _reference: None,
    external_network: Callable[[str], str | None] = lambda _name: None,
    any_volume: Callable[[str], Volume | None] = lambda _name: None,
    image_marks: Callable[[str], ImageMarks | None] = lambda _reference: None,
    damage: Callable[[Definition], str] = lambda _definition: "",
) -> Observed:
    """``volumes`` are the project's own. ``image_id`` answers the id of a reference, ``external_network`` the id of
    another owner's network by name, ``any_volume`` the volume of that name, whoever made it; they are asked only for
    what ``stack`` mentions, ``image_marks`` only for what it sets conditions for. ``damage`` says what is deleted of a
    container that must be there."""
    known = {record.definition.id: record for record in containers}
    mine = {volume.name: volume for volume in volumes}
    return Observed(
        project=project,
        containers=tuple(_container(record, known, damage) for record in known.values()),
        networks=(
            *(_network(key, data) for key, data in networks.items() if not data["external"]),
            *(_external_networks(stack, external_network) if stack else ()),
        ),
        volumes=(
            *(_volume(volume) for volume in mine.values()),
            *(_others_volumes(stack, mine, any_volume) if stack else ()),
        ),
        images=_images(stack, image_id) if stack else {},
        image_marks=_image_marks(stack, image_marks) if stack else {},
    )


def _container(
    record: ContainerRecord, known: Mapping[str, ContainerRecord], damage: Callable[[Definition], str]
) -> ObservedContainer:
    definition, state = record.definition, record.state
    return ObservedContainer(
        id=definition.id,
        name=definition.name,
        service=definition.service,
        number=definition.number,
        phase=Phase(state.phase),
        config_hash=definition.config_hash,
        config=definition.config,
        image=definition.image,
        image_id=definition.image_id,
        health=Health(state.health),
        exit_code=state.exit_code,
        exit_unknown=state.exit_unknown,
        stopped_by_user=state.stopped_by_user,
        networks={endpoint.network: endpoint.network_id for endpoint in definition.endpoints},
        volumes=definition.volumes,
        namespaces_of=tuple(sorted(set(definition.namespaces_of.values()))),
        anonymous_volumes=definition.anonymous_volumes,
        updating=state.updating,
        unprepared=state.unprepared,
        success_codes=definition.supervision.restart.success_codes,
        scheduled=definition.supervision.schedule is not None,
        damage=damage(definition),
        trial_for=state.trial_for,
        files=_files(definition.labels.get(FILES_LABEL, "")),
        stale_namespaces=any(_is_stale(record, known.get(owner)) for owner in definition.namespaces_of.values()),
    )


def _files(label: str) -> tuple[str, ...]:
    """The label's paths that lead to something; a stack that was piped in has none."""
    return tuple(path for path in label.split(",") if path and os.path.lexists(path))


def _is_stale(guest: ContainerRecord, owner: ContainerRecord | None) -> bool:
    """The namespace that ``guest`` joined is not the one that ``owner`` has now."""
    if owner is None or Phase(owner.state.phase) not in (Phase.RUNNING, Phase.PAUSED, Phase.STOPPING):
        return True
    return owner.state.started_ns > guest.state.started_ns


def _network(key: str, data: Mapping[str, Any]) -> ObservedNetwork:
    return ObservedNetwork(
        key=key,
        name=data["state"]["name"],
        id=data["state"]["id"],
        config_hash=data["config_hash"],
        config=data["config"],
    )


def _volume(volume: Volume, *, external: bool = False) -> ObservedVolume:
    config = {"name": volume.name, "driver_opts": dict(volume.options), "labels": dict(volume.labels)}
    return ObservedVolume(
        name=volume.name,
        key=volume.key,
        config_hash=volume.config_hash,
        config={key: value for key, value in config.items() if value},
        external=external,
        anonymous=volume.anonymous,
        deleted=not os.path.isdir(volume.data),
    )


def _external_networks(stack: Stack, find: Callable[[str], str | None]) -> Iterable[ObservedNetwork]:
    for key, network in stack.networks.items():
        found = find(network.name) if network.external else None
        if found is not None:
            yield ObservedNetwork(key=key, name=network.name, id=found, config_hash="", config={}, external=True)


def _others_volumes(
    stack: Stack, mine: Mapping[str, Volume], find: Callable[[str], Volume | None]
) -> Iterable[ObservedVolume]:
    for wanted in stack.volumes.values():
        found = find(wanted.name) if wanted.name not in mine else None
        if found is not None:
            yield _volume(found, external=True)


def _images(stack: Stack, image_id: Callable[[str], str | None]) -> dict[str, str | None]:
    references = {service_image(stack, name) for name in stack.services}
    return {reference: image_id(reference) for reference in sorted(references)}


def _image_marks(stack: Stack, find: Callable[[str], ImageMarks | None]) -> dict[str, ImageMarks]:
    choosy = [name for name, service in stack.services.items() if service.platform or refreshes(service)]
    found = ((reference, find(reference)) for reference in {service_image(stack, name) for name in choosy})
    return {reference: marks for reference, marks in found if marks is not None}


def service_image(stack: Stack, service_name: str) -> str:
    """The reference of a service's image: what the file says, or <project>-<service> where it only says build."""
    return stack.services[service_name].image or f"{stack.name}-{service_name}"
