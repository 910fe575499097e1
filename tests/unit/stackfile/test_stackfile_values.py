"""Values that Compose passes on unread: refused before anything runs, where they stand; `config` warns of them."""

from __future__ import annotations

from contextlib import suppress
from pathlib import Path

import pytest
from stackfile_support import errors_of, load_text

from stackup.stackfile.addresses import check_networks
from stackup.stackfile.nodes import Node, Source
from stackup.stackfile.problems import Problems
from stackup.stackfile.rules import Wrong, sysctl
from stackup.stackfile.values import _TABLE

SERVICE = "services:\n  web:\n    image: i\n    "
BAD = [
    ("stop_signal: SIGFOO", 18, "'SIGFOO' for services.web.stop_signal: there is no such signal"),
    ("stop_signal: SIGTREM", 18, "did you mean 'SIGTERM'?"),
    ("stop_signal: '99'", 18, "no such signal"),
    ("cap_add: [CHOWN, NET_ADMN]", 22, "'NET_ADMN' for services.web.cap_add[1]: there is no such capability"),
    ("cap_drop: [net_rw]", 16, "did you mean 'NET_RAW'?"),
    ("pid: hsot", 10, "did you mean 'host'?"),
    ("pid: private", 10, "no such mode"),
    ("ipc: shared", 10, "did you mean 'shareable'?"),
    ("uts: private", 10, "no such mode"),
    ("network_mode: hsot", 19, "did you mean 'host'?"),
    ("network_mode: backend", 19, "one of none, host, bridge, default, service:NAME, container:NAME"),
    ("network_mode: 'container:'", 19, "no such mode"),
    ("user: 'a:b:c'", 11, "it is no user"),
    ("user: '-1'", 11, "number of a user"),
    ("user: '4294967296'", 11, "number of a user"),
    ("tmpfs: [/run, '/tmp:size=1x']", 19, "'1x' is no value for the option size"),
    ("tmpfs: /run:noexce", 12, "did you mean 'noexec'?"),
    ("tmpfs: run", 12, "no absolute path"),
    ("security_opt: [no-new-privilege]", 20, "no such option"),
    ("mac_address: 02:42:ac:11:00", 18, "six pairs"),
    ("mac_address: '01:42:ac:11:00:02'", 18, "multicast"),
    ("networks: {default: {mac_address: x}}", 39, "six pairs"),
    ("dns: [1.1.1.1, 1.1.1]", 20, "no IP address"),
    ("dns: one", 10, "no IP address"),
    ("extra_hosts: ['a:1.2.3']", 19, "no IP address"),
    ("cpuset: 3-1", 13, "no processor"),
    ("cpuset: '0-99999'", 13, "this machine has no processor 99999"),
    ("cpus: -1", 11, "below zero"),
    ("cpus: 5000", 11, "this machine has"),
    ("deploy: {resources: {limits: {cpus: '5000'}}}", 41, "this machine has"),
    ("pids_limit: -5", 17, "it is below zero (-1 is no limit)"),
    ("container_name: ../bad name!", 21, "a container cannot have this name"),
    ("security_opt: [seccomp=/no/such]", 20, "there is no file /no/such"),
    ("platform: foo", 15, "no such system or architecture"),
    ("platform: linux/a/b/c", 15, "it is no platform"),
    ("dns_opt: [ndots:1, x y]", 24, "it holds a space"),
    ("expose: [80, 70000]", 18, "no port from 0 to 65535"),
    ("expose: ['80-90/tpc']", 14, "no such protocol"),
    ("environment: [A=1, =x]", 24, "services.web.environment: a name is empty"),
    ("labels: {'': x}", 18, "services.web.labels: a name is empty"),
    ("mem_limit: 1k", 16, "the memory limit is too low"),
    ("deploy: {resources: {limits: {memory: 1m}}}", 43, "the memory limit is too low"),
    ("mem_swappiness: 101", 21, "not within 0 and 100"),
    ("blkio_config: {weight: 5}", 28, "not within 10 and 1000"),
    ("ulimits: {nofiles: 5}", 15, "did you mean 'nofile'?"),
    ("ulimits: {nofile: {soft: 5, hard: 4}}", 23, "soft (5) is more than hard (4)"),
    ("sysctls: {vm.swappiness: 1}", 30, "setting of the whole machine"),
    ("device_cgroup_rules: ['c 7']", 27, 'it reads "c 7:* rwm"'),
    ("devices: ['/dev/null:/dev/null:rx']", 15, "not made of r, w and m"),
    ("hostname: 'a b'", 15, "no name of a host"),
    ("working_dir: app", 18, "no absolute path"),
    ("restart: alway", 14, "did you mean 'always'?"),
    ("ports: [{target: 80, protocol: tpc}]", 36, "did you mean 'tcp'?"),
    ("ports: [{target: 80, published: '99999'}]", 37, "no port"),
    ("ports: [{target: 0}]", 22, "no port"),
    ("volumes: [{type: bind, source: /a, target: /b, bind: {propagation: rshred}}]", 72, "did you mean 'rshared'?"),
]
GOOD = [
    "stop_signal: RTMIN+3",
    "stop_signal: '15'",
    "cap_add: [ALL, cap_net_raw, net_admin]",
    "pid: 'container:x'",
    "ipc: shareable",
    "network_mode: bridge",
    "user: '1000:staff'",
    "user: nobody",
    "tmpfs: ['/run:size=64m,mode=1777,noexec', /tmp]",
    "security_opt: ['no-new-privileges:true', 'seccomp=unconfined', 'label:disable']",
    "mac_address: 02-42-AC-11-00-02",
    "dns: ['8.8.8.8', 'fe80::1%eth0']",
    "extra_hosts: ['a:host-gateway', 'b:[::1]']",
    "cpuset: '0'",
    "mem_limit: 6m",
    "ulimits: {nofile: -1, memlock: {soft: 5, hard: -1}}",
    "sysctls: [net.core.somaxconn=1024, kernel.shmmax=1]",
    "device_cgroup_rules: ['c 7:* rwm']",
    "hostname: a.b-c",
    "ports: ['8000-8010:80/udp']",
]
NETWORK = "services: {web: {image: i, networks: {n: {%s}}}}\nnetworks:\n  n: {ipam: {config: [{%s}]}}\n"
NETWORKS = [
    ("", "subnet: 10.1.0.0/33", "3:32 cannot use '10.1.0.0/33' for networks.n.ipam.config[0].subnet: it is no subnet"),
    ("", "subnet: 10.1.0.1/24", "write 10.1.0.0/24"),
    ("", "subnet: 10.1.0.0/24, gateway: 10.2.0.1", "3:54 cannot use '10.2.0.1' for"),
    ("", "subnet: 10.1.0.0/24, ip_range: 10.2.0.0/25", "not inside the subnet"),
    ("", "subnet: 10.1.0.0/24, aux_addresses: {a: x}", "no IP address"),
    (
        "ipv4_address: 10.2.0.2",
        "subnet: 10.1.0.0/24",
        "1:57 cannot use '10.2.0.2' for services.web.networks.n.ipv4_address",
    ),
    ("ipv4_address: 10.1.0.300", "subnet: 10.1.0.0/24", "no IP address"),
    ("ipv4_address: '::1'", "subnet: 10.1.0.0/24", "no IPv4 address"),
    ("ipv4_address: 10.1.0.9", "subnet: 10.1.0.0/24, gateway: 10.1.0.9", "the gateway of n has it"),
    ("ipv4_address: 10.1.0.9", "", "the network has no subnet of its own"),
    ("ipv6_address: 'fd00::5'", "subnet: 10.1.0.0/24", "no subnet of its own"),
]


