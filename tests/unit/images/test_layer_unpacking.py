"""Unpacking of honest layers: every kind of entry, every form of header, whiteouts in overlay form."""

from __future__ import annotations

import io
import os
import stat
import subprocess
import tarfile
from pathlib import Path

import pytest

from stackup.base.errors import ImageError
from stackup.images.diff import layer_tar
from stackup.images.tarstream import TarStream
from stackup.images.unpack import unpack_layer
from stackup.images.unpackdirs import OPAQUE
from stackup.images.verifying import differences
from tests.support.archives import Archive

ROOT = os.geteuid() == 0


def unpack(archive: Archive | bytes, target: Path, **options: int) -> None:
    data = archive if isinstance(archive, bytes) else archive.data()
    unpack_layer(io.BytesIO(data).read, target, **options)


def is_whiteout(path: Path) -> bool:
    info = path.lstat()
    return stat.S_ISCHR(info.st_mode) and info.st_rdev == 0


def test_files_directories_and_links(tmp_path: Path) -> None:
    archive = Archive().directory("./").directory("d", 0o1750).add("d/f", b"hello", mode=0o4711, mtime=1.5)
    archive.symlink("s", "d/f").hardlink("d/h", "d/f").add("implied/parent/x", b"1").add("p", kind=tarfile.FIFOTYPE)
    unpack(archive, tmp_path)
    assert (tmp_path / "s").read_bytes() == b"hello"
    assert os.readlink(tmp_path / "s") == "d/f"
    file = (tmp_path / "d/f").stat()
    assert stat.S_IMODE(file.st_mode) == 0o4711
    assert file.st_mtime_ns == 1_500_000_000
    assert file.st_ino == (tmp_path / "d/h").stat().st_ino
    assert stat.S_IMODE((tmp_path / "d").stat().st_mode) == 0o1750
    assert (tmp_path / "implied/parent/x").read_bytes() == b"1"
    assert stat.S_ISFIFO((tmp_path / "p").stat().st_mode)


def test_directory_times_are_those_of_the_archive(tmp_path: Path) -> None:
    archive = Archive().add("d", kind=tarfile.DIRTYPE, mode=0o555, mtime=1000).add("d/f", b"x").add("d/g", b"y")
    unpack(archive, tmp_path)
    assert (tmp_path / "d").stat().st_mtime == 1000
    assert stat.S_IMODE((tmp_path / "d").stat().st_mode) == 0o555


@pytest.mark.parametrize("form", [tarfile.USTAR_FORMAT, tarfile.GNU_FORMAT, tarfile.PAX_FORMAT])
def test_long_names_in_every_form(tmp_path: Path, form: int) -> None:
    name = "/".join(["d" * 40] * 4) + "/file"
    unpack(Archive(form).add(name, b"x"), tmp_path)
    assert (tmp_path / name).read_bytes() == b"x"


@pytest.mark.parametrize("form", [tarfile.GNU_FORMAT, tarfile.PAX_FORMAT])
def test_very_long_names_and_links(tmp_path: Path, form: int) -> None:
    name = "/".join(["d" * 90] * 5)
    unpack(Archive(form).add(name, b"x").symlink("s", "t" * 300).hardlink("h", name), tmp_path)
    assert (tmp_path / "h").read_bytes() == b"x"
    assert os.readlink(tmp_path / "s") == "t" * 300


def test_names_that_are_not_utf8(tmp_path: Path) -> None:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w", format=tarfile.GNU_FORMAT, encoding="latin-1") as tar:
        tar.addfile(tarfile.TarInfo("caf\xe9"))
    unpack(buffer.getvalue(), tmp_path)
    assert os.listdir(os.fsencode(tmp_path)) == [b"caf\xe9"]


@pytest.mark.parametrize("options", [["--format=gnu"], ["--format=posix", "--sparse-version=1.0"],
                                     ["--format=posix", "--sparse-version=0.1"],
                                     ["--format=posix", "--sparse-version=0.0"]])  # fmt: skip
