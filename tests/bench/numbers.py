"""What stackup promises of itself while it runs: restarts, idling, memory, recovery, logs. ``./dev bench --numbers``.

Every measure brings a project up, looks from outside (the kernel's clocks, /proc, the files), and takes it down again.
"""

from __future__ import annotations

import json
import os
import random
import signal
import socket
import statistics
import struct
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from itertools import pairwise
from pathlib import Path

from stackup.engine.logfiles import bases, log_path
from tests.bench.engines import IMAGE, BenchError, Stackup
from tests.bench.report import Bound

PROJECT = "numbers"
MIB = 1 << 20
SLEEPER = f"{{image: {IMAGE}, command: [sleep, '100000'], stop_signal: SIGKILL}}"


@dataclass
class Project:
    """A running project, seen from outside."""

    stackup: Stackup
    compose: str

    def call(self, *arguments: str) -> float:
        return self.stackup.call(self.compose, PROJECT, *arguments)

    def read(self, *arguments: str) -> str:
        directory = self.stackup.work / PROJECT
        done = subprocess.run(
            [*self.stackup.command, *arguments],
            cwd=directory, env=self.stackup.env, capture_output=True, text=True, check=True,
        )  # fmt: skip
        return done.stdout

    def supervisor(self) -> int:
        return _process(f"supervisor {PROJECT}")

    def launcher(self) -> int:
        return _process(f"stackup launcher {PROJECT}")

    def container_pid(self) -> int:
        """The first process of the only container."""
        own = self.supervisor()
        children = _read(f"/proc/{self.launcher()}/task/{self.launcher()}/children").split()
        (pid,) = [int(child) for child in children if int(child) != own]
        return pid

    def logged(self) -> int:
        """Bytes of output on disk, without the time index."""
        return sum(
            path.stat().st_size for path in (self.stackup.work / "root").glob("lib/projects/*/containers/*/**/*.log")
        )


def _read(path: str) -> str:
    return Path(path).read_text(errors="replace")


def _process(words: str) -> int:
    for entry in os.listdir("/proc"):
        try:
            if entry.isdigit() and _read(f"/proc/{entry}/cmdline").replace("\0", " ").strip().endswith(words):
                return int(entry)
        except OSError:  # it has ended meanwhile
            continue
    raise BenchError(f"no process {words!r}")


@contextmanager
def running(stackup: Stackup, *services: str) -> Iterator[Project]:
    project = Project(stackup, "services:\n" + "".join(f"  {line}\n" for line in services))
    try:
        project.call("up", "-d")
        yield project
    finally:
        project.call("down", "-v", "-t", "0")


def _until(what: str, ready: Callable[[], bool], patience: float = 60.0) -> None:
    end = time.monotonic() + patience
    while not ready():
        if time.monotonic() > end:
            raise BenchError(f"waited {patience:.0f} s for {what}")
        time.sleep(0.002)


def _cpu(pid: int) -> float:
    """Seconds on a processor, exactly."""
    return int(_read(f"/proc/{pid}/schedstat").split()[0]) / 1e9


def _reaped_cpu(pid: int) -> float:
    """Seconds of children that have ended, in the kernel's ticks."""
    fields = _read(f"/proc/{pid}/stat").rpartition(")")[2].split()
    return (int(fields[13]) + int(fields[14])) / os.sysconf("SC_CLK_TCK")


def _pss(*pids: int) -> float:
    """MiB, shared pages by share."""
    lines = [line for pid in pids for line in _read(f"/proc/{pid}/smaps_rollup").splitlines()]
    return sum(int(line.split()[1]) for line in lines if line.startswith("Pss:")) / 1024


def _resident(*pids: int) -> float:
    lines = [line for pid in pids for line in _read(f"/proc/{pid}/status").splitlines()]
    return sum(int(line.split()[1]) for line in lines if line.startswith("VmRSS:")) / 1024


def crash(stackup: Stackup, quick: bool) -> list[Bound]:
    """kill -9 of a container's process, restarted without a pause."""
    noticed, back = [], []
    eager = "restart: always, x-stackup: {backoff: {delay: 0s, maximum: 0s}}"
    with running(stackup, f"web: {{{SLEEPER[1:-1]}, {eager}}}") as project:
        for _ in range(10 if quick else 40):
            pid = project.container_pid()
            killed = time.time_ns()
            os.kill(pid, signal.SIGKILL)

            def restarted(before: int = pid) -> bool:
                try:
                    return project.container_pid() != before
                except (BenchError, ValueError, OSError):
                    return False

            _until("the restart", restarted)
            time.sleep(0.1)
            told = project.read("events", "--json", "--since", f"{killed / 1e9:.9f}", "--until", "0s")
            events = [json.loads(line) for line in told.splitlines()]
            times = {event["action"]: _ns(event["time"]) for event in events if event["type"] == "container"}
            noticed.append((times["die"] - killed) / 1e6)
            back.append((times["start"] - killed) / 1e6)
    return [
        Bound("crash of a container to its end in the events, ms (median)", statistics.median(noticed), 5),
        Bound("crash to running again, back-off 0, ms (median)", statistics.median(back), 25),
    ]


