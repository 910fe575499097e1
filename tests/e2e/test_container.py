"""The concepts that people know from Docker hold inside a container and around it."""

from __future__ import annotations

import os
import platform
import re
import stat
import subprocess

import pytest

from tests.support import residue
from tests.support.scenario import Scenario
from tests.support.waiting import eventually

pytestmark = pytest.mark.root


def up(scenario: Scenario, service: str = "", image: str = "busybox") -> Scenario:
    """One service ``web`` that waits, with further lines of its own."""
    lines = "".join(f"    {line.strip()}\n" for line in service.strip().splitlines())
    head = f"services:\n  web:\n    image: {image}\n    command: sleep 1000\n    stop_signal: SIGKILL\n"
    scenario.compose(head + lines)
    scenario.stackup("up", "-d").ok()
    return scenario


def test_another_distributions_root_runs_on_this_kernel(scenario: Scenario) -> None:
    up(scenario)
    assert "Toybox 1.0" in scenario.run_in("web", "cat /etc/os-release")
    assert scenario.run_in("web", "uname -r") == platform.release()


def test_inside_it_is_pid_1_and_sees_only_its_own_tree(scenario: Scenario) -> None:
    up(scenario)
    assert scenario.run_in("web", "cat /proc/1/cmdline | tr '\\0' ' '") == "sleep 1000"
    seen = scenario.run_in("web", "ls -d /proc/[0-9]* | wc -l")
    assert int(seen) < 8


def test_on_the_host_it_is_a_subtree_of_the_launcher(scenario: Scenario) -> None:
    up(scenario)
    status = residue.read(f"/proc/{scenario.pid('web')}/status")
    parent = re.search(r"^PPid:\t(\d+)", status, re.MULTILINE)
    assert parent and int(parent.group(1)) == scenario.daemon("launcher")


def test_it_has_namespaces_of_its_own(scenario: Scenario) -> None:
    up(scenario)
    pid = scenario.pid("web")
    for kind in ("net", "mnt", "pid", "uts", "ipc", "cgroup"):
        assert os.stat(f"/proc/{pid}/ns/{kind}").st_ino != os.stat(f"/proc/self/ns/{kind}").st_ino, kind
    assert scenario.run_in("web", "ls /sys/class/net | sort | tr '\\n' ' '").split() == ["eth0", "lo"]


def test_what_lies_on_disk_is_roots_alone(scenario: Scenario) -> None:
    """Set-uid programs of containers and secrets lie there: the state root of an earlier release is closed, too."""
    (scenario.root / "lib").chmod(0o755)
    up(scenario)
    assert stat.S_IMODE((scenario.root / "lib").stat().st_mode) == 0o700
    found = next((scenario.root / "lib/projects").rglob("config.json"))
    looked = subprocess.run(
        ["setpriv", "--reuid", "65534", "--regid", "65534", "--clear-groups", "cat", found], capture_output=True
    )
    assert looked.returncode != 0 and b"Permission denied" in looked.stderr


def test_host_files_and_devices_appear_only_on_request(scenario: Scenario) -> None:
    scenario.file("given/file", "given")
    up(scenario, 'volumes: ["./given:/given:ro"]')
    assert scenario.run_in("web", "ls /").split() == sorted(
        ["bin", "dev", "etc", "given", "home", "proc", "root", "sys", "tmp", "usr", "var", "www"]
    )
    assert scenario.run_in("web", "cat /given/file") == "given"
    assert scenario.exec("web", "touch", "/given/other").code != 0
    devices = scenario.run_in("web", "ls /dev").split()
    assert {"null", "zero", "urandom", "pts", "shm"} <= set(devices)
    assert not [name for name in devices if re.match(r"vd|sd|nvme|mem|kmsg", name)]


def test_it_is_confined(scenario: Scenario) -> None:
    up(scenario)
    status = scenario.run_in("web", "cat /proc/self/status")
    assert re.search(r"^CapBnd:\s+00000000a80425fb$", status, re.MULTILINE), status
    assert re.search(r"^Seccomp:\s+2$", status, re.MULTILINE)
    assert scenario.exec("web", "mount", "-t", "tmpfs", "x", "/tmp").code != 0
    assert scenario.exec("web", "sh", "-c", "echo 1 > /proc/sys/kernel/core_uses_pid").code != 0
    assert scenario.run_in("web", "cat /proc/kcore 2>/dev/null | head -c 1 | wc -c") == "0"


