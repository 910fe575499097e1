"""Limits are not only written, they hold."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from stackup.base.errors import ContainerFault
from stackup.linux.cgroups import Hierarchies
from stackup.oci import runtime as oci
from stackup.runtime.cgroups import remove_cgroups, usage
from tests.kernel.runtime_lab import Lab, process, spec
from tests.support.waiting import eventually

pytestmark = pytest.mark.root
SLEEP = process("sleep", "1000")
GREEDY = "x=0123456789abcdef; while :; do x=$x$x; done"


@pytest.fixture
def lab(state_root: Path, busybox_root: Path) -> Iterator[Lab]:
    lab = Lab(state_root, busybox_root)
    yield lab
    lab.close()


def test_memory(lab: Lab) -> None:
    resources = oci.Resources(memory=oci.Memory(limit=16 << 20, swap=16 << 20))
    running = lab.start(spec(process("sh", "-c", GREEDY), resources=resources))
    told = lab.ended(running.id)
    assert (told.status, told.signal, told.oom) == (137, 9, True)
    assert '"oom": true' in running.paths.exit_file.read_text()


def test_memory_of_an_exec_counts(lab: Lab) -> None:
    resources = oci.Resources(memory=oci.Memory(limit=16 << 20, swap=16 << 20))
    running = lab.start(spec(SLEEP, resources=resources))
    assert lab.exec(running, "sh", "-c", GREEDY)[0] == 137


def test_a_kill_is_no_oom(lab: Lab) -> None:
    running = lab.start(spec(SLEEP, resources=oci.Resources(memory=oci.Memory(limit=16 << 20))))
    lab.run(lab.client.signal(running.id, 9))
    assert not lab.ended(running.id).oom


def test_pids(lab: Lab) -> None:
    script = "for i in 1 2 3 4 5 6 7 8; do sleep 5 & done 2>&1; ls -d /proc/[0-9]* | wc -l"
    status, text = lab.result(process("sh", "-c", script), resources=oci.Resources(pids=oci.Pids(4)))
    assert status != 0 or "fork" in text


def setting(lab: Lab, container_id: str, controller: str, v1: str, v2: str) -> str:
    found = Hierarchies.of_this_host()
    place, name = (found.v1[controller], v1) if found.v1 else (found.v2, v2)
    return Path(place, lab.cgroup, container_id[:12], name).read_text().strip()


def test_cpu(lab: Lab) -> None:
    resources = oci.Resources(cpu=oci.Cpu(quota=20_000, period=100_000, shares=512))
    running = lab.start(spec(process("sh", "-c", "while :; do :; done"), resources=resources))
    assert setting(lab, running.id, "cpu", "cpu.cfs_quota_us", "cpu.max").startswith("20000")

    def throttled() -> bool:
        numbers = dict(line.split() for line in setting(lab, running.id, "cpu", "cpu.stat", "cpu.stat").splitlines())
        return int(numbers["nr_throttled"]) > 0

    eventually(throttled)


def test_cpuset(lab: Lab) -> None:
    text = lab.shell("grep Cpus_allowed_list /proc/self/status", resources=oci.Resources(cpu=oci.Cpu(cpus="0")))
    assert text.split()[1] == "0"


def test_a_limit_that_cannot_be_set_is_named(lab: Lab) -> None:
    with pytest.raises(ContainerFault, match="limit the container to the processors 999"):
        lab.start(spec(SLEEP, resources=oci.Resources(cpu=oci.Cpu(cpus="999"))))


def test_usage_and_removal(lab: Lab) -> None:
    resources = oci.Resources(memory=oci.Memory(limit=64 << 20), pids=oci.Pids(10), cpu=oci.Cpu(shares=512))
    running = lab.start(spec(SLEEP, resources=resources))
    used = usage(running.launch.cgroup)
    assert used.memory_limit == 64 << 20
    assert used.pids == 1
    assert used.memory is not None
    assert used.memory > 0
    lab.run(lab.client.signal(running.id, 9))
    lab.ended(running.id)
    assert remove_cgroups(running.launch.cgroup) == ()
    assert not any(Path(point, running.launch.cgroup).exists() for point in Hierarchies.of_this_host().mount_points())


def test_a_start_that_fails_leaves_no_cgroup(lab: Lab) -> None:
    with pytest.raises(ContainerFault):
        lab.start(spec(process("nosuch")), "f" * 64)
    assert not any(Path(point, lab.cgroup, "f" * 12).exists() for point in Hierarchies.of_this_host().mount_points())


def test_containers_see_their_own_cgroups(lab: Lab) -> None:
    mount = oci.Mount("/sys/fs/cgroup", "cgroup", "cgroup", ("ro", "nosuid", "noexec", "nodev"))
    resources = oci.Resources(memory=oci.Memory(limit=32 << 20))
    script = """
        f=/sys/fs/cgroup/memory/memory.limit_in_bytes; test -e $f || f=/sys/fs/cgroup/memory.max; cat $f
        grep -q stackup /proc/self/cgroup && echo outside || echo inside
        mkdir /sys/fs/cgroup/memory/x /sys/fs/cgroup/x 2>/dev/null && echo writable || echo readonly
    """
    assert lab.shell(script, mounts=(mount,), resources=resources).split() == [str(32 << 20), "inside", "readonly"]


def test_a_container_in_the_hosts_pid_namespace_goes_as_a_whole(lab: Lab) -> None:
    namespaces = tuple(oci.Namespace(kind) for kind in ("mount", "ipc", "uts", "network", "cgroup"))
    script = "setsid sleep 7777 & echo $$; while :; do sleep 0.05; done"
    running = lab.start(spec(process("sh", "-c", script), namespaces=namespaces))
    eventually(lambda: str(running.started.pid) in lab.output(running))
    lab.run(lab.client.signal(running.id, 9))
    lab.ended(running.id)
    eventually(lambda: subprocess.run(["pgrep", "-fx", "sleep 7777"], capture_output=True).returncode == 1)


def test_device_rules_on_v2(state_root: Path, busybox_root: Path, tmp_path: Path) -> None:
    """The BPF program, on a host that shows its launcher nothing but cgroup v2."""
    if Hierarchies.of_this_host().unified:
        pytest.skip("every other test shows it")
    script = tmp_path / "case.py"
    script.write_text(V2_CASE)
    only_v2 = 'for m in /sys/fs/cgroup/*/; do umount "$m"; done; mount -t cgroup2 none /sys/fs/cgroup; exec "$@"'
    command = [sys.executable, str(script), str(state_root), str(busybox_root)]
    done = subprocess.run(
        ["unshare", "-m", "--propagation", "private", "sh", "-ec", only_v2, "sh", *command],
        env={**os.environ, "PYTHONPATH": str(Path.cwd())},
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert done.stdout.split() == [*FIRST, "mem:refused", "0::/", "again:", "mem:refused"]


FIRST = ["null:ok", "mknod:ok", "mem:refused", "zero:ok", "0::/"]
V2_CASE = """
import sys
from pathlib import Path
from tests.kernel.runtime_lab import Lab, process, spec

lab = Lab(Path(sys.argv[1]), Path(sys.argv[2]))
LOOK = "head -c 1 /dev/mem >/dev/null 2>&1 && echo mem:allowed || echo mem:refused; "
CGROUP = "grep 0:: /proc/self/cgroup; "
TRY = "echo > /dev/null && echo null:ok; mknod /dev/mem c 1 1 && echo mknod:ok; " + LOOK
TRY += "head -c 1 /dev/zero >/dev/null && echo zero:ok; " + CGROUP
running = lab.start(spec(process("sh", "-c", TRY + "exec sleep 100")))
text = ""
while "0::" not in text:
    text += lab.output(running)
print(text, lab.exec(running, "sh", "-c", LOOK + CGROUP)[1])
lab.run(lab.client.signal(running.id, 9))
lab.ended(running.id)
lab.run(lab.client.start(running.paths.state))
print("again:", lab.exec(running, "sh", "-c", LOOK)[1])
lab.close()
"""
