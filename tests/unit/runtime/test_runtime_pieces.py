"""Bundles, faults, packets, the client against a launcher that a test plays."""

from __future__ import annotations

import asyncio
import os
import socket
from pathlib import Path
from typing import Any

import pytest

from stackup.base.errors import ContainerFault, HostUnfit, StackupError
from stackup.linux.overlay import Overlay
from stackup.oci import runtime as oci
from stackup.runtime import packets
from stackup.runtime.bundle import Launch, Veth, read_bundle, write_bundle
from stackup.runtime.client import Exit, LauncherClient, LauncherLost
from stackup.runtime.faults import exit_code, sentence
from stackup.runtime.launcher.ending import decode


def test_bundles_survive_the_way_to_disk_and_back(tmp_path: Path) -> None:
    spec = oci.Spec(oci.Process(("true",)), hostname="x")
    launch = Launch(
        "c" * 64,
        3,
        "stackup/p/c",
        "/exit",
        overlays=(Overlay("/", ("/a", "/b"), "/u", "/w"),),
        veths=(Veth("skv", "eth0", "skb", addresses=("10.0.0.2/16",)),),
        init=True,
    )
    write_bundle(tmp_path / "bundle", spec, launch)
    assert read_bundle(tmp_path / "bundle") == (spec, launch)
    assert (tmp_path / "bundle/rootfs").is_dir()
    assert (tmp_path / "bundle/config.json").stat().st_mode & 0o777 == 0o600, "it holds the environment"


@pytest.mark.parametrize(
    ("fault", "message", "code"),
    [
        (
            {"step": "command", "errno": 2, "path": "serve", "search": "/bin"},
            "cannot run 'serve': command not found in the image (PATH is /bin)",
            127,
        ),
        ({"step": "command", "errno": 13, "path": "/x"}, "cannot run '/x': permission denied", 126),
        ({"step": "exec", "errno": 8, "path": "/x"}, "cannot run '/x': not a program for this machine", 126),
        (
            {"step": "source", "errno": 2, "path": "/data"},
            "cannot bind '/data': there is no such file or directory on the host",
            125,
        ),
        (
            {"step": "cwd", "errno": 20, "path": "/etc/passwd"},
            "cannot enter the working directory '/etc/passwd': it is not a directory",
            125,
        ),
        (
            {"step": "veth", "errno": 17, "path": "", "text": "create link skv1: File exists"},
            "cannot connect the container to its network: create link skv1: File exists",
            125,
        ),
        (
            {"step": "hostname", "errno": 1, "what": "set the hostname to x", "text": "Operation not permitted"},
            "cannot set the hostname to x: Operation not permitted",
            125,
        ),
        (
            {"step": "sysctl", "errno": 2, "path": "net.x"},
            "cannot set the sysctl 'net.x': this kernel has none of that name in a container",
            125,
        ),
        (
            {"step": "cgroup", "errno": 34, "path": "stackup/p/c/memory.max=x"},
            "cannot set the resource limit memory.max to x: the kernel does not take this value",
            125,
        ),
        (
            {"step": "hostname", "errno": 22, "what": "set the hostname to aaa"},
            "cannot set the host name: it is longer than 64 characters",
            125,
        ),
        ({"step": "odd"}, "cannot set up the container (odd): unknown reason", 125),
    ],
)
def test_faults_read_as_sentences(fault: dict[str, Any], message: str, code: int) -> None:
    error = sentence(fault)
    assert isinstance(error, ContainerFault)
    assert str(error) == message
    assert exit_code(error) == code


def test_a_kernel_without_overlayfs_is_the_hosts_fault() -> None:
    error = sentence({"step": "overlay", "errno": 19, "path": "/", "text": "No such device"})
    assert isinstance(error, HostUnfit)
    assert "no overlayfs" in str(error)
    assert error.hint


@pytest.mark.parametrize(("status", "told"), [(0, (0, 0)), (7 << 8, (7, 0)), (9, (137, 9)), (None, (None, 0))])
def test_wait_statuses(status: int | None, told: tuple[int | None, int]) -> None:
    assert decode(status) == told


def pair() -> tuple[socket.socket, socket.socket]:
    return socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)


def test_packets_carry_descriptors_and_any_bytes() -> None:
    left, right = pair()
    reading, writing = os.pipe()
    packets.send(left, {"text": "\udcff ü"}, [writing])
    message, fds = packets.receive(right)
    assert message == {"text": "\udcff ü"}
    os.write(fds[0], b"x")
    assert os.read(reading, 1) == b"x"
    with pytest.raises(BlockingIOError):
        packets.receive(right)
    left.close()
    assert packets.receive(right) == (None, [])
    for fd in (reading, writing, *fds):
        os.close(fd)
    right.close()


def converse(script: Any) -> list[Exit]:
    """Runs ``script(client, launcher socket)``; answers the exits that the client told."""
    exits: list[Exit] = []

    async def main() -> None:
        ours, theirs = pair()
        client = LauncherClient(
            ours, on_exit=exits.append, on_lost=lambda: exits.append(Exit("lost", None, 0, False, 0))
        )
        await script(client, theirs)
        client.close()
        theirs.close()

    asyncio.run(main())
    return exits


