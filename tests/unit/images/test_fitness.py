"""Where the state may lie."""

from __future__ import annotations

from pathlib import Path

import pytest

from stackup.base.errors import HostUnfit, ImageError
from stackup.images import fitness
from stackup.images.fitness import Mount, check_storage, inside, mount_of, parse_mounts
from stackup.images.image import prepare
from stackup.linux.overlay import Overlay

TABLE = (
    Mount("8:1", "/", "/", "ext4"),
    Mount("0:30", "/", "/tmp", "tmpfs"),
    Mount("0:40", "/", "/ci", "overlay"),
    Mount("8:1", "/usr/local/state", "/var/lib/stackup", "ext4"),
    Mount("8:2", "/", "/mnt/a b", "xfs"),
)


def test_mountinfo_lines() -> None:
    text = "36 35 98:0 /mnt1 /mnt\\0402 rw,noatime master:1 - ext3 /dev/root rw\n40 35 0:5 / /p rw - proc proc rw\n"
    assert parse_mounts(text) == (Mount("98:0", "/mnt1", "/mnt 2", "ext3"), Mount("0:5", "/", "/p", "proc"))


def test_the_innermost_and_last_mount_counts() -> None:
    over = (*TABLE, Mount("0:50", "/", "/tmp", "ext4"))
    found = mount_of(Path("/tmp/x"), over)
    assert found and found.kind == "ext4"
    root = mount_of(Path("/tmpx"), TABLE)
    assert root and root.point == "/"


def test_overlay_is_refused_with_the_way_out() -> None:
    with pytest.raises(HostUnfit, match=r"/ci/state: it lies on overlay \(mounted at /ci\)") as caught:
        check_storage(Path("/ci/state"), TABLE)
    assert "STACKUP_ROOT" in caught.value.hint
    check_storage(Path("/tmp/state"), TABLE)


def test_inside_by_path_and_by_bind_mount() -> None:
    assert inside(Path("/usr/local/x"), Path("/usr"), TABLE)
    assert not inside(Path("/usrlocal"), Path("/usr"), TABLE)
    assert inside(Path("/var/lib/stackup/x"), Path("/usr"), TABLE)
    assert not inside(Path("/var/lib/other"), Path("/usr"), TABLE)
    assert not inside(Path("/mnt/a b/usr/x"), Path("/usr"), TABLE)


def test_no_overlayfs(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(fitness, "_kernel_has_overlay", lambda: False)
    with pytest.raises(HostUnfit, match="no overlayfs"):
        prepare(())


def test_prepare(tmp_path: Path) -> None:
    (tmp_path / "low").mkdir()
    (tmp_path / "low").chmod(0o751)
    overlay = Overlay("/", (str(tmp_path / "low"),), str(tmp_path / "w/root/upper"), str(tmp_path / "w/root/work"))
    prepare((overlay,))
    assert Path(overlay.upper).stat().st_mode & 0o777 == 0o751
    (Path(overlay.upper) / "kept").touch()
    (Path(overlay.work) / "work/incompat/volatile").mkdir(parents=True)
    prepare((overlay,))
    assert (Path(overlay.upper) / "kept").exists()
    assert list(Path(overlay.work).iterdir()) == []


def test_prepare_refuses_what_the_kernel_would(tmp_path: Path) -> None:
    (tmp_path / "low").mkdir()
    upper = tmp_path / "low/w/upper"
    with pytest.raises(HostUnfit, match="lies inside"):
        prepare((Overlay("/usr", (str(tmp_path / "low"),), str(upper), str(upper.parent / "work")),))
    with pytest.raises(ImageError, match="is not there"):
        prepare((Overlay("/", (str(tmp_path / "missing"),)),))
