"""Operations that build the container's tree: sources, overlays, pivot_root, mounts, sysctls, read-only, masked."""

from __future__ import annotations

import os
import re

from stackup.linux import features, mounts
from stackup.linux.kernel import is_directory
from stackup.linux.mountoptions import MountOptions
from stackup.linux.sysctls import file_of
from stackup.runtime.launcher.operations.base import Operation, Refusal, Stage

_EINVAL, _ENOENT, _ENOTDIR, _EISDIR = 22, 2, 20, 21
_KERNEL_MOUNT = mounts.RDONLY | mounts.NOSUID | mounts.NODEV | mounts.NOEXEC
# Of the 4096 bytes that mount(2) takes as options; the rest is for the writable layer.
_LOWERS_ROOM = 2500
# What may be mounted inside /proc: what runc allows (libcontainer/rootfs_linux.go, checkProcMount).
_PROC_ALLOWED = frozenset(
    f"/proc/{name}"
    for name in ("cpuinfo", "diskstats", "loadavg", "meminfo", "net/dev", "slabinfo", "stat", "swaps", "uptime")
)


_OF_ANOTHER = re.compile(r"/proc/(\d+)/root(/.+)").fullmatch


class OpenSource(Operation):
    """A detached copy of a host path, taken while the host's tree is still there; attached after pivot_root.

    ``/proc/PID/root/...`` is what that process sees there: the /dev/shm of another container.
    """

    __slots__ = ("index", "recursive", "source")
    step = "source"

    def __init__(self, index: int, source: str, recursive: bool) -> None:
        self.index = index
        self.source = source
        self.recursive = recursive

    @property
    def path(self) -> str:
        return self.source

    def describe(self) -> str:
        return f"open {self.source} for mount {self.index}"

    def execute(self, stage: Stage) -> None:
        other = _OF_ANOTHER(self.source)
        if other:
            stage.sources[self.index] = stage.kernel.clone_tree_of(int(other[1]), other[2])
        else:
            stage.sources[self.index] = stage.kernel.clone_tree(self.source, recursive=self.recursive)


# Whatever this kernel was configured with: an upper directory holds whole files at their own places, so that it can
# become an image layer.
_PLAIN_UPPER = (("redirect_dir", "off"), ("metacopy", "off"), ("index", "off"))


class MountOverlay(Operation):
    """One overlay of the root file system at its place below the mount point that becomes the root."""

    __slots__ = ("lowers", "place", "target", "upper", "volatile", "work")
    step = "overlay"

    def __init__(self, target: str, place: str, lowers: list[str], upper: str, work: str, volatile: bool) -> None:
        self.target = target
        self.place = place
        self.lowers = lowers
        self.upper = upper
        self.work = work
        self.volatile = volatile

    @property
    def path(self) -> str:
        return self.target

    def describe(self) -> str:
        kind = "writable" if self.upper else "read-only"
        return f"mount {len(self.lowers)} layers on {self.target} ({kind})"

    def execute(self, stage: Stage) -> None:
        if not self.upper and len(self.lowers) == 1:
            tree = stage.kernel.clone_tree(self.lowers[0])
            stage.kernel.attach(tree, self.place, mounts.RDONLY)
            return
        if self.upper and self.volatile:
            stage.kernel.forget_volatile(self.work)
        # Asked only where it is known: others complain in the kernel's log, for every container.
        if features.usable(features.OVERLAY_FSCONFIG) and _knows_fsconfig():
            stage.kernel.attach(stage.kernel.filesystem("overlay", self._options()), self.place, 0)
            return
        self._mount_the_old_way(stage)

    def _options(self) -> list[tuple[str, str | None]]:
        options: list[tuple[str, str | None]] = [("lowerdir+", lower) for lower in self.lowers]
        if self.upper:
            options += [("upperdir", self.upper), ("workdir", self.work), *_PLAIN_UPPER]
            if self.volatile:
                options.append(("volatile", None))
        return options

    def _mount_the_old_way(self, stage: Stage) -> None:
        """mount(2): its options share one page, so long lists of layers are given by the numbers of descriptors."""
        fds: list[int] = []
        lowers = ":".join(_escaped(lower) for lower in self.lowers)
        if len(lowers) > _LOWERS_ROOM:
            fds = [stage.kernel.open(lower, os.O_PATH | os.O_CLOEXEC) for lower in self.lowers]
            stage.kernel.chdir("/proc/self/fd")
            lowers = ":".join(str(fd) for fd in fds)
        data = f"lowerdir={lowers}"
        if self.upper:
            data += f",upperdir={_escaped(self.upper)},workdir={_escaped(self.work)}"
            data += "".join(f",{key}={value}" for key, value in _PLAIN_UPPER)
            data += ",volatile" if self.volatile else ""
        stage.kernel.mount("overlay", self.place, "overlay", 0, data)
        for fd in fds:
            stage.kernel.close(fd)


