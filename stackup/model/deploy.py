"""``deploy``: replicas, resources and restart policy; the swarm-only parts are kept for ``config``."""

from __future__ import annotations

from pydantic import Field

from stackup.model.strict import Bytes, Map, Seconds, Strict


class DeviceRequest(Strict):
    """Devices by capability (``deploy.resources.reservations.devices``, ``gpus``). ``count`` -1 means all."""

    capabilities: tuple[str, ...] = ()
    driver: str | None = None
    count: int | None = None
    device_ids: tuple[str, ...] = ()
    options: Map[str] = Field(default_factory=dict)


class DiscreteResource(Strict):
    kind: str | None = None
    value: int = 0


class GenericResource(Strict):
    discrete_resource_spec: DiscreteResource | None = None


class Limits(Strict):
    """Upper bounds. ``cpus`` counts processors (0.5 is half of one)."""

    cpus: float | None = None
    memory: Bytes | None = None
    pids: int | None = None


class Reservations(Strict):
    cpus: float | None = None
    memory: Bytes | None = None
    generic_resources: tuple[GenericResource, ...] = ()
    devices: tuple[DeviceRequest, ...] = ()


class Resources(Strict):
    limits: Limits | None = None
    reservations: Reservations | None = None


class RestartPolicy(Strict):
    """Beats the service's ``restart``."""

    condition: str | None = None
    delay: Seconds | None = None
    max_attempts: int | None = None
    window: Seconds | None = None


class UpdateConfig(Strict):
    parallelism: int | None = None
    delay: Seconds | None = None
    failure_action: str | None = None
    monitor: Seconds | None = None
    max_failure_ratio: float | None = None
    order: str | None = None


class Preference(Strict):
    spread: str | None = None


class Placement(Strict):
    constraints: tuple[str, ...] = ()
    preferences: tuple[Preference, ...] = ()
    max_replicas_per_node: int | None = None


class Deploy(Strict):
    mode: str | None = None
    endpoint_mode: str | None = None
    replicas: int | None = None
    labels: Map[str] = Field(default_factory=dict)
    update_config: UpdateConfig | None = None
    rollback_config: UpdateConfig | None = None
    resources: Resources | None = None
    restart_policy: RestartPolicy | None = None
    placement: Placement | None = None
