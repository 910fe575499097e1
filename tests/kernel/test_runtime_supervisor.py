"""The launcher keeps its supervisor alive, holds what must outlive it, and leaves nothing when told to quit."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest

from stackup.base.names import new_container_id, project_cgroup
from stackup.base.paths import Layout, ProjectPaths
from stackup.linux.cgroups import Hierarchies
from stackup.linux.overlay import Overlay
from stackup.runtime.boot import spawn_launcher
from stackup.runtime.bundle import Launch, write_bundle
from stackup.runtime.cgroups import processes, remove_cgroups
from tests.kernel.runtime_lab import process, spec
from tests.support.waiting import eventually, gone

pytestmark = pytest.mark.root

# Obeys commands of the control socket: "start BUNDLE", "list", "quit", "pid"; one JSON answer each.
SUPERVISOR = """
import asyncio, json, os, socket, sys
from pathlib import Path
from stackup.runtime.client import LauncherClient

async def main():
    launcher = LauncherClient(
        socket.socket(fileno=int(os.environ["STACKUP_LAUNCHER_FD"])), on_exit=print, on_lost=sys.exit
    )
    control = socket.socket(fileno=int(os.environ["STACKUP_CONTROL_FD"]))
    control.setblocking(False)
    loop = asyncio.get_running_loop()
    while True:
        connection, _ = await loop.sock_accept(control)
        word, _, argument = (await loop.sock_recv(connection, 4096)).decode().partition(" ")
        answer = {"pid": os.getpid(), "fds": sorted(os.listdir("/proc/self/fd"))[:5], "sid": os.getsid(0)}
        if word == "start":
            answer["container"] = (await launcher.start(Path(argument))).pid
        if word == "list":
            answer["list"] = [[r.container_id, r.pid, r.exit and r.exit.status] for r in await launcher.list()]
        if word == "quit":
            await launcher.quit()
        await loop.sock_sendall(connection, json.dumps(answer).encode())
        connection.close()
        if word == "quit":
            return

asyncio.run(main())
"""


started: list[int] = []


@pytest.fixture
def paths(state_root: Path) -> Iterator[ProjectPaths]:
    layout = Layout.at(state_root)
    cgroup = project_cgroup("lab", layout.root)
    started.clear()
    yield layout.project("lab")
    for pid in started:  # before what they would start again
        with suppress(ProcessLookupError, ChildProcessError):
            os.kill(pid, signal.SIGKILL)
            os.waitpid(pid, 0)

    def all_gone() -> bool:
        for pid in processes(cgroup):
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        return not remove_cgroups(cgroup)

    eventually(all_gone)


def boot(paths: ProjectPaths, root: Path, script: str = SUPERVISOR) -> int:
    program = root / "supervisor.py"
    program.write_text(script)
    environment = {**os.environ, "PYTHONPATH": str(Path.cwd()), "MARK": "kept"}
    pid = spawn_launcher(paths, "lab", str(root), [sys.executable, str(program)], environment=environment)
    started.extend([pid] if pid else [])
    return pid


def ask(paths: ProjectPaths, request: str = "pid") -> Any:
    with socket.socket(socket.AF_UNIX) as sock:
        sock.settimeout(10)
        dirfd = os.open(paths.run, os.O_PATH)
        try:
            sock.connect(f"/proc/self/fd/{dirfd}/{paths.control_socket.name}")
        finally:
            os.close(dirfd)
        sock.sendall(request.encode())
        return json.loads(sock.recv(65536))


def test_it_can_be_asked_at_once(paths: ProjectPaths, state_root: Path) -> None:
    """The socket is there before launcher and supervisor are: the request waits for them."""
    pid = boot(paths, state_root)
    assert (paths.control_socket.stat().st_mode & 0o777) == 0o600
    told = ask(paths)
    assert told["sid"] == told["pid"] != pid
    assert Path(f"/proc/{told['pid']}/stat").read_text().rpartition(")")[2].split()[1] == str(pid)
    assert subprocess.run(["ps", "-o", "args=", str(pid)], capture_output=True).stdout == b"stackup launcher lab\n"
    assert "/_stackup" in Path(f"/proc/{pid}/cgroup").read_text()
    assert "/_stackup" in Path(f"/proc/{told['pid']}/cgroup").read_text()
    assert b"MARK=kept" in Path(f"/proc/{told['pid']}/environ").read_bytes()


def test_descriptors_of_the_caller_are_not_kept(paths: ProjectPaths, state_root: Path) -> None:
    """A launcher that held the write end of somebody's pipe would keep that somebody waiting for its end for ever."""
    reading, writing = os.pipe()
    os.set_inheritable(writing, True)
    os.dup2(writing, 77)
    boot(paths, state_root)
    ask(paths)
    os.close(writing)
    os.close(77)
    assert os.read(reading, 1) == b"", "nobody has the other end"


def test_a_second_launcher_gives_way(paths: ProjectPaths, state_root: Path) -> None:
    boot(paths, state_root)
    first = ask(paths)["pid"]
    assert boot(paths, state_root) == 0
    assert ask(paths)["pid"] == first


