"""The image ``host`` made of a made-up machine: what is in it, what is not, when it is made anew."""

from __future__ import annotations

import json
import os
import stat
import time
from pathlib import Path

import pytest

from stackup.base.errors import HostUnfit
from stackup.base.paths import Layout
from stackup.images import ImageStore, hostcopy, hostroot
from stackup.images.fitness import Mount
from stackup.images.hostcopy import Copier
from stackup.images.hoststate import targets
from stackup.images.lookup import Stack
from tests.support.hostroot import CANARIES, CANARY, make_host

pytestmark = pytest.mark.skipif(os.geteuid() != 0, reason="owners and whiteouts need root")


@pytest.fixture
def host(tmp_path: Path) -> Path:
    return make_host(tmp_path / "machine")


@pytest.fixture
def store(tmp_path: Path, host: Path) -> ImageStore:
    return ImageStore(Layout.at(tmp_path / "root"), host_root=host)


def private_layer(store: ImageStore) -> Path:
    image = store.resolve("host")
    assert image
    store.materialize(image)
    return Path(image.trees[0].lowers[0])


def everything(view: Stack, path: str = "/") -> list[str]:
    place = view.find(path, follow=False)
    if not place.is_directory:
        return [path] if place.paths else []
    return [found for name in view.names(place) for found in everything(view, f"{path.rstrip('/')}/{name}")]


def test_no_canary_is_inside(store: ImageStore) -> None:
    image = store.resolve("host")
    assert image
    store.materialize(image)
    view = Stack(image.overlays(None))
    shown = everything(view)
    assert "/usr/bin/sh" in shown
    for path in shown:
        assert CANARY not in (view.read(path) or b""), path
    hidden = {f"/{path}" for path in CANARIES} - {"/etc/shadow", "/etc/gshadow", "/etc/machine-id"}
    assert not hidden & set(shown)


def test_canaries_are_not_anywhere_on_disk(store: ImageStore) -> None:
    version = private_layer(store).parent
    for path in version.rglob("*"):
        if path.is_file() and not path.is_symlink():
            assert CANARY not in path.read_bytes(), path


def test_what_is_there(store: ImageStore) -> None:
    root = private_layer(store)
    assert (root / "opt/app/bin/run").read_text() == "#!/bin/sh\n"
    assert os.readlink(root / "bin") == "usr/bin"
    assert os.readlink(root / "etc/link-to-secret") == "/etc/shadow"
    assert (root / "etc/shadow").read_text() == "root:*:19000:0:99999:7:::\nweb:*:19000:0:99999:7:::\n"
    assert (root / "etc/shadow").stat().st_gid == 42
    assert stat.S_IMODE((root / "etc/shadow").stat().st_mode) == 0o640
    assert (root / "etc/passwd").read_text().startswith("root:x:0:0:")
    assert (root / "etc/apt/sources.list").read_text() == "deb http://deb.example.org/debian stable main\n"
    assert (root / "etc/machine-id").read_bytes() == b""
    assert (root / "etc/hosts").read_bytes() == b""
    assert stat.S_IMODE((root / "tmp").stat().st_mode) == 0o1777
    assert stat.S_IMODE((root / "root").stat().st_mode) == 0o700
    assert (root / "root/.bashrc").is_file()
    assert not (root / "etc/fifo").exists()
    assert (root / "var/lib/dpkg/status").read_bytes().startswith(b"Package: base")
    assert stat.S_IMODE((root / "var/log/web").stat().st_mode) == 0o2750
    assert os.listdir(root / "var/lib/app") == []
    assert os.listdir(root / "usr") == []


def test_packages_own_unreadable_files_stay(store: ImageStore) -> None:
    image = store.resolve("host")
    assert image
    store.materialize(image)
    view = Stack(image.overlays(None))
    assert stat.S_IMODE(view.find("/usr/bin/sudo").mode) == 0o4711
    assert view.find("/usr/share/doc/x").paths
    assert not view.find("/usr/local/etc/key").paths
    assert not view.find("/usr/local/closed").paths


def test_it_is_made_once_per_state(store: ImageStore, host: Path, tmp_path: Path) -> None:
    first = private_layer(store)
    inode = first.stat().st_ino
    assert private_layer(ImageStore(store.layout, host_root=host)) == first
    assert first.stat().st_ino == inode
    (host / "etc/new.conf").write_text("new")
    second = private_layer(ImageStore(store.layout, host_root=host))
    assert second != first
    assert (second / "etc/new.conf").is_file()
    assert first.is_dir(), "it was used a moment ago"


def test_old_versions_go_when_nothing_stands_on_them(store: ImageStore, host: Path) -> None:
    long_ago = time.time() - 10_000
    versions = []
    for number in range(3):
        (host / f"etc/{number}").write_text("")
        versions.append(private_layer(ImageStore(store.layout, host_root=host)).parent)
        os.utime(versions[-1], (long_ago, long_ago))
        if number == 0:
            bundle = store.layout.project("p").container("c" * 64).state
            bundle.mkdir(parents=True)
            overlays = [{"target": "/", "lowers": [str(versions[0] / "root")]}]
            (bundle / "launch.json").write_text(json.dumps({"overlays": overlays}))
    assert [path.is_dir() for path in versions] == [True, False, True]


