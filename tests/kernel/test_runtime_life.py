"""Processes come, go, are signalled, entered, killed and adopted; nothing of what they said is lost."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
import termios
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from stackup.base.clock import boot_id
from stackup.base.errors import ContainerFault
from stackup.oci import runtime as oci
from stackup.runtime.client import LauncherLost, Orphan
from tests.kernel.runtime_lab import Lab, dead, process, spec
from tests.support.waiting import eventually, gone

pytestmark = pytest.mark.root
SLEEP = process("sleep", "1000")
# Linux 6.15: a pidfd tells the exit status of somebody else's child. Before, the status of an orphan may be unknown.
TELLS_STATUS = tuple(int(number) for number in re.findall(r"\d+", os.uname().release)[:2]) >= (6, 15)
ANSWERS_TERM = process("sh", "-c", "trap 'exit 42' TERM; echo ready; while :; do sleep 0.05; done")


@pytest.fixture
def lab(state_root: Path, busybox_root: Path) -> Iterator[Lab]:
    lab = Lab(state_root, busybox_root)
    yield lab
    lab.close()


def test_signals_reach_pid_1(lab: Lab) -> None:
    running = lab.start(spec(ANSWERS_TERM))
    eventually(lambda: "ready" in lab.output(running))
    lab.run(lab.client.signal(running.id, signal.SIGTERM))
    told = lab.ended(running.id)
    assert (told.status, told.signal) == (42, 0)
    lab.run(lab.client.signal(running.id, signal.SIGTERM))  # of no effect, and no error


def test_kill(lab: Lab) -> None:
    running = lab.start(spec(SLEEP))
    lab.run(lab.client.signal(running.id, signal.SIGKILL))
    told = lab.ended(running.id)
    assert (told.status, told.signal, told.oom) == (137, 9, False)


def test_the_child_is_what_was_told(lab: Lab) -> None:
    running = lab.start(spec(SLEEP))
    assert Path(f"/proc/{running.started.pid}/cmdline").read_bytes() == b"sleep\x001000\0"
    fields = Path(f"/proc/{running.started.pid}/stat").read_text().rpartition(")")[2].split()
    assert int(fields[19]) == running.started.start_time
    assert int(fields[1]) == lab.pid
    assert lab.cgroup in Path(f"/proc/{running.started.pid}/cgroup").read_text()


def test_the_same_container_does_not_run_twice(lab: Lab) -> None:
    running = lab.start(spec(SLEEP))
    with pytest.raises(ContainerFault, match="running already"):
        lab.run(lab.client.start(running.paths.state))
    lab.run(lab.client.signal(running.id, 9))
    lab.ended(running.id)
    assert lab.run(lab.client.start(running.paths.state)).pid != running.started.pid


def test_init_reaps_and_passes_signals_on(lab: Lab) -> None:
    script = "trap 'echo term; exit 5' TERM; (sleep 0.01 & ) ; echo ready; while :; do sleep 0.05; done"
    running = lab.start(spec(process("sh", "-c", script)), init=True)
    eventually(lambda: "ready" in lab.output(running))
    status, text = lab.exec(
        running, "sh", "-c", "cat /proc/1/comm /proc/1/cmdline; ls -l /proc/1/fd 2>&1; grep CapEff /proc/1/status"
    )
    assert status == 0
    assert "stackup-init" in text
    assert text.rstrip().endswith("0000000000000020")
    status, text = lab.exec(running, "sh", "-c", "sleep 0.02; ps -o stat,comm | grep -c '^Z' ")
    assert text.strip() == "0"
    lab.run(lab.client.signal(running.id, signal.SIGTERM))
    assert lab.ended(running.id).status == 5


def test_exec(lab: Lab) -> None:
    running = lab.start(spec(SLEEP))
    script = (
        "echo $X; id -u; pwd; hostname; ls /proc | grep -c '^[0-9]'; grep -E 'CapEff|NoNew' /proc/self/status; exit 6"
    )
    status, text = lab.exec(
        running,
        "sh",
        "-c",
        script,
        env=("PATH=/bin", "X=y"),
        user=oci.User(1000, 1000),
        cwd="/tmp",
        no_new_privileges=True,
    )
    assert status == 6
    lines = text.split()
    assert lines[:4] == ["y", "1000", "/tmp", "inside"]
    assert lines[5:] == ["CapEff:", "0000000000000000", "NoNewPrivs:", "1"]


def test_exec_is_limited_like_its_container(lab: Lab) -> None:
    running = lab.start(spec(SLEEP))
    _, text = lab.exec(running, "cat", "/proc/self/cgroup")
    assert all(line.endswith(":/") for line in text.splitlines() if any(c in line for c in ("memory", "pids", "0::")))


def test_exec_failures_are_named(lab: Lab) -> None:
    running = lab.start(spec(SLEEP))
    with pytest.raises(ContainerFault, match="cannot run 'nosuch': command not found"):
        lab.exec(running, "nosuch")
    with pytest.raises(ContainerFault, match="cannot enter the working directory '/none': there is no such directory"):
        lab.exec(running, "true", cwd="/none")
    with pytest.raises(ContainerFault, match="it is not running"):
        lab.run(lab.client.exec("0" * 64, process("true")))
    assert lab.exec(running, "true") == (0, "")


def test_a_quiet_exec_tells_its_end_or_why_it_could_not_begin(lab: Lab) -> None:
    running = lab.start(spec(SLEEP))
    ends: list[object] = []
    with open("/dev/null", "r+b") as null:
        for command in (("sh", "-c", "exit 7"), ("nosuch",)):
            prepared = lab.client.prepare_exec(running.id, process(*command), "")
            lab.client.exec_quietly(prepared, (null.fileno(),) * 3, ends.append)
            lab.wait(lambda: bool(ends))
            end = ends.pop()
            assert getattr(end, "status", None) == 7 or "command not found" in str(end)
    assert lab.exec(running, "true") == (0, "")


def test_many_execs(lab: Lab) -> None:
    running = lab.start(spec(SLEEP))
    for number in range(30):
        assert lab.exec(running, "sh", "-c", f"exit {number}") == (number, "")


def test_exec_with_a_terminal(lab: Lab) -> None:
    running = lab.start(spec(SLEEP))
    command = process("sh", "-c", "tty; stty size; read x; echo got $x", console_size=oci.ConsoleSize(33, 99))
    told = lab.run(lab.client.exec(running.id, command, tty=True))
    assert told.console is not None
    os.write(told.console, b"hello\n")
    assert lab.ended(told.exec_id).status == 0
    text = read_terminal(told.console)
    assert "/dev/pts/" in text
    assert "33 99" in text
    assert "got hello" in text


def read_terminal(fd: int) -> str:
    """All output of a terminal whose other end is closed, which reads as EIO."""
    data = b""
    try:
        while piece := os.read(fd, 4096):
            data += piece
    except OSError:
        pass
    os.close(fd)
    return data.decode()


def test_a_container_with_a_terminal(lab: Lab) -> None:
    script = "tty; ls -l /dev/console | cut -c1; echo to console > /dev/console; read x; exit 3"
    running = lab.start(spec(process("sh", "-c", script, terminal=True)), tty=True)
    console = running.started.console
    assert console is not None
    assert termios.tcgetwinsize(console) == (0, 0)
    os.write(console, b"\n")
    assert lab.ended(running.id).status == 3
    text = read_terminal(console)
    assert "/dev/pts/0" in text
    assert "\nc" in text
    assert "to console" in text


def test_ctrl_c_in_a_terminal(lab: Lab) -> None:
    script = "trap 'exit 9' INT; echo ready; while :; do sleep 0.05; done"
    running = lab.start(spec(process("sh", "-c", script, terminal=True)), tty=True)
    console = running.started.console
    assert console is not None
    assert b"ready" in os.read(console, 100)
    os.write(console, b"\x03")
    assert lab.ended(running.id).status == 9
    os.close(console)


def test_standard_input_stays_open_on_request(lab: Lab) -> None:
    running = lab.start(spec(process("sh", "-c", "read x; echo got $x")), stdin_open=True)
    assert running.started.stdin is not None
    os.write(running.started.stdin, b"it\n")
    assert lab.ended(running.id).status == 0
    assert lab.output(running) == "got it\n"
    os.close(running.started.stdin)
    assert lab.shell("read x || echo closed") == "closed\n"


def test_descriptors_of_the_caller(lab: Lab) -> None:
    paths, _ = lab.bundle(spec(process("sh", "-c", "cat; echo e >&2")))
    reading, writing = os.pipe()
    source, sink = os.pipe()
    os.write(sink, b"input")
    os.close(sink)
    started = lab.run(lab.client.start(paths.state, stdio=(source, writing, writing)))
    os.close(writing)
    os.close(source)
    assert lab.ended(started.container_id).status == 0
    with open(reading, "rb") as file:
        assert file.read() == b"inpute\n"


def test_last_words_wait_for_a_reader(lab: Lab) -> None:
    running = lab.start(spec(process("sh", "-c", "echo last words; exit 3")))
    assert lab.ended(running.id).status == 3
    assert lab.output(running) == "last words\n"
    lab.run(lab.client.drained(running.id))
    assert lab.output(running) == ""
    assert lab.run(lab.client.list()) == ()


def test_a_user_may_reopen_its_output(lab: Lab) -> None:
    text = lab.shell("echo one > /dev/stdout; echo two > /proc/self/fd/1", user=oci.User(1000, 1000))
    assert text == "one\ntwo\n"


READER = """
import os, sys
source = os.open(sys.argv[1], os.O_RDONLY)
sink = os.open(sys.argv[2], os.O_WRONLY | os.O_CREAT)
os.lseek(sink, 0, os.SEEK_END)
while os.splice(source, sink, 1 << 16):
    pass
