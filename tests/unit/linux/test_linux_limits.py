"""Resources as cgroup files, device rules as BPF, mountinfo as hierarchies, mount options sorted. All pure."""

from __future__ import annotations

import struct
from typing import Any

import pytest

from stackup.linux import bpf, capabilities, limits, mounts
from stackup.linux.bpf import DeviceRule
from stackup.linux.cgroups import Hierarchies
from stackup.linux.mountoptions import MountOptions
from stackup.oci import runtime as oci

RESOURCES = oci.Resources(
    memory=oci.Memory(limit=100 << 20, swap=150 << 20, reservation=50 << 20),
    cpu=oci.Cpu(shares=1024, quota=50_000, period=100_000, cpus="0-1"),
    pids=oci.Pids(100),
    block_io=oci.BlockIo(weight=500, throttle_read_bps_device=(oci.ThrottleDevice(8, 0, 1024),)),
)


def as_json(resources: oci.Resources) -> dict[str, Any]:
    return oci.Spec(oci.Process(("x",)), linux=oci.Linux(resources=resources)).to_json()["linux"]["resources"]  # type: ignore[no-any-return]


def test_v1_files() -> None:
    assert limits.v1_settings(as_json(RESOURCES)) == [
        ("memory", "memory.limit_in_bytes", str(100 << 20)),
        ("memory", "memory.memsw.limit_in_bytes", str(150 << 20)),
        ("memory", "memory.soft_limit_in_bytes", str(50 << 20)),
        ("cpu", "cpu.shares", "1024"),
        ("cpu", "cpu.cfs_period_us", "100000"),
        ("cpu", "cpu.cfs_quota_us", "50000"),
        ("cpuset", "cpuset.cpus", "0-1"),
        ("pids", "pids.max", "100"),
        ("blkio", "blkio.weight", "500"),
        ("blkio", "blkio.throttle.read_bps_device", "8:0 1024"),
    ]


def test_v2_files() -> None:
    assert limits.v2_settings(as_json(RESOURCES)) == [
        ("memory", "memory.max", str(100 << 20)),
        ("memory", "memory.swap.max", str(50 << 20)),
        ("memory", "memory.low", str(50 << 20)),
        ("cpu", "cpu.weight", "39"),
        ("cpu", "cpu.max", "50000 100000"),
        ("cpuset", "cpuset.cpus", "0-1"),
        ("pids", "pids.max", "100"),
        ("io", "io.weight", "default 4950"),
        ("io", "io.max", "8:0 rbps=1024"),
    ]


def test_unlimited() -> None:
    resources = as_json(oci.Resources(memory=oci.Memory(limit=-1, swap=-1), pids=oci.Pids(0)))
    assert limits.v2_settings(resources) == [
        ("memory", "memory.max", "max"),
        ("memory", "memory.swap.max", "max"),
        ("pids", "pids.max", "max"),
    ]
    assert ("pids", "pids.max", "max") in limits.v1_settings(resources)


def test_unified_files_pass_through() -> None:
    assert limits.v2_settings({"unified": {"memory.high": "5M"}}) == [("memory", "memory.high", "5M")]


def evaluate(program: bytes, kind: int, access: int, major: int, minor: int) -> int:
    """A machine for the few instructions that are used."""
    context = struct.pack("<III", access << 16 | kind, major, minor)
    registers = [0] * 11
    at = 0
    while True:
        code, sides, offset, value = struct.unpack_from("<BBhi", program, at * 8)
        target, source = sides & 15, sides >> 4
        at += 1
        if code == 0x61:
            registers[target] = struct.unpack_from("<I", context, offset)[0]
        elif code == 0x54:
            registers[target] &= value
        elif code == 0x74:
            registers[target] >>= value
        elif code == 0xBC:
            registers[target] = registers[source]
        elif code == 0xB4:
            registers[target] = value
        elif (
            (code == 0x55 and registers[target] != value)
            or (code == 0x5D and registers[target] != registers[source])
            or (code == 0x15 and registers[target] == value)
        ):
            at += offset
        elif code == 0x95:
            return registers[0]
        else:
            assert code in (0x55, 0x5D, 0x15), hex(code)


