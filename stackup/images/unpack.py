"""Unpacks one layer into a directory, in overlayfs form. Safe against any archive: nothing outside is ever written.

Every parent directory is opened component by component with O_NOFOLLOW below the target's descriptor, so that no
symbolic link is ever followed by the kernel. Where an archive goes through a link that it brought itself
(``a -> usr``, then ``a/file``), the link is resolved here, inside the target. ``..`` in a name is refused.

Whiteouts (image-spec layer.md): ``.wh.NAME`` becomes a 0:0 character device, ``.wh..wh..opq`` an opaque directory.
"""

from __future__ import annotations

import errno
import os
import stat
from collections.abc import Callable
from pathlib import Path

from stackup.base.errors import ImageError
from stackup.base.foreign import shown
from stackup.base.workroom import remove_tree
from stackup.images import tarstream
from stackup.images.streams import DamagedLayer
from stackup.images.tarstream import Entry, Piece, TarError, TarStream

OPAQUE = "trusted.overlay.opaque"
_WHITEOUT = b".wh."
_OPAQUE_MARK = b".wh..wh..opq"
_DIRECTORY_FLAGS = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
_FILE_FLAGS = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
_CACHED = 200  # open directories
_MAX_LINKS = 40  # as the kernel's own limit
_MAX_DEPTH = 512
_MAX_HELD = 512 << 20  # bytes that are kept of directories until the end
_ITS_FAULTS = (
    errno.ENAMETOOLONG,
    errno.ELOOP,
    errno.EINVAL,
    errno.ENOTDIR,
    errno.EISDIR,
    errno.EFBIG,
)  # not the machine's
_KINDS = {tarstream.CHAR: stat.S_IFCHR, tarstream.BLOCK_DEVICE: stat.S_IFBLK, tarstream.FIFO: stat.S_IFIFO}

Parts = tuple[bytes, ...]


def unpack_layer(
    read: Callable[[int], bytes],
    target: Path,
    *,
    some: Callable[[int], Piece] | None = None,
    limit: int | None = None,
    whiteouts: bool = True,
) -> int:
    """Unpacks the uncompressed tar stream behind ``read`` (and ``some``, see ``TarStream``) into the existing directory
    ``target``.

    Answers the number of content bytes. ``limit`` bounds that number (decompression bombs). Raises ImageError; what
    was unpacked by then stays, for the caller to delete. Without root, owners, devices and file capabilities are left
    out. With ``whiteouts`` False, names that begin with ``.wh.`` mean nothing special.
    """
    stream = TarStream(read, some)
    unpacker = _Unpacker(target, stream, limit, whiteouts)
    entry: Entry | None = None
    try:
        for entry in stream:
            unpacker.add(entry)
        unpacker.finish()
    except TarError as error:
        raise DamagedLayer("unpack", f"{error}{_after(entry)}") from None
    except OSError as error:
        if entry and error.errno in _ITS_FAULTS:
            raise _refuse(entry, error.strerror or str(error)) from None
        raise ImageError(f"cannot unpack {_shown(entry)}: {error.strerror}") from error
    finally:
        unpacker.close()
    return unpacker.written


def _shown(entry: Entry | None) -> str:
    return f"'{shown(entry.name)}'" if entry else "the layer"


def _after(entry: Entry | None) -> str:
    return f" (after {_shown(entry)})" if entry else ""


def _refuse(entry: Entry, reason: str) -> ImageError:
    return ImageError(
        f"cannot unpack {_shown(entry)}: {reason}",
        hint="The archive may be hostile; nothing of it was kept.",
    )


def split_path(path: bytes) -> Parts:
    parts = path.split(b"/")
    if b"" in parts or b"." in parts:
        return tuple([part for part in parts if part not in (b"", b".")])
    return tuple(parts)


