"""Top-level objects beside services: networks, volumes, secrets, configs, models. ``name`` is always filled in."""

from __future__ import annotations

from pydantic import Field

from stackup.model.strict import Map, Strict, blank


class IpamPool(Strict):
    subnet: str | None = None
    gateway: str | None = None
    ip_range: str | None = None
    aux_addresses: Map[str] = Field(default_factory=dict)


class Ipam(Strict):
    driver: str | None = None
    config: tuple[IpamPool, ...] = ()
    options: Map[str] = Field(default_factory=dict)


class Network(Strict):
    """``external`` ones are made and removed by somebody else."""

    name: str = ""
    driver: str | None = None
    driver_opts: Map[str] = Field(default_factory=dict)
    ipam: Ipam = Field(default_factory=blank(Ipam))
    external: bool = False
    internal: bool = False
    attachable: bool = False
    enable_ipv4: bool | None = None
    enable_ipv6: bool | None = None
    labels: Map[str] = Field(default_factory=dict)


class Volume(Strict):
    name: str = ""
    driver: str | None = None
    driver_opts: Map[str] = Field(default_factory=dict)
    external: bool = False
    labels: Map[str] = Field(default_factory=dict)


class Secret(Strict):
    """Content comes from ``file`` (absolute path) or from the variable ``environment``."""

    name: str = ""
    file: str | None = None
    environment: str | None = None
    content: str | None = None
    external: bool = False
    labels: Map[str] = Field(default_factory=dict)
    driver: str | None = None
    driver_opts: Map[str] = Field(default_factory=dict)
    template_driver: str | None = None


class Config(Strict):
    """Content comes from ``file`` (absolute path), ``content`` or the variable ``environment``."""

    name: str = ""
    file: str | None = None
    environment: str | None = None
    content: str | None = None
    external: bool = False
    labels: Map[str] = Field(default_factory=dict)
    driver: str | None = None
    driver_opts: Map[str] = Field(default_factory=dict)
    template_driver: str | None = None


class Model(Strict):
    """An AI model that services are given the address of."""

    name: str = ""
    model: str | None = None
    context_size: int | None = None
    runtime_flags: tuple[str, ...] = ()
