"""Image layers mounted by the real kernel: stacking, deletions, the image ``host`` and what is built on it."""

from __future__ import annotations

import os
import stat
import subprocess
import sys
import textwrap
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from stackup.base.errors import HostUnfit
from stackup.base.paths import Layout
from stackup.images import Image, ImageStore
from stackup.images.diff import layer_tar
from stackup.images.lookup import Stack
from stackup.linux.overlay import Overlay
from stackup.oci import image as oci
from tests.support.mounting import unmounted

pytestmark = pytest.mark.root

DEBIAN = pytest.mark.skipif(not Path("/var/lib/dpkg/status").is_file(), reason="this machine does not use dpkg")


@contextmanager
def mounted(overlays: tuple[Overlay, ...], point: Path) -> Iterator[Path]:
    point.mkdir(exist_ok=True)
    done: list[Path] = []
    try:
        for overlay in overlays:
            target = point / overlay.target.strip("/")
            options = f"lowerdir={':'.join(overlay.lowers)},index=off,metacopy=off,redirect_dir=off"
            if overlay.upper:
                options += f",upperdir={overlay.upper},workdir={overlay.work}"
            subprocess.run(["mount", "-t", "overlay", "overlay", "-o", options, str(target)], check=True)
            done.append(target)
        yield point
    finally:
        for target in reversed(done):
            unmounted(target)


def commit(store: ImageStore, base: Image, overlays: tuple[Overlay, ...], name: str) -> Image:
    layer = store.put_layer([(overlay.target, Path(overlay.upper)) for overlay in overlays])
    assert layer
    config = oci.ConfigFile(oci.Platform("amd64"), base.config)
    return store.put_image((*base.layers, layer), config, name, on_host=base.host)