def _ns(time_of_event: str) -> float:
    """docker compose's time stamps, RFC 3339, as nanoseconds since the epoch."""
    return datetime.fromisoformat(time_of_event).timestamp() * 1e9


def idle(stackup: Stackup, quick: bool) -> list[Bound]:
    """50 services with a health check every 10 seconds."""
    check = "healthcheck: {test: [CMD, 'true'], interval: 10s}"
    with running(stackup, *(f"s{index}: {{{SLEEPER[1:-1]}, {check}}}" for index in range(50))) as project:
        time.sleep(5 if quick else 15)  # the early probes are over
        supervisor, launcher = project.supervisor(), project.launcher()
        before = _cpu(supervisor), _cpu(launcher), _reaped_cpu(launcher)
        began = time.monotonic()
        time.sleep(20 if quick else 60)
        lasted = time.monotonic() - began
        after = _cpu(supervisor), _cpu(launcher), _reaped_cpu(launcher)
    own, launching, probes = (100 * (end - start) / lasted for start, end in zip(before, after, strict=True))
    print(f"idle: launcher {launching:.2f} %, probes {probes:.2f} % of a core", file=sys.stderr)
    return [
        Bound("supervisor of 50 services with health checks every 10 s, % of a core", own, 0.2),
        Bound("its launcher, % of a core", launching, float("inf")),
        Bound("its probes, % of a core", probes, float("inf")),
    ]


def memory(stackup: Stackup, quick: bool) -> list[Bound]:
    def of(number: int) -> float:
        with running(stackup, *(f"s{index}: {SLEEPER}" for index in range(number))) as project:
            time.sleep(3)
            return _pss(project.supervisor(), project.launcher())

    more = 70 if quick else 100
    fifty, many = of(50), of(more)
    return [
        Bound("supervisor and launcher with 50 containers, MiB (PSS)", fifty, 90),
        Bound("each further container, MiB (PSS)", (many - fifty) / (more - 50), 0.5),
    ]


def recovery(stackup: Stackup, quick: bool) -> list[Bound]:
    """kill -9 of the supervisor; a client asks at once and waits for the answer of the successor."""
    took = []
    with running(stackup, *(f"s{index}: {SLEEPER}" for index in range(10))) as project:
        for _ in range(3 if quick else 10):
            os.kill(project.supervisor(), signal.SIGKILL)
            took.append(project.call("ps"))
            time.sleep(1)
    return [Bound("supervisor killed, to the first answer of its successor, s (median)", statistics.median(took), 1)]


# A writer that ends by itself, told how much by its arguments; lines of 100 bytes or of 64 KiB.
_SHORT = "yes {} | head -n {}".format("x" * 99, "{lines}")
_LONG = (
    "head -c 65535 /dev/zero | tr '\\0' x > /dev/shm/line; echo >> /dev/shm/line; "
    "for i in $(seq 256); do cat /dev/shm/line; done > /dev/shm/block; "
    "for i in $(seq {blocks}); do cat /dev/shm/block; done"
)


def logs(stackup: Stackup, quick: bool) -> list[Bound]:
    """One service writes as fast as it can; beside it another's names are resolved and its health is probed."""
    lines, blocks = (1_000_000, 64) if quick else (4_000_000, 256)
    bounds = []
    for name, command, size in (
        ("lines of 100 bytes", _SHORT.format(lines=lines), lines * 100),
        ("lines of 64 KiB", _LONG.format(blocks=blocks), blocks * 256 * 65536),
    ):
        speed, names, probes = _flood(stackup, command, size)
        wanted, unit, amount = (200_000, "lines/s", 100) if "100" in name else (200, "MB/s", 10**6)
        # A bound is an upper one: how often the promised rate would fit into the measured one.
        bounds += [
            Bound(f"{wanted:,} {unit} of {name} over the {speed / amount:,.0f} kept", wanted * amount / speed, 1),
            Bound(f"DNS answers meanwhile, ms (p99, {name})", names, 50),
            Bound(f"probes late meanwhile, ms (p99, {name})", probes, 50),
        ]
    return bounds


