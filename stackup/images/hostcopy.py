"""Copies parts of the host for the image ``host``: only what nobody could read, without ever following a link.

Runs as root over directories that others may change meanwhile, so everything is opened relative to its parent's
descriptor with O_NOFOLLOW, and judged by what was opened, not by what was listed.
"""

from __future__ import annotations

import errno
import fcntl
import os
import stat
from dataclasses import dataclass, field
from pathlib import Path

from stackup.images import hostrules

COPY_LIMIT = 256 << 20  # bytes that are plainly copied; beyond that files are shared
_FICLONE = 0x40049409
_CHUNK = 1 << 20
_REDACT_LIMIT = 4 << 20
_OPEN = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
_OPEN_DIRECTORY = os.O_RDONLY | os.O_NOFOLLOW | os.O_DIRECTORY | os.O_CLOEXEC
_ACL = "system.posix_acl_access"


@dataclass(slots=True)
class Copier:
    """``share``: files of ``owner`` that only it may write may be hard-linked once ``limit`` is used up (the
    overlay never writes to a lower file; the host's own changes in place would show through). ``skip``: device and
    inode of directories that stay out. ``left_out`` collects what was too large to copy and not fit to be shared."""

    share: bool = False
    limit: int = COPY_LIMIT
    owner: int = 0
    skip: frozenset[tuple[int, int]] = frozenset()
    redact: bool = False
    copied: int = 0
    shared: int = 0
    left_out: list[str] = field(default_factory=list)
    _links: dict[tuple[int, int], str] = field(default_factory=dict)
    _can_clone: bool = True

    def tree(self, root: Path, name: str, target: Path) -> None:
        """Copies ``root``/``name`` (e.g. "etc") to ``target``/``name``. What is missing or unreadable is left out.

        ``root`` itself is trusted; every component of ``name`` must be open to nobody.
        """
        fd = os.open(root, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            *parents, last = name.split("/")
            at = target
            for index, part in enumerate(parents):
                try:
                    inner = os.open(part, _OPEN_DIRECTORY, dir_fd=fd)
                except OSError:
                    return
                os.close(fd)
                fd = inner
                info = os.fstat(fd)
                if not self._allowed(fd, info):
                    return
                at = at / part
                if not at.is_dir():
                    at.mkdir()
                    stamp(str(at), info)
                if hostrules.never("/".join(parents[: index + 1])):
                    return
            self._entry(fd, last, name, at / last)
        finally:
            os.close(fd)

    def _allowed(self, fd: int, info: os.stat_result) -> bool:
        acl: bytes | None = None
        try:
            acl = os.getxattr(fd, _ACL)
        except OSError:
            pass
        return hostrules.readable(info.st_mode, info.st_uid, info.st_gid, acl)

    def _entry(self, parent: int, name: str, path: str, target: Path) -> None:
        """``path``: relative to the host's root, for the rules."""
        if hostrules.never(path):
            return
        try:
            mode = os.lstat(name, dir_fd=parent).st_mode
            if stat.S_ISLNK(mode):
                os.symlink(os.readlink(name, dir_fd=parent), target)
                stamp(str(target), os.lstat(name, dir_fd=parent))
                return
            if not (stat.S_ISDIR(mode) or stat.S_ISREG(mode)):
                return  # devices, sockets and FIFOs are not files of an image
            fd = os.open(name, _OPEN, dir_fd=parent)
        except OSError as error:
            if error.errno in (errno.ENOENT, errno.EACCES, errno.ELOOP, errno.ENXIO, errno.EIO, errno.ESTALE):
                return  # it changed under our hands, or the file system itself refuses: then it is not for nobody
            raise
        try:
            info = os.fstat(fd)
            if not self._allowed(fd, info) or (info.st_dev, info.st_ino) in self.skip:
                return
            if stat.S_ISDIR(info.st_mode):
                self._directory(fd, path, target, info)
            elif stat.S_ISREG(info.st_mode):
                self._file(fd, path, target, info)
        finally:
            os.close(fd)

    def _directory(self, fd: int, path: str, target: Path, info: os.stat_result) -> None:
        target.mkdir(mode=0o700, exist_ok=True)
        for name in sorted(os.listdir(fd)):
            self._entry(fd, name, f"{path}/{name}", target / name)
        stamp(str(target), info)

    def _file(self, fd: int, path: str, target: Path, info: os.stat_result) -> None:
        key = (info.st_dev, info.st_ino)
        if info.st_nlink > 1 and key in self._links:
            os.link(self._links[key], target)
            return
        if self.redact and info.st_size <= _REDACT_LIMIT:
            data = _read(fd)
            cleaned = hostrules.redacted(path, data)
            if cleaned != data:
                target.write_bytes(cleaned)
                stamp(str(target), info)
                return
            os.lseek(fd, 0, os.SEEK_SET)
        if self._clone(fd, target) or self._copy(fd, target, info):
            _copy_xattrs(fd, str(target))
            stamp(str(target), info)
        elif not self._share(fd, target, info):
            self.left_out.append(path)
            return
        if info.st_nlink > 1:
            self._links[key] = str(target)

    def _clone(self, fd: int, target: Path) -> bool:
        """A reflink: the file system shares the blocks until either side writes."""
        if not self._can_clone:
            return False
        out = os.open(target, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
        try:
            fcntl.ioctl(out, _FICLONE, fd)
            return True
        except OSError as error:
            os.unlink(target)
            if error.errno not in (errno.EOPNOTSUPP, errno.EXDEV, errno.EINVAL, errno.ENOTTY, errno.ENOSYS):
                raise
            # EXDEV: this source is on another file system; the next one may not be.
            self._can_clone = error.errno == errno.EXDEV
            return False
        finally:
            os.close(out)

    def _copy(self, fd: int, target: Path, info: os.stat_result) -> bool:
        if self.copied + info.st_size > self.limit:
            return False
        out = os.open(target, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
        try:
            while count := os.sendfile(out, fd, None, _CHUNK):
                self.copied += count
        finally:
            os.close(out)
        return True

    def _share(self, fd: int, target: Path, info: os.stat_result) -> bool:
        if not self.share or info.st_uid != self.owner or info.st_mode & 0o022:
            return False
        directory = os.open(target.parent, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            # Through the descriptor: exactly the file that was judged, whatever its name means by now.
            os.link(f"/proc/self/fd/{fd}", target.name, dst_dir_fd=directory, follow_symlinks=True)
        except OSError as error:
            if error.errno in (errno.EXDEV, errno.EMLINK, errno.EPERM, errno.ENOENT):
                return False
            raise
        finally:
            os.close(directory)
        self.shared += info.st_size
        return True


def _read(fd: int) -> bytes:
    pieces = []
    while piece := os.read(fd, _CHUNK):
        pieces.append(piece)
    return b"".join(pieces)


def _copy_xattrs(fd: int, target: str) -> None:
    for name in ("security.capability", _ACL):
        try:
            os.setxattr(target, name, os.getxattr(fd, name))
        except OSError:
            continue


def stamp(target: str, info: os.stat_result) -> None:
    """Owner first: changing it drops setuid bits."""
    if os.geteuid() == 0:
        os.chown(target, info.st_uid, info.st_gid, follow_symlinks=False)
    if not stat.S_ISLNK(info.st_mode):
        os.chmod(target, stat.S_IMODE(info.st_mode))
    os.utime(target, ns=(info.st_mtime_ns, info.st_mtime_ns), follow_symlinks=False)
