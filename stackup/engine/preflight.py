"""What would fail, or deceive, only once containers run: said before anything is touched, all of it at once."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

from stackup.base.errors import ContainerFault, HostUnfit, ImageError, PlanRefused, StackFileError, StackupError
from stackup.engine.loading import LoadedStack
from stackup.engine.observe import service_image
from stackup.engine.stopping import signal_number
from stackup.engine.world import World
from stackup.images.fitness import check_storage
from stackup.images.image import check_fit
from stackup.linux.cgroups import Hierarchies
from stackup.model.stack import Service, Stack

_NAME = re.compile(r"[a-zA-Z0-9][a-zA-Z0-9_.-]+")  # moby, daemon/names
ENGINE_SOCKETS = frozenset({"/var/run/docker.sock", "/run/docker.sock"})
ALLOW_SOCKET = "docker.sock"  # in x-stackup.allow at the top of the file


def check(world: World, loaded: LoadedStack, *, confirmed: bool) -> None:
    """Raises the first problem with the others as its details. ``confirmed``: the user said --yes."""
    stack = loaded.stack
    check_storage(_existing(world.paths.state))
    problems = [problem for service in stack.services.values() for problem in _mounts(loaded, service, confirmed)]
    problems += _ports(loaded)
    problems += _words(loaded)
    problems += _logging(loaded)
    problems += _limits(stack)
    for reference, name in {service_image(stack, name): name for name in stack.services}.items():
        try:
            image = world.image(reference)
        except ImageError as error:
            problems.append(loaded.point(error, f"services.{name}.image"))
            continue
        if image is not None:
            check_fit(image.overlays(world.paths.state / "containers" / "new"))
    if problems:
        problems[0].details = (*problems[0].details, *problems[1:])
        raise problems[0]


def _existing(path: Path) -> Path:
    return path if path.exists() else _existing(path.parent)


def _mounts(loaded: LoadedStack, service: Service, confirmed: bool) -> Iterator[StackupError]:
    for number, mount in enumerate(service.volumes):
        if mount.type != "bind" or not mount.source:
            continue
        path = f"services.{service.name}.volumes.{number}"
        if mount.source in ENGINE_SOCKETS and not confirmed and ALLOW_SOCKET not in loaded.stack.stackup.allow:
            refused = PlanRefused(
                f"cannot give {mount.source} to service {service.name}: there is no engine of stackup behind it; what "
                "the service does with it would reach a Docker engine that knows nothing of this project, or nobody",
                hint="go on anyway with --yes, or for good with `x-stackup: {allow: [docker.sock]}` in the stack file",
            )
            yield loaded.point(refused, path)
        elif not Path(mount.source).exists() and not (mount.bind and mount.bind.create_host_path):
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


def _words(loaded: LoadedStack) -> Iterator[StackupError]:
    """Signals and names that no container can have; Docker's engine refuses them only when it makes one."""
    for service in loaded.stack.services.values():
        path = f"services.{service.name}"
        try:
            signal_number(service.stop_signal or "SIGTERM")
        except StackupError:
            text = f"cannot use stop_signal {service.stop_signal} of service {service.name}: there is no such signal"
            yield loaded.point(StackFileError(text, hint="such as SIGTERM, SIGINT or SIGQUIT"), f"{path}.stop_signal")
        name = service.container_name
        if name and not _NAME.fullmatch(name):
            text = (
                f"cannot name a container {name!r}: a name has letters, digits, - _ and . only, a letter or digit first"
            )
            yield loaded.point(StackFileError(text), f"{path}.container_name")


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