def texts(directory: Path, text: str) -> list[str]:
    return [
        f"{item.where.line}:{item.where.column} {item.message} ({item.hint})"
        for item in errors_of(directory, text)
        if item.where
    ]


@pytest.mark.parametrize(("attribute", "column", "words"), BAD)
def test_refused_in_its_place(tmp_path: Path, attribute: str, column: int, words: str) -> None:
    (found,) = texts(tmp_path, SERVICE + attribute)
    assert found.startswith(f"4:{column} "), found
    assert words in found


@pytest.mark.parametrize("attribute", GOOD)
def test_taken(tmp_path: Path, attribute: str) -> None:
    assert texts(tmp_path, SERVICE + attribute) == []


@pytest.mark.parametrize(("endpoint", "pool", "words"), NETWORKS)
def test_networks(tmp_path: Path, endpoint: str, pool: str, words: str) -> None:
    (found,) = texts(tmp_path, NETWORK % (endpoint, pool))
    assert words in found


def test_addresses_are_given_once(tmp_path: Path) -> None:
    found = texts(
        tmp_path,
        "services:\n  a: {image: i, networks: {n: {ipv4_address: 10.1.0.9}}}\n"
        "  b: {image: i, networks: {n: {ipv4_address: 10.1.0.9}}}\n"
        "networks:\n  n: {ipam: {config: [{subnet: 10.1.0.0/24}]}}\n  m: {ipam: {config: [{subnet: 10.1.0.0/16}]}}\n",
    )
    assert len(found) == 1 and "3:46" in found[0] and "service 'a' has it (line 2)" in found[0]  # m is used by nobody