def _flood(stackup: Stackup, command: str, size: int) -> tuple[float, float, float]:
    """Bytes/s; p99 in ms of DNS answers and of probes being late."""
    check = "healthcheck: {test: [CMD-SHELL, 'cat /proc/uptime >> /probes'], interval: 200ms}"
    shell = f"command: [sh, -c, {json.dumps('sleep 2; ' + command)}]"
    writer = f"writer: {{image: {IMAGE}, init: true, shm_size: 64m, {shell}}}"
    with running(stackup, f"other: {{{SLEEPER[1:-1]}, {check}}}", writer) as project:
        (pid,) = [item for item in _container_pids(project) if "100000" in _read(f"/proc/{item}/cmdline")]
        stop, found = threading.Event(), list[float]()
        asking = threading.Thread(target=_resolve, args=(pid, stop, found))
        _until("the first line", lambda: project.logged() > 0)
        began = time.monotonic()
        asking.start()
        _until("the last line", lambda: project.logged() >= size, 120)
        speed = size / (time.monotonic() - began)
        stop.set()
        asking.join()
        time.sleep(0.5)
        if project.logged() != size:
            raise BenchError(f"{project.logged()} bytes of {size} were kept")
        stamps = [float(line.split()[0]) for line in _read(f"/proc/{pid}/root/probes").splitlines()]
    late = [1000 * (after - before - 0.2) for before, after in pairwise(stamps)]
    return speed, _p99(found), _p99(late)


def _container_pids(project: Project) -> list[int]:
    own, launcher = project.supervisor(), project.launcher()
    return [int(pid) for pid in _read(f"/proc/{launcher}/task/{launcher}/children").split() if int(pid) != own]


def _p99(values: list[float]) -> float:
    return sorted(values)[int(len(values) * 0.99)] if values else float("nan")


def _resolve(pid: int, stop: threading.Event, found: list[float]) -> None:
    """Asks the container's resolver 50 times a second. Only this thread enters its network namespace."""
    from stackup.linux.process import CLONE_NEWNET, setns

    fd = os.open(f"/proc/{pid}/ns/net", os.O_RDONLY)
    setns(fd, CLONE_NEWNET)
    os.close(fd)
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as asking:
        asking.settimeout(5)
        asking.connect(("127.0.0.11", 53))
        while not stop.wait(0.02):
            number = random.randrange(1 << 16)
            began = time.monotonic()
            asking.send(struct.pack(">6H", number, 0x0100, 1, 0, 0, 0) + b"\x05other\x00" + struct.pack(">2H", 1, 1))
            answer = asking.recv(512)
            if struct.unpack(">H", answer[:2])[0] != number or not struct.unpack(">H", answer[6:8])[0]:
                raise BenchError("a wrong answer of the resolver")
            found.append(1000 * (time.monotonic() - began))


def growth(stackup: Stackup, quick: bool) -> list[Bound]:
    """Resident memory before and after very many restarts and very much output."""
    restarts, volume = (500, 1 << 30) if quick else (10_000, 10 * 10**9)
    eager = "restart: always, x-stackup: {backoff: {delay: 0s, maximum: 0s}}"
    bounds = []
    with running(stackup, f"short: {{image: {IMAGE}, command: ['true'], {eager}}}") as project:
        bounds.append(_grown(f"{restarts} restarts", project, lambda: _restarts(project), restarts))
    writer = f"command: [sh, -c, {json.dumps('while :; do ' + _LONG.format(blocks=1000) + '; done')}]"
    kept = "logging: {driver: json-file, options: {max-size: 50m, max-file: '2'}}"
    ends = "shm_size: 64m, stop_signal: SIGKILL, init: true"
    with running(stackup, f"writer: {{image: {IMAGE}, {ends}, {writer}, {kept}}}") as project:
        bounds.append(_grown(f"{volume / 1e9:.0f} GB of output", project, lambda: _written(project), volume))
    return bounds


def _grown(what: str, project: Project, count: Callable[[], int], until: int) -> Bound:
    _until("a twentieth of it", lambda: count() > until / 20, 600)  # everything has been used once
    pids = project.supervisor(), project.launcher()
    before = _resident(*pids)
    _until(what, lambda: count() > until, 1800)
    return Bound(f"resident memory after {what}, MiB more", _resident(*pids) - before, 5)


def _restarts(project: Project) -> int:
    """The container's incarnation, by the file that its last start was made from."""
    for path in (project.stackup.work / "root").glob("lib/projects/*/containers/*/launch.json"):
        time.sleep(0.05)
        try:
            return int(json.loads(path.read_bytes())["incarnation"])
        except (OSError, ValueError):
            return 0
    return 0


def _written(project: Project) -> int:
    """Where the container's standard output ends."""
    time.sleep(0.05)
    for first in (project.stackup.work / "root").glob("lib/projects/*/containers/*/**/stdout*.log"):
        directory = str(first.parent)
        base = bases(directory, "stdout")[-1]
        try:
            return base + os.stat(log_path(directory, "stdout", base)).st_size
        except FileNotFoundError:  # rotated away meanwhile
            return 0
    return 0


MEASURES = {"crash": crash, "recovery": recovery, "memory": memory, "logs": logs, "idle": idle, "growth": growth}
