"""Which value of the stack file is at fault when an action failed, so that the error can point at its line. Pure.

Whoever raises an error often knows and says so (``error.about``). What the launcher reports is in its own words: a
step, and what it was about in the kernel's terms; here these are led back to what somebody wrote.
"""

from __future__ import annotations

import posixpath
import signal
from collections.abc import Callable, Mapping

from stackup.base.errors import ContainerFault, StackupError
from stackup.model.plan import Action, BuildImage, CreateNetwork, CreateVolume, PullImage
from stackup.model.stack import Service, Stack
from stackup.oci.image import ImageConfig

_NETWORK_WORDS = {  # what the error names -> where the network says so
    " driver ": "driver",
    " link name ": "driver_opts",
    " MTU": "driver_opts",
    " subnet ": "ipam.config",
    " gateway ": "ipam.config",
    " ip_range ": "ipam.config",
    " external": "external",
}
_RESOURCES = {  # file of a control group -> attributes that decide it
    "memory": ("deploy.resources.limits.memory", "mem_limit", "mem_reservation", "memswap_limit"),
    "cpuset": ("cpuset",),
    "cpu": ("deploy.resources.limits.cpus", "cpus", "cpu_quota", "cpu_period", "cpu_shares"),
    "pids": ("deploy.resources.limits.pids", "pids_limit"),
    "blkio": ("blkio_config",),
    "io": ("blkio_config",),
    "devices": ("device_cgroup_rules", "devices"),
}


def culprits(error: StackupError, action: Action, stack: Stack, image: ImageConfig | None) -> tuple[str, ...]:
    """Paths in the stack file, the likeliest first; empty when no single value is to blame.

    ``image``: the configuration of the service's image, where that is known.
    """
    service = stack.services.get(getattr(action, "service", ""))
    if error.about and not error.about.startswith("."):
        return (error.about,)
    if service is not None:
        name = f"services.{service.name}"
        if error.about == ".user" and not service.user:  # the image's
            return tuple(f"{name}.{attribute}" for attribute in _from_image(service))
        if error.about:
            return (name + error.about,)
        return tuple(f"{name}.{attribute}" for attribute in _of_service(error, action, service, image))
    if isinstance(action, CreateNetwork):
        network = f"networks.{action.key}"
        words = (path for word, path in _NETWORK_WORDS.items() if word in error.message)
        return (*(f"{network}.{path}" for path in words), network)
    if isinstance(action, CreateVolume):
        return (f"volumes.{action.key}.driver", f"volumes.{action.key}")
    return ()


def _of_service(error: StackupError, action: Action, service: Service, image: ImageConfig | None) -> tuple[str, ...]:
    if isinstance(action, BuildImage):
        return ("build",)
    if isinstance(action, PullImage):
        return ("image",)
    if isinstance(error, ContainerFault) and error.step:
        return _BY_STEP.get(error.step, _nothing)(error, service, image)
    return _network(error, service)


def _nothing(error: ContainerFault, service: Service, image: ImageConfig | None) -> tuple[str, ...]:
    return ()


def _from_image(service: Service) -> tuple[str, ...]:
    return ("image",) if service.image else ("build", "image")


def _command(error: ContainerFault, service: Service, image: ImageConfig | None) -> tuple[str, ...]:
    """Of what is run, the first word fails: it is the entrypoint's where there is one."""
    if service.entrypoint:
        return ("entrypoint",)
    if service.entrypoint is None and image is not None and image.entrypoint:
        return _from_image(service)
    return ("command",) if service.command else _from_image(service)


def _working_dir(error: ContainerFault, service: Service, image: ImageConfig | None) -> tuple[str, ...]:
    return ("working_dir",) if service.working_dir else _from_image(service)


def _user(error: ContainerFault, service: Service, image: ImageConfig | None) -> tuple[str, ...]:
    return ("user",) if service.user else _from_image(service)


