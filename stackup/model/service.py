"""``Service``: every attribute of the Compose Specification in its long form."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from stackup.model.build import Build, Develop, FileGrant, Hook, Ulimit
from stackup.model.deploy import Deploy, DeviceRequest
from stackup.model.extras import ServiceExtras
from stackup.model.strict import Bytes, Map, Seconds, Strict, blank

Condition = Literal["service_started", "service_healthy", "service_completed_successfully"]
MountType = Literal["bind", "volume", "tmpfs", "image", "cluster", "npipe"]


class WeightDevice(Strict):
    path: str
    weight: int


class ThrottleDevice(Strict):
    """``rate`` in bytes per second or operations per second, as the attribute says."""

    path: str
    rate: int


class BlkioConfig(Strict):
    weight: int | None = None
    weight_device: tuple[WeightDevice, ...] = ()
    device_read_bps: tuple[ThrottleDevice, ...] = ()
    device_read_iops: tuple[ThrottleDevice, ...] = ()
    device_write_bps: tuple[ThrottleDevice, ...] = ()
    device_write_iops: tuple[ThrottleDevice, ...] = ()


class CredentialSpec(Strict):
    config: str | None = None
    file: str | None = None
    registry: str | None = None


class Dependency(Strict):
    """An edge to another service. ``restart``: restart with it; not ``required``: only a warning when it is absent."""

    condition: Condition = "service_started"
    restart: bool = False
    required: bool = True


class Device(Strict):
    source: str
    target: str | None = None
    permissions: str | None = None


class EnvFile(Strict):
    path: str
    required: bool = True
    format: str | None = None


class Healthcheck(Strict):
    """``test`` starts with NONE, CMD or CMD-SHELL. None means: the image's value, or the default."""

    test: tuple[str, ...] | None = None
    interval: Seconds | None = None
    timeout: Seconds | None = None
    retries: int | None = None
    start_period: Seconds | None = None
    start_interval: Seconds | None = None
    disable: bool = False


class Logging(Strict):
    driver: str | None = None
    options: Map[str | None] = Field(default_factory=dict)


class Endpoint(Strict):
    """A service's place in one network."""

    aliases: tuple[str, ...] = ()
    interface_name: str | None = None
    ipv4_address: str | None = None
    ipv6_address: str | None = None
    link_local_ips: tuple[str, ...] = ()
    mac_address: str | None = None
    driver_opts: Map[str] = Field(default_factory=dict)
    priority: int = 0
    gw_priority: int = 0


class Port(Strict):
    """One container port. ``published`` None: a free one is chosen; "8000-8010": a free one of these."""

    target: int
    published: str | None = None
    protocol: str = "tcp"
    host_ip: str | None = None
    mode: str = "ingress"
    name: str | None = None
    app_protocol: str | None = None


class BindOptions(Strict):
    create_host_path: bool = Field(default=False, description="Make a directory where the host has nothing")
    propagation: str | None = None
    recursive: str | None = None
    selinux: str | None = None


class VolumeOptions(Strict):
    nocopy: bool = False
    subpath: str | None = None
    labels: Map[str] = Field(default_factory=dict)


class TmpfsOptions(Strict):
    """``mode`` holds permission bits."""

    size: Bytes | None = None
    mode: int | None = None


class ImageOptions(Strict):
    subpath: str | None = None


class Mount(Strict):
    """``source``: absolute host path (bind), key of a volume of the stack (volume; None is anonymous), or an image."""

    type: MountType
    source: str | None = None
    target: str | None = None
    read_only: bool = False
    consistency: str | None = None
    bind: BindOptions | None = None
    volume: VolumeOptions | None = None
    tmpfs: TmpfsOptions | None = None
    image: ImageOptions | None = None


class Provider(Strict):
    """A plug-in that stands for the service instead of containers."""

    type: str
    options: Map[tuple[str, ...]] = Field(default_factory=dict)


class ServiceModel(Strict):
    endpoint_var: str | None = None
    model_var: str | None = None