BLOCK, CHAR = 1, 2
MKNOD, READ, WRITE = 1, 2, 4


@pytest.mark.parametrize(
    ("kind", "access", "major", "minor", "allowed"),
    [
        (CHAR, READ | WRITE, 1, 3, 1),
        (CHAR, MKNOD, 1, 1, 1),
        (CHAR, READ, 1, 1, 0),
        (BLOCK, READ, 8, 0, 0),
        (BLOCK, MKNOD, 8, 0, 1),
        (CHAR, READ | WRITE, 136, 99, 1),
        (CHAR, READ, 10, 200, 1),
        (CHAR, WRITE, 10, 200, 0),
        (CHAR, READ | WRITE, 10, 201, 1),
        (CHAR, READ, 10, 202, 0),
    ],
)
def test_device_program(kind: int, access: int, major: int, minor: int, allowed: int) -> None:
    rules = limits.device_rules(
        {
            "devices": [
                {"allow": False, "access": "rwm"},
                {"allow": True, "type": "c", "major": 10, "minor": 200, "access": "r"},
                {"allow": True, "type": "c", "major": 10, "minor": 201, "access": "r"},
                {"allow": True, "type": "c", "major": 10, "minor": 201, "access": "w"},
                {"allow": True, "type": "c", "major": 10, "minor": 202, "access": "rw"},
                {"allow": False, "type": "c", "major": 10, "minor": 202, "access": "r"},
            ]
        }
    )
    assert evaluate(bpf.compile_rules(rules), kind, access, major, minor) == allowed


def test_device_lines_for_v1() -> None:
    assert DeviceRule(False, "a", -1, -1, "rwm").v1_line() == "a"
    assert DeviceRule(True, "c", 136, -1, "rwm").v1_line() == "c 136:* rwm"


def test_without_rules_nothing_is_restricted() -> None:
    assert limits.device_rules({}) == []
    assert evaluate(bpf.compile_rules([]), CHAR, READ, 1, 1) == 1


HYBRID = """\
31 23 0:28 / /sys/fs/cgroup rw,relatime - tmpfs tmpfs rw,mode=755
32 31 0:29 / /sys/fs/cgroup/cpu,cpuacct rw,relatime shared:9 - cgroup cgroup rw,cpu,cpuacct
40 31 0:37 / /sys/fs/cgroup/systemd rw,relatime - cgroup cgroup rw,xattr,name=systemd
41 31 0:38 / /sys/fs/cgroup/unified rw,relatime - cgroup2 cgroup2 rw
"""
UNIFIED = "41 31 0:38 / /sys/fs/cgroup rw,nosuid shared:4 - cgroup2 cgroup2 rw,nsdelegate\n"


def test_hierarchies() -> None:
    hybrid = Hierarchies.parse(HYBRID)
    assert hybrid.v2 == "/sys/fs/cgroup/unified"
    assert hybrid.v1["cpuacct"] == hybrid.v1["cpu"] == "/sys/fs/cgroup/cpu,cpuacct"
    assert hybrid.v1["name=systemd"] == "/sys/fs/cgroup/systemd"
    assert not hybrid.unified
    assert len(hybrid.mount_points()) == 3
    unified = Hierarchies.parse(UNIFIED)
    assert unified.unified
    assert unified.mount_points() == ("/sys/fs/cgroup",)


def test_mount_options() -> None:
    options = MountOptions(("rbind", "ro", "nosuid", "rslave", "size=64m", "newinstance", "rw", "rro"))
    assert options.bind
    assert options.recursive
    assert options.attributes == mounts.RDONLY | mounts.NOSUID
    assert options.recursive_attributes == mounts.RDONLY
    assert options.propagation == mounts.MS_SLAVE | mounts.MS_REC
    assert options.data == [("size", "64m"), ("newinstance", None)]


def test_capability_names() -> None:
    assert capabilities.mask(("CAP_CHOWN", "CAP_CHECKPOINT_RESTORE")) == 1 | 1 << 40
    with pytest.raises(OSError, match="CAP_NONSENSE is not a capability"):
        capabilities.mask(("CAP_NONSENSE",))
