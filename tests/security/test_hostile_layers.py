"""Archives that try to write, read or delete outside of the directory that they are unpacked into."""

from __future__ import annotations

import io
import os
import struct
import tarfile
from collections.abc import Callable
from pathlib import Path

import pytest

from stackup.base.errors import ImageError
from stackup.base.paths import Layout
from stackup.images.store import ImageStore
from stackup.images.unpack import unpack_layer
from tests.support.archives import Archive

Attack = Callable[[Path], Archive]


def _many_links(_outside: Path) -> Archive:
    archive = Archive().symlink("l0", ".")
    for number in range(1, 60):
        archive.symlink(f"l{number}", f"l{number - 1}/l{number - 1}")
    return archive.add("l59/x", b"x")


# Each is given the absolute path of a directory outside, with a file "secret" and a directory "dir" in it.
REFUSED: dict[str, Attack] = {
    "dot-dot file": lambda out: Archive().add("../escaped", b"x"),
    "dot-dot in the middle": lambda out: Archive().add("a/../../escaped", b"x"),
    "dot-dot directory": lambda out: Archive().directory("../escaped"),
    "absolute with dot-dot": lambda out: Archive().add("/../escaped", b"x"),
    "hard link by dot-dot": lambda out: Archive().hardlink("h", "../outside/secret"),
    "hard link to an absolute path": lambda out: Archive().hardlink("h", f"{out}/secret"),
    "hard link to nowhere": lambda out: Archive().hardlink("h", ""),
    "hard link to the directory itself": lambda out: Archive().hardlink("h", "."),
    "hard link through a link": lambda out: Archive().symlink("l", str(out)).hardlink("h", "l/secret"),
    "hard link to a directory": lambda out: Archive().directory("d").hardlink("h", "d"),
    "whiteout of dot-dot": lambda out: Archive().add(".wh...", b""),
    "whiteout of dot": lambda out: Archive().add(".wh..", b""),
    "whiteout without a name": lambda out: Archive().add(".wh.", b""),
    "whiteout device": lambda out: Archive().add("w", kind=tarfile.CHRTYPE, device=(0, 0)),
    "file as a parent": lambda out: Archive().add("f", b"").add("f/x", b""),
    "unknown type": lambda out: Archive().add("x", kind=b"Z"),
    "link cycle": lambda out: Archive().symlink("a", "b").symlink("b", "a").add("a/x", b""),
    "link explosion": _many_links,
    "too deep": lambda out: Archive().add("/".join(["d"] * 600), b""),
    "deep through links": lambda out: Archive().add("/".join(["d"] * 400) + "/x", b"").symlink(
        "l", "/".join(["d"] * 400)).add("l/" + "/".join(["e"] * 300), b""),
    "NUL in a name": lambda out: Archive().add("x", b"", pax={"path": "a\0b"}),
    "name too long for the file system": lambda out: Archive().add("n" * 300, b""),
}  # fmt: skip

# Accepted, because they are harmless or ordinary; but nothing may happen outside.
CONFINED: dict[str, Attack] = {
    "absolute name": lambda out: Archive().add(f"{out}/secret", b"evil"),
    "through an absolute link": lambda out: Archive().symlink("l", str(out)).add("l/secret", b"evil"),
    "through a relative link": lambda out: Archive().symlink("l", "../outside").add("l/secret", b"evil"),
    "through a chain of links": lambda out: Archive().symlink("a", str(out.parent)).symlink("b", "a/outside").add(
        "b/secret", b"evil"),
    "file over a link": lambda out: Archive().symlink("l", f"{out}/secret").add("l", b"evil"),
    "directory over a link": lambda out: Archive().symlink("l", str(out)).directory("l", 0o777).add(
        "l/secret", b"evil"),
    "mode through a link": lambda out: Archive().symlink("l", str(out)).directory("l/dir", 0o777),
    "whiteout through a link": lambda out: Archive().symlink("l", str(out)).add("l/.wh.secret", b""),
    "opaque through a link": lambda out: Archive().symlink("l", str(out)).add("l/.wh..wh..opq", b""),
    "device through a link": lambda out: Archive().symlink("l", str(out)).add("l/secret", kind=tarfile.FIFOTYPE),
    "link to a link outside": lambda out: Archive().symlink("l", f"{out}/secret").hardlink("h", "l").add("h", b"evil"),
    "directory replaced by a link": lambda out: Archive().directory("d").add("d/x", b"").symlink("d", str(out)).add(
        "d/secret", b"evil"),
    "replaced link with directories below": lambda out: Archive().directory("d/dir").symlink("d", str(out)).add(
        "d/dir/x", b"evil"),
    "times and modes of a replaced directory": lambda out: Archive().directory("dir", 0o777).symlink("dir", str(out)),
    "root as a link": lambda out: Archive().symlink("./", str(out)).add("secret", b"inside"),
    "proc self root": lambda out: Archive().symlink("l", "/proc/self/root").add(f"l{out}/secret", b"evil"),
}  # fmt: skip


