"""What attributes of services come to: one stack, whose services look at themselves and say what they see."""

from __future__ import annotations

import json
import os
import re

import pytest

from tests.support.scenario import Scenario
from tests.support.waiting import eventually

pytestmark = pytest.mark.root

# Name of the service, its attributes, what it runs, what that prints (a regular expression).
SERVICES = [
    ("tty", "tty: true", "tty", "/dev/pts/0"),
    ("user-at-terminal", "tty: true, user: '1000'", "id -u; echo out > /dev/stdout; echo err > /dev/stderr",
     "1000\nout\nerr"),
    ("init-at-terminal", "tty: true, init: true", "tty; cat /proc/1/comm", "/dev/pts/0\nstackup-init"),
    ("read-only-terminal", "tty: true, read_only: true", "tty; touch /x || echo refused", "/dev/pts/0\n.*\nrefused"),
    ("stdin", "stdin_open: true", "readlink /proc/self/fd/0", r"pipe:\[\d+\]"),
    ("read-only", "read_only: true, tmpfs: ['/t:size=1m']", "touch /x 2>&1; touch /t/x && echo made",
     ".*Read-only file system\nmade"),
    ("user", "user: '1000:1001', group_add: ['50']", "id -u; id -g; id -G", "1000\n1001\n(1001 50|50 1001)"),
    ("working-dir", "working_dir: /deep/er", "pwd", "/deep/er"),
    ("capabilities", "cap_drop: [ALL], cap_add: [NET_BIND_SERVICE]", "grep CapEff /proc/self/status",
     "CapEff:\\s0+400"),
    ("privileged", "privileged: true", "test -e /dev/kmsg && echo all devices", "all devices"),
    ("host-name", "hostname: h1, domainname: d.example, extra_hosts: ['a:10.1.2.3']",
     "hostname; grep -c -e 'h1.d.example h1' -e '10.1.2.3.a$' /etc/hosts", "h1\n2"),
    ("dns", "dns: [9.9.9.9], dns_search: [ex.com], dns_opt: ['ndots:3']", "grep -v ^# /etc/resolv.conf",
     "nameserver 127.0.0.11\nsearch ex.com\noptions ndots:3"),
    ("shm-size", "shm_size: 10m", "df -h /dev/shm | tail -1", "shm +10.0M .*"),
    ("ulimits", "ulimits: {nofile: {soft: 100, hard: 200}, nproc: 77}", "ulimit -n; ulimit -Hn; ulimit -u",
     "100\n200\n77"),
    ("sysctls", "sysctls: {net.core.somaxconn: 77}", "cat /proc/sys/net/core/somaxconn", "77"),
    ("limits", "mem_limit: 50m, pids_limit: 20, oom_score_adj: 300, cpuset: '0'",
     "cat /sys/fs/cgroup/memory/memory.limit_in_bytes /sys/fs/cgroup/memory.max 2>/dev/null;"
     "cat /sys/fs/cgroup/pids/pids.max /sys/fs/cgroup/pids.max 2>/dev/null; cat /proc/self/oom_score_adj; nproc",
     "52428800\n20\n300\n1"),
    ("without-network", "network_mode: none", "ls /sys/class/net", "lo"),
    ("network-of-another", "network_mode: 'service:host-name'",
     "hostname; ls /sys/class/net; grep -c -e 127.0.0.11 -e 10.1.2.3 /etc/resolv.conf /etc/hosts;"
     " nslookup tty | grep -c Name:",
     "h1\neth0\nlo\n/etc/resolv.conf:1\n/etc/hosts:1\n1"),
    ("address", "mac_address: '02:42:ac:11:00:99', networks: {own: {aliases: [nick], ipv4_address: 10.88.7.9}}",
     "cat /sys/class/net/eth0/address; nslookup nick | grep -c 10.88.7.9", "02:42:ac:11:00:99\n1"),
    ("links", "links: ['tty:other']", "nslookup other | tail -n +3 | grep -c Address", "1"),
    ("pid-of-another", "pid: 'service:init'", "cat /proc/1/comm", "stackup-init"),
    ("init", "init: true", "cat /proc/1/comm", "stackup-init"),
    ("pid-host", "pid: host", "test -e /proc/2/stat && echo many", "many"),
    ("ipc", "ipc: shareable", "echo hello > /dev/shm/x && echo done", "done"),
    ("ipc-of-another", "ipc: 'service:ipc', depends_on: [ipc]",
     "until cat /dev/shm/x 2>/dev/null; do usleep 10000; done", "hello"),
    ("devices", "devices: ['/dev/zero:/dev/nought:r']", "head -c 3 /dev/nought | wc -c", "3"),
    ("grants", "secrets: [s, {source: s, target: t, mode: 0400, uid: '5'}], configs: [{source: c, target: /etc/c}]",
     "stat -c '%a %u' /run/secrets/s /run/secrets/t; cat /run/secrets/s /etc/c", "444 0\n400 5\nsecret\nsetting"),
    ("volumes", "volumes: ['data:/v', './bound:/b:ro', '/anonymous', {type: tmpfs, target: /t}]",
     "touch /v/kept; ls /b; touch /b/x 2>&1; touch /anonymous/x /t/x && echo made", "file\n.*Read-only.*\nmade"),
    ("volumes-from", "volumes_from: ['volumes:ro'], depends_on: [volumes]",
     "until ls /v | grep kept; do usleep 10000; done; touch /v/x 2>&1", "kept\n.*Read-only.*"),
    ("environment", "env_file: one.env, environment: [X=1, ONE]", "echo $$X $$ONE $$TWO", "1 caller 2"),
    ("security", "security_opt: ['seccomp=unconfined', 'no-new-privileges:true']",
     "grep -e ^Seccomp: -e ^NoNew /proc/self/status", "NoNewPrivs:\\s1\nSeccomp:\\s0"),
    ("filtered", "", "grep ^Seccomp: /proc/self/status", "Seccomp:\\s2"),
    ("hooks", "post_start: [{command: [sh, -c, 'echo after > /proc/1/fd/1']}]", "echo before", "before\nafter"),
    ("rotated", "logging: {driver: json-file, options: {max-size: 10k, max-file: '2'}}", "echo a; echo b", "a\nb"),
    ("host-namespaces", "uts: host, userns_mode: host, cgroup: host, ipc: host, environment: [THE_HOST]",
     "test $$(hostname) = $$THE_HOST && echo same", "same"),
]  # fmt: skip


