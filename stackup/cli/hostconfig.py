"""``Config`` and ``HostConfig`` of ``inspect``: how a container was made, in docker's names, from its record."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any

from stackup.cli.asrun import as_run
from stackup.model.stack import Mount, Service
from stackup.spec import render_limits

if TYPE_CHECKING:
    from stackup.engine.records import Definition
    from stackup.engine.supervision import HealthCheck
    from stackup.oci.image import ImageConfig

_DEFAULT_SHM = 64 << 20


def recorded_service(definition: Definition) -> Service:
    """What the stack file said when the container was made; nothing but its name where a record of another version
    cannot be read."""
    config = {key: item for key, item in definition.config.items() if key != "files"}
    try:
        return Service.model_validate({"name": definition.service, **config})
    except ValueError:
        return Service(name=definition.service)


def config_of(
    definition: Definition, service: Service, image: ImageConfig, labels: Mapping[str, str]
) -> dict[str, Any]:
    """``image``: that of the container; an empty one where it is not here any more."""
    config, supervision = as_run(image, definition.config), definition.supervision
    ports = dict.fromkeys([*config.exposed_ports, *_exposed(definition, service)])
    return {
        "Hostname": definition.hostname,
        "Domainname": definition.naming.domainname,
        "User": config.user,
        "ExposedPorts": {port: {} for port in ports},
        "Tty": definition.tty,
        "OpenStdin": definition.stdin_open,
        "Env": list(config.env),
        "Cmd": None if config.cmd is None else list(config.cmd),
        **({"Healthcheck": _health(supervision.health)} if supervision.health else {}),
        "Image": definition.image,
        "Volumes": {path: {} for path in (*config.volumes, *definition.volumes)},
        "WorkingDir": config.working_dir,
        "Entrypoint": None if config.entrypoint is None else list(config.entrypoint),
        "Labels": dict(labels),
        "StopSignal": supervision.stop_signal,
        "StopTimeout": round(supervision.stop_grace),
    }


def host_config_of(definition: Definition, service: Service) -> dict[str, Any]:
    """Without the many keys of docker's that nothing here answers to."""
    restart, naming = definition.supervision.restart, definition.naming
    logging = service.logging
    return {
        "Binds": list(_binds(definition, service)),
        "LogConfig": {
            "Type": (logging.driver if logging else None) or "json-file",
            "Config": dict(logging.options) if logging else {},
        },
        "NetworkMode": definition.network_mode or next((item.name for item in definition.endpoints), "none"),
        "PortBindings": _port_bindings(definition),
        "RestartPolicy": {"Name": restart.condition, "MaximumRetryCount": restart.max_attempts},
        "AutoRemove": False,
        "CapAdd": list(service.cap_add) or None,
        "CapDrop": list(service.cap_drop) or None,
        "Privileged": service.privileged,
        "ReadonlyRootfs": service.read_only,
        "SecurityOpt": list(service.security_opt) or None,
        "Init": definition.init,
        "Runtime": service.runtime or "",
        "CgroupnsMode": service.cgroup or "private",
        "IpcMode": service.ipc or "private",
        "PidMode": service.pid or "",
        "UTSMode": service.uts or "",
        "UsernsMode": service.userns_mode or "",
        "GroupAdd": list(service.group_add) or None,
        "Dns": list(naming.dns),
        "DnsOptions": list(naming.dns_options),
        "DnsSearch": list(naming.dns_search),
        "ExtraHosts": [f"{name}:{target}" for name, targets in naming.extra_hosts.items() for target in targets],
        "Tmpfs": dict(_tmpfs(service)),
        "ShmSize": service.shm_size or _DEFAULT_SHM,
        "Sysctls": dict(service.sysctls),
        "Ulimits": [
            {"Name": name, "Hard": limit.hard, "Soft": limit.soft} for name, limit in sorted(service.ulimits.items())
        ],
        "Devices": [
            {
                "PathOnHost": item.source,
                "PathInContainer": item.target or item.source,
                "CgroupPermissions": item.permissions or "rwm",
            }
            for item in service.devices
        ],
        "DeviceCgroupRules": list(service.device_cgroup_rules) or None,
        "OomScoreAdj": service.oom_score_adj or 0,
        **_limits(service),
    }


def _limits(service: Service) -> dict[str, Any]:
    """0 means none. ``cpus`` are shown as such, not as the quota that they become."""
    found = render_limits(service)
    memory, cpu = found.memory, found.cpu
    limits = service.deploy.resources.limits if service.deploy and service.deploy.resources else None
    cpus = (limits.cpus if limits else None) or service.cpus or 0
    return {
        "Memory": (memory.limit if memory else None) or 0,
        "MemoryReservation": (memory.reservation if memory else None) or 0,
        "MemorySwap": (memory.swap if memory else None) or 0,
        "NanoCpus": round(cpus * 1e9),
        "CpuShares": (cpu.shares if cpu else None) or 0,
        "CpuPeriod": 0 if cpus else (cpu.period if cpu else None) or 0,
        "CpuQuota": 0 if cpus else (cpu.quota if cpu else None) or 0,
        "CpusetCpus": cpu.cpus if cpu else "",
        "PidsLimit": found.pids.limit if found.pids else None,
    }


def _binds(definition: Definition, service: Service) -> Iterator[str]:
    """Bind mounts and named volumes, as docker compose writes them; anonymous volumes are none."""
    for mount in service.volumes:
        name = definition.volumes.get(mount.target or "", "")
        source = mount.source if mount.type == "bind" else name if name not in definition.anonymous_volumes else ""
        if source:
            yield f"{source}:{mount.target}:{'ro' if mount.read_only else 'rw'}"


def _tmpfs(service: Service) -> Iterator[tuple[str, str]]:
    for text in service.tmpfs:
        path, _, options = text.partition(":")
        yield path, options
    for mount in service.volumes:
        if mount.type == "tmpfs" and mount.target:
            yield mount.target, _tmpfs_options(mount)


def _tmpfs_options(mount: Mount) -> str:
    if mount.tmpfs is None:
        return ""
    size = f"size={mount.tmpfs.size}" if mount.tmpfs.size else ""
    mode = f"mode={mount.tmpfs.mode:o}" if mount.tmpfs.mode else ""
    return ",".join(filter(None, (size, mode)))


def _exposed(definition: Definition, service: Service) -> Iterator[str]:
    for port in definition.ports:
        yield f"{port.container_port}/{port.protocol}"
    for text in service.expose:
        yield text if "/" in text else f"{text}/tcp"


def _port_bindings(definition: Definition) -> dict[str, list[dict[str, str]]]:
    """As asked for; where they are really bound is below ``NetworkSettings``."""
    found: dict[str, list[dict[str, str]]] = {}
    for port in definition.ports:
        place = {"HostIp": port.host_ip, "HostPort": port.host_port}
        found.setdefault(f"{port.container_port}/{port.protocol}", []).append(place)
    return found


def _health(check: HealthCheck) -> dict[str, Any]:
    """Times in nanoseconds."""
    return {
        "Test": ["CMD", *check.command],
        "Interval": round(check.interval * 1e9),
        "Timeout": round(check.timeout * 1e9),
        "StartPeriod": round(check.start_period * 1e9),
        "StartInterval": round(check.start_interval * 1e9),
        "Retries": check.retries,
    }