def _knows_fsconfig() -> bool:
    """Linux 6.5: overlayfs takes "lowerdir+" through fsconfig."""
    release = os.uname().release.split(".")
    return (int(release[0]), int(release[1].split("-")[0])) >= (6, 5)


def _escaped(path: str) -> str:
    return path.replace("\\", "\\\\").replace(":", "\\:").replace(",", "\\,")


class BindRoot(Operation):
    """The root file system is a plain directory (a bundle that some other tool made)."""

    __slots__ = ("place", "source")
    step = "rootfs"

    def __init__(self, source: str, place: str) -> None:
        self.source = source
        self.place = place

    @property
    def path(self) -> str:
        return self.source

    def describe(self) -> str:
        return f"use {self.source} as root file system"

    def execute(self, stage: Stage) -> None:
        stage.kernel.attach(stage.kernel.clone_tree(self.source, recursive=True), self.place, 0)


class PivotRoot(Operation):
    __slots__ = ("place",)
    step = "rootfs"

    def __init__(self, place: str) -> None:
        self.place = place

    def describe(self) -> str:
        return "make it the root"

    def execute(self, stage: Stage) -> None:
        stage.kernel.chdir(self.place)
        stage.kernel.pivot_root_here()
        stage.kernel.chdir("/")


class MountFilesystem(Operation):
    """proc, sysfs, tmpfs, devpts, mqueue ...: a new file system at ``target``."""

    __slots__ = ("kind", "options", "source", "target")
    step = "mount"

    def __init__(self, kind: str, target: str, source: str, options: MountOptions) -> None:
        self.kind = kind
        self.target = target
        self.source = source
        self.options = options

    @property
    def path(self) -> str:
        return self.target

    def describe(self) -> str:
        words = self.options.names()
        return f"mount {self.kind} on {self.target}{f' ({words})' if words else ''}"

    def execute(self, stage: Stage) -> None:
        if self._quickly(stage):
            return
        data = list(self.options.data)
        if self.kind == "tmpfs" and not any(key == "mode" for key, _ in data):
            mode = stage.kernel.path_mode(self.target) & 0o7777
            if mode:
                data.append(("mode", f"{mode:o}"))
        fd = stage.kernel.filesystem(self.kind, data, self.options.attributes, self.source)
        if self.kind in ("proc", "sysfs") and self.target in ("/proc", "/sys"):
            self._attach_as_root(stage, fd)
            return
        place, _ = open_mount_point(stage, self.target, directory=True)
        stage.kernel.attach(fd, self.target, 0, to_fd=place)
        stage.kernel.close(place)

    def _quickly(self, stage: Stage) -> bool:
        """On a directory that ``MountDev`` made. What mount(2) refuses, the other way explains."""
        if self.target not in ("/dev/pts", "/dev/shm", "/dev/mqueue"):
            return False
        name = stage.enter_mount(self.target)
        if not name:
            return False
        data = ",".join(key if value is None else f"{key}={value}" for key, value in self.options.data)
        try:
            stage.kernel.mount(self.source, name, self.kind, mounts.as_ms(self.options.attributes), data)
        except OSError:
            return False
        return True

    def _attach_as_root(self, stage: Stage, fd: int) -> None:
        """Later operations reach into /proc and /sys through the mount itself. A symlink in their place is refused."""
        if not stage.kernel.path_mode(self.target):
            stage.kernel.mkdir(self.target, 0o755)
        # attach closes what it is given, and the mount must stay open; for directories alone O_PATH copies suffice.
        root = stage.roots[self.target] = stage.kernel.open(".", os.O_PATH | os.O_CLOEXEC, dir_fd=fd)
        if self.target == "/proc":
            stage.proc_device = stage.kernel.file_kind(root)[0]
        stage.kernel.attach(fd, self.target, 0)


