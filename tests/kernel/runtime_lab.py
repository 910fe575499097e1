"""A launcher of the tests' own, busybox bundles as short as they can be, and everything synchronous."""

from __future__ import annotations

import asyncio
import fcntl
import os
import socket
import struct
import sys
import termios
import time
from collections.abc import Coroutine
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, TypeVar

from stackup.base.names import new_container_id, project_cgroup
from stackup.base.paths import ContainerPaths, Layout
from stackup.linux.overlay import Overlay
from stackup.oci import runtime as oci
from stackup.runtime.boot import spawn_launcher
from stackup.runtime.bundle import Launch, write_bundle
from stackup.runtime.cgroups import processes, remove_cgroups
from stackup.runtime.client import Exit, LauncherClient, Started
from tests.support.waiting import PATIENCE, eventually, gone

T = TypeVar("T")
PROJECT = "lab"
CAPABILITIES = tuple(
    f"CAP_{name}"
    for name in (
        "AUDIT_WRITE",
        "CHOWN",
        "DAC_OVERRIDE",
        "FOWNER",
        "FSETID",
        "KILL",
        "MKNOD",
        "NET_BIND_SERVICE",
        "NET_RAW",
        "SETFCAP",
        "SETGID",
        "SETPCAP",
        "SETUID",
        "SYS_CHROOT",
    )
)
NAMESPACES = ("mount", "pid", "ipc", "uts", "network", "cgroup")
MOUNTS = (
    oci.Mount("/proc", "proc", "proc", ("nosuid", "noexec", "nodev")),
    oci.Mount("/dev", "tmpfs", "tmpfs", ("nosuid", "strictatime", "mode=755", "size=65536k")),
    oci.Mount(
        "/dev/pts", "devpts", "devpts", ("nosuid", "noexec", "newinstance", "ptmxmode=0666", "mode=0620", "gid=5")
    ),
    oci.Mount("/sys", "sysfs", "sysfs", ("nosuid", "noexec", "nodev", "ro")),
    oci.Mount("/dev/mqueue", "mqueue", "mqueue", ("nosuid", "noexec", "nodev")),
    oci.Mount("/dev/shm", "tmpfs", "shm", ("nosuid", "noexec", "nodev", "mode=1777", "size=65536k")),
)
MASKED = ("/proc/acpi", "/proc/kcore", "/proc/keys", "/proc/timer_list", "/proc/interrupts", "/sys/firmware")
READONLY = ("/proc/bus", "/proc/fs", "/proc/irq", "/proc/sys", "/proc/sysrq-trigger")
DEVICES = (oci.DeviceRule(allow=False, access="rwm"),)


def process(*args: str, **fields: Any) -> oci.Process:
    """A command as Docker would run it."""
    user = fields.get("user", oci.User())
    held = CAPABILITIES if user.uid == 0 else ()
    given: dict[str, Any] = {
        "env": ("PATH=/bin:/usr/bin",),
        "capabilities": oci.Capabilities(bounding=CAPABILITIES, effective=held, permitted=held),
        **fields,
    }
    return oci.Process(args=args, **given)


def spec(command: oci.Process, *, mounts: tuple[oci.Mount, ...] = (), **linux: Any) -> oci.Spec:
    resources = linux.pop("resources", oci.Resources())
    given: dict[str, Any] = {
        "namespaces": tuple(oci.Namespace(kind) for kind in NAMESPACES),
        "masked_paths": MASKED,
        "readonly_paths": READONLY,
        **linux,
    }
    return oci.Spec(
        process=command,
        hostname="inside",
        mounts=MOUNTS + mounts,
        linux=oci.Linux(resources=replace(resources, devices=resources.devices or DEVICES), **given),
    )


@dataclass
class Running:
    paths: ContainerPaths
    started: Started
    launch: Launch

    @property
    def id(self) -> str:
        return self.started.container_id


