"""Operations around /dev: the tmpfs with its nodes, further device nodes, the console, the cgroup tree."""

from __future__ import annotations

import os
from stat import S_IFBLK, S_IFCHR, S_IFIFO

from stackup.linux import mounts
from stackup.linux.mountoptions import MountOptions
from stackup.runtime.launcher.operations.base import Operation, Stage
from stackup.runtime.launcher.operations.rootfs import open_mount_point

_NODES = (("null", 1, 3), ("zero", 1, 5), ("full", 1, 7), ("random", 1, 8), ("urandom", 1, 9), ("tty", 5, 0))
_LINKS = (
    ("/proc/self/fd", "fd"),
    ("/proc/self/fd/0", "stdin"),
    ("/proc/self/fd/1", "stdout"),
    ("/proc/self/fd/2", "stderr"),
    ("pts/ptmx", "ptmx"),
    ("/proc/kcore", "core"),
)
_TYPES = {"c": S_IFCHR, "u": S_IFCHR, "b": S_IFBLK, "p": S_IFIFO}


class MountDev(Operation):
    """/dev with the nodes that every container has (OCI runtime specification, "Default Devices").

    It is filled while still detached, so that no path is involved.
    """

    __slots__ = ("options", "target")
    step = "mount"

    def __init__(self, target: str, options: MountOptions) -> None:
        self.target = target
        self.options = options

    @property
    def path(self) -> str:
        return self.target

    def describe(self) -> str:
        return f"mount tmpfs on {self.target} with the default devices"

    def execute(self, stage: Stage) -> None:
        kernel = stage.kernel
        late = self.options.attributes & mounts.RDONLY
        data = self.options.data or [("mode", "755"), ("size", "65536k")]
        # nodev would make the nodes useless; runc leaves it out in the same way.
        attributes = self.options.attributes & ~(mounts.RDONLY | mounts.NODEV)
        fd = kernel.filesystem("tmpfs", data, attributes)
        for name, major, minor in _NODES:
            kernel.mknod(name, S_IFCHR | 0o666, os.makedev(major, minor), dir_fd=fd)
        for source, name in _LINKS:
            if name != "core" or kernel.path_mode(source):
                kernel.symlink(source, name, dir_fd=fd)
        for name in ("pts", "shm", "mqueue"):
            kernel.mkdir(name, 0o755, dir_fd=fd)
        stage.null_fd = kernel.open("null", os.O_PATH | os.O_CLOEXEC, dir_fd=fd)
        stage.roots[self.target] = kernel.open(".", os.O_PATH | os.O_CLOEXEC, dir_fd=fd)
        if not kernel.path_mode(self.target):
            kernel.mkdir(self.target, 0o755)
        kernel.attach(fd, self.target, late)


class MakeDevice(Operation):
    __slots__ = ("gid", "kind", "major", "minor", "mode", "node", "uid")
    step = "device"

    def __init__(self, node: str, kind: str, major: int, minor: int, mode: int, uid: int, gid: int) -> None:
        self.node = node
        self.kind = kind
        self.major = major
        self.minor = minor
        self.mode = mode
        self.uid = uid
        self.gid = gid

    @property
    def path(self) -> str:
        return self.node

    def describe(self) -> str:
        return f"make the device {self.node} ({self.kind} {self.major}:{self.minor})"

    def execute(self, stage: Stage) -> None:
        kernel = stage.kernel
        parent = os.path.dirname(self.node)
        if not kernel.path_mode(parent):
            kernel.makedirs(parent, 0o755, exist_ok=True)
        try:
            kernel.mknod(self.node, _TYPES[self.kind] | self.mode, os.makedev(self.major, self.minor))
        except FileExistsError:
            return
        if self.uid or self.gid:
            kernel.chown(self.node, self.uid, self.gid)


class OpenConsole(Operation):
    """A pseudo terminal of the container's own devpts: the other end goes to the launcher, this one to /dev/console."""

    __slots__ = ("columns", "on_console", "rows", "uid")
    step = "console"

    def __init__(self, rows: int, columns: int, uid: int, on_console: bool) -> None:
        self.rows = rows
        self.columns = columns
        self.uid = uid
        self.on_console = on_console

    def describe(self) -> str:
        return "open a terminal"

    def execute(self, stage: Stage) -> None:
        kernel = stage.kernel
        master, stage.slave_fd, _ = kernel.open_terminal("/dev/pts/ptmx")
        if self.rows and self.columns:
            kernel.set_size(stage.slave_fd, self.rows, self.columns)
        kernel.fchown(stage.slave_fd, self.uid, -1)
        stage.report({"fds": ["console"]}, [master])
        kernel.close(master)
        if self.on_console:
            place, _ = open_mount_point(stage, "/dev/console", directory=False)
            tree = kernel.clone_tree("", dirfd=stage.slave_fd)
            kernel.attach(tree, "/dev/console", 0, to_fd=place)
            kernel.close(place)


class MountCgroups(Operation):
    """/sys/fs/cgroup as the container may see it: its own groups as roots, thanks to the cgroup namespace."""

    __slots__ = ("options", "target", "unified", "v1")
    step = "mount"

    def __init__(self, target: str, options: MountOptions, unified: bool, v1: list[tuple[str, str]]) -> None:
        """``v1``: (directory name, mount options) of each hierarchy, when the host is not on v2 alone."""
        self.target = target
        self.options = options
        self.unified = unified
        self.v1 = v1

    @property
    def path(self) -> str:
        return self.target

    def describe(self) -> str:
        kinds = "cgroup2" if self.unified else " ".join(name for name, _ in self.v1)
        return f"mount {kinds} on {self.target} ({self.options.names()})"

    def execute(self, stage: Stage) -> None:
        kernel = stage.kernel
        place, _ = open_mount_point(stage, self.target, directory=True)
        if self.unified:
            kernel.attach(kernel.filesystem("cgroup2", (), self.options.attributes), self.target, 0, to_fd=place)
            kernel.close(place)
            return
        attributes = self.options.attributes & ~mounts.RDONLY
        tree = kernel.filesystem("tmpfs", (("mode", "755"),), attributes)
        stage.here = kernel.open(".", os.O_PATH | os.O_CLOEXEC, dir_fd=tree)
        kernel.attach(tree, self.target, 0, to_fd=place)
        kernel.close(place)
        kernel.fchdir(stage.here)
        # In a tmpfs made just now no name leads astray: mount(2) will do, with a quarter of the calls. The mount is to
        # be read-only, not the hierarchy, which is the whole machine's.
        readonly = self.options.attributes & mounts.RDONLY
        again = mounts.MS_REMOUNT | mounts.MS_BIND | mounts.as_ms(self.options.attributes)
        for name, options in self.v1:
            kernel.mkdir(name, 0o755)
            kernel.mount("cgroup", name, "cgroup", mounts.as_ms(attributes), options)
            if readonly:
                kernel.mount(None, name, None, again)
        if readonly:
            kernel.mount(None, ".", None, again)