class AttachSource(Operation):
    """A bind mount or volume: the tree opened before is attached; its mount point is made when missing."""

    __slots__ = ("index", "options", "target")
    step = "mount"

    def __init__(self, index: int, target: str, options: MountOptions) -> None:
        self.index = index
        self.target = target
        self.options = options

    @property
    def path(self) -> str:
        return self.target

    def describe(self) -> str:
        words = self.options.names()
        return f"attach mount {self.index} on {self.target}{f' ({words})' if words else ''}"

    def execute(self, stage: Stage) -> None:
        kernel, tree = stage.kernel, stage.sources.pop(self.index)
        directory = is_directory(kernel.file_kind(tree)[1])
        place, mode = open_mount_point(stage, self.target, directory)
        if is_directory(mode) != directory:
            raise Refusal(
                "mount",
                _ENOTDIR if directory else _EISDIR,
                self.target,
                "a directory cannot be mounted on a file" if directory else "a file cannot be mounted on a directory",
            )
        if self.options.recursive_attributes:
            kernel.set_attributes(tree, self.options.recursive_attributes, recursive=True)
        kernel.attach(tree, self.target, self.options.attributes, to_fd=place)
        kernel.close(place)
        if self.options.propagation:
            kernel.set_propagation(self.target, self.options.propagation)


def open_mount_point(stage: Stage, target: str, directory: bool) -> tuple[int, int]:
    """An O_PATH descriptor of ``target`` inside the new root, made when missing, and its S_IFMT bits.

    What lies in /proc is refused.
    """
    kernel = stage.kernel
    try:
        fd = kernel.open(target, os.O_PATH | os.O_CLOEXEC)
    except (FileNotFoundError, NotADirectoryError):
        real = kernel.real_path(target)
        kernel.make_mount_point(real, directory)
        fd = kernel.open(real, os.O_PATH | os.O_CLOEXEC | os.O_NOFOLLOW)
    device, mode, _ = kernel.file_kind(fd)
    if device == stage.proc_device and os.path.normpath(target) not in _PROC_ALLOWED:
        raise Refusal("mount", _EINVAL, target, "mounts inside /proc are not allowed")
    return fd, mode


class MakeDirectory(Operation):
    """The working directory, made when the image lacks it (as runc does). Trouble is told when it is entered."""

    __slots__ = ("directory",)
    step = "cwd"

    def __init__(self, directory: str) -> None:
        self.directory = directory

    @property
    def path(self) -> str:
        return self.directory

    def describe(self) -> str:
        return f"make the directory {self.directory}"

    def execute(self, stage: Stage) -> None:
        if stage.kernel.path_mode(self.directory):
            return
        try:
            stage.kernel.makedirs(self.directory, 0o755, exist_ok=True)
        except OSError:
            return


class SetSysctl(Operation):
    __slots__ = ("name", "value")
    step = "sysctl"

    def __init__(self, name: str, value: str) -> None:
        self.name = name
        self.value = value

    @property
    def path(self) -> str:
        return self.name

    def describe(self) -> str:
        return f"set {self.name} = {self.value}"

    def execute(self, stage: Stage) -> None:
        if "/proc" not in stage.roots:
            raise OSError(_ENOENT, "the container has no /proc")
        stage.kernel.write(f"sys/{file_of(self.name)}", self.value, dir_fd=stage.roots["/proc"])


class MakeReadonly(Operation):
    """The root file system and its further overlays; volumes stay as they are."""

    __slots__ = ("target",)
    step = "rootfs"

    def __init__(self, target: str) -> None:
        self.target = target

    @property
    def path(self) -> str:
        return self.target

    def describe(self) -> str:
        return f"make {self.target} read-only"

    def execute(self, stage: Stage) -> None:
        fd = stage.kernel.open(self.target, os.O_PATH | os.O_CLOEXEC)
        try:
            stage.kernel.set_attributes(fd, mounts.RDONLY)
        except OSError as error:
            if error.errno != 38:
                raise
            stage.kernel.remount(self.target, mounts.RDONLY)
        stage.kernel.close(fd)