def stack() -> str:
    """Secrets, volumes and networks of all of them, too."""
    lines = ["services:"]
    for name, attributes, script, _ in SERVICES:
        command = json.dumps(["sh", "-c", f"{script}; exec sleep 1000"])
        lines.append(f"  {name}: {{image: busybox, stop_signal: SIGKILL, command: {command}, {attributes}}}")
    return (
        "\n".join(lines)
        + """
volumes: {data: {}}
networks: {own: {ipam: {config: [{subnet: 10.88.7.0/24}]}}}
secrets: {s: {file: ./secret}}
configs: {c: {content: "setting\\n"}}
"""
    )


def test_what_attributes_come_to(scenario: Scenario) -> None:
    scenario.compose(stack())
    scenario.file("secret", "secret\n")
    scenario.file("bound/file", "")
    scenario.file("one.env", "ONE=1\nTWO=2\n")
    scenario.stackup.environment |= {"ONE": "caller", "THE_HOST": os.uname().nodename}
    scenario.stackup("up", "-d").ok()
    left = {name: re.compile(pattern) for name, _, _, pattern in SERVICES}

    def all_said() -> bool:
        said: dict[str, list[str]] = {name: [] for name in left}
        for line in scenario.stackup("logs", "--no-color").ok().out.splitlines():
            name, _, text = line.partition("|")
            said.setdefault(name.strip().removesuffix("-1"), []).append(text.removeprefix(" "))
        for name in list(left):
            if left[name].fullmatch("\n".join(said[name])):
                del left[name]
        assert not left, {name: said[name] for name in left}
        return True

    eventually(all_said, "every service has printed what it should")
    assert {row["State"] for row in scenario.ps()} == {"running"}