def _mount(error: ContainerFault, service: Service, image: ImageConfig | None) -> tuple[str, ...]:
    """By the target, of which the kernel speaks."""
    target = posixpath.normpath(error.path or "/")
    for index, mount in enumerate(service.volumes):
        if posixpath.normpath(mount.target or "/") == target:
            return (f"volumes.{index}",)
    for index, text in enumerate(service.tmpfs):
        if posixpath.normpath(text.partition(":")[0]) == target:
            return (f"tmpfs.{index}",)
    if target == "/dev/shm":
        return ("shm_size",) if service.shm_size else ()
    if target.startswith("/run/secrets/"):
        return ("secrets",)
    return ()


def _source(error: ContainerFault, service: Service, image: ImageConfig | None) -> tuple[str, ...]:
    found = (index for index, mount in enumerate(service.volumes) if mount.source == error.path)
    return tuple(f"volumes.{index}" for index in found)[:1]


def _named(attribute: str) -> Callable[[ContainerFault, Service, ImageConfig | None], tuple[str, ...]]:
    return lambda error, service, image: (attribute,)


def _ulimit(error: ContainerFault, service: Service, image: ImageConfig | None) -> tuple[str, ...]:
    return (f"ulimits.{error.path.partition('=')[0]}",)


def _sysctl(error: ContainerFault, service: Service, image: ImageConfig | None) -> tuple[str, ...]:
    written = (name for name in service.sysctls if name.replace("/", ".") == error.path.replace("/", "."))
    return tuple(f"sysctls.{name}" for name in written)


def _device(error: ContainerFault, service: Service, image: ImageConfig | None) -> tuple[str, ...]:
    found = (index for index, item in enumerate(service.devices) if error.path in (item.source, item.target))
    return (*(f"devices.{index}" for index in found), "devices") if service.devices else ()


def _security(kind: str) -> Callable[[ContainerFault, Service, ImageConfig | None], tuple[str, ...]]:
    def find(error: ContainerFault, service: Service, image: ImageConfig | None) -> tuple[str, ...]:
        options = (index for index, text in enumerate(service.security_opt) if text.startswith(kind))
        return tuple(f"security_opt.{index}" for index in options)

    return find


def _resources(error: ContainerFault, service: Service, image: ImageConfig | None) -> tuple[str, ...]:
    return _RESOURCES.get(posixpath.basename(error.path).partition(".")[0], ())


def _killed(error: ContainerFault, service: Service, image: ImageConfig | None) -> tuple[str, ...]:
    return _RESOURCES["memory"] if killed_by_limit(error, service) else ()


def _hostname(error: ContainerFault, service: Service, image: ImageConfig | None) -> tuple[str, ...]:
    return ("hostname",) if service.hostname else ("domainname",) if service.domainname else ()


_BY_STEP: Mapping[str, Callable[[ContainerFault, Service, ImageConfig | None], tuple[str, ...]]] = {
    "command": _command,
    "exec": _command,
    "cwd": _working_dir,
    "user": _user,
    "mount": _mount,
    "source": _source,
    "rlimits": _ulimit,
    "sysctl": _sysctl,
    "device": _device,
    "apparmor": _security("apparmor"),
    "seccomp": _security("seccomp"),
    "cgroup": _resources,
    "start": _killed,
    "hostname": _hostname,
    "oom-score": _named("oom_score_adj"),
}


def _network(error: StackupError, service: Service) -> tuple[str, ...]:
    """An address or a network that the service asks for and cannot have."""
    if "mac_address" in error.message:
        keys = tuple(key for key, item in service.networks.items() if item is not None and item.mac_address)
        return (*(f"networks.{key}.mac_address" for key in keys), "mac_address")
    if "to network " not in error.message:
        return ()
    for key, item in service.networks.items():
        for attribute in ("ipv4_address", "ipv6_address"):
            asked = getattr(item, attribute, None)
            if asked and asked in error.message:
                return (f"networks.{key}.{attribute}",)
    return ("networks",)


def killed_by_limit(error: StackupError, service: Service) -> bool:
    """The kernel killed the container while it was still being set up: that takes more memory than the limit gives."""
    text = f"killed by signal {int(signal.SIGKILL)} while"
    limits = service.deploy.resources.limits if service.deploy and service.deploy.resources else None
    return text in error.message and bool(service.mem_limit or (limits and limits.memory))
