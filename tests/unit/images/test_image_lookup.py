"""Reading files and users out of stacked layers, by the kernel's rules for overlays."""

from __future__ import annotations

import os
import stat
from pathlib import Path

import pytest

from stackup.base.errors import ContainerFault
from stackup.images import copy_out, read_file, resolve_user
from stackup.images.lookup import Stack, User
from stackup.images.unpackdirs import OPAQUE
from stackup.linux.overlay import Overlay

PASSWD = "root:x:0:0:root:/root:/bin/sh\nweb:x:101:102::/var/www:/bin/sh\n12:x:500:500::/odd:/bin/sh\n"
GROUP = "root:x:0:\nweb:x:102:\nssl:x:110:other,web\nadm:x:4:web\nweb2:x:102:web\n"


def put(root: Path, files: dict[str, str]) -> str:
    for name, content in files.items():
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        if content.startswith("-> "):
            path.symlink_to(content[3:])
        elif content == "whiteout":
            os.mknod(path, stat.S_IFCHR, 0)
        else:
            path.write_text(content)
    return str(root)


@pytest.fixture
def stack(tmp_path: Path) -> tuple[Overlay, ...]:
    low = put(tmp_path / "low", {
        "etc/passwd": PASSWD, "etc/group": GROUP, "etc/old": "low", "etc/gone": "low", "dir/a": "low", "dir/b": "low",
        "bin": "-> usr/bin", "abs": "-> /etc/old", "up": "-> ../../../etc/old", "loop": "-> loop", "f/x": "hidden",
        "usr/ignored": "below the mount",
    })  # fmt: skip
    high = put(tmp_path / "high", {"etc/old": "high", "etc/gone": "whiteout", "dir/b": "whiteout", "dir/c": "high",
                                   "f": "a file now"})  # fmt: skip
    usr = put(tmp_path / "usr", {"bin/sh": "shell", "lib/back": "-> ../../etc/old"})
    return (Overlay("/", (high, low)), Overlay("/usr", (usr,)))


@pytest.mark.parametrize(
    ("path", "content"),
    [
        ("/etc/old", b"high"), ("/etc/gone", None), ("/nothing", None), ("/etc", None), ("/bin/sh", b"shell"),
        ("/abs", b"high"), ("/up", b"high"), ("/usr/lib/back", b"high"), ("/usr/ignored", None), ("/f", b"a file now"),
        ("/f/x", None), ("/etc/../../../etc/old", b"high"), ("etc//./old", b"high"), ("/etc/old/x", None),
    ],
)  # fmt: skip
def test_reading(stack: tuple[Overlay, ...], path: str, content: bytes | None) -> None:
    assert read_file(stack, path) == content


def test_a_link_cycle_is_an_error(stack: tuple[Overlay, ...]) -> None:
    with pytest.raises(OSError, match="symbolic links"):
        read_file(stack, "/loop")


def test_names_merge(stack: tuple[Overlay, ...]) -> None:
    view = Stack(stack)
    assert view.names(view.find("/dir")) == ["a", "c"]
    assert "usr" in view.names(view.find("/"))


@pytest.mark.skipif(os.geteuid() != 0, reason="trusted xattrs need root")
def test_opaque_directories_hide(tmp_path: Path) -> None:
    low, high = put(tmp_path / "low", {"d/a": "1", "d/s/x": "1"}), put(tmp_path / "high", {"d/b": "2", "d/s/y": "2"})
    os.setxattr(tmp_path / "high/d", OPAQUE, b"y")
    view = Stack((Overlay("/", (high, low)),))
    assert view.names(view.find("/d")) == ["b", "s"]
    assert view.names(view.find("/d/s")) == ["y"]
    assert view.read("/d/a") is None


@pytest.mark.parametrize(
    ("text", "user"),
    [
        ("", User(0, 0, (), "/root", "root")),
        ("web", User(101, 102, (110, 4), "/var/www", "web")),
        ("101", User(101, 102, (110, 4), "/var/www", "web")),
        ("web:adm", User(101, 4, (), "/var/www", "web")),
        ("web:77", User(101, 77, (), "/var/www", "web")),
        ("1234", User(1234, 0, (), "/")),
        ("1234:4321", User(1234, 4321, (), "/")),
        ("12", User(500, 500, (), "/odd", "12")),
    ],
)
def test_users(stack: tuple[Overlay, ...], text: str, user: User) -> None:
    assert resolve_user(stack, text) == user


def test_added_groups(stack: tuple[Overlay, ...]) -> None:
    assert resolve_user(stack, "web", ("ssl", "9")).groups == (110, 4, 9)


@pytest.mark.parametrize("text", ["nobody", "web:nogroup", "-1", "4294967295"])
def test_unknown_users(stack: tuple[Overlay, ...], text: str) -> None:
    with pytest.raises(ContainerFault, match="no such"):
        resolve_user(stack, text)


def test_copying_out(stack: tuple[Overlay, ...], tmp_path: Path) -> None:
    low = Path(stack[0].lowers[1])
    os.link(low / "dir/a", low / "dir/hard")
    (low / "dir/a").chmod(0o640)
    (low / "dir/sub").mkdir(mode=0o700)
    (low / "dir/sub/link").symlink_to("/nowhere")
    Path(stack[0].lowers[0], "dir").chmod(0o1770)
    target = tmp_path / "volume"
    target.mkdir()
    assert copy_out(stack, "/dir", target)
    assert sorted(os.listdir(target)) == ["a", "c", "hard", "sub"]
    assert (target / "a").stat().st_ino == (target / "hard").stat().st_ino
    assert stat.S_IMODE((target / "a").stat().st_mode) == 0o640
    assert stat.S_IMODE(target.stat().st_mode) == 0o1770
    assert os.readlink(target / "sub/link") == "/nowhere"
    assert not copy_out(stack, "/etc/old", target)
    assert not copy_out(stack, "/missing", target)