@pytest.fixture
def outside(tmp_path: Path) -> Path:
    directory = tmp_path / "outside"
    (directory / "dir").mkdir(parents=True)
    (directory / "secret").write_text("untouched")
    (directory / "dir/kept").write_text("untouched")
    return directory


def snapshot(directory: Path) -> list[tuple[object, ...]]:
    found: list[tuple[object, ...]] = []
    for path in [directory, *sorted(directory.rglob("*"))]:
        info = path.lstat()
        content = path.read_bytes() if path.is_file() else b""
        found.append((str(path), info.st_mode, info.st_nlink, info.st_mtime_ns, content, os.listxattr(path)))
    return found


@pytest.mark.parametrize("name", REFUSED)
def test_refused(name: str, tmp_path: Path, outside: Path) -> None:
    target = tmp_path / "target"
    target.mkdir()
    before = snapshot(outside)
    with pytest.raises(ImageError):
        unpack_layer(io.BytesIO(REFUSED[name](outside).data()).read, target)
    assert snapshot(outside) == before
    assert sorted(os.listdir(tmp_path)) == ["outside", "target"]


@pytest.mark.parametrize("name", CONFINED)
def test_confined(name: str, tmp_path: Path, outside: Path) -> None:
    target = tmp_path / "target"
    target.mkdir()
    before = snapshot(outside)
    unpack_layer(io.BytesIO(CONFINED[name](outside).data()).read, target)
    assert snapshot(outside) == before
    assert sorted(os.listdir(tmp_path)) == ["outside", "target"]


def test_overlay_attributes_cannot_be_smuggled_in(tmp_path: Path) -> None:
    pax = {f"SCHILY.xattr.{name}": "/etc" for name in ("trusted.overlay.redirect", "trusted.overlay.opaque")}
    pax |= {"SCHILY.xattr.security.selinux": "x", "SCHILY.xattr.trusted.any": "x"}
    unpack_layer(io.BytesIO(Archive().add("f", b"x", pax=pax).data()).read, tmp_path)
    assert os.listxattr(tmp_path / "f") == []


def test_an_extended_header_of_gigabytes_is_not_read(tmp_path: Path) -> None:
    header = bytearray(Archive(tarfile.USTAR_FORMAT).add("x", b"").data()[:512])
    header[124:136] = b"77777777777\0"
    header[156:157] = b"x"
    header[148:156] = b" " * 8
    header[148:156] = b"%06o\0 " % sum(header)
    with pytest.raises(ImageError, match="too large"):
        unpack_layer(io.BytesIO(bytes(header)).read, tmp_path)


@pytest.mark.parametrize("seed", range(40))
def test_damaged_archives_raise_nothing_but_image_errors(seed: int, tmp_path: Path) -> None:
    archive = Archive().directory("d").add("d/f", b"x" * 3000).symlink("s", "d").hardlink("h", "d/f").add("é" * 80, b"")
    data = bytearray(archive.data())
    state = seed * 7919 + 1
    for _ in range(30):
        state = (state * 6364136223846793005 + 1442695040888963407) % 2**64
        position, value = struct.unpack("<IB", struct.pack("<Q", state)[:5])
        data[position % len(data)] = value
    for at in range(0, len(data) - 511, 512):  # repair checksums, so that the damage is looked at
        block = data[at : at + 512]
        if any(block) and block[257:262] == b"ustar":
            block[148:156] = b" " * 8
            data[at + 148 : at + 156] = b"%06o\0 " % sum(block)
    try:
        unpack_layer(io.BytesIO(bytes(data)).read, tmp_path, limit=1 << 20)
    except ImageError:
        pass


def test_a_refused_import_leaves_nothing(tmp_path: Path) -> None:
    archive = tmp_path / "evil.tar"
    archive.write_bytes(Archive().add("fine", b"x").add("../escaped", b"x").data())
    store = ImageStore(Layout.at(tmp_path / "root"))
    with pytest.raises(ImageError, match="leads out of the layer"):
        store.import_rootfs(archive, "evil:1")
    assert store.images() == []
    assert store.resolve("evil:1") is None
    assert store.layers.diff_ids() == []
    assert not (tmp_path / "escaped").exists()
    names = [path.name for path in store.layers.workroom.path.iterdir()]
    assert names == [".gate"]
