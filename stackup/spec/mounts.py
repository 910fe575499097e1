"""The mount table: Docker's own mounts, what the service adds, and how the one gives way to the other."""

from __future__ import annotations

import posixpath
from collections.abc import Iterable
from dataclasses import replace

from stackup.base.errors import ContainerFault, StackFileError
from stackup.model.stack import Mount as Wanted
from stackup.model.stack import Service
from stackup.oci.runtime import Mount
from stackup.spec.context import RenderContext, grants
from stackup.spec.defaults import MOUNTS, SHM_SIZE

_TMPFS = ("noexec", "nosuid", "nodev")
_OPPOSITES = {
    "exec": "noexec",
    "suid": "nosuid",
    "dev": "nodev",
    "rw": "ro",
    "atime": "noatime",
    "sync": "async",
    "diratime": "nodiratime",
}
_EITHER = {**_OPPOSITES, **{value: key for key, value in _OPPOSITES.items()}}
_WRITABLE_BY_NATURE = frozenset({"/proc", "/dev", "/dev/pts", "/dev/shm", "/dev/mqueue"})


def render_mounts(service: Service, context: RenderContext) -> tuple[Mount, ...]:
    """System mounts, files in /etc, then the service's, shallow targets first. A mount of the service takes the place
    of a system mount with the same target, and a /dev of its own of everything below /dev."""
    own = _service_mounts(service, context)
    taken = {mount.destination for mount in own}
    system = [mount for mount in _system_mounts(service, context) if not _gives_way(mount.destination, taken)]
    files = [mount for mount in _etc_files(service, context) if mount.destination not in taken]
    return (*system, *files, *sorted(own, key=lambda mount: mount.destination.count("/")))


def propagation(mounts: Iterable[Mount]) -> str:
    """Propagation of the root mount: binds that are to share mounts with the host need it (moby WithMounts)."""
    options = {option for mount in mounts for option in mount.options}
    if options & {"shared", "rshared"}:
        return "shared"
    return "rslave" if options & {"slave", "rslave"} else ""


def _gives_way(destination: str, taken: set[str]) -> bool:
    return destination in taken or ("/dev" in taken and destination.startswith("/dev/"))


def _system_mounts(service: Service, context: RenderContext) -> list[Mount]:
    mounts = []
    for mount in MOUNTS:
        if mount.destination == "/dev/shm":
            shm = _shared_memory(service, mount)
            mounts += [shm] if shm else []
            continue
        if service.privileged and mount.destination in ("/sys", "/sys/fs/cgroup"):
            mount = replace(mount, options=tuple(item for item in mount.options if item != "ro"))
        elif service.read_only and mount.destination not in _WRITABLE_BY_NATURE and "ro" not in mount.options:
            mount = replace(mount, options=(*mount.options, "ro"))
        mounts.append(mount)
    return mounts


def _shared_memory(service: Service, mount: Mount) -> Mount | None:
    """That of another container is only known when this one starts."""
    if service.ipc == "none":
        return None
    if service.ipc == "host":
        return Mount("/dev/shm", "bind", "/dev/shm", ("rbind", "rprivate"))
    size = SHM_SIZE if service.shm_size is None else service.shm_size
    return replace(mount, options=(*mount.options, f"size={size}"))


def _etc_files(service: Service, context: RenderContext) -> list[Mount]:
    options = ("rbind", "ro", "rprivate") if service.read_only else ("rbind", "rprivate")
    files = (
        ("/etc/resolv.conf", context.resolv_conf_file),
        ("/etc/hostname", context.hostname_file),
        ("/etc/hosts", context.hosts_file),
    )
    return [Mount(target, "bind", source, options) for target, source in files if source]