class Service(Strict):
    """One service. ``None`` or empty always means "not said": the image's or the default value holds."""

    name: str
    annotations: Map[str] = Field(default_factory=dict)
    attach: bool | None = None
    blkio_config: BlkioConfig | None = None
    build: Build | None = None
    cap_add: tuple[str, ...] = ()
    cap_drop: tuple[str, ...] = ()
    cgroup: Literal["host", "private"] | None = None
    cgroup_parent: str | None = None
    command: tuple[str, ...] | None = None
    configs: tuple[FileGrant, ...] = ()
    container_name: str | None = None
    cpu_count: int | None = None
    cpu_percent: float | None = None
    cpu_period: int | None = Field(default=None, description="Microseconds")
    cpu_quota: int | None = Field(default=None, description="Microseconds")
    cpu_rt_period: int | None = Field(default=None, description="Microseconds")
    cpu_rt_runtime: int | None = Field(default=None, description="Microseconds")
    cpu_shares: int | None = None
    cpus: float | None = None
    cpuset: str | None = None
    credential_spec: CredentialSpec | None = None
    depends_on: Map[Dependency] = Field(default_factory=dict)
    deploy: Deploy | None = None
    develop: Develop | None = None
    device_cgroup_rules: tuple[str, ...] = ()
    devices: tuple[Device, ...] = ()
    dns: tuple[str, ...] = ()
    dns_opt: tuple[str, ...] = ()
    dns_search: tuple[str, ...] = ()
    domainname: str | None = None
    entrypoint: tuple[str, ...] | None = None
    env_file: tuple[EnvFile, ...] = Field(default=(), description="Empty once resolved into environment")
    environment: Map[str | None] = Field(default_factory=dict, description="None: the variable is to be unset")
    expose: tuple[str, ...] = ()
    external_links: tuple[str, ...] = ()
    extra_hosts: Map[tuple[str, ...]] = Field(default_factory=dict)
    gpus: tuple[DeviceRequest, ...] = ()
    group_add: tuple[str, ...] = ()
    healthcheck: Healthcheck | None = None
    hostname: str | None = None
    image: str | None = None
    init: bool | None = None
    ipc: str | None = None
    isolation: str | None = None
    label_file: tuple[str, ...] = Field(default=(), description="Empty once resolved into labels")
    labels: Map[str] = Field(default_factory=dict)
    links: tuple[str, ...] = ()
    logging: Logging | None = None
    mac_address: str | None = None
    mem_limit: Bytes | None = None
    mem_reservation: Bytes | None = None
    mem_swappiness: int | None = None
    memswap_limit: Bytes | None = Field(default=None, description="-1: unlimited swap")
    models: Map[ServiceModel | None] = Field(default_factory=dict)
    network_mode: str | None = None
    networks: Map[Endpoint | None] = Field(default_factory=dict, description="Empty exactly when network_mode is set")
    oom_kill_disable: bool = False
    oom_score_adj: int | None = None
    pid: str | None = None
    pids_limit: int | None = None
    platform: str | None = None
    ports: tuple[Port, ...] = ()
    post_start: tuple[Hook, ...] = ()
    pre_start: tuple[Hook, ...] = ()
    pre_stop: tuple[Hook, ...] = ()
    privileged: bool = False
    profiles: tuple[str, ...] = ()
    provider: Provider | None = None
    pull_policy: str | None = None
    pull_refresh_after: str | None = None
    read_only: bool = False
    restart: str | None = None
    runtime: str | None = None
    scale: int | None = None
    secrets: tuple[FileGrant, ...] = ()
    security_opt: tuple[str, ...] = ()
    shm_size: Bytes | None = None
    stdin_open: bool = False
    stop_grace_period: Seconds | None = None
    stop_signal: str | None = None
    storage_opt: Map[str] = Field(default_factory=dict)
    sysctls: Map[str] = Field(default_factory=dict)
    tmpfs: tuple[str, ...] = ()
    tty: bool = False
    ulimits: Map[Ulimit] = Field(default_factory=dict)
    use_api_socket: bool = False
    user: str | None = None
    userns_mode: str | None = None
    uts: str | None = None
    volumes: tuple[Mount, ...] = ()
    volumes_from: tuple[str, ...] = ()
    working_dir: str | None = None
    stackup: ServiceExtras = Field(default_factory=blank(ServiceExtras), description="x-stackup")

    @property
    def replicas(self) -> int:
        """How many containers the file asks for: ``scale``, else ``deploy.replicas``, else one."""
        if self.scale is not None:
            return self.scale
        if self.deploy is not None and self.deploy.replicas is not None:
            return self.deploy.replicas
        return 1
