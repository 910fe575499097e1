"""What of the machine's own files may appear in the image ``host``: pure rules, no I/O.

The measure is what an unprivileged user (uid and gid 65534, no groups) could read along the whole path. On top of it,
some things are never there although they may be world-readable: credentials and the machine's own identity.
"""

from __future__ import annotations

import re
import stat
import struct
from fnmatch import fnmatchcase, translate

NOBODY = 65534
_READ, _EXECUTE = 4, 1

# Paths below the host's root, shell patterns; a match leaves out the file, or the directory with all below it.
NEVER = (
    "etc/machine-id",
    "etc/hostid",
    "etc/adjtime",
    "etc/ssh/ssh_host_*",
    "etc/apt/auth.conf",
    "etc/apt/auth.conf.d",
    "etc/*shadow*",
    "etc/passwd-",
    "etc/group-",
    "etc/subuid-",
    "etc/subgid-",
    "etc/security/opasswd*",
    "etc/krb5.keytab",
    "etc/netrc",
    "etc/docker/key.json",
    "etc/ssl/private",
    "etc/pki/tls/private",
    "etc/NetworkManager/system-connections",
    "etc/wpa_supplicant",
    "etc/wireguard",
    "etc/letsencrypt",
    "etc/sudoers",
    "etc/sudoers.d",
    "etc/.pwd.lock",
    "etc/.git",
    "etc/.etckeeper",
    "etc/ppp/*secrets",
    "etc/rsyncd.secrets",
    "etc/iscsi/initiatorname.iscsi",
    "etc/nvme/host*",
    "*.dpkg-new",
    "*/.netrc",
    "*/.git-credentials",
)

# The container gets its own of these; their state on the host is nobody's business inside, and changes by itself.
OWN = ("etc/hosts", "etc/hostname", "etc/resolv.conf", "etc/mtab", "etc/fstab", "etc/crypttab")

_NEVER = re.compile("|".join(translate(pattern) for pattern in NEVER + OWN))
_CREDENTIALS_IN_URL = re.compile(rb"([A-Za-z][A-Za-z0-9+.-]*://)[^\s/@\"'<>:]*:[^\s/@\"'<>]+@")
_TOKEN_LINE = re.compile(rb"(?im)^[^\n#]*(?:_authToken|_password|_auth)\s*=[^\n]*\n?")
_SECRET_FIELD = re.compile(rb"(?im)^\s*(?:password|proxy_password|token)\s*[=:][^\n]*\n?")
_WITH_TOKENS = ("*npmrc", "*.yarnrc*")
_WITH_PASSWORDS = ("etc/yum.repos.d/*", "etc/dnf/*", "etc/yum.conf", "etc/zypp/*", "etc/pip.conf", "etc/pypirc")


def never(path: str) -> bool:
    """``path`` relative to the host's root, without a leading slash."""
    return bool(_NEVER.match(path))


def redacted(path: str, data: bytes) -> bytes:
    """A text file without credentials: user and password in URLs, tokens of package managers, password hashes."""
    data = _CREDENTIALS_IN_URL.sub(rb"\1", data)
    if any(fnmatchcase(path, pattern) for pattern in _WITH_TOKENS):
        data = _TOKEN_LINE.sub(b"", data)
    if any(fnmatchcase(path, pattern) for pattern in _WITH_PASSWORDS):
        data = _SECRET_FIELD.sub(b"", data)
    if path in ("etc/passwd", "etc/group"):
        data = b"".join(_without_hash(line) for line in data.splitlines(keepends=True))
    return data


def _without_hash(line: bytes) -> bytes:
    fields = line.split(b":")
    if len(fields) >= 3 and fields[1] not in (b"", b"x", b"*", b"!"):
        fields[1] = b"x"
    return b":".join(fields)


def shadow(passwd: bytes) -> bytes:
    """An /etc/shadow in which every account is locked, so that tools that add users find what they expect."""
    names = [line.split(b":")[0] for line in passwd.splitlines() if line.count(b":") >= 6]
    return b"".join(name + b":*:19000:0:99999:7:::\n" for name in names)


def group_shadow(group: bytes) -> bytes:
    names = [line.split(b":")[0] for line in group.splitlines() if line.count(b":") >= 3]
    return b"".join(name + b":*::\n" for name in names)


def _granted(mode: int, uid: int, gid: int, acl: bytes | None) -> int:
    """Permission bits (4 read, 2 write, 1 execute) of uid and gid 65534 without further groups: acl(5), "ACCESS CHECK
    ALGORITHM". ``acl``: the value of system.posix_acl_access."""
    if uid == NOBODY:
        return mode >> 6 & 7
    if acl is None:
        return (mode >> 3 if gid == NOBODY else mode) & 7
    entries = [struct.unpack_from("<HHI", acl, at) for at in range(4, len(acl) - 7, 8)]
    mask = next((perm for tag, perm, _ in entries if tag == 0x10), 7)
    for tag, perm, who in entries:
        if tag == 0x02 and who == NOBODY:
            return int(perm & mask)
    group_class = [
        perm for tag, perm, who in entries if (tag == 0x04 and gid == NOBODY) or (tag == 0x08 and who == NOBODY)
    ]
    if group_class:
        return int(max(perm & mask for perm in group_class))
    return int(next((perm for tag, perm, _ in entries if tag == 0x20), 0))


def readable(mode: int, uid: int, gid: int, acl: bytes | None = None) -> bool:
    """Whether nobody can read this file, or list and enter this directory. Links are always readable."""
    if stat.S_ISLNK(mode):
        return True
    wanted = _READ | _EXECUTE if stat.S_ISDIR(mode) else _READ
    return _granted(mode, uid, gid, acl) & wanted == wanted
