"""A container in the words of ``docker container inspect``, as far as stackup has them."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import TYPE_CHECKING, Any

from stackup.base.clock import rfc3339
from stackup.cli.asking import ask
from stackup.cli.containerfinding import project_of
from stackup.cli.containers import DOCKER_STATES
from stackup.cli.hostconfig import config_of, host_config_of, recorded_service

if TYPE_CHECKING:
    from stackup.cli.session import Session
    from stackup.engine.records import ContainerRecord, Definition, EndpointRecord
    from stackup.oci.image import ImageConfig

NEVER = "0001-01-01T00:00:00Z"  # as Docker writes it


def describe(session: Session, record: ContainerRecord) -> dict[str, Any]:
    """Asks the supervisor of its project where one runs; the last probes are known only there."""
    definition, row = record.definition, _row(session, record)
    alive = row["phase"] in ("running", "paused", "stopping")
    state: dict[str, Any] = {
        "Status": DOCKER_STATES.get(row["phase"], row["phase"]),
        "Running": alive,
        "Paused": row["phase"] == "paused",
        "Restarting": row["phase"] == "restarting",
        "OOMKilled": row["oom_killed"],
        "Pid": row["pid"] if alive else 0,
        "ExitCode": row["exit_code"] or 0,
        "ExitUnknown": row["exit_unknown"],
        "Error": row["notice"],
        "StartedAt": _time(row["started_ns"]),
        "FinishedAt": _time(row["finished_ns"]),
    }
    if definition.supervision.health:
        log = [_probe(item) for item in row.get("probes", ())]
        state["Health"] = {"Status": row["health"], "FailingStreak": row.get("failing", 0), "Log": log}
    service = recorded_service(definition)
    config = config_of(definition, service, _image(session, definition), row["labels"])
    args = [*(config["Entrypoint"] or ()), *(config["Cmd"] or ())]
    return {
        "Id": definition.id,
        "Created": rfc3339(definition.created_ns),
        "Name": f"/{definition.name}",
        "Image": row["image_id"],
        "RestartCount": row["restarts"],
        "State": state,
        "Path": (args or [""])[0],
        "Args": args[1:],
        "Config": config,
        "HostConfig": host_config_of(definition, service),
        "Mounts": list(_mounts(session, definition)),
        "NetworkSettings": {
            "Ports": _ports(row["ports"]),
            "Networks": {item.name: _network(item, record, alive=alive) for item in definition.endpoints},
        },
    }


def _image(session: Session, definition: Definition) -> ImageConfig:
    """Of an image that is gone, the command is known still."""
    from stackup.images.store import ImageStore, is_host
    from stackup.oci.image import ImageConfig

    reference = definition.image if is_host(definition.image) else definition.image_id
    image = ImageStore(session.layout).usable(reference) if reference else None
    return image.config if image else ImageConfig(cmd=tuple(definition.command.split()) or None)


def _mounts(session: Session, definition: Definition) -> Iterator[dict[str, Any]]:
    """Volumes and bind mounts."""
    from stackup.volumes.store import VolumeStore

    asked = {item.get("target", ""): item for item in definition.config.get("volumes") or ()}
    for target, name in definition.volumes.items():
        volume = VolumeStore(session.layout).get(name)
        source = str(volume.data) if volume else ""
        writable = not asked.get(target, {}).get("read_only")
        yield {"Type": "volume", "Name": name, "Source": source, "Destination": target, "RW": writable}
    for target, item in asked.items():
        if item.get("type") == "bind":
            source, writable = item.get("source", ""), not item.get("read_only")
            yield {"Type": "bind", "Source": source, "Destination": target, "RW": writable}


def _ports(ports: Iterable[Mapping[str, Any]]) -> dict[str, list[dict[str, str]]]:
    """Published ones, by ``80/tcp``."""
    found: dict[str, list[dict[str, str]]] = {}
    for port in ports:
        place = {"HostIp": port["host_ip"] or "0.0.0.0", "HostPort": str(port["host_port"] or "")}
        found.setdefault(f"{port['container_port']}/{port['protocol']}", []).append(place)
    return found


def _network(endpoint: EndpointRecord, record: ContainerRecord, *, alive: bool) -> dict[str, Any]:
    """Addresses are shown while the container lives, as docker has it."""
    places = [item for item in record.state.attachments if alive and item["network_id"] == endpoint.network_id]
    place = places[0] if places else {}
    addresses = [text.partition("/") for text in place.get("addresses", ())]
    four = next((item for item in addresses if ":" not in item[0]), ("", "", "0"))
    six = next((item for item in addresses if ":" in item[0]), ("", "", "0"))
    return {
        "NetworkID": endpoint.network_id,
        "MacAddress": place.get("mac", ""),
        "Gateway": place.get("gateway", ""),
        "IPAddress": four[0],
        "IPPrefixLen": int(four[2] or 0),
        "IPv6Gateway": place.get("gateway6", ""),
        "GlobalIPv6Address": six[0],
        "GlobalIPv6PrefixLen": int(six[2] or 0),
        "Aliases": list(place.get("aliases", ())),
    }


def _row(session: Session, record: ContainerRecord) -> dict[str, Any]:
    from stackup.engine.status import offline_row

    project, wanted = project_of(record), record.definition.id
    client = session.connector.connect(session.layout, project)
    if client is not None:
        for data in ask(session, client, "ps", {"all": True, "probes": True}):
            if data["id"] == wanted:
                return dict(data)
    return offline_row(record, session.layout.project(project).container(wanted).exit_file)


def _probe(item: dict[str, Any]) -> dict[str, Any]:
    return {
        "Start": _time(item["begin_ns"]),
        "End": _time(item["end_ns"]),
        "ExitCode": item["code"],
        "Output": item["output"],
    }


def _time(ns: int) -> str:
    return rfc3339(ns) if ns else NEVER