def test_identity_follows_packages_and_not_every_edit(store: ImageStore, host: Path) -> None:
    before = store.resolve("host")
    assert before
    packages = store.host.state().packages
    (host / "etc/edited").write_text("x")
    edited = ImageStore(store.layout, host_root=host)
    image = edited.resolve("host")
    assert image and image.id == before.id and image.host_state != before.host_state
    assert edited.host.changed_since(packages) == ""
    (host / "var/lib/dpkg/status").write_text("Package: base\nVersion: 2\n")
    upgraded = ImageStore(store.layout, host_root=host)
    image = upgraded.resolve("host")
    assert image and image.id != before.id
    assert "packages have changed" in upgraded.host.changed_since(packages)


def test_files_that_change_by_themselves_do_not_count(store: ImageStore, host: Path) -> None:
    before = store.host.state()
    for name in ("etc/resolv.conf", "etc/hosts", "etc/mtab", "etc/adjtime"):
        (host / name).write_text("changed")
    again = ImageStore(store.layout, host_root=host).host.state()
    assert again == before


def test_state_inside_usr_is_refused(host: Path) -> None:
    store = ImageStore(Layout.at(host / "usr/local/stackup"), host_root=host)
    with pytest.raises(HostUnfit, match="lies inside") as caught:
        private_layer(store)
    assert "STACKUP_ROOT" in caught.value.hint


def test_state_inside_opt_is_not_copied_into_itself(host: Path) -> None:
    store = ImageStore(Layout.at(host / "opt/stackup"), host_root=host)
    (host / "opt/stackup/lib").mkdir(parents=True)
    (host / "opt/stackup/lib/x").write_text("x")
    root = private_layer(store)
    assert (root / "opt/app/bin/run").is_file()
    assert not (root / "opt/stackup/lib").exists()


def test_large_files_are_shared_only_when_nobody_else_may_write_them(tmp_path: Path) -> None:
    source, target = tmp_path / "machine", tmp_path / "copy"
    (source / "opt").mkdir(parents=True)
    target.mkdir()
    for name, mode, owner in (("a", 0o644, 0), ("b", 0o664, 0), ("c", 0o644, 1000)):
        (source / "opt" / name).write_bytes(b"x" * 100)
        (source / "opt" / name).chmod(mode)
        os.chown(source / "opt" / name, owner, owner)
    copier = Copier(share=True, limit=50, _can_clone=False)
    copier.tree(source, "opt", target)
    assert (target / "opt/a").stat().st_ino == (source / "opt/a").stat().st_ino
    assert os.listdir(target / "opt") == ["a"]
    assert sorted(copier.left_out) == ["opt/b", "opt/c"]


def test_hard_links_stay_hard_links(tmp_path: Path) -> None:
    source, target = tmp_path / "machine", tmp_path / "copy"
    (source / "opt").mkdir(parents=True)
    target.mkdir()
    (source / "opt/a").write_bytes(b"x" * 60)
    os.link(source / "opt/a", source / "opt/b")
    copier = Copier(limit=100)
    copier.tree(source, "opt", target)
    assert (target / "opt/a").stat().st_ino == (target / "opt/b").stat().st_ino != (source / "opt/a").stat().st_ino


def test_a_file_swapped_for_a_link_is_not_followed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    source, target = make_host(tmp_path / "machine"), tmp_path / "copy"
    target.mkdir()
    plain = os.lstat

    def swapping(path: str, *, dir_fd: int | None = None) -> os.stat_result:
        info = plain(path, dir_fd=dir_fd)
        if path == "os-release":
            os.unlink(path, dir_fd=dir_fd)
            os.symlink("/etc/passwd", path, dir_fd=dir_fd)
        return info

    monkeypatch.setattr(hostcopy.os, "lstat", swapping)
    Copier().tree(source, "etc", target)
    assert not (target / "etc/os-release").exists()


def test_mount_targets(host: Path) -> None:
    base = str(host)
    (host / "usr/share/big").mkdir()
    (host / "usr/file").touch()
    table = tuple(
        Mount("8:1", "/", f"{base}{point}", kind)
        for point, kind in (("/usr/local", "xfs"), ("/usr/share/big", "nfs"), ("/usr/local", "xfs"), ("/usr", "ext4"),
                            ("/usr/lib", "autofs"), ("/usr/file", "ext4"), ("/var", "ext4"))
    )  # fmt: skip
    assert targets(host, table) == ("/usr", "/usr/local", "/usr/share/big")


def test_directories_that_are_no_links_get_their_own_overlay(host: Path) -> None:
    (host / "bin").unlink()
    (host / "bin").mkdir()
    assert targets(host, ()) == ("/bin", "/usr")


def test_every_overlay_has_its_own_writable_place(store: ImageStore, tmp_path: Path) -> None:
    image = store.resolve("host")
    assert image
    overlays = image.overlays(tmp_path / "w")
    assert [item.target for item in overlays] == ["/", "/usr"]
    assert len({item.upper for item in overlays}) == 2


def test_package_paths(host: Path) -> None:
    assert "usr/bin/sh" in set(hostroot.package_paths(host))