def test_sparse_files_as_gnu_tar_writes_them(tmp_path: Path, options: list[str]) -> None:
    source, target = tmp_path / "source", tmp_path / "target"
    source.mkdir()
    target.mkdir()
    with (source / "holes").open("wb") as file:
        for at in range(0, 40 << 20, 1 << 20):  # more parts than fit into one header
            file.seek(at)
            file.write(b"x" * 5000)
        file.truncate(50 << 20)
    subprocess.run(["tar", "-C", source, *options, "-S", "-cf", tmp_path / "a.tar", "."], check=True)
    assert (tmp_path / "a.tar").stat().st_size < 2 << 20
    with (tmp_path / "a.tar").open("rb") as file:
        unpack_layer(file.read, target)
    assert (target / "holes").read_bytes() == (source / "holes").read_bytes()
    assert (target / "holes").stat().st_blocks * 512 < 4 << 20


@pytest.mark.parametrize("options", [["--format=gnu"], ["--format=posix"]], ids=["gnu", "posix"])
def test_a_file_of_nine_gigabytes(tmp_path: Path, options: list[str]) -> None:
    """Its size does not fit in the octal digits of a header."""
    source, target = tmp_path / "source", tmp_path / "target"
    source.mkdir()
    target.mkdir()
    with (source / "big").open("wb") as file:
        file.write(b"first")
        file.seek(9 << 30)
        file.write(b"last")
    subprocess.run(["tar", "-C", source, *options, "-S", "-cf", tmp_path / "a.tar", "big"], check=True)
    with (tmp_path / "a.tar").open("rb") as file:
        unpack_layer(file.read, target)
    assert (target / "big").stat().st_size == (9 << 30) + 4
    assert (target / "big").stat().st_blocks * 512 < 1 << 20
    with (target / "big").open("rb") as file:
        assert file.read(6) == b"first\0"
        file.seek(9 << 30)
        assert file.read() == b"last"


def test_sizes_beyond_eight_gigabytes_are_read(tmp_path: Path) -> None:
    """Of a file that is not sparse, in both forms; the data behind it is not there."""
    for form in (tarfile.GNU_FORMAT, tarfile.PAX_FORMAT):
        info = tarfile.TarInfo("big")
        info.size = 20 << 30
        entries = iter(TarStream(io.BytesIO(info.tobuf(form)).read))
        assert next(entries).size == 20 << 30


@pytest.mark.skipif(not ROOT, reason="file capabilities and devices need root")
def test_everything_survives_an_archive_of_it(tmp_path: Path) -> None:
    """Unpacked, written as a layer and unpacked again: attributes, links, devices, special modes."""
    capability = bytes.fromhex("0100000200040000000000000000000000000000").decode("utf-8", "surrogateescape")
    pax = {"SCHILY.xattr.security.capability": capability, "SCHILY.xattr.user.note": "hello"}
    archive = Archive().add("f", b"x" * 700, mode=0o6755, owner=(5, 6), pax=pax, mtime=77).hardlink("h", "f")
    archive.add("null", kind=tarfile.CHRTYPE, device=(1, 3), mode=0o666).add("p", kind=tarfile.FIFOTYPE, mode=0o622)
    archive.symlink("s", "f").directory("sticky", 0o1777).add("sticky/.wh.gone", b"").add("n" * 200, b"long")
    archive.directory("o").add("o/.wh..wh..opq", b"").add("back\\slash\n", b"")
    one, other = tmp_path / "one", tmp_path / "other"
    one.mkdir()
    other.mkdir()
    unpack(archive, one)
    unpack(b"".join(layer_tar(one, overlay=True)), other)
    assert list(differences(os.fsencode(one), os.fsencode(other))) == []
    for root in (one, other):
        assert os.getxattr(root / "f", "user.note") == b"hello"
        assert os.getxattr(root / "f", "security.capability") == capability.encode("utf-8", "surrogateescape")
        assert stat.S_IMODE((root / "f").stat().st_mode) == 0o6755 and (root / "f").stat().st_mtime == 77
        assert (root / "f").samefile(root / "h") and (root / "null").stat().st_rdev == os.makedev(1, 3)
        assert is_whiteout(root / "sticky/gone") and os.getxattr(root / "o", OPAQUE) == b"y"


def test_huge_and_negative_numbers_in_base_256(tmp_path: Path) -> None:
    unpack(Archive(tarfile.GNU_FORMAT).add("old", b"", mtime=-86400).add("far", b"", mtime=2**33 + 5), tmp_path)
    assert (tmp_path / "old").stat().st_mtime == -86400
    assert (tmp_path / "far").stat().st_mtime == 2**33 + 5


