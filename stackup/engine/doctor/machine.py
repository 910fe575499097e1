"""The door through which the doctor looks at the machine. Every method reads; a test hands in another one."""

from __future__ import annotations

import os
import re
import resource
import time
from typing import Any, Protocol

from stackup.base.errors import HostUnfit
from stackup.base.values import frozen


@frozen
class Space:
    """Of a file system; in bytes and in inodes (0 of 0 where it has no fixed number)."""

    free: int
    size: int
    inodes_free: int
    inodes: int
    read_only: bool = False


class Machine(Protocol):
    """What there is to look at. ``text`` is "" for what is not there or cannot be read."""

    def text(self, path: str) -> str: ...
    def exists(self, path: str) -> bool: ...
    def space(self, path: str) -> Space: ...
    def release(self) -> str: ...
    def open_files(self) -> int: ...
    def now(self) -> float: ...
    def uptime(self) -> float: ...
    def requirements(self) -> dict[str, tuple[str, str]]: ...
    def nft(self, command: str) -> list[dict[str, Any]]: ...
    def seccomp_library(self) -> bool: ...


class ThisMachine:
    """The real one."""

    def text(self, path: str) -> str:
        try:
            with open(path, encoding="utf-8", errors="replace") as file:
                return file.read()
        except OSError:
            return ""

    def exists(self, path: str) -> bool:
        return os.path.lexists(path)

    def space(self, path: str) -> Space:
        """Of the nearest directory above that exists."""
        while not os.path.isdir(path):
            path = os.path.dirname(path)
        found = os.statvfs(path)
        return Space(
            found.f_bavail * found.f_frsize,
            found.f_blocks * found.f_frsize,
            found.f_favail,
            found.f_files,
            bool(found.f_flag & os.ST_RDONLY),
        )

    def release(self) -> str:
        return os.uname().release

    def open_files(self) -> int:
        """The most that a process of this user may have."""
        return resource.getrlimit(resource.RLIMIT_NOFILE)[1]

    def now(self) -> float:
        return time.time()

    def uptime(self) -> float:
        return time.clock_gettime(time.CLOCK_BOOTTIME)

    def requirements(self) -> dict[str, tuple[str, str]]:
        """Package -> (what stackup asks for, installed version or "")."""
        from importlib import metadata

        try:
            wanted = [text for text in metadata.requires("stackup") or () if "extra ==" not in text]
        except metadata.PackageNotFoundError:  # run from a tree
            return {}
        found = {}
        for text in wanted:
            match = re.match(r"[A-Za-z0-9_.-]+", text)
            name = match.group() if match else text
            try:
                found[name] = (text, metadata.version(name))
            except metadata.PackageNotFoundError:
                found[name] = (text, "")
        return found

    def nft(self, command: str) -> list[dict[str, Any]]:
        """Raises HostUnfit where nftables cannot be asked."""
        from stackup.linux.nftables import Nft, NftError

        try:
            with Nft() as nft:
                return nft.query(command)
        except NftError as error:
            raise HostUnfit(f"nftables: {str(error).splitlines()[0]}") from error

    def seccomp_library(self) -> bool:
        from stackup.linux import libseccomp

        try:
            libseccomp.version()
        except (HostUnfit, OSError, AttributeError):
            return False
        return True
