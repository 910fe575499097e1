"""What would fail, or deceive, only once containers run: said before anything is touched, all of it at once."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from stackup.base.errors import ContainerFault, HostUnfit, ImageError, StackFileError, StackupError
from stackup.engine.devices import no_such_device
from stackup.engine.grants import content_of
from stackup.engine.loading import LoadedStack
from stackup.engine.observe import service_image
from stackup.images.fitness import check_storage
from stackup.images.image import Image, check_fit
from stackup.images.lookup import resolve_user
from stackup.linux.cgroups import Hierarchies
from stackup.model.stack import Config, Secret, Service, Stack
from stackup.planner import Verb
from stackup.spec import grants

if TYPE_CHECKING:
    from stackup.engine.world import World

MAKING = (Verb.UP, Verb.CREATE)  # verbs that make containers
FindImage = Callable[[str], Image | None]


def check(world: World, loaded: LoadedStack) -> None:
    """Raises the first problem of the stack or of this machine, with the others as its details."""
    check_storage(_existing(world.paths.state))
    problems = [*_wrong(loaded, world.image), *_limits(loaded.stack)]
    for reference in {service_image(loaded.stack, name) for name in loaded.stack.services}:
        try:
            image = world.image(reference)
        except ImageError:
            continue  # said already
        if image is not None:
            check_fit(image.overlays(world.paths.state / "containers" / "new"))
    _raise(problems)


def foresee(loaded: LoadedStack, find_image: FindImage) -> None:
    """The part of ``check`` that ``plan`` makes too: what the stack file asks for and this machine does not have."""
    _raise([*_wrong(loaded, find_image)])


def beside(error: StackFileError, find_image: FindImage) -> StackupError:
    """The error about a stack that can be read but not run, together with what else stands in its way."""
    if error.loaded is None:
        return error
    found = _wrong(LoadedStack(error.loaded.stack, (), error.loaded.environment, error.loaded), find_image)
    own = (error, *error.details)
    error.details = ()
    first, *rest = sorted((*own, *found), key=_place)
    first.details = tuple(rest)
    first.notices = error.notices
    return first


def _place(error: StackupError) -> tuple[bool, str, int, int]:
    where = error.where
    return (True, "", 0, 0) if where is None else (False, where.file, where.line, where.column)


def _raise(problems: list[StackupError]) -> None:
    if problems:
        problems[0].details = (*problems[0].details, *problems[1:])
        raise problems[0]


def _wrong(loaded: LoadedStack, find_image: FindImage) -> Iterator[StackupError]:
    for service in loaded.stack.services.values():
        yield from _mounts(loaded, service)
        yield from _devices(loaded, service)
        yield from _grants(loaded, service)
    yield from _ports(loaded)
    yield from _logging(loaded)
    yield from _images(loaded, find_image)


def _devices(loaded: LoadedStack, service: Service) -> Iterator[StackupError]:
    for index, device in enumerate(service.devices):
        if not os.path.exists(device.source):
            error = no_such_device(service, index)
            yield loaded.point(error, f"services.{service.name}{error.about}")


def _grants(loaded: LoadedStack, service: Service) -> Iterator[StackupError]:
    """Secrets and configs whose file or variable is not there."""
    for grant in grants(service):
        known: Mapping[str, Secret | Config] = loaded.stack.secrets if grant.kind == "secret" else loaded.stack.configs
        try:
            content_of(grant, known[grant.source], loaded.environment)
        except StackFileError as error:
            if not isinstance(error.__cause__, PermissionError):  # whoever plans may be allowed less than root
                yield loaded.point(error, error.about)


def _images(loaded: LoadedStack, find_image: FindImage) -> Iterator[StackupError]:
    """References that are none, and users and groups that an image does not know; one still to be built may."""
    for name, service in loaded.stack.services.items():
        path = f"services.{name}"
        try:
            image = find_image(service_image(loaded.stack, name))
        except ImageError as error:
            yield loaded.point(error, f"{path}.image")
            continue
        if image is None or service.build is not None or not (service.user or service.group_add):
            continue
        try:
            resolve_user(image.overlays(Path("/nonexistent")), service.user or "", service.group_add)
        except ContainerFault as error:
            yield loaded.point(error, f"{path}{error.about}")
        except OSError:  # an image may be readable for root only
            continue


def _existing(path: Path) -> Path:
    return path if path.exists() else _existing(path.parent)


def _mounts(loaded: LoadedStack, service: Service) -> Iterator[StackupError]:
    for number, mount in enumerate(service.volumes):
        if mount.type != "bind" or not mount.source:
            continue
        path = f"services.{service.name}.volumes.{number}"
        if not Path(mount.source).exists() and not (mount.bind and mount.bind.create_host_path):
            missing = ContainerFault(
                f"cannot mount {mount.source} in service {service.name}: it does not exist on this machine",
                path=mount.source,
                hint="create it, or use the short form `SOURCE:TARGET`, which makes a directory",
            )
            yield loaded.point(missing, path)


def _ports(loaded: LoadedStack) -> list[StackupError]:
    """Two containers of this stack that want the same port of the host."""
    taken: dict[tuple[str, str], list[tuple[str, str]]] = {}
    problems: list[StackupError] = []
    for service in loaded.stack.services.values():
        for number, port in enumerate(service.ports):
            if not port.published or "-" in port.published or port.published == "0":
                continue
            holders = taken.setdefault((port.published, port.protocol), [])
            other = next((name for name, host in holders if not host or not port.host_ip or host == port.host_ip), "")
            if not other and service.replicas > 1:
                other = service.name
            holders.append((service.name, port.host_ip or ""))
            if other:
                who = f"services {other} and {service.name} both" if other != service.name else f"service {other} twice"
                error = StackFileError(
                    f"cannot publish port {port.published}/{port.protocol}: {who} would use it",
                    hint="publish another port, a range such as 8000-8010, or only the container's port",
                )
                problems.append(loaded.point(error, f"services.{service.name}.ports.{number}"))
    return problems


def _logging(loaded: LoadedStack) -> Iterator[StackupError]:
    for service in loaded.stack.services.values():
        if service.logging is None:
            continue
        from stackup.engine.logrules import mistakes

        path = f"services.{service.name}.logging"
        for item in mistakes({"driver": service.logging.driver, "options": service.logging.options}):
            what, where = "driver", f"{path}.driver"
            if item.option:
                what, where = f"option {item.option}", f"{path}.options.{item.option}"
            error = StackFileError(f"cannot use log {what} of service {service.name}: {item.text}", hint=item.hint)
            yield loaded.point(error, where)


def _limits(stack: Stack) -> list[StackupError]:
    """A limit that nothing would enforce."""
    hierarchies = Hierarchies.of_this_host()
    if hierarchies.v1 or hierarchies.v2:
        return []
    limited = [service.name for service in stack.services.values() if _is_limited(service)]
    if not limited:
        return []
    return [
        HostUnfit(
            f"cannot limit the resources of {', '.join(limited)}: no cgroup file system is mounted here",
            hint="`ip netns exec` hides it: use `nsenter --net=/run/netns/NAME`, or mount cgroup2 on /sys/fs/cgroup",
        )
    ]


def _is_limited(service: Service) -> bool:
    deploy = service.deploy.resources.limits if service.deploy and service.deploy.resources else None
    own = (service.mem_limit, service.cpus, service.cpu_quota, service.cpuset, service.pids_limit)
    return any(own) or (deploy is not None and any((deploy.cpus, deploy.memory, deploy.pids)))