class Lab:
    """``supervisor`` None: a private launcher with this process as its client."""

    def __init__(self, root: Path, rootfs: Path, environment: dict[str, str] | None = None) -> None:
        self.layout = Layout.at(root)
        self.paths = self.layout.project(PROJECT)
        self.rootfs = rootfs
        self.environment = environment
        self.loop = asyncio.new_event_loop()
        self.exits: dict[str, Exit] = {}
        self.lost = False
        self.cgroup = project_cgroup(PROJECT, self.layout.root)
        self.pid = 0
        self._boot()

    def _boot(self) -> None:
        ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        environment = {**os.environ, **self.environment} if self.environment is not None else None
        self.pid = spawn_launcher(self.paths, PROJECT, self.layout.root, None, theirs, environment=environment)
        theirs.close()
        self.lost = False

        async def connect() -> LauncherClient:
            return LauncherClient(ours, on_exit=self._exited, on_lost=self._lost)

        self.client = self.run(connect())

    def _exited(self, told: Exit) -> None:
        self.exits[told.id] = told

    def _lost(self) -> None:
        self.lost = True

    def run(self, work: Coroutine[Any, Any, T], timeout: float = 20) -> T:
        return self.loop.run_until_complete(asyncio.wait_for(work, timeout * PATIENCE))

    def wait(self, what: Any, timeout: float = 20) -> None:
        async def look() -> None:
            while not what():
                await asyncio.sleep(0.005)

        self.run(look(), timeout)

    def bundle(self, wanted: oci.Spec, container_id: str = "", **launch: Any) -> tuple[ContainerPaths, Launch]:
        container_id = container_id or new_container_id()
        paths = self.paths.container(container_id)
        for directory in (paths.run, paths.state, paths.state / "upper", paths.state / "work"):
            directory.mkdir(parents=True, exist_ok=True)
        overlay = Overlay("/", (str(self.rootfs),), str(paths.state / "upper"), str(paths.state / "work"))
        given: dict[str, Any] = {
            "incarnation": 1,
            "cgroup": f"{self.cgroup}/{container_id[:12]}",
            "exit_file": str(paths.exit_file),
            "overlays": (overlay,),
            "stdout": str(paths.fifo("stdout")),
            "stderr": str(paths.fifo("stderr")),
            **launch,
        }
        described = Launch(container_id, **given)
        write_bundle(paths.state, wanted, described)
        return paths, described

    def start(self, wanted: oci.Spec, container_id: str = "", **launch: Any) -> Running:
        paths, described = self.bundle(wanted, container_id, **launch)
        return Running(paths, self.run(self.client.start(paths.state)), described)

    def ended(self, target: str, timeout: float = 20) -> Exit:
        self.wait(lambda: target in self.exits, timeout)
        return self.exits[target]

    def output(self, running: Running, stream: str = "stdout") -> str:
        """What is in the FIFO by now."""
        fd = os.open(running.paths.fifo(stream), os.O_RDWR | os.O_NONBLOCK)
        try:
            data = b""
            while waiting(fd):
                data += os.read(fd, 65536)
            return data.decode(errors="replace")
        finally:
            os.close(fd)

    def result(self, command: oci.Process, **options: Any) -> tuple[int | None, str]:
        """Runs to its end: (status, standard output); standard error is shown when the status is not 0."""
        launch = {name: options.pop(name) for name in tuple(options) if name in Launch.__dataclass_fields__}
        running = self.start(spec(command, **options), **launch)
        told = self.ended(running.id)
        text = self.output(running)
        if told.status:
            sys.stderr.write(self.output(running, "stderr"))
        self.run(self.client.drained(running.id))
        return told.status, text

    def shell(self, script: str, **options: Any) -> str:
        """Output of a script that must succeed."""
        fields = {name: options.pop(name) for name in tuple(options) if name in oci.Process.__dataclass_fields__}
        status, text = self.result(process("sh", "-ec", script, **fields), **options)
        assert status == 0, text
        return text

    def exec(self, running: Running, *args: str, **options: Any) -> tuple[int | None, str]:
        """(status, output) of a command run in a container."""
        fields = {name: options.pop(name) for name in tuple(options) if name in oci.Process.__dataclass_fields__}
        reading, writing = os.pipe()
        with open("/dev/null", "rb") as null:
            told = self.run(
                self.client.exec(
                    running.id, process(*args, **fields), stdio=(null.fileno(), writing, writing), **options
                )
            )
        os.close(writing)
        with open(reading, "rb") as file:
            text = file.read().decode()
        return self.ended(told.exec_id).status, text

    def restart(self) -> None:
        """A new launcher, as after the death of the one before."""
        self.client.close()
        self._boot()

    def kill_launcher(self) -> None:
        os.kill(self.pid, 9)
        os.waitpid(self.pid, 0)
        self.wait(lambda: self.lost)

    def close(self) -> None:
        self.client.close()
        gone(self.pid)
        try:
            os.waitpid(self.pid, 0)
        except ChildProcessError:
            pass
        for pid in processes(self.cgroup):
            os.kill(pid, 9)
        eventually(lambda: not remove_cgroups(self.cgroup), "cgroups are gone")
        self.loop.run_until_complete(asyncio.sleep(0))
        self.loop.close()


def waiting(fd: int) -> int:
    """Bytes to be read."""
    count: int = struct.unpack("i", fcntl.ioctl(fd, termios.FIONREAD, bytes(4)))[0]
    return count


def dead(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] == "Z"
    except OSError:
        return True


def elapsed(since: float) -> float:
    return time.monotonic() - since