class _Unpacker:
    def __init__(self, target: Path, stream: TarStream, limit: int | None, whiteouts: bool) -> None:
        self.stream = stream
        self.limit = limit
        self.whiteouts = whiteouts
        self.written = 0
        self.privileged = os.geteuid() == 0
        self.held = 0
        self.directories: dict[Parts, Entry] = {}  # their modes and times come last: unpacking changes both
        self.open: dict[Parts, int] = {(): os.open(target, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)}

    def close(self) -> None:
        for fd in self.open.values():
            os.close(fd)
        self.open.clear()

    # Directories

    def directory(self, parts: Parts, entry: Entry) -> tuple[Parts, int]:
        """The real path below the target (links resolved) and a descriptor for it; missing ones are made."""
        fd = self.open.get(parts)
        return (parts, fd) if fd is not None else self._walk(parts, entry)

    def _walk(self, parts: Parts, entry: Entry) -> tuple[Parts, int]:
        known = next(n for n in range(len(parts), -1, -1) if parts[:n] in self.open)
        done, todo, links = parts[:known], list(reversed(parts[known:])), 0
        while todo:
            name = todo.pop()
            if name == b"..":  # only out of a link's target; at the top it stays there, as in a chroot
                done = done[:-1]
                continue
            here = (*done, name)
            if len(here) > _MAX_DEPTH:
                raise _refuse(entry, f"its path is more than {_MAX_DEPTH} directories deep")
            if here not in self.open:
                found = self._open_or_make(self.open[done], name, entry)
                if isinstance(found, bytes):
                    links += 1
                    if links > _MAX_LINKS:
                        raise _refuse(entry, "too many levels of symbolic links")
                    todo.extend(reversed(split_path(found)))
                    done = () if found.startswith(b"/") else done
                    continue
                self._remember(here, found)
            done = here
        return done, self.open[done]

    def _open_or_make(self, parent: int, name: bytes, entry: Entry) -> int | bytes:
        """A descriptor, or where the symbolic link of that name points to."""
        try:
            return os.open(name, _DIRECTORY_FLAGS, dir_fd=parent)
        except FileNotFoundError:
            hides = False
        except OSError as error:
            if error.errno not in (errno.ELOOP, errno.ENOTDIR):
                raise
            there = os.lstat(name, dir_fd=parent)
            if stat.S_ISLNK(there.st_mode):
                return os.readlink(name, dir_fd=parent)
            if not _is_whiteout(there):
                raise _refuse(entry, f"'{shown(name)}' above it is not a directory") from None
            os.unlink(name, dir_fd=parent)
            hides = True
        os.mkdir(name, 0o755, dir_fd=parent)
        fd = os.open(name, _DIRECTORY_FLAGS, dir_fd=parent)
        if hides:
            self._make_opaque(fd)
        return fd

    def _remember(self, parts: Parts, fd: int) -> None:
        if len(self.open) >= _CACHED:
            keep = {parts[:n] for n in range(len(parts))}
            for other in [key for key in self.open if key and key not in keep]:
                os.close(self.open.pop(other))
        self.open[parts] = fd

    def _forget(self, parts: Parts) -> None:
        """Drops what is known about a directory that is about to be replaced, and about all below it."""
        depth = len(parts)
        for key in [key for key in self.open if key[:depth] == parts]:
            os.close(self.open.pop(key))
        for key in [key for key in self.directories if key[:depth] == parts]:
            del self.directories[key]

    def _make_opaque(self, fd: int) -> None:
        if self.privileged:
            os.setxattr(fd, OPAQUE, b"y")

    # Entries

    def add(self, entry: Entry) -> None:
        if b"\0" in entry.name or b"\0" in entry.link or (entry.xattrs and any("\0" in key for key in entry.xattrs)):
            raise _refuse(entry, "its name, or that of an attribute of it, holds a NUL")
        parts = split_path(entry.name)
        if b".." in parts:
            raise _refuse(entry, "its name leads out of the layer ('..')")
        if not parts:
            if entry.kind == tarstream.DIRECTORY:
                self._later((), entry)
            return
        above, parent = self.directory(parts[:-1], entry)
        name = parts[-1]
        if self.whiteouts and name.startswith(_WHITEOUT):
            self._whiteout(parent, name, entry)
        elif entry.kind == tarstream.DIRECTORY:
            self._directory((*above, name), parent, name, entry)
        elif entry.kind == tarstream.FILE:
            self._file((*above, name), parent, name, entry)
        elif entry.kind == tarstream.SYMLINK:
            self._make((*above, name), parent, name, lambda: os.symlink(entry.link, name, dir_fd=parent))
            self._stamp(parent, name, entry)
        elif entry.kind == tarstream.HARDLINK:
            self._hardlink((*above, name), name, entry)
        elif entry.kind in _KINDS:
            self._node((*above, name), parent, name, entry)
        else:
            raise _refuse(entry, f"its type '{shown(entry.kind)}' is unknown")

    def _make(self, parts: Parts, parent: int, name: bytes, make: Callable[[], None]) -> None:
        """Makes something new; what an earlier entry of the same archive left under that name goes."""
        try:
            make()
        except FileExistsError:
            self._forget(parts)
            remove_tree(name, parent)
            make()

    def _whiteout(self, parent: int, name: bytes, entry: Entry) -> None:
        if name == _OPAQUE_MARK:
            self._make_opaque(parent)
            return
        if name.startswith(b".wh..wh."):
            return  # bookkeeping of aufs, meaningless elsewhere
        hidden = name[len(_WHITEOUT) :]
        if hidden in (b"", b".", b".."):
            raise _refuse(entry, "it is not a valid whiteout")
        try:
            os.mknod(hidden, stat.S_IFCHR, 0, dir_fd=parent)
        except FileExistsError:  # this layer brings the name itself: hide only what lies in the layers below
            if stat.S_ISDIR(os.lstat(hidden, dir_fd=parent).st_mode):
                fd = os.open(hidden, _DIRECTORY_FLAGS, dir_fd=parent)
                try:
                    self._make_opaque(fd)
                finally:
                    os.close(fd)

    def _directory(self, parts: Parts, parent: int, name: bytes, entry: Entry) -> None:
        try:
            os.mkdir(name, 0o700, dir_fd=parent)
        except FileExistsError:
            there = os.lstat(name, dir_fd=parent)
            if not stat.S_ISDIR(there.st_mode):
                self._forget(parts)
                os.unlink(name, dir_fd=parent)
                os.mkdir(name, 0o700, dir_fd=parent)
                if _is_whiteout(there):
                    _, fd = self.directory(parts, entry)
                    self._make_opaque(fd)
        self._later(parts, entry)

    def _later(self, parts: Parts, entry: Entry) -> None:
        """Its attributes are set at the end: until then it is kept, and there may be as many as the archive likes."""
        self.held += 500 + len(entry.name) + sum(map(len, entry.xattrs.values()))
        if self.held > _MAX_HELD:
            raise _refuse(entry, "the layer has more directories, or more attributes of them, than can be kept in mind")
        self.directories[parts] = entry

    def _file(self, parts: Parts, parent: int, name: bytes, entry: Entry) -> None:
        self.written += entry.size if entry.sparse is None else sum(length for _, length in entry.sparse)
        if self.limit is not None and self.written > self.limit:
            raise _refuse(entry, f"the layer unpacks to more than the limit of {self.limit} bytes")
        try:
            fd = os.open(name, _FILE_FLAGS, 0o600, dir_fd=parent)
        except FileExistsError:
            self._forget(parts)
            remove_tree(name, parent)
            fd = os.open(name, _FILE_FLAGS, 0o600, dir_fd=parent)
        try:
            if entry.sparse is None:
                for chunk in self.stream.chunks():
                    _write(fd, chunk)
            else:
                self._sparse(fd, entry)
            self._attributes(fd, entry)
        finally:
            os.close(fd)

    def _sparse(self, fd: int, entry: Entry) -> None:
        for offset, length in entry.sparse or ():
            os.lseek(fd, offset, os.SEEK_SET)
            while length:
                chunk = self.stream.some(min(length, tarstream.CHUNK))
                _write(fd, chunk)
                length -= len(chunk)
        os.ftruncate(fd, entry.size)

    def _hardlink(self, parts: Parts, name: bytes, entry: Entry) -> None:
        source = split_path(entry.link)
        if not source or b".." in source:
            raise _refuse(entry, f"it links to '{shown(entry.link)}', which leads out of the layer")
        above, directory = self.directory(source[:-1], entry)
        if (*above, source[-1]) == parts:
            return
        directory = os.dup(directory)
        try:
            _, parent = self.directory(parts[:-1], entry)  # again: looking up the source may have closed it
            self._make(
                parts,
                parent,
                name,
                lambda: os.link(source[-1], name, src_dir_fd=directory, dst_dir_fd=parent, follow_symlinks=False),
            )
        except FileNotFoundError:
            raise _refuse(entry, f"it links to '{shown(entry.link)}', which is not in this layer") from None
        except PermissionError:
            if not stat.S_ISDIR(os.lstat(source[-1], dir_fd=directory).st_mode):
                raise
            raise _refuse(entry, f"it links to '{shown(entry.link)}', which is a directory") from None
        finally:
            os.close(directory)

    def _node(self, parts: Parts, parent: int, name: bytes, entry: Entry) -> None:
        device = os.makedev(*entry.device) if entry.kind != tarstream.FIFO else 0
        if entry.kind == tarstream.CHAR and device == 0:
            raise _refuse(entry, "a 0:0 character device is not allowed in a layer")
        if entry.kind != tarstream.FIFO and not self.privileged:
            return
        self._make(
            parts, parent, name, lambda: os.mknod(name, _KINDS[entry.kind] | 0o600, device=device, dir_fd=parent)
        )
        self._stamp(parent, name, entry)

    # Attributes

    def _stamp(self, parent: int, name: bytes, entry: Entry) -> None:
        """Owner, mode and time of what is not opened (links, devices)."""
        if self.privileged:
            os.chown(name, entry.uid, entry.gid, dir_fd=parent, follow_symlinks=False)
        if entry.kind != tarstream.SYMLINK:
            os.chmod(name, entry.mode, dir_fd=parent)
        os.utime(name, ns=(entry.mtime_ns, entry.mtime_ns), dir_fd=parent, follow_symlinks=False)

    def _attributes(self, fd: int, entry: Entry) -> None:
        """In this order: a change of owner drops setuid bits and file capabilities."""
        if self.privileged and (entry.uid or entry.gid or entry.kind == tarstream.DIRECTORY):
            os.fchown(fd, entry.uid, entry.gid)
        os.fchmod(fd, entry.mode)
        for key, value in entry.xattrs.items():
            if wanted_xattr(key):
                self._set_xattr(fd, key, value)
        os.utime(fd, ns=(entry.mtime_ns, entry.mtime_ns))

    def _set_xattr(self, fd: int, key: str, value: bytes) -> None:
        try:
            os.setxattr(fd, key, value)
        except OSError as error:
            if error.errno != errno.ENOTSUP and (self.privileged or error.errno not in (errno.EPERM, errno.EACCES)):
                raise

    def finish(self) -> None:
        """Deepest first: setting a child's mode or time does not disturb its parent's."""
        for parts in sorted(self.directories, key=len, reverse=True):
            entry = self.directories[parts]
            _, fd = self.directory(parts, entry)
            self._attributes(fd, entry)


def _is_whiteout(there: os.stat_result) -> bool:
    return stat.S_ISCHR(there.st_mode) and there.st_rdev == 0


def wanted_xattr(key: str) -> bool:
    """``trusted.overlay.*`` would steer the overlay itself; labels of security modules belong to the other machine."""
    return key.startswith("user.") or key in (
        "security.capability",
        "system.posix_acl_access",
        "system.posix_acl_default",
    )


def _write(fd: int, data: Piece) -> None:
    done = os.write(fd, data)
    while done < len(data):
        done += os.write(fd, memoryview(data)[done:])
