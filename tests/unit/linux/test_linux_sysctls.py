"""A container sets what is its namespaces' own, never the machine's."""

from __future__ import annotations

import pytest

from stackup.linux.sysctls import file_of, why_not

ALL = ("network", "ipc", "uts", "mount", "pid")


@pytest.mark.parametrize(
    "name",
    ["net.ipv4.ip_forward", "net/ipv4/conf/eth0.5/rp_filter", "kernel.shmmax", "kernel.sem", "fs.mqueue.msg_max",
     "kernel.domainname"],
)  # fmt: skip
def test_what_belongs_to_a_namespace(name: str) -> None:
    assert why_not(name, ALL) == ""
    assert "shares the host's" in why_not(name, ())


@pytest.mark.parametrize(
    "name", ["vm.swappiness", "kernel.panic", "kernel.pid_max", "fs.file-max", "user.max_net", "x"]
)
def test_what_is_the_machines(name: str) -> None:
    assert "whole machine" in why_not(name, ALL)


@pytest.mark.parametrize("name", ["net/../vm/swappiness", "net..vm", "/net/x", "net/./x", ""])
def test_names_that_lead_elsewhere(name: str) -> None:
    assert why_not(name, ALL)


def test_the_hostname_has_its_own_attribute() -> None:
    assert "attribute" in why_not("kernel.hostname", ALL)


def test_files() -> None:
    assert file_of("net.ipv4.ip_forward") == "net/ipv4/ip_forward"
    assert file_of("net/ipv4/conf/eth0.5/rp_filter") == "net/ipv4/conf/eth0.5/rp_filter"
