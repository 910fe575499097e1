"""Which freezer is used, and what is written into it, on hosts of each kind; a directory stands for the kernel."""

from __future__ import annotations

from pathlib import Path

import pytest

from stackup.base.errors import ContainerFault, HostUnfit
from stackup.linux import features
from stackup.linux.cgroups import Hierarchies
from stackup.runtime import freezing, relimiting
from stackup.runtime.freezing import freeze, thaw
from stackup.runtime.relimiting import limit_files

GROUP = "stackup/shop/c1"


class Host:
    def __init__(self, path: Path, monkeypatch: pytest.MonkeyPatch, *kinds: str) -> None:
        self.path = path
        v1 = {kind: str(path / kind) for kind in kinds if kind != "v2"}
        hierarchies = Hierarchies(str(path / "v2") if "v2" in kinds else "", v1)
        for module in (freezing, relimiting):
            monkeypatch.setattr(module.Hierarchies, "of_this_host", staticmethod(lambda: hierarchies))
        monkeypatch.setattr(freezing, "PATIENCE", 0.0)

    def file(self, name: str, text: str = "") -> Path:
        kind, _, rest = name.partition("/")
        path = self.path / kind / GROUP / rest
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
        return path


@pytest.mark.parametrize("kinds", [("v2",), ("v2", "memory", "freezer")])
def test_version_2_comes_first(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, kinds: tuple[str, ...]) -> None:
    host = Host(tmp_path, monkeypatch, *kinds)
    switch = host.file("v2/cgroup.freeze", "0")
    host.file("v2/cgroup.procs", "12\n")
    host.file("v2/cgroup.events", "populated 1\nfrozen 1\n")
    freeze(GROUP)
    assert switch.read_text() == "1"
    thaw(GROUP)
    assert switch.read_text() == "0"


def test_version_1_where_version_2_does_not_hold_the_processes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    host = Host(tmp_path, monkeypatch, "v2", "memory", "freezer")
    host.file("v2/cgroup.freeze", "0")
    host.file("v2/cgroup.procs")
    host.file("memory/cgroup.procs", "12\n")
    inside, switch = host.file("freezer/cgroup.procs", "12\n"), host.file("freezer/freezer.state", "THAWED")
    freeze(GROUP)
    assert (inside.read_text(), switch.read_text()) == ("12\n", "FROZEN")
    thaw(GROUP)
    assert switch.read_text() == "THAWED"


def test_what_does_not_stop_goes_on(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    host = Host(tmp_path, monkeypatch, "v2")
    switch = host.file("v2/cgroup.freeze", "0")
    host.file("v2/cgroup.procs", "12\n")
    host.file("v2/cgroup.events", "populated 1\nfrozen 0\n")
    with pytest.raises(ContainerFault, match="did not stop within"):
        freeze(GROUP)
    assert switch.read_text() == "0"


def test_a_host_without_any(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    host = Host(tmp_path, monkeypatch, "v2")
    host.file("v2/cgroup.procs", "12\n")
    with pytest.raises(HostUnfit, match="no cgroup freezer"):
        freeze(GROUP)
    thaw(GROUP)
    monkeypatch.setattr(features, "_without", {features.CGROUP2_FREEZE})
    host.file("v2/cgroup.freeze", "0")
    with pytest.raises(HostUnfit):
        freeze(GROUP)


def test_files_of_limits(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    host = Host(tmp_path, monkeypatch, "v2")
    found = [host.file(f"v2/{name}", "max") for name in ("memory.max", "pids.max", "cpu.max", "io.max")]
    assert sorted(limit_files(GROUP)) == sorted(map(str, found[:3]))