def test_networks_that_overlap(tmp_path: Path) -> None:
    (found,) = texts(
        tmp_path,
        "services: {a: {image: i, networks: [n, m]}}\n"
        "networks:\n  n: {ipam: {config: [{subnet: 10.1.0.0/24}]}}\n  m: {ipam: {config: [{subnet: 10.1.0.0/16}]}}\n",
    )
    assert "overlaps that of networks.n in line 3" in found


def test_all_at_once_and_as_warnings_of_config(tmp_path: Path) -> None:
    text = SERVICE + "stop_signal: SIGFOO\n    pid: hsot\n    cap_add: [X]\n"
    assert [item.split()[0] for item in texts(tmp_path, text)] == ["4:18", "5:10", "6:15"]
    notices = load_text(tmp_path, text, run=False, outlook=True).warnings
    assert [str(item.where).rpartition("compose.yaml:")[2] for item in notices] == ["4:18", "5:10", "6:15"]
    assert all(item.message.startswith("up refuses this: cannot use") for item in notices)
    assert all(item.snippet for item in notices)


def test_the_network_of_an_engine_is_the_projects_default_one(tmp_path: Path) -> None:
    text = SERVICE + "network_mode: bridge\n  other: {image: i}\n"
    stack = load_text(tmp_path, text).stack
    assert stack.services["web"].network_mode is None
    assert list(stack.services["web"].networks) == ["default"]
    shown = load_text(tmp_path, text, run=False).stack
    assert shown.services["web"].network_mode == "bridge" and not shown.services["web"].networks
    assert (
        "exclude each other"
        in errors_of(tmp_path, SERVICE + "network_mode: bridge\n    networks: [default]\n")[0].message
    )


ODD = {
    "digits": "9" * 5000,
    "negative": "-" + "9" * 5000,
    "surrogates": "\udc80\ud800",
    "foreign digit": "\u0661",
    "long": "a" * 100_000,
    "colon": ":",
    "bracket": "[",
    "zone": "fe80::1%",
    "slash": "/",
}


@pytest.mark.parametrize("name", ODD)
def test_nothing_but_words_comes_of_odd_values(name: str) -> None:
    """Whatever stands in a file or in a variable, it is refused or taken."""
    text = ODD[name]
    for rule in _TABLE.values():
        with suppress(Wrong):
            rule(text)
    with suppress(Wrong):
        sysctl(text, True)
    for value in (text, f"{text}/24", f"10.0.0.0/{text}", f"c {text}:{text} rwm", f"/t:size={text}", f"RTMIN+{text}"):
        for rule in _TABLE.values():
            with suppress(Wrong):
                rule(value)
        source = Source("f", "", "")
        node = Node(value, source, 1, 1)
        pool = Node(dict.fromkeys(("subnet", "gateway", "ip_range"), node), source, 1, 1)
        network = Node({"ipam": Node({"config": Node([pool], source, 1, 1)}, source, 1, 1)}, source, 1, 1)
        place = Node({"ipv4_address": node, "ipv6_address": node}, source, 1, 1)
        service = Node({"networks": Node({"n": place}, source, 1, 1)}, source, 1, 1)
        check_networks({"web": service}, {"n": network}, Problems())


def test_a_network_without_any_addresses(tmp_path: Path) -> None:
    text = "services: {a: {image: i}}\nnetworks: {default: {enable_ipv4: false}}\n"
    assert "neither IPv4 nor IPv6 is enabled (add enable_ipv6: true)" in texts(tmp_path, text)[0]
