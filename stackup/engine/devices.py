"""Device nodes of the host that a service asks for."""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

from stackup.base.errors import ContainerFault
from stackup.linux.cgroups import Hierarchies
from stackup.model.stack import Service
from stackup.spec import HostDevice

PRIVATE = ("/dev/pts", "/dev/shm", "/dev/mqueue", "/dev/fd", "/dev/console")  # every container has its own


def host_devices(service: Service) -> tuple[HostDevice, ...]:
    """Those that the service names (a directory means all below it); all of the host's when it is privileged."""
    found: list[HostDevice] = []
    for index, device in enumerate(service.devices):
        nodes = list(_nodes(Path(device.source)))
        if not nodes:
            raise no_such_device(service, index)
        found += nodes
    if service.privileged:
        found += _nodes(Path("/dev"))
    return tuple(dict.fromkeys(found))


def device_numbers(service: Service) -> dict[str, tuple[int, int]]:
    """Major and minor number of the devices whose rates ``blkio_config`` limits."""
    wanted = service.blkio_config
    if wanted is None:
        return {}
    rates = (wanted.device_read_bps, wanted.device_read_iops, wanted.device_write_bps, wanted.device_write_iops)
    numbers = {}
    for path in dict.fromkeys(item.path for items in rates for item in items):
        try:
            info = os.stat(path)
        except OSError:
            info = None
        if info is None or not stat.S_ISBLK(info.st_mode):
            what = "there is no such device" if info is None else "it is no block device"
            raise ContainerFault(
                f"cannot limit device {path} for service {service.name}: {what}", path=path, about=".blkio_config"
            )
        numbers[path] = os.major(info.st_rdev), os.minor(info.st_rdev)
    return numbers


def weights_left_out(service: Service, hierarchies: Hierarchies) -> str:
    """The warning that this kernel has no weights for block devices, "" where it has, or none is asked for."""
    wanted = service.blkio_config
    if wanted is None or wanted.weight is None:
        return ""
    top, name = hierarchies.v1.get("blkio", ""), "blkio.weight"
    if hierarchies.unified:
        top, name = hierarchies.v2, "io.weight"
    with suppress(OSError):
        if top and any(os.path.exists(f"{place}/{name}") for place in (top, *(item.path for item in os.scandir(top)))):
            return ""
    return f"{service.name}: blkio_config.weight is left out, for this machine's kernel has no weights of block devices"


def no_such_device(service: Service, index: int) -> ContainerFault:
    source = service.devices[index].source
    return ContainerFault(
        f"cannot give device {source} to service {service.name}: there is no such device",
        path=source,
        about=f".devices.{index}",
    )


def _nodes(path: Path) -> Iterator[HostDevice]:
    try:
        info = path.stat()
    except FileNotFoundError:
        return
    if stat.S_ISDIR(info.st_mode):
        for child in sorted(path.iterdir()):
            if not child.is_symlink() and str(child) not in PRIVATE:
                yield from _nodes(child)
    elif stat.S_ISCHR(info.st_mode) or stat.S_ISBLK(info.st_mode):
        kind = "c" if stat.S_ISCHR(info.st_mode) else "b"
        major, minor = os.major(info.st_rdev), os.minor(info.st_rdev)
        yield HostDevice(str(path), kind, major, minor, stat.S_IMODE(info.st_mode), info.st_uid, info.st_gid)
