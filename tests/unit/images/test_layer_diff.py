"""Layer archives: the same bytes for the same content, and unpacking gives back what was packed."""

from __future__ import annotations

import io
import os
import socket
import stat
import tarfile
from pathlib import Path

import pytest

from stackup.images import diff
from stackup.images.flatten import flat_tar
from stackup.images.unpack import unpack_layer
from stackup.images.unpackdirs import OPAQUE
from stackup.linux.overlay import Overlay

ROOT = os.geteuid() == 0


def pack(root: Path, *, overlay: bool = True, epoch: int | None = None) -> bytes:
    return b"".join(diff.layer_tar(root, overlay=overlay, epoch=epoch))


def make_tree(root: Path, names: list[str]) -> None:
    root.mkdir()
    for name in names:
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(name.encode() * 100)
    os.link(root / names[0], root / "hard")
    (root / "soft").symlink_to("../somewhere/" + "x" * 150)
    os.mkfifo(root / "fifo")
    for path in [*root.rglob("*"), root]:
        os.utime(path, (1000, 1000), follow_symlinks=False)


NAMES = ["a/b", "a/" + "n" * 120, "ünï/cödé", "z"]


def test_order_of_creation_does_not_matter(tmp_path: Path) -> None:
    make_tree(tmp_path / "one", NAMES)
    make_tree(tmp_path / "two", [NAMES[0], *reversed(NAMES[1:])])
    assert pack(tmp_path / "one") == pack(tmp_path / "two")


def test_other_tools_can_read_it(tmp_path: Path) -> None:
    make_tree(tmp_path / "tree", NAMES)
    with tarfile.open(fileobj=io.BytesIO(pack(tmp_path / "tree"))) as archive:
        members = {member.name: member for member in archive}
        assert members["a/b"].uname == ""
        assert members["a/b"].mtime == 1000
        content = archive.extractfile("ünï/cödé")
        assert content and content.read() == "ünï/cödé".encode() * 100
    assert members["hard"].islnk()
    assert members["hard"].linkname == "a/b"
    assert members["soft"].issym()
    assert set(members) == {"a", "a/b", "a/" + "n" * 120, "fifo", "hard", "soft", "z", "ünï", "ünï/cödé"}


def test_round_trip(tmp_path: Path) -> None:
    make_tree(tmp_path / "tree", NAMES)
    (tmp_path / "tree/a").chmod(0o2750)
    os.utime(tmp_path / "tree/a", (2**33 + 1, 2**33 + 1))
    os.setxattr(tmp_path / "tree/z", "user.note", b"\xff=\n")
    name = os.fsencode(tmp_path / "tree") + b"/caf\xe9"
    Path(os.fsdecode(name)).write_bytes(b"x")
    (tmp_path / "back").mkdir()
    unpack_layer(io.BytesIO(pack(tmp_path / "tree")).read, tmp_path / "back")
    assert pack(tmp_path / "back") == pack(tmp_path / "tree")
    assert os.getxattr(tmp_path / "back/z", "user.note") == b"\xff=\n"
    assert stat.S_IMODE((tmp_path / "back/a").stat().st_mode) == 0o2750


def test_epoch_bounds_times(tmp_path: Path) -> None:
    make_tree(tmp_path / "tree", NAMES)
    os.utime(tmp_path / "tree/z", (5000, 5000))
    with tarfile.open(fileobj=io.BytesIO(pack(tmp_path / "tree", epoch=2000))) as archive:
        assert {member.mtime for member in archive} == {1000, 2000}


def test_sockets_are_left_out(tmp_path: Path) -> None:
    (tmp_path / "t").mkdir()
    here = os.getcwd()
    os.chdir(tmp_path / "t")
    with socket.socket(socket.AF_UNIX) as server:
        server.bind("s")
    os.chdir(here)
    assert pack(tmp_path / "t") == bytes(1024)


