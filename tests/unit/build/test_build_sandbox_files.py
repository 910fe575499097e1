"""What a command finds in /etc."""

from __future__ import annotations

from pathlib import Path

import pytest

from stackup.build.command import Command
from stackup.build.sandbox import _write_etc_files


@pytest.mark.parametrize(("network", "address"), [("none", None), ("host", "127.0.0.1")])
def test_the_host_has_no_address_without_a_network(tmp_path: Path, network: str, address: str | None) -> None:
    hosts = {"outside.test": ("host-gateway",), "db.test": ("10.9.8.7",)}
    _write_etc_files(tmp_path, Command(("true",), {}, network=network, extra_hosts=hosts), None)
    lines = [line.split() for line in (tmp_path / "hosts").read_text().splitlines()]
    found = {name: address for address, *names in lines for name in names}
    assert found["db.test"] == "10.9.8.7"
    assert found.get("outside.test") == address
