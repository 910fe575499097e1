"""Older kernels: every newer call has another way, forced here by STACKUP_WITHOUT, with the same result."""

from __future__ import annotations

from pathlib import Path

import pytest

from stackup.linux.overlay import Overlay
from stackup.oci import runtime as oci
from tests.kernel.runtime_lab import Lab, process, spec

pytestmark = pytest.mark.root

LOOK = """
sed -n 's/^[^ ]* \\([^ ]*\\) \\([^ ]*\\) \\(r[ow][^ ]*\\) .*/\\1 \\2 \\3/p' /proc/mounts | grep -v overlay | sort
cat /data/file; (echo x > /data/file) 2>/dev/null && echo data rw || echo data ro
(echo x > /proc/sys/kernel/domainname) 2>/dev/null && echo rw || echo ro
(touch /new) 2>/dev/null && echo root rw || echo root ro
cat /proc/keys | wc -c; cat /proc/self/cgroup | cut -d: -f2,3 | sort; ls /sub
"""


def look(lab: Lab, state_root: Path) -> str:
    (state_root / "volume").mkdir()
    (state_root / "volume/file").write_text("content\n")
    (state_root / "more").mkdir()
    (state_root / "more/thing").touch()
    lower = state_root / "lower"
    (lower / "sub").mkdir(parents=True)
    wanted = spec(
        process("sh", "-c", LOOK),
        mounts=(oci.Mount("/data", "bind", str(state_root / "volume"), ("rbind", "ro", "nosuid")),),
    )
    wanted = oci.Spec(wanted.process, oci.Root(readonly=True), wanted.hostname, "", wanted.mounts, wanted.linux)
    own = state_root / "layer"
    for name in ("upper", "work"):
        (own / name).mkdir(parents=True)
    overlays = (
        Overlay("/", (str(lower), str(lab.rootfs)), str(own / "upper"), str(own / "work")),
        Overlay("/sub", (str(state_root / "more"),)),
    )
    running = lab.start(wanted, overlays=overlays)
    assert lab.ended(running.id).status == 0, lab.output(running, "stderr")
    return lab.output(running)


@pytest.mark.parametrize(
    "without",
    ["overlay_fsconfig", "mount_setattr", "clone_into_cgroup", "overlay_fsconfig,mount_setattr,clone_into_cgroup,nft"],
)
def test_same_world_without(tmp_path: Path, state_root: Path, busybox_root: Path, without: str) -> None:
    texts = []
    for name, environment in (("with", None), ("without", {"STACKUP_WITHOUT": without})):
        root = state_root / name
        root.mkdir()
        lab = Lab(root, busybox_root, environment)
        texts.append(look(lab, root))
        lab.close()
    assert texts[0] == texts[1]
    for fact in ("/data ", "content", "data ro", "root ro", "thing", "/proc/keys tmpfs"):
        assert fact in texts[0]


def test_more_layers_than_one_page_of_options(state_root: Path, busybox_root: Path) -> None:
    """mount(2) takes 4096 bytes of options: long lists of layers are given relative to their parent."""
    for environment in (None, {"STACKUP_WITHOUT": "overlay_fsconfig"}):
        root = state_root / ("old" if environment else "new")
        lowers = []
        for number in range(60):
            layer = root / "layers-with-a-long-name" / f"{number:064d}"
            layer.mkdir(parents=True)
            (layer / f"file{number}").touch()
            lowers.append(str(layer))
        lab = Lab(root, busybox_root, environment)
        overlay = Overlay("/", (*lowers, str(busybox_root)), str(root / "upper"), str(root / "work"))
        for name in ("upper", "work"):
            (root / name).mkdir()
        if environment:
            with_image = [Path(lowers[0]).parent / "image"]
            with_image[0].symlink_to(busybox_root)
            overlay = Overlay("/", (*lowers, str(with_image[0])), overlay.upper, overlay.work)
        assert lab.shell("ls / | grep -c ^file", overlays=(overlay,)).strip() == "60"
        lab.close()
