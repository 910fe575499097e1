"""Operations that take parts of the finished tree away: read-only paths and masked paths."""

from __future__ import annotations

import os
from stat import S_IFMT

from stackup.linux import mounts
from stackup.linux.kernel import is_directory
from stackup.runtime.launcher.operations.base import Operation, Refusal, Stage

_EINVAL = 22
_KERNEL_MOUNT = mounts.RDONLY | mounts.NOSUID | mounts.NODEV | mounts.NOEXEC
_KERNEL_MOUNT_MS = mounts.as_ms(_KERNEL_MOUNT)
_EMPTY = (("size", "0"), ("nr_inodes", "2"))


class ProtectPath(Operation):
    """A read-only bind of the path onto itself. Paths that are not there are skipped."""

    __slots__ = ("target",)
    step = "readonly-path"

    def __init__(self, target: str) -> None:
        self.target = target

    @property
    def path(self) -> str:
        return self.target

    def describe(self) -> str:
        return f"make {self.target} read-only"

    def execute(self, stage: Stage) -> None:
        kernel, name = stage.kernel, stage.enter_mount(self.target)
        try:
            if name:
                kernel.mount(name, name, None, mounts.MS_BIND)
                kernel.mount(None, name, None, mounts.MS_REMOUNT | mounts.MS_BIND | _KERNEL_MOUNT_MS)
                return
            place = kernel.open(self.target, os.O_PATH | os.O_CLOEXEC)
        except (FileNotFoundError, NotADirectoryError):
            return
        tree = kernel.clone_tree("", dirfd=place, recursive=True)
        kernel.attach(tree, self.target, mounts.RDONLY, to_fd=place)
        kernel.close(place)


class MaskPath(Operation):
    """Files are covered with /dev/null, directories with an empty file system. Paths that are not there are skipped."""

    __slots__ = ("target",)
    step = "masked-path"

    def __init__(self, target: str) -> None:
        self.target = target

    @property
    def path(self) -> str:
        return self.target

    def describe(self) -> str:
        return f"mask {self.target}"

    def execute(self, stage: Stage) -> None:
        kernel, name = stage.kernel, stage.enter_mount(self.target)
        if name and "/proc" in stage.roots:
            self._quickly(stage, name)
            return
        try:
            place = kernel.open(name or self.target, os.O_PATH | os.O_CLOEXEC)
        except (FileNotFoundError, NotADirectoryError):
            return
        if is_directory(kernel.file_kind(place)[1]):
            kernel.attach(self._empty(stage), self.target, 0, to_fd=place)
        else:
            tree = kernel.clone_tree("", dirfd=self._null(stage))
            kernel.attach(tree, self.target, mounts.RDONLY | mounts.NOSUID | mounts.NOEXEC, to_fd=place)
        kernel.close(place)

    def _quickly(self, stage: Stage, name: str) -> None:
        """What covers is named by its descriptor, in the container's own /proc. A mount that fails is dear: the kernel
        waits for an RCU grace period before it drops it. So the kind of the place is asked for first."""
        kernel = stage.kernel
        mode = kernel.path_mode(name)
        if not mode:
            return
        if not is_directory(S_IFMT(mode)):
            kernel.mount(f"/proc/self/fd/{self._null(stage)}", name, None, mounts.MS_BIND)
        elif stage.empty_fd >= 0:
            kernel.mount(f"/proc/self/fd/{stage.empty_fd}", name, None, mounts.MS_BIND)
        else:
            data = ",".join(f"{key}={value}" for key, value in _EMPTY)
            kernel.mount("tmpfs", name, "tmpfs", _KERNEL_MOUNT_MS, data)
            stage.empty_fd = kernel.open(name, os.O_PATH | os.O_CLOEXEC)

    def _empty(self, stage: Stage) -> int:
        """The same empty file system for all. Before Linux 6.15 only what is attached can be cloned: the first
        directory gets the original, and the clones are made from there."""
        if stage.empty_fd >= 0:
            return stage.kernel.clone_tree("", dirfd=stage.empty_fd)
        tree = stage.kernel.filesystem("tmpfs", _EMPTY, _KERNEL_MOUNT)
        stage.empty_fd = stage.kernel.open(".", os.O_PATH | os.O_CLOEXEC, dir_fd=tree)
        return tree

    def _null(self, stage: Stage) -> int:
        """The container's own /dev/null, and really that device, not a link that an image put there."""
        if stage.null_fd < 0:
            stage.null_fd = stage.kernel.open("/dev/null", os.O_PATH | os.O_CLOEXEC | os.O_NOFOLLOW)
            if stage.kernel.file_kind(stage.null_fd)[2] != os.makedev(1, 3):
                raise Refusal("masked-path", _EINVAL, self.target, "/dev/null of the container is not the null device")
        return stage.null_fd
