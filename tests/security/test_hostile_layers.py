"""Archives that try to write, read or delete outside of the directory that they are unpacked into."""

from __future__ import annotations

import io
import lzma
import os
import struct
import tarfile
import zlib
from collections.abc import Callable
from pathlib import Path

import pytest

from stackup.base.errors import ImageError
from stackup.base.paths import Layout
from stackup.base.workroom import delete
from stackup.images.catalog import listed
from stackup.images.diff import layer_tar
from stackup.images.flatten import flat_tar
from stackup.images.store import ImageStore
from stackup.images.streams import Compression, decompressed
from stackup.images.unpack import unpack_layer
from stackup.linux.overlay import Overlay
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


def field(start: int, value: bytes, kind: bytes = tarfile.REGTYPE, content: bytes = b"") -> bytes:
    """An archive of one entry with a part of its header replaced, and the checksum made right."""
    data = bytearray(Archive(tarfile.USTAR_FORMAT).add("x", content, kind=kind).data())
    data[start : start + len(value)] = value
    data[148:156] = b" " * 8
    data[148:156] = b"%06o\0 " % sum(data[:512])
    return bytes(data)


def sparse(lines: bytes, realsize: str = "100", content: bytes = b"x" * 10) -> bytes:
    """A file in GNU's sparse format 1.0: its map stands before its data."""
    body = lines.ljust(-len(lines) % 512 + len(lines), b"\0") + content
    pax = {"GNU.sparse.major": "1", "GNU.sparse.minor": "0", "GNU.sparse.name": "f", "GNU.sparse.realsize": realsize}
    return Archive().add("GNUSparseFile.0/f", body, pax=pax).data()


def pax(**keys: str) -> bytes:
    return Archive().add("x", b"abc", pax={key.replace("__", "."): value for key, value in keys.items()}).data()


HUGE = b"\x80" + b"\xff" * 11  # base 256
MINUS = b"\xff" * 12
OVERSIZE = {
    "negative size": field(124, MINUS),
    "huge size": field(124, HUGE),
    "size that wraps to nothing": field(124, b"\x80" + (2**64).to_bytes(11)),
    "size in words": field(124, b"99999999999\0"),
    "size beyond the end": field(124, b"00000777777\0", content=b"little"),
    "negative owner": field(108, b"\xff" * 8),
    "huge owner": field(108, b"\x80" + b"\xff" * 7),
    "owner that means no change": pax(uid="4294967295"),
    "pax owner of many digits": pax(gid="9" * 5000),
    "pax size of many digits": pax(size="9" * 5000),
    "pax size that is no number": pax(size="3x"),
    "pax size beyond the end": pax(size="100000000"),
    "negative pax size": pax(size="-3"),
    "huge device": field(329, b"\x80" + b"\xff" * 7, tarfile.BLKTYPE),
    "negative device": field(329, b"\xff" * 8, tarfile.BLKTYPE),
    "negative minor device": field(337, b"-1\0\0\0\0\0\0", tarfile.CHRTYPE),
    "attribute with a NUL": pax(**{"SCHILY.xattr.user.a\0b": "x"}),
    "capability that is none": pax(**{"SCHILY.xattr.security.capability": "x"}),
    "sparse map without an end": sparse(b"1" * 5000),
    "sparse map of a billion parts": sparse(b"1000000000\n0\n10\n"),
    "sparse part beyond the file": sparse(b"1\n95\n10\n"),
    "negative sparse part": sparse(b"1\n-5\n10\n"),
    "sparse parts that overlap": sparse(b"2\n0\n8\n4\n2\n"),
    "sparse parts with more data than there is": sparse(b"1\n0\n50\n"),
    "sparse parts with less data than there is": sparse(b"1\n0\n5\n"),
    "sparse file of no possible size": sparse(b"1\n0\n10\n", "9" * 30),
    "negative sparse file": sparse(b"0\n", "-1", b""),
    "sparse map in a header": pax(GNU__sparse__map="0,5,4", GNU__sparse__size="10"),
    "sparse offsets without lengths": pax(GNU__sparse__offset="0", GNU__sparse__size="10"),
    "pax length of zero": Archive().add("x", b"0 path=evil\n", kind=b"x").data(),
    "pax length beyond its end": Archive().add("x", b"99 path=evil\n", kind=b"x").data(),
    "pax without an equals sign": Archive().add("x", b"9 pathxy\n", kind=b"x").data(),
}


def test_global_headers_do_not_add_up(tmp_path: Path) -> None:
    archive = Archive()
    for number in range(5):
        payload = f"k{number}=".encode() + b"v" * 300_000 + b"\n"
        archive.add("g", b"%d " % (len(payload) + 7) + payload, kind=b"g")
    with pytest.raises(ImageError, match="global headers are too large"):
        unpack_layer(io.BytesIO(archive.add("x", b"").data()).read, tmp_path)


