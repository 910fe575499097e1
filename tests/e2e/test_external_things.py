"""Networks and volumes that belong to no stack: made by commands, shared by stacks, never taken away by one."""

from __future__ import annotations

import json
import os
import signal
import subprocess
from pathlib import Path

import pytest

from stackup.base.paths import Layout
from stackup.network.standalone import StandaloneRecords
from tests.support import residue
from tests.support.cli import Cli
from tests.support.residue import Watch
from tests.support.scenario import Scenario
from tests.support.waiting import eventually, page

pytestmark = pytest.mark.root

WEB = """
    services:
      web:
        image: busybox
        command: httpd -f -p 80 -h /etc
        stop_signal: SIGKILL
        networks: {edge: {aliases: [front]}}
        volumes: ["data:/data"]
        ports: ["8080:80"]
    networks: {edge: {external: true}}
    volumes: {data: {external: true}}
    """
CLIENT = """
    services:
      client: {image: busybox, command: sleep 1000, stop_signal: SIGKILL, networks: [default, edge]}
    networks: {edge: {external: true}}
    """


@pytest.fixture
def other(scenario: Scenario) -> Cli:
    """A second project beside the scenario's."""
    directory = scenario.directory.parent / "blog"
    directory.mkdir()
    cli = Cli(scenario.root, directory)
    (directory / "compose.yaml").write_text(CLIENT)
    return cli


def test_two_stacks_share_a_network_and_leave_it(scenario: Scenario, other: Cli, nothing_left: Watch) -> None:
    scenario.compose(WEB)
    scenario.stackup("up", "-d").refused(
        "network edge is declared external but does not exist", "stackup network create edge", r"compose\.yaml:\d+"
    )
    network = scenario.stackup("network", "create", "edge").ok().out.strip()
    scenario.stackup("up", "-d").refused("volume data is declared external", "stackup volume create data")
    scenario.stackup("volume", "create", "data").ok()
    scenario.stackup("up", "-d").ok()
    other("up", "-d").ok()
    for name in ("front", "web", "shop-web-1"):
        assert "Address: " in other("exec", "-T", "client", "nslookup", name).ok().out, name
    assert "root:" in other("exec", "-T", "client", "wget", "-qO-", "http://front/passwd").ok().out
    assert "root:" in page("http://127.0.0.1:8080/passwd")
    (shown,) = json.loads(scenario.stackup("network", "inspect", "edge").ok().out)
    assert shown["Id"] == network
    assert sorted(item["Name"] for item in shown["Containers"].values()) == ["blog-client-1", "shop-web-1"]
    scenario.stackup("network", "rm", "edge").refused(
        r"containers blog-client-1 \(running\), shop-web-1", "of projects"
    )
    scenario.stackup("volume", "rm", "data").refused(r"container shop-web-1 \(running\) of project shop uses it")
    scenario.stackup("down", "-v").ok()
    assert scenario.projects() == ["blog"], "nothing of the project is left, also no record of the network"
    other("exec", "-T", "client", "nslookup", "client").ok()
    other("down").ok()
    assert scenario.stackup("volume", "ls", "-q").ok().out == "data\n"
    scenario.stackup("network", "rm", "edge").ok()
    scenario.stackup("volume", "rm", "data").ok()


def test_a_network_is_made_again_by_the_next_user(scenario: Scenario, other: Cli, nothing_left: Watch) -> None:
    """After a reboot, and when the command that made it was killed half-way."""
    before = scenario.stackup("network", "create", "edge", "--subnet", "10.98.0.0/24").ok().out
    for name in residue.links():
        subprocess.run(["ip", "link", "delete", name.split()[0]], check=True)
    subprocess.run(["nft", "flush", "ruleset"], check=True)
    subprocess.run(["rm", "-r", str(scenario.root / "run")], check=True)
    Path("/proc/sys/net/ipv4/ip_forward").write_text(nothing_left.sysctls["net.ipv4.ip_forward"])
    other("up", "-d").ok()
    assert other("exec", "-T", "client", "ip", "-4", "addr").ok().out.count("inet 10.98.0.") == 1
    assert scenario.stackup("network", "ls", "-q", "--no-trunc", "-f", "name=edge").ok().out == before
    other("down").ok()
    scenario.stackup("network", "prune", "-f").ok()
    records = StandaloneRecords(Layout.at(scenario.root))
    creating = scenario.start("network", "create", "half")
    eventually(lambda: records.get("half"), "its record is written", 10)
    creating.send(signal.SIGKILL)
    creating.ends()
    (other.directory / "compose.yaml").write_text(CLIENT.replace("edge", "half"))
    other("up", "-d").ok()
    other("down").ok()
    assert scenario.stackup("network", "rm", "half").ok().out == "half\n"


def test_a_network_that_was_replaced_is_joined_anew(scenario: Scenario, other: Cli) -> None:
    scenario.stackup("network", "create", "edge", "--subnet", "10.98.0.0/24").ok()
    other("up", "-d").ok()
    other("stop").ok()
    scenario.stackup("network", "rm", "edge").refused(r"blog-client-1 \(exited\)")
    other("down").ok()
    scenario.stackup("network", "rm", "edge").ok()
    scenario.stackup("network", "create", "edge", "--subnet", "10.99.0.0/24", "--internal").ok()
    other("up", "-d").ok()
    assert "inet 10.99.0." in other("exec", "-T", "client", "ip", "-4", "addr").ok().out
    other("down").ok()
    scenario.stackup("network", "rm", "edge").ok()


def test_a_name_is_taken_once(scenario: Scenario) -> None:
    scenario.stackup("network", "create", "edge").ok()
    scenario.stackup("network", "create", "edge").refused("a network of that name exists already")
    scenario.stackup("network", "create", "near", "--subnet", "10.98.0.0/24").ok()
    scenario.stackup("network", "create", "same", "--subnet", "10.98.0.0/16").refused("overlaps 10.98.0.0/24")
    scenario.stackup("network", "create", "bad name").refused("only letters", code=64)
    scenario.stackup("network", "create", "far", "-d", "overlay").refused("driver 'overlay' is not supported")
    assert scenario.stackup("network", "ls", "-q").ok().out.count("\n") == 2
    assert os.listdir(scenario.root / "lib/networks").count("same.json") == 0
    scenario.stackup("network", "rm", "edge", "near").ok()