def test_whiteouts(tmp_path: Path) -> None:
    unpack(Archive().directory("d").add("d/.wh.gone", b"").add(".wh.top", b"").add(".wh..wh.plnk", b""), tmp_path)
    assert is_whiteout(tmp_path / "d/gone")
    assert is_whiteout(tmp_path / "top")
    assert sorted(os.listdir(tmp_path)) == ["d", "top"]


def test_a_layer_may_hide_and_bring_the_same_name(tmp_path: Path) -> None:
    archive = Archive().add(".wh.a", b"").add("a", b"new").add("b", b"new").add(".wh.b", b"")
    archive.add(".wh.c", b"").directory("c").add("c/x", b"").add(".wh.e", b"").add("e/x", b"")
    unpack(archive, tmp_path)
    assert (tmp_path / "a").read_bytes() == b"new"
    assert (tmp_path / "b").read_bytes() == b"new"
    if ROOT:  # what lies below the new directories stays hidden
        assert os.getxattr(tmp_path / "c", OPAQUE) == b"y"
        assert os.getxattr(tmp_path / "e", OPAQUE) == b"y"


@pytest.mark.skipif(not ROOT, reason="trusted xattrs and owners need root")
def test_opaque_directories_owners_devices_and_capabilities(tmp_path: Path) -> None:
    capability = bytes.fromhex("0100000200040000000000000000000000000000")
    pax = {"SCHILY.xattr.security.capability": capability.decode("utf-8", "surrogateescape")}
    archive = Archive().directory("d").add("d/.wh..wh..opq", b"").add("f", b"x", owner=(1000, 3_000_000), pax=pax)
    archive.add("sda", kind=tarfile.BLKTYPE, device=(8, 0), mode=0o660).add("s", b"", mode=0o6755, owner=(7, 8))
    unpack(archive, tmp_path)
    assert os.getxattr(tmp_path / "d", OPAQUE) == b"y"
    assert (tmp_path / "f").stat().st_uid == 1000
    assert (tmp_path / "f").stat().st_gid == 3_000_000
    assert os.getxattr(tmp_path / "f", "security.capability") == capability
    assert (tmp_path / "sda").stat().st_rdev == os.makedev(8, 0)
    assert stat.S_IMODE((tmp_path / "s").stat().st_mode) == 0o6755


def test_a_later_entry_replaces_an_earlier_one(tmp_path: Path) -> None:
    archive = Archive().directory("x").add("x/y/z", b"1").add("x", b"file").directory("x").add("x/n", b"2")
    archive.add("l", b"old").symlink("l", "x/n").add("l", b"new")
    unpack(archive, tmp_path)
    assert os.listdir(tmp_path / "x") == ["n"]
    assert (tmp_path / "l").read_bytes() == b"new"
    assert (tmp_path / "x/n").read_bytes() == b"2"


def test_many_directories_do_not_exhaust_descriptors(tmp_path: Path) -> None:
    archive = Archive()
    for number in range(700):
        archive.add(f"d{number}/e/f", b"x").hardlink(f"d{number}/g/h", f"d{number}/e/f")
    unpack(archive, tmp_path)
    assert len(os.listdir(tmp_path)) == 700
    assert (tmp_path / "d699/g/h").read_bytes() == b"x"


def test_a_limit_stops_a_bomb(tmp_path: Path) -> None:
    with pytest.raises(ImageError, match="limit of 1000 bytes"):
        unpack(Archive().add("a", b"x" * 900).add("b", b"x" * 200), tmp_path, limit=1000)


@pytest.mark.parametrize("keep", [100, 512 + 100, 1024 + 256])
def test_a_cut_off_archive_is_an_error(tmp_path: Path, keep: int) -> None:
    data = Archive(tarfile.USTAR_FORMAT).add("a", b"x" * 600).add("b", b"y").data()
    with pytest.raises(ImageError, match=r"cut off|not a tar archive"):
        unpack(data[:keep], tmp_path)


def test_garbage_is_not_a_tar_archive(tmp_path: Path) -> None:
    with pytest.raises(ImageError, match="not a tar archive"):
        unpack(b"this is not an archive" * 100, tmp_path)


def test_skipped_content_does_not_shift_the_next_entry() -> None:
    data = Archive().add("a", b"x" * 5000).add("b", b"y").data()
    assert [entry.name for entry in TarStream(io.BytesIO(data).read)] == [b"a", b"b"]
