"""Unpacks one layer into a directory, in overlayfs form. Safe against any archive: nothing outside is ever written.

No symbolic link is ever followed by the kernel (``unpackdirs``), and ``..`` in a name is refused.

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
from stackup.images.unpackdirs import FLAGS, Directories, Parts, is_whiteout, make_opaque, named, refuse, split_path

_WHITEOUT = b".wh."
_OPAQUE_MARK = b".wh..wh..opq"
_FILE_FLAGS = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
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
            raise refuse(entry, error.strerror or str(error)) from None
        raise ImageError(f"cannot unpack {named(entry)}: {error.strerror}") from error
    finally:
        unpacker.close()
    return unpacker.written


def _after(entry: Entry | None) -> str:
    return f" (after {named(entry)})" if entry else ""


class _Unpacker:
    def __init__(self, target: Path, stream: TarStream, limit: int | None, whiteouts: bool) -> None:
        self.stream = stream
        self.limit = limit
        self.whiteouts = whiteouts
        self.written = 0
        self.privileged = os.geteuid() == 0
        self.held = 0
        self.directories: dict[Parts, Entry] = {}  # their modes and times come last: unpacking changes both
        self.tree = Directories(target)

    def close(self) -> None:
        self.tree.close()

    # Entries

    def add(self, entry: Entry) -> None:
        if b"\0" in entry.name or b"\0" in entry.link or (entry.xattrs and any("\0" in key for key in entry.xattrs)):
            raise refuse(entry, "its name, or that of an attribute of it, holds a NUL")
        parts = split_path(entry.name)
        if b".." in parts:
            raise refuse(entry, "its name leads out of the layer ('..')")
        if not parts:
            if entry.kind == tarstream.DIRECTORY:
                self._later((), entry)
            return
        above, parent = self.tree.find(parts[:-1], entry)
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
            raise refuse(entry, f"its type '{shown(entry.kind)}' is unknown")

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
            make_opaque(parent)
            return
        if name.startswith(b".wh..wh."):
            return  # bookkeeping of aufs, meaningless elsewhere
        hidden = name[len(_WHITEOUT) :]
        if hidden in (b"", b".", b".."):
            raise refuse(entry, "it is not a valid whiteout")
        try:
            os.mknod(hidden, stat.S_IFCHR, 0, dir_fd=parent)
        except FileExistsError:  # this layer brings the name itself: hide only what lies in the layers below
            if stat.S_ISDIR(os.lstat(hidden, dir_fd=parent).st_mode):
                fd = os.open(hidden, FLAGS, dir_fd=parent)
                try:
                    make_opaque(fd)
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
                if is_whiteout(there):
                    _, fd = self.tree.find(parts, entry)
                    make_opaque(fd)
        self._later(parts, entry)

    def _later(self, parts: Parts, entry: Entry) -> None:
        """Its attributes are set at the end: until then it is kept, and there may be as many as the archive likes."""
        self.held += 500 + len(entry.name) + sum(map(len, entry.xattrs.values()))
        if self.held > _MAX_HELD:
            raise refuse(entry, "the layer has more directories, or more attributes of them, than can be kept in mind")
        self.directories[parts] = entry

    def _file(self, parts: Parts, parent: int, name: bytes, entry: Entry) -> None:
        self.written += entry.size if entry.sparse is None else sum(length for _, length in entry.sparse)
        if self.limit is not None and self.written > self.limit:
            raise refuse(entry, f"the layer unpacks to more than the limit of {self.limit} bytes")
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
            raise refuse(entry, f"it links to '{shown(entry.link)}', which leads out of the layer")
        above, directory = self.tree.find(source[:-1], entry)
        if (*above, source[-1]) == parts:
            return
        directory = os.dup(directory)
        try:
            _, parent = self.tree.find(parts[:-1], entry)  # again: looking up the source may have closed it
            self._make(
                parts,
                parent,
                name,
                lambda: os.link(source[-1], name, src_dir_fd=directory, dst_dir_fd=parent, follow_symlinks=False),
            )
        except FileNotFoundError:
            raise refuse(entry, f"it links to '{shown(entry.link)}', which is not in this layer") from None
        except PermissionError:
            if not stat.S_ISDIR(os.lstat(source[-1], dir_fd=directory).st_mode):
                raise
            raise refuse(entry, f"it links to '{shown(entry.link)}', which is a directory") from None
        finally:
            os.close(directory)

    def _node(self, parts: Parts, parent: int, name: bytes, entry: Entry) -> None:
        device = os.makedev(*entry.device) if entry.kind != tarstream.FIFO else 0
        if entry.kind == tarstream.CHAR and device == 0:
            raise refuse(entry, "a 0:0 character device is not allowed in a layer")
        if entry.kind != tarstream.FIFO and not self.privileged:
            return
        self._make(
            parts, parent, name, lambda: os.mknod(name, _KINDS[entry.kind] | 0o600, device=device, dir_fd=parent)
        )
        self._stamp(parent, name, entry)

    def _forget(self, parts: Parts) -> None:
        """Of a directory that is about to be replaced, and of all below it."""
        self.tree.forget(parts)
        depth = len(parts)
        for key in [key for key in self.directories if key[:depth] == parts]:
            del self.directories[key]

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
            _, fd = self.tree.find(parts, entry)
            self._attributes(fd, entry)


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
