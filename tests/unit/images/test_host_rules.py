"""What of the host may appear in the image ``host``."""

from __future__ import annotations

import stat
import struct

import pytest

from stackup.images import hostrules

FILE, DIRECTORY = stat.S_IFREG, stat.S_IFDIR


def acl(*entries: tuple[int, int, int]) -> bytes:
    return struct.pack("<I", 2) + b"".join(struct.pack("<HHI", *entry) for entry in entries)


USER_OBJ, USER, GROUP_OBJ, GROUP, MASK, OTHER = 0x01, 0x02, 0x04, 0x08, 0x10, 0x20
NONE = 2**32 - 1


@pytest.mark.parametrize(
    ("mode", "uid", "gid", "expected"),
    [
        (FILE | 0o644, 0, 0, True), (FILE | 0o640, 0, 0, False), (FILE | 0o640, 0, 65534, True),
        (FILE | 0o400, 65534, 0, True), (FILE | 0o044, 65534, 65534, False), (FILE | 0o604, 0, 65534, False),
        (DIRECTORY | 0o755, 0, 0, True), (DIRECTORY | 0o754, 0, 0, False), (DIRECTORY | 0o711, 0, 0, False),
        (stat.S_IFLNK | 0o777, 0, 0, True),
    ],
)  # fmt: skip
def test_mode_bits(mode: int, uid: int, gid: int, expected: bool) -> None:
    assert hostrules.readable(mode, uid, gid) is expected


@pytest.mark.parametrize(
    ("entries", "expected"),
    [
        ([(USER_OBJ, 6, NONE), (GROUP_OBJ, 0, NONE), (OTHER, 4, NONE)], True),
        ([(USER_OBJ, 6, NONE), (USER, 0, 65534), (GROUP_OBJ, 4, NONE), (MASK, 7, NONE), (OTHER, 4, NONE)], False),
        ([(USER_OBJ, 6, NONE), (USER, 4, 65534), (GROUP_OBJ, 0, NONE), (MASK, 4, NONE), (OTHER, 0, NONE)], True),
        ([(USER_OBJ, 6, NONE), (USER, 4, 65534), (GROUP_OBJ, 0, NONE), (MASK, 0, NONE), (OTHER, 4, NONE)], False),
        ([(USER_OBJ, 6, NONE), (GROUP_OBJ, 0, NONE), (GROUP, 0, 65534), (MASK, 7, NONE), (OTHER, 4, NONE)], False),
    ],
)
def test_access_control_lists(entries: list[tuple[int, int, int]], expected: bool) -> None:
    assert hostrules.readable(FILE | 0o644, 0, 0, acl(*entries)) is expected


@pytest.mark.parametrize(
    "path",
    ["etc/machine-id", "etc/ssh/ssh_host_rsa_key", "etc/ssh/ssh_host_rsa_key.pub", "etc/apt/auth.conf", "etc/gshadow-",
     "etc/apt/auth.conf.d", "etc/shadow", "etc/letsencrypt", "etc/resolv.conf", "opt/app/.git-credentials"],
)  # fmt: skip
def test_never(path: str) -> None:
    assert hostrules.never(path)


@pytest.mark.parametrize("path", ["etc/passwd", "etc/ssh/ssh_config", "etc/apt/sources.list", "etc/ssl/certs/ca.pem"])
def test_ordinary_configuration_comes_along(path: str) -> None:
    assert not hostrules.never(path)


@pytest.mark.parametrize(
    ("path", "before", "after"),
    [
        ("etc/a", b"deb http://u:p@h/x y", b"deb http://h/x y"),
        ("etc/a", b"https://:p@h https://u@h http://h:80/a@b", b"https://h https://u@h http://h:80/a@b"),
        ("etc/npmrc", b"a=1\n//h/:_authToken=t\nb=2\n", b"a=1\nb=2\n"),
        ("etc/yum.repos.d/x", b"name=x\npassword = p\n", b"name=x\n"),
        ("etc/other", b"password=p\n", b"password=p\n"),
        ("etc/passwd", b"a:HASH:1:1::/:/bin/sh\nb:x:2:2::/:/bin/sh\nc::3:3::/:\n",
         b"a:x:1:1::/:/bin/sh\nb:x:2:2::/:/bin/sh\nc::3:3::/:\n"),
    ],
)  # fmt: skip
def test_redaction(path: str, before: bytes, after: bytes) -> None:
    assert hostrules.redacted(path, before) == after


def test_locked_shadow_files() -> None:
    assert hostrules.shadow(b"root:x:0:0::/root:/bin/sh\nbroken\n") == b"root:*:19000:0:99999:7:::\n"
    assert hostrules.group_shadow(b"web:x:3:a,b\n") == b"web:*::\n"
