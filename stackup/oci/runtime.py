"""OCI runtime specification 1.1: ``config.json`` as frozen values. ``spec`` renders them, ``runtime`` runs them.

Field names are the specification's in snake case (``cgroups_path`` is ``cgroupsPath``). ``to_json`` leaves out what
equals its default; ``from_json`` ignores what it does not know, as the specification asks of readers.
Source of the field list: opencontainers/runtime-spec, config.md and config-linux.md.
"""

from __future__ import annotations

from dataclasses import field
from typing import Any

from stackup.base.values import frozen
from stackup.oci.codec import decode, encode

OCI_VERSION = "1.1.0"
DEFAULT_PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"


@frozen
class User:
    """Numeric, always: names are looked up in the image before the spec is rendered. ``umask`` None: 0o022."""

    uid: int = field(default=0, metadata={"always": True})
    gid: int = field(default=0, metadata={"always": True})
    umask: int | None = None
    additional_gids: tuple[int, ...] = ()


@frozen
class Capabilities:
    """Names such as ``CAP_CHOWN``, one set per kernel set."""

    bounding: tuple[str, ...] = ()
    effective: tuple[str, ...] = ()
    inheritable: tuple[str, ...] = ()
    permitted: tuple[str, ...] = ()
    ambient: tuple[str, ...] = ()


@frozen
class Rlimit:
    """``type`` as in ``RLIMIT_NOFILE``. Infinity is 2**64 - 1."""

    type: str
    soft: int = field(metadata={"always": True})
    hard: int = field(metadata={"always": True})


@frozen
class ConsoleSize:
    height: int
    width: int


@frozen
class Process:
    """``args[0]`` without a slash is looked up in the PATH of ``env``. ``env`` entries read ``NAME=value``."""

    args: tuple[str, ...]
    cwd: str = field(default="/", metadata={"always": True})
    env: tuple[str, ...] = ()
    terminal: bool = False
    console_size: ConsoleSize | None = None
    user: User = field(default_factory=User, metadata={"always": True})
    capabilities: Capabilities | None = None
    rlimits: tuple[Rlimit, ...] = ()
    no_new_privileges: bool = False
    oom_score_adj: int | None = None
    apparmor_profile: str = ""
    selinux_label: str = ""


@frozen
class Root:
    """``path`` is relative to the bundle."""

    path: str = field(default="rootfs", metadata={"always": True})
    readonly: bool = False


@frozen
class Mount:
    """``options`` as mount(8) writes them: ``bind``, ``rbind``, ``ro``, ``nosuid``, ``rprivate``, ``size=64m`` ..."""

    destination: str
    type: str = ""
    source: str = ""
    options: tuple[str, ...] = ()


@frozen
class Namespace:
    """``type`` is mount, pid, network, ipc, uts, cgroup or user; with ``path`` an existing one is joined."""

    type: str
    path: str = ""


@frozen
class IdMapping:
    container_id: int = field(metadata={"json": "containerID", "always": True})
    host_id: int = field(metadata={"json": "hostID", "always": True})
    size: int = field(metadata={"always": True})


@frozen
class Device:
    """A node to make. ``type`` is c, b, u or p; ``file_mode`` holds permission bits only."""

    type: str
    path: str
    major: int = field(default=0, metadata={"always": True})
    minor: int = field(default=0, metadata={"always": True})
    file_mode: int | None = None
    uid: int | None = None
    gid: int | None = None


@frozen
class DeviceRule:
    """Later rules win. ``type`` is a, b or c; a missing number means all; ``access`` is of the letters rwm."""

    allow: bool = field(metadata={"always": True})
    type: str = ""
    major: int | None = None
    minor: int | None = None
    access: str = ""


@frozen
class Memory:
    """Bytes; -1 is unlimited. ``swap`` is memory plus swap, as in cgroup v1."""

    limit: int | None = None
    reservation: int | None = None
    swap: int | None = None
    swappiness: int | None = None
    disable_oom_killer: bool | None = field(default=None, metadata={"json": "disableOOMKiller"})


@frozen
class Cpu:
    """``quota`` and ``period`` in microseconds; ``cpus`` and ``mems`` are lists such as ``0-3,5``."""

    shares: int | None = None
    quota: int | None = None
    period: int | None = None
    realtime_runtime: int | None = None
    realtime_period: int | None = None
    cpus: str = ""
    mems: str = ""


@frozen
class Pids:
    """-1 is unlimited."""

    limit: int = field(metadata={"always": True})


@frozen
class WeightDevice:
    major: int = field(metadata={"always": True})
    minor: int = field(metadata={"always": True})
    weight: int


@frozen
class ThrottleDevice:
    """``rate`` in bytes or operations per second."""

    major: int = field(metadata={"always": True})
    minor: int = field(metadata={"always": True})
    rate: int = field(metadata={"always": True})


@frozen
class BlockIo:
    weight: int | None = None
    weight_device: tuple[WeightDevice, ...] = ()
    throttle_read_bps_device: tuple[ThrottleDevice, ...] = ()
    throttle_write_bps_device: tuple[ThrottleDevice, ...] = ()
    throttle_read_iops_device: tuple[ThrottleDevice, ...] = field(
        default=(), metadata={"json": "throttleReadIOPSDevice"}
    )
    throttle_write_iops_device: tuple[ThrottleDevice, ...] = field(
        default=(), metadata={"json": "throttleWriteIOPSDevice"}
    )


@frozen
class Resources:
    """``unified`` holds cgroup v2 files as they are: ``{"memory.high": "500M"}``."""

    devices: tuple[DeviceRule, ...] = ()
    memory: Memory | None = None
    cpu: Cpu | None = None
    pids: Pids | None = None
    block_io: BlockIo | None = field(default=None, metadata={"json": "blockIO"})
    unified: dict[str, str] = field(default_factory=dict)


@frozen
class Linux:
    """``seccomp`` is the profile as it stands in JSON; stackup's own runtime takes a compiled filter instead."""

    namespaces: tuple[Namespace, ...] = ()
    uid_mappings: tuple[IdMapping, ...] = ()
    gid_mappings: tuple[IdMapping, ...] = ()
    devices: tuple[Device, ...] = ()
    cgroups_path: str = ""
    resources: Resources | None = None
    rootfs_propagation: str = ""
    seccomp: dict[str, Any] | None = None
    sysctl: dict[str, str] = field(default_factory=dict)
    masked_paths: tuple[str, ...] = ()
    readonly_paths: tuple[str, ...] = ()
    mount_label: str = ""


@frozen
class Spec:
    """One container. ``hostname`` needs a uts namespace of its own."""

    process: Process
    root: Root = field(default_factory=Root, metadata={"always": True})
    hostname: str = ""
    domainname: str = ""
    mounts: tuple[Mount, ...] = ()
    linux: Linux = field(default_factory=Linux)
    annotations: dict[str, str] = field(default_factory=dict)
    oci_version: str = field(default=OCI_VERSION, metadata={"always": True})

    def to_json(self) -> dict[str, Any]:
        """As ``config.json`` has it."""
        data = encode(self)
        assert isinstance(data, dict)
        return data

    @classmethod
    def from_json(cls, data: dict[str, Any]) -> Spec:
        """Raises ValueError naming the place ("process.args: missing")."""
        return decode(cls, data)
