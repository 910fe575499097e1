"""Devices whose rates are limited: found by their numbers before a container is made."""

from __future__ import annotations

import os
import stat
from types import SimpleNamespace

import pytest

from stackup.base.errors import ContainerFault
from stackup.engine import devices
from stackup.model.service import BlkioConfig, Service, ThrottleDevice


def limited(*paths: str) -> Service:
    rates = tuple(ThrottleDevice(path=path, rate=1) for path in paths)
    return Service(name="web", image="i", blkio_config=BlkioConfig(device_read_bps=rates, device_write_iops=rates[:1]))


def test_numbers(monkeypatch: pytest.MonkeyPatch) -> None:
    found = SimpleNamespace(st_mode=stat.S_IFBLK, st_rdev=os.makedev(254, 1))
    monkeypatch.setattr(devices.os, "stat", lambda path: found)
    assert devices.device_numbers(limited("/dev/x", "/dev/y")) == {"/dev/x": (254, 1), "/dev/y": (254, 1)}
    assert devices.device_numbers(Service(name="web", image="i")) == {}


@pytest.mark.parametrize(("path", "reason"), [("/dev/null", "no block device"), ("/dev/nope", "no such device")])
def test_what_is_no_disk(path: str, reason: str) -> None:
    with pytest.raises(ContainerFault) as raised:
        devices.device_numbers(limited(path))
    assert reason in raised.value.message