async def request_of(launcher: socket.socket) -> tuple[dict[str, Any], list[int]]:
    while True:
        try:
            message, fds = packets.receive(launcher)
        except BlockingIOError:
            await asyncio.sleep(0)
            continue
        assert message is not None
        return message, fds


def test_start() -> None:
    async def script(client: LauncherClient, launcher: socket.socket) -> None:
        starting = asyncio.ensure_future(client.start(Path("/b")))
        request, _ = await request_of(launcher)
        assert (request["op"], request["bundle"]) == ("start", "/b")
        with open("/dev/null", "rb") as null:
            answer = {"id": "c", "pid": 7, "start_time": 99, "fds": ["pidfd", "dns_tcp"]}
            packets.send(launcher, {"re": request["tag"], "ok": answer}, [null.fileno(), null.fileno()])
        started = await starting
        assert (started.pid, started.start_time, started.dns_udp) == (7, 99, None)
        assert started.dns_tcp is not None
        os.close(started.pidfd)
        os.close(started.dns_tcp)

    assert converse(script) == []


def test_faults_exits_and_loss() -> None:
    async def script(client: LauncherClient, launcher: socket.socket) -> None:
        first = asyncio.ensure_future(client.start(Path("/b")))
        request, _ = await request_of(launcher)
        packets.send(launcher, {"re": request["tag"], "fault": {"step": "cwd", "errno": 2, "path": "/x"}})
        with pytest.raises(ContainerFault, match="working directory '/x'"):
            await first
        packets.send(launcher, {"event": "exit", "id": "c", "status": 137, "signal": 9, "oom": True, "at_ns": 5})
        second = asyncio.ensure_future(client.list())
        await request_of(launcher)
        launcher.close()
        with pytest.raises(LauncherLost):
            await second
        with pytest.raises(LauncherLost):
            await client.ping()

    assert converse(script) == [Exit("c", 137, 9, True, 5), Exit("lost", None, 0, False, 0)]


def test_descriptors_of_an_abandoned_call_are_closed() -> None:
    async def script(client: LauncherClient, launcher: socket.socket) -> None:
        starting = asyncio.ensure_future(client.start(Path("/b")))
        request, _ = await request_of(launcher)
        starting.cancel()
        await asyncio.sleep(0)
        before = len(os.listdir("/proc/self/fd"))
        with open("/dev/null", "rb") as null:
            packets.send(launcher, {"re": request["tag"], "ok": {}}, [null.fileno()])
        await asyncio.sleep(0.01)
        assert len(os.listdir("/proc/self/fd")) == before

    converse(script)


def test_a_launcher_that_does_not_read_blocks_nobody() -> None:
    async def script(client: LauncherClient, launcher: socket.socket) -> None:
        tasks = [asyncio.ensure_future(client.signal("x" * 2000, 1)) for _ in range(3000)]
        await asyncio.sleep(0.01)
        for _ in tasks:
            request, _ = await request_of(launcher)
            packets.send(launcher, {"re": request["tag"], "ok": {}}, wait=True)
            await asyncio.sleep(0)
        await asyncio.gather(*tasks)

    converse(script)


def test_requests_too_large_are_refused_by_name() -> None:
    async def script(client: LauncherClient, launcher: socket.socket) -> None:
        with pytest.raises(StackupError, match="cannot exec: the request takes"):
            await client.exec("c", oci.Process(("true",), env=("X=" + "y" * packets.MAX_PACKET,)))

    converse(script)


def test_a_quiet_exec_hears_of_one_thing_only() -> None:
    ends: list[Exit | StackupError] = []

    async def script(client: LauncherClient, launcher: socket.socket) -> None:
        prepared = client.prepare_exec("c", oci.Process(("true",)), "")
        with open("/dev/null", "rb") as null:
            ids = [client.exec_quietly(prepared, (null.fileno(),) * 3, ends.append) for _ in range(3)]
        requests = [await request_of(launcher) for _ in ids]
        for _, fds in requests:
            for fd in fds:
                os.close(fd)
        asked = [request for request, _ in requests]
        assert [item["exec_id"] for item in asked] == ids
        assert all((item["op"], item["id"], item["quiet"]) == ("exec", "c", True) for item in asked)
        packets.send(launcher, {"re": asked[0]["tag"], "ok": {"pid": 7}})  # as an older launcher does
        packets.send(launcher, {"event": "exit", "id": ids[0], "status": 0, "signal": 0, "oom": False, "at_ns": 5})
        packets.send(launcher, {"re": asked[1]["tag"], "fault": {"step": "cwd", "errno": 2, "path": "/x"}})
        while len(ends) < 2:
            await asyncio.sleep(0)
        launcher.close()
        with pytest.raises(LauncherLost):
            await client.ping()

    assert converse(script) == [Exit("lost", None, 0, False, 0)]
    assert isinstance(ends[0], Exit)
    assert ends[0] == Exit(ends[0].id, 0, 0, False, 5)
    assert [type(end) for end in ends] == [Exit, ContainerFault, LauncherLost]