"""


def test_no_line_is_lost_when_readers_are_killed(lab: Lab, state_root: Path) -> None:
    count = 40_000
    script = (
        f"i=0; while [ $i -lt {count} ]; do echo line $i 0123456789012345678901234567890; i=$((i+1)); done; echo END"
    )
    running = lab.start(spec(process("sh", "-c", script)))
    out = state_root / "out"
    kills = 0
    while not (out.exists() and out.read_bytes().endswith(b"END\n")):
        reader = subprocess.Popen([sys.executable, "-ISE", "-c", READER, str(running.paths.fifo("stdout")), str(out)])
        try:
            reader.wait(0.08)
        except subprocess.TimeoutExpired:
            reader.kill()
            reader.wait()
            kills += 1
    assert lab.ended(running.id).status == 0
    lines = out.read_text().splitlines()
    assert [int(line.split()[1]) for line in lines[:-1]] == list(range(count))
    assert kills >= 1


def test_list_and_store(lab: Lab) -> None:
    first, second = lab.start(spec(SLEEP)), lab.start(spec(process("sh", "-c", "exit 4")))
    lab.ended(second.id)
    found = {item.container_id: item for item in lab.run(lab.client.list())}
    assert found[first.id].pid == first.started.pid
    assert found[first.id].pidfd >= 0
    assert found[first.id].exit is None
    told = found[second.id].exit
    assert told is not None
    assert told.status == 4
    reading, writing = os.pipe()
    lab.run(lab.client.store("listener", writing))
    os.close(writing)
    kept = lab.run(lab.client.fetch())
    os.write(kept["listener"], b"x")
    assert os.read(reading, 1) == b"x"
    lab.run(lab.client.unstore("listener"))
    assert lab.run(lab.client.fetch()) == {}


def test_a_private_launcher_takes_everything_with_it(lab: Lab) -> None:
    running = lab.start(spec(SLEEP))
    lab.client.close()
    gone(lab.pid)
    assert dead(running.started.pid)


def orphan_of(lab: Lab, running: object) -> Orphan:
    started = running.started  # type: ignore[attr-defined]
    return Orphan(running.paths.state, started.pid, started.start_time, boot_id())  # type: ignore[attr-defined]


@pytest.mark.parametrize("without", ["", "pidfd_info"])
def test_adoption(state_root: Path, busybox_root: Path, without: str) -> None:
    lab = Lab(state_root, busybox_root, {"STACKUP_WITHOUT": without} if without else None)
    script = "trap 'echo bye; exit 42' TERM; echo ready; while :; do sleep 0.05; done"
    running = lab.start(spec(process("sh", "-c", script)), dns=True)
    eventually(lambda: "ready" in lab.output(running))
    orphan = orphan_of(lab, running)
    for fd in (running.started.dns_udp, running.started.dns_tcp):
        assert fd is not None
        os.close(fd)
    lab.kill_launcher()
    with pytest.raises(LauncherLost):
        lab.run(lab.client.list())
    assert not dead(running.started.pid)

    lab.restart()
    adopted = lab.run(lab.client.adopt(orphan))
    assert adopted is not None
    assert adopted.pid == running.started.pid
    assert adopted.dns_udp is not None
    assert adopted.dns_tcp is not None
    assert lab.exec(running, "hostname") == (0, "inside\n")
    assert lab.run(lab.client.adopt(orphan)) is not None, "adopting twice is adopting once"
    lab.run(lab.client.signal(running.id, signal.SIGTERM))
    told = lab.ended(running.id)
    assert told.status in ((42,) if TELLS_STATUS and not without else (42, None))
    assert lab.output(running) == "bye\n"
    assert '"status": ' in running.paths.exit_file.read_text()
    lab.run(lab.client.drained(running.id))
    lab.close()


def test_adoption_by_the_cgroup_alone(lab: Lab) -> None:
    """As when the launcher died between the start and the news of it."""
    running = lab.start(spec(SLEEP))
    lab.kill_launcher()
    lab.restart()
    adopted = lab.run(lab.client.adopt(Orphan(running.paths.state)))
    assert adopted is not None
    assert adopted.pid == running.started.pid


def test_a_writing_container_outlives_everybody_who_reads(lab: Lab) -> None:
    """Without launcher and reader it fills the pipe and waits; adopted, it goes on, and nothing is missing."""
    script = "i=0; while :; do echo $i; i=$((i+1)); done"
    running = lab.start(spec(process("sh", "-c", script)))
    orphan = orphan_of(lab, running)
    lab.kill_launcher()
    stat = Path(f"/proc/{running.started.pid}/stat")
    eventually(lambda: stat.read_text().rpartition(")")[2].split()[0] == "S", "it waits for room in the pipe")
    lab.restart()
    assert lab.run(lab.client.adopt(orphan)) is not None
    fd = os.open(running.paths.fifo("stdout"), os.O_RDONLY)
    data = b""
    while len(data) < 3 << 20:
        data += os.read(fd, 1 << 16)
    os.close(fd)
    assert [int(line) for line in data.split(b"\n")[:-1]] == list(range(data.count(b"\n")))


def test_only_the_recorded_process_is_adopted(lab: Lab) -> None:
    running = lab.start(spec(SLEEP))
    orphan = orphan_of(lab, running)
    lab.kill_launcher()
    lab.restart()
    assert lab.run(lab.client.adopt(replace(orphan, start_time=orphan.start_time + 1))) is None
    assert lab.run(lab.client.adopt(replace(orphan, boot_id="another"))) is None
    assert lab.run(lab.client.adopt(replace(orphan, pid=os.getpid(), start_time=0))) is None
    assert lab.run(lab.client.adopt(orphan)) is not None


def test_half_made_containers_go_with_the_launcher(lab: Lab) -> None:
    """Killed in the middle of set-ups: what had not become its command is not there afterwards."""
    import asyncio

    bundles = [lab.bundle(spec(SLEEP)) for _ in range(12)]

    async def start_some() -> None:
        tasks = [asyncio.ensure_future(lab.client.start(paths.state)) for paths, _ in bundles]
        await asyncio.sleep(0.03)
        os.kill(lab.pid, 9)
        await asyncio.gather(*tasks, return_exceptions=True)

    lab.run(start_some())
    os.waitpid(lab.pid, 0)

    def all_became_it() -> bool:
        from stackup.runtime.cgroups import processes

        return all(Path(f"/proc/{pid}/cmdline").read_bytes() == b"sleep\x001000\0" for pid in processes(lab.cgroup))

    eventually(all_became_it)
    lab.restart()