def test_writes_are_copied_up_deletions_are_whiteouts_layers_are_shared(scenario: Scenario) -> None:
    scenario.compose("""
        services:
          a: {image: busybox, command: sleep 1000, stop_signal: SIGKILL}
          b: {image: busybox, command: sleep 1000, stop_signal: SIGKILL}
        """)
    scenario.stackup("up", "-d").ok()
    scenario.run_in("a", "echo changed > /etc/os-release; rm /etc/group")
    assert "Toybox" in scenario.run_in("b", "cat /etc/os-release; ls /etc/group")
    assert scenario.run_in("a", "cat /etc/os-release; ls /etc/group 2>/dev/null || echo none") == "changed\nnone"
    overlays = [
        re.search(r"lowerdir\+?=([^,]+)", residue.read(f"/proc/{scenario.pid(name)}/mountinfo")) for name in ("a", "b")
    ]
    assert overlays[0] and overlays[1] and overlays[0].group(1) == overlays[1].group(1)


def test_network_mode_host_shares_the_hosts_network(scenario: Scenario) -> None:
    up(scenario, "network_mode: host")
    assert os.stat(f"/proc/{scenario.pid('web')}/ns/net").st_ino == os.stat("/proc/self/ns/net").st_ino
    assert scenario.run_in("web", "hostname") == platform.node()


def test_network_mode_none_has_only_loopback(scenario: Scenario) -> None:
    up(scenario, "network_mode: none")
    assert scenario.run_in("web", "ls /sys/class/net") == "lo"


def test_a_memory_limit_kills(scenario: Scenario) -> None:
    up(scenario, "mem_limit: 32m\nmemswap_limit: 32m")
    done = scenario.exec("web", "sh", "-c", "dd if=/dev/zero of=/dev/null bs=128M count=1")
    assert done.code == 137, str(done)
    assert scenario.state("web") == "running"


def test_a_pids_limit_holds(scenario: Scenario) -> None:
    up(scenario, "pids_limit: 12")
    done = scenario.exec("web", "sh", "-c", "for i in $(seq 30); do sleep 5 & done; wait")
    assert done.code != 0 and re.search("fork|unavailable", done.err), str(done)


def test_a_cpu_limit_holds(scenario: Scenario) -> None:
    up(scenario, "cpus: 0.25")
    used = scenario.run_in("web", "timeout 2 sh -c 'while :; do :; done'; times | tail -n 1")
    seconds = sum(float(part) for part in re.findall(r"0m([\d.]+)s", used))
    assert seconds < 1.0, used


def test_user_working_directory_environment_and_hostname(scenario: Scenario) -> None:
    up(scenario, "user: alice\nworking_dir: /www\nenvironment: {GREETING: hello there}\nhostname: counter")
    done = scenario.stackup(
        "exec", "-T", "web", "sh", "-c", "id -un; id -G; pwd; echo $GREETING; hostname; echo $HOME"
    ).ok()
    assert done.out.splitlines() == ["alice", "1000 50", "/www", "hello there", "counter", "/home/alice"]


def test_a_read_only_root_and_tmpfs(scenario: Scenario) -> None:
    up(scenario, "read_only: true\ntmpfs: /scratch")
    assert scenario.exec("web", "touch", "/etc/file").code != 0
    scenario.run_in("web", "touch /scratch/file")


def test_init_reaps_and_passes_signals_on(scenario: Scenario) -> None:
    scenario.compose("services: {web: {image: busybox, init: true, command: sleep 1000}}")
    scenario.stackup("up", "-d").ok()
    scenario.run_in("web", "for i in 1 2 3; do (sleep 0.01 & exec true) & done; wait; sleep 0.2")
    eventually(lambda: "Z" not in scenario.run_in("web", "cat /proc/[0-9]*/stat | awk '{print $3}'"), "no zombies")
    scenario.stackup("stop").ok()
    assert scenario.row("web")["ExitCode"] == 143


def test_a_new_volume_starts_with_the_images_content(scenario: Scenario) -> None:
    up(scenario, 'volumes: ["/home"]')
    assert scenario.run_in("web", "stat -c %U /home/alice") == "alice"