@pytest.mark.parametrize("name", OVERSIZE)
def test_numbers_that_lie(name: str, tmp_path: Path) -> None:
    """Refused; or, where nothing follows that would contradict, harmless."""
    if os.geteuid() != 0 and name in ("capability that is none", "huge device"):
        pytest.skip("left out without root")
    with pytest.raises(ImageError):
        unpack_layer(io.BytesIO(OVERSIZE[name]).read, tmp_path)
    assert sum(path.stat().st_blocks * 512 for path in tmp_path.rglob("*")) < 1 << 20


@pytest.mark.parametrize("value", [HUGE, MINUS, b"\x80" + b"\0" * 4 + b"\xff" * 7], ids=["huge", "minus", "far"])
def test_times_that_no_file_system_has(value: bytes, tmp_path: Path) -> None:
    unpack_layer(io.BytesIO(field(136, value)).read, tmp_path)
    unpack_layer(io.BytesIO(pax(mtime="9" * 40)).read, tmp_path)
    assert (tmp_path / "x").is_file()


def test_cut_off_anywhere(tmp_path: Path) -> None:
    """At every block and in the middle of it, with every form of header; between entries an end is allowed."""
    archive = Archive().directory("d").add("d/" + "n" * 150, b"x" * 700).hardlink("h", "d/" + "n" * 150)
    data = archive.symlink("s", "t" * 120).data().rstrip(b"\0")
    complete = 0
    for keep in range(1, len(data), 256):
        target = tmp_path / str(keep)
        target.mkdir()
        try:
            unpack_layer(io.BytesIO(data[:keep]).read, target)
            complete += 1
        except ImageError as error:
            assert "cut off" in error.message or "not a tar archive" in error.message
    assert complete <= 4


def test_layers_cannot_write_into_each_other(tmp_path: Path) -> None:
    """What one layer links, another does not follow: each has a directory of its own, and a parent that only a lower
    layer has is made anew."""
    store = ImageStore(Layout.at(tmp_path / "root"))
    below = Archive().directory("real").add("real/f", b"below").symlink("link", "real").symlink("out", str(tmp_path))
    above = (
        Archive().add("link/f", b"above").add("out/escaped", b"x").add("out/.wh.root", b"").hardlink("link/g", "link/f")
    )
    first = store.import_rootfs(io.BytesIO(below.data()), "below:1").layers[0]
    second = store.import_rootfs(io.BytesIO(above.data()), "above:1").layers[0]
    assert (first.path / "real/f").read_bytes() == b"below"
    assert not (second.path / "link").is_symlink()
    assert (second.path / "link/f").read_bytes() == b"above"
    assert os.listdir(tmp_path) == ["root"]
    with pytest.raises(ImageError, match="not in this layer"):
        store.import_rootfs(io.BytesIO(Archive().hardlink("h", "real/f").data()), "third:1")


def test_directories_and_files_replace_each_other_both_ways(tmp_path: Path) -> None:
    archive = (
        Archive().add("a", b"file").directory("a").add("a/x", b"1").directory("b/c").add("b/c/d", b"").add("b", b"f")
    )
    archive.directory("e").symlink("e", "a").directory("e").add("e/only", b"").add("f", kind=tarfile.FIFOTYPE)
    archive.directory("f").add("f", b"again").add("a/x", b"2").add("a/x", b"3").hardlink("a/x", "b")
    unpack_layer(io.BytesIO(archive.data()).read, tmp_path)
    assert (tmp_path / "a/x").read_bytes() == b"f"
    assert (tmp_path / "a/x").samefile(tmp_path / "b")
    assert os.listdir(tmp_path / "e") == ["only"]
    assert sorted(os.listdir(tmp_path / "a")) == ["x"]
    assert (tmp_path / "f").read_bytes() == b"again"


def test_names_of_every_length_and_of_any_bytes(tmp_path: Path) -> None:
    """A path may be longer than the kernel takes at once: it is walked part by part."""
    deep = "/".join(["p" * 200] * 30)
    strange = "-rf \n\t'\"\\*?[$(x)\udcff\udc80"
    unpack_layer(
        io.BytesIO(Archive().add(f"{deep}/f", b"x").add(strange, b"y").add("n" * 255, b"z").data()).read, tmp_path
    )
    assert (tmp_path / strange).read_bytes() == b"y"
    place = os.open(tmp_path, os.O_RDONLY)
    for part in deep.split("/"):
        place, above = os.open(part, os.O_RDONLY, dir_fd=place), place
        os.close(above)
    assert os.listdir(place) == ["f"]
    os.close(place)
    delete(tmp_path / ("p" * 200))  # pytest's own way does not reach so deep


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


