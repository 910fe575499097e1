"""The options of an OCI mount, sorted: attributes, propagation, bind or not, what the file system takes. Pure."""

from __future__ import annotations

from stackup.linux import mounts

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable

_SET = {
    "ro": mounts.RDONLY,
    "nosuid": mounts.NOSUID,
    "nodev": mounts.NODEV,
    "noexec": mounts.NOEXEC,
    "noatime": mounts.NOATIME,
    "strictatime": mounts.STRICTATIME,
    "nodiratime": mounts.NODIRATIME,
    "nosymfollow": mounts.NOSYMFOLLOW,
}
_NOTHING = {"rw", "suid", "dev", "exec", "relatime", "diratime", "defaults", "async", "atime", "symfollow", "loud"}
_RECURSIVE = {"rro": "ro", "rnosuid": "nosuid", "rnodev": "nodev", "rnoexec": "noexec", "rnoatime": "noatime"}
_PROPAGATION = {
    "private": mounts.MS_PRIVATE,
    "slave": mounts.MS_SLAVE,
    "shared": mounts.MS_SHARED,
    "unbindable": mounts.MS_UNBINDABLE,
}


class MountOptions:
    """``data`` in order, (key, None) for a flag. ``recursive``: the submounts of a bind come along."""

    __slots__ = ("attributes", "bind", "data", "propagation", "recursive", "recursive_attributes")

    def __init__(self, options: Iterable[str]) -> None:
        self.attributes = 0
        self.recursive_attributes = 0
        self.propagation = 0
        self.bind = False
        self.recursive = False
        self.data: list[tuple[str, str | None]] = []
        for option in options:
            self._take(option)

    def _take(self, option: str) -> None:
        if option in ("bind", "rbind"):
            self.bind = True
            self.recursive = option == "rbind"
        elif option in _SET:
            self.attributes |= _SET[option]
        elif option in _RECURSIVE:
            self.recursive_attributes |= _SET[_RECURSIVE[option]]
        elif option in _PROPAGATION:
            self.propagation = _PROPAGATION[option]
        elif option[:1] == "r" and option[1:] in _PROPAGATION:
            self.propagation = _PROPAGATION[option[1:]] | mounts.MS_REC
        elif option not in _NOTHING:
            key, equals, value = option.partition("=")
            self.data.append((key, value if equals else None))

    def names(self) -> str:
        """The attributes in words, for describing."""
        return ",".join(name for name, bit in _SET.items() if (self.attributes | self.recursive_attributes) & bit)