def test_a_killed_supervisor_is_back(paths: ProjectPaths, state_root: Path) -> None:
    boot(paths, state_root)
    seen = set()
    for _ in range(4):
        pid = ask(paths)["pid"]
        assert pid not in seen
        seen.add(pid)
        os.kill(pid, signal.SIGKILL)
        assert ask(paths)["pid"] != pid


def test_one_that_cannot_start_is_tried_again(paths: ProjectPaths, state_root: Path) -> None:
    first = f"""
import os, sys
try:
    os.mkdir({str(state_root / "been")!r})
except FileExistsError:
    pass
else:
    sys.exit("no")
"""
    boot(paths, state_root, first + SUPERVISOR)
    assert ask(paths)["pid"]
    assert paths.launcher_log.read_text().count("ended with 1") == 1
    assert "no" in paths.supervisor_log.read_text()


def container(paths: ProjectPaths, rootfs: Path, command: str) -> Path:
    identity = new_container_id()
    own = paths.container(identity)
    for directory in (own.run, own.state / "upper", own.state / "work"):
        directory.mkdir(parents=True)
    overlay = Overlay("/", (str(rootfs),), str(own.state / "upper"), str(own.state / "work"))
    cgroup = f"{project_cgroup('lab', str(paths.run.parents[2]))}/{identity[:12]}"
    launch = Launch(identity, 1, cgroup, str(own.exit_file), (overlay,), stdout=str(own.fifo("stdout")))
    write_bundle(own.state, spec(process("sh", "-c", command)), launch)
    return own.state


def test_containers_outlive_supervisors(paths: ProjectPaths, state_root: Path, busybox_root: Path) -> None:
    boot(paths, state_root)
    lives = ask(paths, f"start {container(paths, busybox_root, 'exec sleep 1000')}")
    ends = ask(paths, f"start {container(paths, busybox_root, 'sleep 0.3; exit 7')}")["container"]
    os.kill(lives["pid"], signal.SIGKILL)
    gone(ends)
    listed = {pid: status for _, pid, status in ask(paths, "list")["list"]}
    assert listed == {lives["container"]: None, ends: 7}


def test_quit_leaves_nothing(paths: ProjectPaths, state_root: Path) -> None:
    pid = boot(paths, state_root)
    ask(paths, "quit")
    gone(pid)
    os.waitpid(pid, 0)
    assert not paths.run.exists()
    group = project_cgroup("lab", str(state_root))
    assert not any(Path(point, group).exists() for point in Hierarchies.of_this_host().mount_points())
    assert "Traceback" not in paths.launcher_log.read_text()


def test_start_and_quit_again_and_again(paths: ProjectPaths, state_root: Path) -> None:
    """The end of one launcher and the start of the next do not get in each other's way."""
    for _ in range(8):
        while not (pid := boot(paths, state_root)):
            time.sleep(0.005)
        ask(paths, "quit")
    gone(pid)


def test_sigterm_hands_over(paths: ProjectPaths, state_root: Path, busybox_root: Path) -> None:
    """Containers live on, the supervisor has been told, the lock is free for the next launcher."""
    pid = boot(paths, state_root)
    told = ask(paths, f"start {container(paths, busybox_root, 'exec sleep 1000')}")
    os.kill(pid, signal.SIGTERM)
    gone(pid)
    os.waitpid(pid, 0)
    gone(told["pid"])
    os.kill(told["container"], 0)
    assert boot(paths, state_root) > 0


def test_a_control_socket_survives_the_launcher(paths: ProjectPaths, state_root: Path) -> None:
    """The old supervisor hands its listening socket on, so that no request is refused meanwhile."""
    pid = boot(paths, state_root)
    supervisor = ask(paths)["pid"]
    pidfd = os.pidfd_open(supervisor)
    listener = _take_descriptor(pidfd, 4)
    os.kill(pid, signal.SIGKILL)
    os.waitpid(pid, 0)
    gone(supervisor)
    argv = [sys.executable, str(state_root / "supervisor.py")]
    environment = {**os.environ, "PYTHONPATH": str(Path.cwd())}
    started.append(spawn_launcher(paths, "lab", str(state_root), argv, control_fd=listener, environment=environment))
    os.close(listener)
    assert ask(paths)["pid"] != supervisor


def _take_descriptor(pidfd: int, number: int) -> int:
    import ctypes

    return int(ctypes.CDLL(None).syscall(438, pidfd, number, 0))


def test_a_supervisor_that_cannot_be_had_is_told_to_those_who_wait(paths: ProjectPaths, state_root: Path) -> None:
    """As in a broken installation: an answer instead of waiting without end, and nothing is left."""
    pid = boot(paths, state_root, "raise ImportError('no such thing')")
    with socket.socket(socket.AF_UNIX) as sock:
        sock.settimeout(50)
        sock.connect(f"/proc/self/fd/{os.open(paths.run, os.O_PATH)}/{paths.control_socket.name}")
        sock.sendall(b"pid")
        error, done = (json.loads(line) for line in sock.recv(65536).splitlines())
    assert error["error"]["message"].endswith("as soon as it starts (exit code 1): ImportError: no such thing")
    assert error["error"]["hint"] == f"see {paths.supervisor_log}"
    assert done == {"event": "done", "exit": 1}
    gone(pid)
    assert not paths.run.exists()
