"""Devices whose rates are limited: found by their numbers before a container is made."""

from __future__ import annotations

import os
import stat
from pathlib import Path
from types import SimpleNamespace

import pytest

from stackup.base.errors import ContainerFault
from stackup.engine import devices
from stackup.linux.cgroups import Hierarchies
from stackup.model.service import BlkioConfig, Service, ThrottleDevice


def limited(*paths: str) -> Service:
    rates = tuple(ThrottleDevice(path=path, rate=1) for path in paths)
    return Service(name="web", image="i", blkio_config=BlkioConfig(device_read_bps=rates, device_write_iops=rates[:1]))


def test_numbers(monkeypatch: pytest.MonkeyPatch) -> None:
    found, whole = SimpleNamespace(st_mode=stat.S_IFBLK, st_rdev=os.makedev(254, 1)), os.stat
    monkeypatch.setattr(
        devices.os, "stat", lambda path, **more: found if path in ("/dev/x", "/dev/y") else whole(path, **more)
    )
    assert devices.device_numbers(limited("/dev/x", "/dev/y")) == {"/dev/x": (254, 1), "/dev/y": (254, 1)}
    assert devices.device_numbers(Service(name="web", image="i")) == {}


@pytest.mark.parametrize(("path", "reason"), [("/dev/null", "no block device"), ("/dev/nope", "no such device")])
def test_what_is_no_disk(path: str, reason: str) -> None:
    with pytest.raises(ContainerFault) as raised:
        devices.device_numbers(limited(path))
    assert reason in raised.value.message


def test_weights_that_the_kernel_does_not_have(tmp_path: Path) -> None:
    service = Service(name="web", image="i", blkio_config=BlkioConfig(weight=300))
    v1, v2 = Hierarchies("", {"blkio": str(tmp_path)}), Hierarchies(str(tmp_path), {})
    assert "blkio_config.weight is left out" in devices.weights_left_out(service, v1)
    assert devices.weights_left_out(Service(name="web", image="i"), v1) == ""
    (tmp_path / "child").mkdir()
    (tmp_path / "child/blkio.weight").touch()
    assert devices.weights_left_out(service, v1) == "" != devices.weights_left_out(service, v2)
    (tmp_path / "child/io.weight").touch()
    assert devices.weights_left_out(service, v2) == ""