def _service_mounts(service: Service, context: RenderContext) -> list[Mount]:
    """By target; what is written later wins, and the file beats what the image or another service brings."""
    found: dict[str, Mount] = {}
    for item in context.inherited:
        found[item.target] = Mount(item.target, "bind", item.source, _bind_options(item.read_only))
    for target, source in context.volumes.items():
        target = posixpath.normpath(target)
        found[target] = Mount(target, "bind", source, _bind_options(False))
    for entry in service.tmpfs:
        target, _, options = entry.partition(":")
        found[target] = Mount(posixpath.normpath(target), "tmpfs", "tmpfs", _tmpfs_options(options.split(",")))
    for wanted in service.volumes:
        mount = _mount(service, context, wanted)
        found[mount.destination] = mount
    for grant in grants(service):
        source = context.grants.get(grant.target, "")
        if not source:
            raise ContainerFault(
                f"cannot create a container of service {service.name}: {grant.kind} {grant.source} has no file",
                step="mounts",
                path=grant.target,
            )
        found[grant.target] = Mount(grant.target, "bind", source, ("rbind", "ro", "rprivate"))
    return list(found.values())


def _mount(service: Service, context: RenderContext, wanted: Wanted) -> Mount:
    target = posixpath.normpath(wanted.target or "")
    if wanted.type == "tmpfs":
        return Mount(target, "tmpfs", "tmpfs", _tmpfs_options(_long_tmpfs(wanted)))
    if wanted.type == "bind":
        bind = wanted.bind
        mode = bind.recursive if bind and bind.recursive else ""
        flag = _read_only_flag(wanted.read_only, mode, context.recursive_read_only)
        options = ("bind" if mode == "disabled" else "rbind", *flag, (bind and bind.propagation) or "rprivate")
        return Mount(target, "bind", wanted.source or "", options)
    if wanted.type in ("volume", "image"):
        source = context.volumes.get(wanted.target or "", context.volumes.get(target, ""))
        if not source:
            raise ContainerFault(
                f"cannot create a container of service {service.name}: {wanted.type} at {target} was not prepared",
                step="mounts",
                path=target,
            )
        subpath = wanted.volume.subpath if wanted.volume else wanted.image.subpath if wanted.image else None
        return Mount(target, "bind", _below(service, source, subpath), _bind_options(wanted.read_only))
    raise StackFileError(
        f"cannot mount {target} in service {service.name}: type {wanted.type} is not for Linux", about=".volumes"
    )


def _read_only_flag(read_only: bool, mode: str, recursive: bool) -> tuple[str, ...]:
    if not read_only:
        return ()
    if mode == "readonly" or (recursive and mode not in ("writable", "disabled")):
        return ("rro",)
    return ("ro",)


def _below(service: Service, source: str, subpath: str | None) -> str:
    if not subpath:
        return source
    path = posixpath.normpath(subpath)
    if path.startswith(("/", "../")) or path == "..":
        raise StackFileError(
            f"cannot mount subpath {subpath!r} in service {service.name}: it leaves the volume", about=".volumes"
        )
    return f"{source}/{path}"


def _bind_options(read_only: bool) -> tuple[str, ...]:
    return ("rbind", "ro", "rprivate") if read_only else ("rbind", "rprivate")


def _long_tmpfs(wanted: Wanted) -> list[str]:
    options = ["ro"] if wanted.read_only else []
    if wanted.tmpfs and wanted.tmpfs.mode is not None:
        options.append(f"mode={wanted.tmpfs.mode:o}")
    if wanted.tmpfs and wanted.tmpfs.size:
        options.append(f"size={wanted.tmpfs.size}")
    return options


def _tmpfs_options(given: Iterable[str]) -> tuple[str, ...]:
    """noexec, nosuid, nodev unless the opposite is given; the last of contradicting options wins."""
    options: dict[str, str] = {item: item for item in _TMPFS}
    for option in given:
        name = option.strip()
        if name and name != "defaults":
            key = name.partition("=")[0]
            options.pop(_EITHER.get(key, ""), None)
            options.pop(key, None)
            options[key] = name
    return tuple(options.values())
