"""What had to be looked up before a spec can be rendered."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import field
from types import MappingProxyType
from typing import Any, Protocol

from stackup.base.values import frozen
from stackup.model.stack import Service
from stackup.oci.image import ImageConfig

SECRET_MODE = 0o444


class UserIds(Protocol):
    """A looked-up user; ``groups`` are the supplementary ones, ``group_add`` among them."""

    @property
    def uid(self) -> int: ...
    @property
    def gid(self) -> int: ...
    @property
    def groups(self) -> tuple[int, ...]: ...
    @property
    def home(self) -> str: ...


@frozen
class HostDevice:
    """A device node of the host. ``type`` is c, b, u or p; ``mode`` holds permission bits."""

    path: str
    type: str
    major: int
    minor: int
    mode: int = 0o666
    uid: int = 0
    gid: int = 0


@frozen
class InheritedMount:
    """A mount that ``volumes_from`` brings along."""

    target: str
    source: str
    read_only: bool = False


@frozen
class Grant:
    """A secret or config that the service is given. ``mode`` holds permission bits; uid and gid may be names."""

    kind: str  # "secret" or "config"
    source: str
    target: str  # absolute path in the container
    uid: str
    gid: str
    mode: int


def grants(service: Service) -> tuple[Grant, ...]:
    """Secrets at /run/secrets/NAME, configs at /NAME, unless a target is given; a relative one is below those."""
    found = []
    for kind, directory, items in (("secret", "/run/secrets/", service.secrets), ("config", "/", service.configs)):
        for item in items:
            target = item.target or item.source
            path = target if target.startswith("/") else directory + target
            mode = SECRET_MODE if item.mode is None else item.mode
            found.append(Grant(kind, item.source, path, item.uid or "0", item.gid or "0", mode))
    return tuple(found)


@frozen
class RenderContext:
    """All paths are absolute and of the host.

    ``volumes``: target in the container -> directory, for volumes (named, anonymous, declared by the image) and image
    mounts. ``grants``: target -> file, for secrets and configs, already with the right owner and mode. The three files
    are bound into /etc, "" leaves the image's own. ``namespaces``: OCI namespace type -> path, for those of other
    containers; a type that is missing here stays without a path and is to be filled in before the start.
    ``device_numbers``: path -> (major, minor), for blkio_config. ``seccomp``: the profile as JSON, for other runtimes.
    """

    container_id: str
    image: ImageConfig
    user: UserIds
    hostname: str
    cgroup_path: str
    volumes: Mapping[str, str] = field(default_factory=lambda: MappingProxyType({}))
    grants: Mapping[str, str] = field(default_factory=lambda: MappingProxyType({}))
    inherited: tuple[InheritedMount, ...] = ()
    hosts_file: str = ""
    hostname_file: str = ""
    resolv_conf_file: str = ""
    namespaces: Mapping[str, str] = field(default_factory=lambda: MappingProxyType({}))
    devices: tuple[HostDevice, ...] = ()  # those that the service names; all of the host's when it is privileged
    device_numbers: Mapping[str, tuple[int, int]] = field(default_factory=lambda: MappingProxyType({}))
    private_cgroup: bool = True  # Docker's default on cgroup v2; False on v1
    recursive_read_only: bool = False  # the runtime understands "rro"
    known_capabilities: tuple[str, ...] = ()  # of this kernel; empty: all that are known to stackup
    extra_masked_paths: tuple[str, ...] = ()
    seccomp: Mapping[str, Any] | None = None