NASTY = "\x1b]0;owned\x07\x1b[31mred\nerror: fake\r\u202ex"
NAMED: dict[str, Archive] = {
    "entry": Archive().add(f"../{NASTY}", b""),
    "NUL": Archive().add("x", b"", pax={"path": f"{NASTY}\0"}),
    "link out": Archive().hardlink("h", f"../{NASTY}"),
    "link to nothing": Archive().hardlink("h", NASTY),
    "link to a directory": Archive().directory(NASTY).hardlink("h", NASTY),
    "parent": Archive().add(NASTY, b"").add(f"{NASTY}/x", b""),
    "too long for the file system": Archive().add(NASTY * 20, b""),
    "very long": Archive().add("/".join([NASTY] * 600), b""),
    "kind": Archive().add("x", kind=b"\x1b"),
}


@pytest.mark.parametrize("name", NAMED)
def test_names_that_would_write_on_the_terminal(name: str, tmp_path: Path) -> None:
    with pytest.raises(ImageError) as caught:
        unpack_layer(io.BytesIO(NAMED[name].data()).read, tmp_path)
    assert caught.value.message.isprintable()
    assert len(caught.value.message) < 600
    assert "hostile" in caught.value.hint


def test_a_refused_import_leaves_nothing(tmp_path: Path) -> None:
    archive = tmp_path / "evil.tar"
    archive.write_bytes(Archive().add("fine", b"x").add("../escaped", b"x").data())
    store = ImageStore(Layout.at(tmp_path / "root"))
    with pytest.raises(ImageError, match="leads out of the layer"):
        store.import_rootfs(archive, "evil:1")
    assert listed(store) == []
    assert store.resolve("evil:1") is None
    assert store.layers.diff_ids() == []
    assert not (tmp_path / "escaped").exists()
    names = [path.name for path in store.layers.workroom.path.iterdir()]
    assert names == [".gate"]


def nested(top: Path, depth: int) -> None:
    here = os.open(top, os.O_RDONLY)
    for _ in range(depth):
        os.mkdir("d", dir_fd=here)
        here, above = os.open("d", os.O_RDONLY, dir_fd=here), here
        os.close(above)
    os.close(os.open("f", os.O_WRONLY | os.O_CREAT, dir_fd=here))
    os.close(here)


def test_what_a_container_has_nested_can_be_archived_and_deleted(tmp_path: Path) -> None:
    """Deeper than Python calls, than there are descriptors, and than the kernel follows at once."""
    (tmp_path / "upper").mkdir()
    nested(tmp_path / "upper", 1100)
    overlays = (Overlay("/", (str(tmp_path / "upper"),), "", ""),)
    for data in (b"".join(layer_tar(tmp_path / "upper", overlay=True)), b"".join(flat_tar(overlays))):
        with tarfile.open(fileobj=io.BytesIO(data)) as tar:
            names = tar.getnames()
        assert len(names) == 1101 and names[-1] == "d/" * 1100 + "f"
    delete(tmp_path / "upper")
    (tmp_path / "deeper").mkdir()
    nested(tmp_path / "deeper", 2200)
    with pytest.raises(ImageError, match="File name too long"):
        b"".join(flat_tar((Overlay("/", (str(tmp_path / "deeper"),), "", ""),)))
    delete(tmp_path / "deeper")
    assert os.listdir(tmp_path) == []


def test_what_is_kept_in_mind_is_bounded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("stackup.images.unpack._MAX_HELD", 20_000)
    unpack_layer(io.BytesIO(Archive().directory("a").data()).read, tmp_path)
    many = Archive()
    for _ in range(100):
        many.directory("same")
    large = Archive().add("d", kind=tarfile.DIRTYPE, pax={"SCHILY.xattr.user.x": "y" * 30_000})
    for archive in (many, large):
        with pytest.raises(ImageError, match="than can be kept in mind"):
            unpack_layer(io.BytesIO(archive.data()).read, tmp_path)


def test_xz_does_not_take_all_memory() -> None:
    data = bytearray(lzma.compress(b"x" * 100))
    size = (data[12] + 1) * 4  # of the block's header, whose fifth byte tells the dictionary's size
    data[16] = 40  # 4 GiB
    data[12 + size - 4 : 12 + size] = zlib.crc32(data[12 : 12 + size - 4]).to_bytes(4, "little")
    with pytest.raises(ImageError, match=r"xz data is damaged \(.*[Mm]emory"):
        b"".join(decompressed(io.BytesIO(data), Compression.XZ))


def test_an_import_comes_to_an_end(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("STACKUP_MAX_LAYER", "64m")
    store = ImageStore(Layout.at(tmp_path / "root"))
    with open("/dev/zero", "rb") as endless, pytest.raises(ImageError, match="it is larger than 67108864 bytes"):
        store.import_rootfs(endless, "zero:1")
    assert listed(store) == [] and not list(store.blobs.directory.iterdir())