def inside(root: Path, command: str) -> str:
    """A shell command in a chroot with an empty /dev but for null."""
    null = root / "dev/null"
    null.parent.mkdir(exist_ok=True)
    if not null.exists():
        os.mknod(null, stat.S_IFCHR | 0o666, os.makedev(1, 3))
    done = subprocess.run(
        ["chroot", str(root), "/bin/sh", "-c", command],
        capture_output=True,
        text=True,
        env={"PATH": "/usr/sbin:/usr/bin:/sbin:/bin"},
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def test_layers_stack_and_deletions_hold(state_root: Path, busybox_tar: Path) -> None:
    store = ImageStore(Layout.at(state_root))
    base = store.import_rootfs(busybox_tar, "toy:1")
    first = store.prepare(base, state_root / "one")
    with mounted(first, state_root / "m") as root:
        assert "toybox" in inside(root, "cat /etc/os-release").lower()
        inside(root, "mkdir /d /d/sub && echo 1 > /d/a && echo 2 > /d/b && ln /d/a /d/hard && chmod 4755 /d/b")
    second_image = commit(store, base, first, "toy:2")
    second = store.prepare(second_image, state_root / "two")
    with mounted(second, state_root / "m") as root:
        inside(root, "rm /d/a && rm -r /d/sub && rm -r /www && mkdir /www && echo 3 > /www/new && rm /etc/os-release")
    third_image = commit(store, second_image, second, "toy:3")
    third = store.prepare(third_image, state_root / "three")
    view = Stack(third)
    with mounted(third, state_root / "m") as root:
        assert inside(root, "ls /d /www").split() == ["/d:", "b", "hard", "/www:", "new"]
        assert stat.S_IMODE((root / "d/b").stat().st_mode) == 0o4755
        assert not (root / "etc/os-release").exists()
        for path in sorted(root.rglob("*")):
            shown = "/" + str(path.relative_to(root))
            assert view.find(shown, follow=False).paths, shown
        for directory in ("/", "/d", "/www", "/etc", "/bin"):
            assert view.names(view.find(directory)) == sorted(os.listdir(f"{root}{directory}"))
    # The same layers, unpacked from their archives, look the same.
    for layer in third_image.layers:
        layer.path.rename(state_root / "away")
        store.materialize(third_image)
        away = b"".join(layer_tar(state_root / "away", overlay=True))
        assert b"".join(layer_tar(layer.path, overlay=True)) == away
        subprocess.run(["rm", "-r", str(state_root / "away")], check=True)


def test_an_image_without_layers_can_be_mounted(state_root: Path) -> None:
    store = ImageStore(Layout.at(state_root))
    image = store.put_image((), oci.ConfigFile(oci.Platform("amd64")), "empty:1")
    with mounted(store.prepare(image, state_root / "w"), state_root / "m") as root:
        assert os.listdir(root) == []
        (root / "x").touch()


@pytest.fixture(scope="module")
def host_store(short_directory: Path) -> ImageStore:
    """One store for all tests of the image ``host``: its private layer takes seconds to make."""
    return ImageStore(Layout.at(short_directory / "host-store"))


def test_host_image_runs_this_machines_programs(state_root: Path, host_store: ImageStore) -> None:
    store = host_store
    image = store.resolve("host")
    assert image
    before = sorted(os.listdir("/usr/bin"))
    with mounted(store.prepare(image, state_root / "w"), state_root / "m") as root:
        assert inside(root, ". /etc/os-release; echo $ID").strip() == _os_id()
        inside(root, "echo '#!/bin/sh' > /usr/bin/new-one && rm /usr/bin/env && mkdir /usr/share/mine")
        assert inside(root, "ls /home /srv /tmp").split() == ["/home:", "/srv:", "/tmp:"]
        assert stat.S_IMODE((root / "usr").stat().st_mode) == stat.S_IMODE(os.stat("/usr").st_mode)
        assert not (root / "usr/bin/env").exists()
    assert sorted(os.listdir("/usr/bin")) == before


@DEBIAN
def test_packages_install_into_host_and_into_what_is_built_on_it(state_root: Path, host_store: ImageStore) -> None:
    store = host_store
    base = store.resolve("host")
    assert base
    overlays = store.prepare(base, store.layout.state / "one")  # where the layers are: they are renamed there
    with mounted(overlays, state_root / "m") as root:
        known = inside(root, "dpkg-query -W | wc -l").strip()
        assert int(known) == _installed()
        assert inside(root, "dpkg --audit") == ""
        _make_package(root / "tmp", "stackup-probe")
        inside(root, "dpkg -i /tmp/stackup-probe.deb && rm /tmp/stackup-probe.deb")
    image = commit(store, base, overlays, "probe:1")
    assert image.host
    again = store.prepare(image, store.layout.state / "two")
    assert [overlay.target for overlay in again][:2] == ["/", "/usr"]
    with mounted(again, state_root / "m") as root:
        assert inside(root, "stackup-probe").strip() == "it works"
        assert inside(root, "cat /etc/stackup-probe.conf /var/lib/stackup-probe/made").split() == ["conf", "made"]
        inside(root, "dpkg --verify stackup-probe && dpkg --purge stackup-probe")
        assert inside(root, "dpkg-query -W | wc -l").strip() == known
    assert not Path("/usr/bin/stackup-probe").exists()
    assert not Path("/etc/stackup-probe.conf").exists()
    gone = commit(store, image, again, "probe:2")
    with mounted(store.prepare(gone, state_root / "three"), state_root / "m") as root:
        assert not (root / "usr/bin/stackup-probe").exists()
        assert not (root / "etc/stackup-probe.conf").exists()


def _make_package(directory: Path, name: str) -> None:
    tree = directory / "tree"
    files = {"usr/bin/" + name: "#!/bin/sh\necho it works\n", f"etc/{name}.conf": "conf\n",
             "DEBIAN/conffiles": f"/etc/{name}.conf\n",
             "DEBIAN/postinst": f"#!/bin/sh\nset -e\nmkdir -p /var/lib/{name}\necho made > /var/lib/{name}/made\n",
             "DEBIAN/control": f"Package: {name}\nVersion: 1\nArchitecture: all\nMaintainer: a <a@example.org>\n"
                               "Description: probe\n"}  # fmt: skip
    for path, content in files.items():
        (tree / path).parent.mkdir(parents=True, exist_ok=True)
        (tree / path).write_text(content)
        (tree / path).chmod(0o755 if "bin/" in path or path.endswith("postinst") else 0o644)
    subprocess.run(["dpkg-deb", "-b", str(tree), str(directory / f"{name}.deb")], check=True, capture_output=True)
    subprocess.run(["rm", "-r", str(tree)], check=True)


def _installed() -> int:
    return len(subprocess.run(["dpkg-query", "-W"], capture_output=True, text=True, check=True).stdout.splitlines())


def _os_id() -> str:
    command = ["sh", "-c", ". /etc/os-release; echo $ID"]
    return subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip()


def test_state_below_usr_is_refused_before_anything_is_made() -> None:
    where = Path("/usr/local/stackup-refused")
    store = ImageStore(Layout.at(where))
    image = store.resolve("host")
    assert image
    with pytest.raises(HostUnfit, match="lies inside"):
        store.host.materialize(image.host_state)
    assert not where.exists()


def test_state_on_overlayfs_is_refused(state_root: Path) -> None:
    for name in ("low", "up", "work", "m"):
        (state_root / name).mkdir()
    options = f"lowerdir={state_root}/low,upperdir={state_root}/up,workdir={state_root}/work"
    subprocess.run(["mount", "-t", "overlay", "overlay", "-o", options, str(state_root / "m")], check=True)
    try:
        store = ImageStore(Layout.at(state_root / "m"))
        image = store.put_image((), oci.ConfigFile(oci.Platform("amd64")), "empty:1")
        with pytest.raises(HostUnfit, match="lies on overlay"):
            store.prepare(image, state_root / "m/w")
    finally:
        unmounted(state_root / "m")


def in_private_mounts(script: str, *arguments: str) -> str:
    """Runs Python in a mount namespace of its own, where /etc, /opt and /usr may be covered without harm."""
    command = ["unshare", "-m", "--propagation", "private", sys.executable, "-c", textwrap.dedent(script), *arguments]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def test_canaries_on_the_real_machine_stay_out(state_root: Path) -> None:
    answer = in_private_mounts(
        """
        import os, subprocess, sys
        from pathlib import Path
        from stackup.base.paths import Layout
        from stackup.images import ImageStore
        from tests.support.hostroot import CANARIES, CANARY, CLOSED, make_host
        state = Path(sys.argv[1])
        subprocess.run(["mount", "-t", "tmpfs", "tmpfs", "/opt"], check=True)
        for name in ("etc", "usr/local", "root", "home", "srv", "var/cache", "tmp"):
            upper, work = state / "cover" / name / "u", state / "cover" / name / "w"
            upper.mkdir(parents=True); work.mkdir()
            options = f"lowerdir=/{name},upperdir={upper},workdir={work}"
            if not str(state).startswith(f"/{name}/"):
                subprocess.run(["mount", "-t", "overlay", "overlay", "-o", options, f"/{name}"], check=True)
        planted = []
        for name, mode in CANARIES.items():
            if not name.startswith(("etc/", "opt/", "usr/local/", "root/", "home/", "srv/")):
                continue
            path = Path("/", name)
            path.parent.mkdir(parents=True, exist_ok=True)
            path.unlink(missing_ok=True)
            path.write_bytes(CANARY)
            path.chmod(mode)
            planted.append(name)
        for name in CLOSED:
            Path("/", name).chmod(0o700)
        store = ImageStore(Layout.at(state / "s"))
        image = store.resolve("host")
        overlays = store.prepare(image, state / "s/w")
        (state / "m").mkdir()
        for overlay in overlays:
            options = f"lowerdir={':'.join(overlay.lowers)},upperdir={overlay.upper},workdir={overlay.work}"
            target = str(state / "m") + overlay.target.rstrip("/")
            subprocess.run(["mount", "-t", "overlay", "overlay", "-o", options, target], check=True)
        for top in ("etc", "opt", "usr/local", "root", "home", "srv", "var", "tmp", "run"):
            for path in (state / "m" / top).rglob("*"):
                if path.is_file() and not path.is_symlink() and path.stat().st_size < 1 << 20:
                    assert CANARY not in path.read_bytes(), path

        assert (state / "m/etc/machine-id").read_bytes() == b""
        print(len(planted), *(overlay.target for overlay in overlays))
        """,
        str(state_root),
    )
    planted, *seen = answer.split()
    assert int(planted) >= 10
    assert seen == ["/", "/usr", "/usr/local"], "the cover over /usr/local is a mount of its own and comes along"


def test_submounts_of_usr_come_along(state_root: Path) -> None:
    answer = in_private_mounts(
        """
        import subprocess, sys
        from pathlib import Path
        from stackup.base.paths import Layout
        from stackup.images import ImageStore
        for name in ("/opt", "/usr/local/games"):
            subprocess.run(["mount", "-t", "tmpfs", "tmpfs", name], check=True)
        Path("/usr/local/games/chess").write_text("mate")
        state = Path(sys.argv[1])
        store = ImageStore(Layout.at(state / "s"))
        overlays = store.prepare(store.resolve("host"), state / "w")
        (state / "m").mkdir()
        for overlay in overlays:
            options = f"lowerdir={':'.join(overlay.lowers)},upperdir={overlay.upper},workdir={overlay.work}"
            target = str(state / "m") + overlay.target.rstrip("/")
            subprocess.run(["mount", "-t", "overlay", "overlay", "-o", options, target], check=True)
        (state / "m/usr/local/games/new").write_text("x")
        print((state / "m/usr/local/games/chess").read_text(), Path("/usr/local/games/new").exists())
        """,
        str(state_root),
    )
    assert answer.split() == ["mate", "False"]