@pytest.mark.skipif(not ROOT, reason="trusted xattrs need root")
def test_whiteouts_and_opaque_directories(tmp_path: Path) -> None:
    tree = tmp_path / "tree"
    (tree / "d").mkdir(parents=True)
    os.setxattr(tree / "d", OPAQUE, b"y")
    os.mknod(tree / "d/gone", stat.S_IFCHR, 0)
    os.mknod(tree / "null", stat.S_IFCHR | 0o666, os.makedev(1, 3))
    with tarfile.open(fileobj=io.BytesIO(pack(tree))) as archive:
        assert archive.getnames() == ["d", "d/.wh..wh..opq", "d/.wh.gone", "null"]
    (tmp_path / "back").mkdir()
    unpack_layer(io.BytesIO(pack(tree)).read, tmp_path / "back")
    assert pack(tmp_path / "back") == pack(tree)
    assert os.getxattr(tmp_path / "back/d", OPAQUE) == b"y"


def test_parts_are_merged(tmp_path: Path) -> None:
    for name in ("root/etc", "usr/bin", "local/lib", "empty"):
        (tmp_path / name).mkdir(parents=True)
    (tmp_path / "usr").chmod(0o711)
    parts = [("/usr/local", tmp_path / "local"), ("/", tmp_path / "root"), ("/usr", tmp_path / "usr"),
             ("/lib", tmp_path / "empty")]  # fmt: skip
    merged = diff.merge_parts(parts)
    assert merged == tmp_path / "root"
    found = {str(path.relative_to(merged)) for path in merged.rglob("*")}
    assert found == {"etc", "usr", "usr/bin", "usr/local", "usr/local/lib"}
    assert stat.S_IMODE((merged / "usr").stat().st_mode) == 0o711


def test_what_a_container_wrote_is_read_and_left_alone(tmp_path: Path) -> None:
    for name in ("root/etc", "usr/bin", "local/lib", "empty"):
        (tmp_path / name).mkdir(parents=True)
    (tmp_path / "usr/bin/x").write_bytes(b"x")
    (tmp_path / "usr").chmod(0o711)
    parts = [("/usr/local", tmp_path / "local"), ("/", tmp_path / "root"), ("/usr", tmp_path / "usr"),
             ("/lib", tmp_path / "empty")]  # fmt: skip
    with tarfile.open(fileobj=io.BytesIO(b"".join(diff.container_tar(parts)))) as archive:
        assert archive.getnames() == ["etc", "usr", "usr/bin", "usr/bin/x", "usr/local", "usr/local/lib"]
        assert archive.getmember("usr").mode == 0o711
    assert (tmp_path / "usr/bin/x").is_file() and (tmp_path / "local/lib").is_dir()


@pytest.mark.skipif(not ROOT, reason="whiteouts need root")
def test_a_flat_archive_of_stacked_directories(tmp_path: Path) -> None:
    make_tree(tmp_path / "lower", NAMES)
    upper = tmp_path / "upper"
    (upper / "a").mkdir(parents=True)
    (upper / "a/new").write_bytes(b"new")
    os.mknod(upper / "z", stat.S_IFCHR, 0)
    (tmp_path / "usr/bin").mkdir(parents=True)
    overlays = (Overlay("/", (str(tmp_path / "lower"),), str(upper)), Overlay("/usr", (str(tmp_path / "usr"),)))
    data = b"".join(flat_tar(overlays))
    assert data == b"".join(flat_tar(overlays))
    with tarfile.open(fileobj=io.BytesIO(data)) as archive:
        assert archive.getnames() == [
            "a", "a/b", "a/new", "a/" + "n" * 120, "fifo", "hard", "soft", "usr", "usr/bin", "ünï", "ünï/cödé",
        ]  # fmt: skip
        assert archive.getmember("hard").linkname == "a/b"


def test_no_change_is_no_layer(tmp_path: Path) -> None:
    (tmp_path / "root").mkdir()
    (tmp_path / "usr").mkdir()
    assert diff.merge_parts([("/", tmp_path / "root"), ("/usr", tmp_path / "usr")]) is None
