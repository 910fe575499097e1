"""``Stack``: what should be, in canonical (long) form: what ``docker compose config`` prints, typed.

Made by ``stackfile.load``, read by everybody above. All names of the model can be imported from here.
"""

from __future__ import annotations

from pydantic import Field

from stackup.model.build import Build, Develop, FileGrant, Hook, SshKey, Ulimit, Watch, WatchAction
from stackup.model.deploy import (
    Deploy,
    DeviceRequest,
    DiscreteResource,
    GenericResource,
    Limits,
    Placement,
    Preference,
    Reservations,
    Resources,
    RestartPolicy,
    UpdateConfig,
)
from stackup.model.extras import (
    Backoff,
    FileProbe,
    HttpProbe,
    LogProbe,
    Ready,
    Schedule,
    ServiceExtras,
    StackExtras,
    TcpProbe,
)
from stackup.model.resources import Config, Ipam, IpamPool, Model, Network, Secret, Volume
from stackup.model.service import (
    BindOptions,
    BlkioConfig,
    Condition,
    CredentialSpec,
    Dependency,
    Device,
    Endpoint,
    EnvFile,
    Healthcheck,
    ImageOptions,
    Logging,
    Mount,
    MountType,
    Port,
    Provider,
    Service,
    ServiceModel,
    ThrottleDevice,
    TmpfsOptions,
    VolumeOptions,
    WeightDevice,
)
from stackup.model.strict import Bytes, Map, Seconds, Strict, blank

__all__ = [
    "Backoff",
    "BindOptions",
    "BlkioConfig",
    "Build",
    "Bytes",
    "Condition",
    "Config",
    "CredentialSpec",
    "Dependency",
    "Deploy",
    "Develop",
    "Device",
    "DeviceRequest",
    "DiscreteResource",
    "Endpoint",
    "EnvFile",
    "FileGrant",
    "FileProbe",
    "GenericResource",
    "Healthcheck",
    "Hook",
    "HttpProbe",
    "ImageOptions",
    "Ipam",
    "IpamPool",
    "Limits",
    "LogProbe",
    "Logging",
    "Map",
    "Model",
    "Mount",
    "MountType",
    "Network",
    "Placement",
    "Port",
    "Preference",
    "Provider",
    "Ready",
    "Reservations",
    "Resources",
    "RestartPolicy",
    "Schedule",
    "Seconds",
    "Secret",
    "Service",
    "ServiceExtras",
    "ServiceModel",
    "SshKey",
    "Stack",
    "StackExtras",
    "Strict",
    "TcpProbe",
    "ThrottleDevice",
    "TmpfsOptions",
    "Ulimit",
    "UpdateConfig",
    "Volume",
    "VolumeOptions",
    "Watch",
    "WatchAction",
    "WeightDevice",
]


class Stack(Strict):
    """A project. ``services`` holds the enabled ones; ``disabled`` those that no active profile selects.

    ``directory`` is the absolute project directory, ``files`` the stack files it was read from (absolute, in order).
    """

    name: str
    services: Map[Service] = Field(default_factory=dict)
    networks: Map[Network] = Field(default_factory=dict)
    volumes: Map[Volume] = Field(default_factory=dict)
    secrets: Map[Secret] = Field(default_factory=dict)
    configs: Map[Config] = Field(default_factory=dict)
    models: Map[Model] = Field(default_factory=dict)
    disabled: Map[Service] = Field(default_factory=dict)
    directory: str = ""
    files: tuple[str, ...] = ()
    stackup: StackExtras = Field(default_factory=blank(StackExtras), description="x-stackup")
