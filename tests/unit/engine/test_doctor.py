"""Each thing that the doctor finds, on machines that are not there. ``Fake`` remembers what was read of it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from stackup.base.errors import HostUnfit
from stackup.engine.doctor import host, projects
from stackup.engine.doctor.finding import Finding
from stackup.engine.doctor.machine import Machine, Space, ThisMachine
from stackup.engine.doctor.projects import Kernel, Place, Recorded, Scene
from stackup.engine.leftovers import Leftover
from stackup.network.traces import Trace

ROOT = "/var/lib/stackup"
MOUNTS = """\
1 0 8:1 / / rw - ext4 /dev/sda1 rw
2 1 0:2 / /sys/fs/cgroup rw - cgroup2 cgroup2 rw
"""
GIB = 1 << 30


class Fake:
    """A machine on which all is well."""

    def __init__(self) -> None:
        self.files = {
            "/proc/filesystems": "nodev\tproc\nnodev\toverlay\n\text4\n",
            "/proc/sys/kernel/seccomp/actions_avail": "kill_process errno log allow",
            "/proc/self/mountinfo": MOUNTS,
            "/sys/fs/cgroup/cgroup.controllers": "cpuset cpu io memory pids",
            "/lib/modules/6.1.0/modules.dep": "kernel/net/bridge/bridge.ko: kernel/net/llc/llc.ko\n"
            "kernel/drivers/net/veth.ko:\nkernel/net/netfilter/nf_tables.ko:\n",
            "/proc/net/dev": "  eth0: 1 2 3\n",
            "/proc/sys/net/ipv4/ip_forward": "0\n",
            "/proc/sys/kernel/pid_max": "4194304\n",
            "/proc/sys/fs/file-nr": "1000\t0\t100000\n",
            "/proc/sys/fs/inotify/max_user_instances": "128\n",
        }
        self.paths = {f"/proc/self/ns/{kind}" for kind in host.NAMESPACES}
        self.free = Space(50 * GIB, 100 * GIB, 900, 1000)
        self.kernel, self.files_open, self.time = "6.1.0", 524_288, 1_800_000_000.0
        self.packages = {"pydantic": ("pydantic>=2.6", "2.9.1"), "rich": ("rich>=13.7", "14.0")}
        self.chains: list[dict[str, Any]] | None = []
        self.seccomp = True
        self.read: list[str] = []

    def text(self, path: str) -> str:
        self.read.append(path)
        return self.files.get(path, "")

    def exists(self, path: str) -> bool:
        self.read.append(path)
        return path in self.paths

    def space(self, path: str) -> Space:
        return self.free

    def release(self) -> str:
        return self.kernel

    def open_files(self) -> int:
        return self.files_open

    def now(self) -> float:
        return self.time

    def uptime(self) -> float:
        return 7265.0

    def requirements(self) -> dict[str, tuple[str, str]]:
        return self.packages

    def nft(self, command: str) -> list[dict[str, Any]]:
        assert command.startswith("list "), "the doctor changes nothing"
        if self.chains is None:
            raise HostUnfit("libnftables.so.1 is missing", hint="install it")
        return [{"chain": chain} for chain in self.chains]

    def seccomp_library(self) -> bool:
        return self.seccomp


def set_file(path: str, text: str) -> Callable[[Fake], None]:
    return lambda fake: fake.files.__setitem__(path, text)


def put(**values: Any) -> Callable[[Fake], None]:
    def change(fake: Fake) -> None:
        for name, value in values.items():
            setattr(fake, name, value)

    return change


def mounted(kind: str) -> Callable[[Fake], None]:
    return set_file("/proc/self/mountinfo", MOUNTS + f"3 1 0:3 / {ROOT} rw - {kind} somewhere rw\n")


DROP = {"family": "ip", "table": "filter", "name": "FORWARD", "hook": "forward", "policy": "drop"}
HOSTS: dict[str, tuple[Callable[[Fake], None], str]] = {
    "kernel-old": (put(kernel="4.19.0-5-amd64"), "problem"),
    "namespaces": (put(paths=set()), "problem"),
    "seccomp": (set_file("/proc/sys/kernel/seccomp/actions_avail", ""), "problem"),
    "module-overlay": (set_file("/proc/filesystems", "ext4"), "problem"),
    "module-veth": (set_file("/lib/modules/6.1.0/modules.dep", "a/bridge.ko: b/nf_tables.ko:"), "problem"),
    "cgroups": (set_file("/proc/self/mountinfo", MOUNTS.splitlines()[0]), "problem"),
    "cgroup-controllers": (set_file("/sys/fs/cgroup/cgroup.controllers", "cpu pids"), "warning"),
    "libseccomp": (put(seccomp=False), "problem"),
    "python-package": (put(packages={"pydantic": ("pydantic>=2.6", "2.5.3")}), "problem"),
    "nftables": (put(chains=None), "problem"),
    "forward-drop": (put(chains=[DROP, {**DROP, "table": "stackup_1"}]), "note"),
    "ip-forward": (set_file("/proc/net/dev", "skb0123456789: 1 2"), "problem"),
    "state-file-system": (mounted("nfs4"), "problem"),
    "state-in-memory": (mounted("tmpfs"), "warning"),
    "disk-full": (put(free=Space(50 << 20, GIB, 9, 10)), "problem"),
    "state-read-only": (put(free=Space(9 * GIB, 10 * GIB, 9, 10, read_only=True)), "problem"),
    "inodes": (put(free=Space(9 * GIB, 10 * GIB, 1, 1000)), "warning"),
    "open-files": (put(files_open=4096), "warning"),
    "pid-max": (set_file("/proc/sys/kernel/pid_max", "4096\n"), "warning"),
    "files-used": (set_file("/proc/sys/fs/file-nr", "90000 0 100000"), "warning"),
    "inotify": (set_file("/proc/sys/fs/inotify/max_user_instances", "16\n"), "warning"),
    "clock": (put(time=3600.0), "problem"),
    "beside-docker": (lambda fake: fake.paths.add("/run/docker.sock"), "note"),
    "beside-ufw": (set_file("/etc/ufw/ufw.conf", "ENABLED=yes\n"), "note"),
    "beside-firewalld": (lambda fake: fake.paths.add("/run/firewalld"), "note"),
    "selinux": (set_file("/sys/fs/selinux/enforce", "1"), "warning"),
}


def test_a_machine_on_which_all_is_well() -> None:
    fake = Fake()
    assert host.examine(fake, ROOT) == []
    assert "/proc/sys/net/ipv4/ip_forward" not in fake.read, "no network, no forwarding to look for"
    assert host.facts(fake, ROOT) == {
        "kernel": "6.1.0",
        "cgroups": "v2",
        "state": "/var/lib/stackup on ext4 (/), 50.0 GiB free",
        "running for": "2 h 1 min",
    }


@pytest.mark.parametrize("name", HOSTS)
def test_what_a_machine_may_lack(name: str) -> None:
    change, level = HOSTS[name]
    fake = Fake()
    change(fake)
    found = host.examine(fake, ROOT)
    assert [(item.id, item.level) for item in found] == [(name, level)]
    check_text(found[0])


def test_little_space_is_a_warning_first() -> None:
    fake = Fake()
    fake.free = Space(500 << 20, GIB, 0, 0)
    (found,) = host.examine(fake, ROOT)
    assert (found.level, found.what) == ("warning", f"500 MiB are free where {ROOT} lies")


def test_modules_are_not_missed_where_nothing_tells_of_them() -> None:
    """In a container, or with everything built in and no list of it."""
    fake = Fake()
    fake.files["/lib/modules/6.1.0/modules.dep"] = ""
    fake.files["/proc/filesystems"] = ""
    assert host.examine(fake, ROOT) == []


def test_the_real_machine_can_be_looked_at() -> None:
    machine: Machine = ThisMachine()
    assert host.facts(machine, "/nowhere/at/all")["kernel"] == machine.release()
    assert machine.text("/nowhere/at/all") == ""
    assert {"pydantic", "pyroute2"} <= set(machine.requirements() or ("pydantic", "pyroute2"))


# -------------------------------------------------------------------------------------------------------- projects

RUNNING = Recorded("shop-web-1", "running", this_boot=True, alive=True)
BRIDGE = Place("shop_default", "skb1")
HEALTHY = Scene("shop", (RUNNING,), (BRIDGE,), launcher=True)
KERNEL = Kernel(frozenset({"skb1"}))
TRACE = Trace("aa", "lost", ("skb2",), (), "stackup_aa")
BUILD = "build.12-34-0123456789ab"
PROJECTS: dict[str, tuple[Scene, Kernel, str, str]] = {
    "records": (
        Scene("shop", unreadable="not a database", records="/r.db"),
        KERNEL,
        "problem",
        "mv /r.db /r.db.damaged",
    ),
    "newer": (
        Scene("shop", unreadable="cannot read /r.db: written by a newer stackup (schema 9)", records="/r.db"),
        KERNEL,
        "problem",
        "upgrade stackup: nothing is wrong with them",
    ),
    "older": (
        Scene("shop", unreadable="cannot read /r.db: written by an older stackup (schema 0)", records="/r.db"),
        KERNEL,
        "problem",
        "stackup -p shop down with the version that wrote them",
    ),
    "launcher-dead": (Scene("shop", (RUNNING,), (BRIDGE,)), KERNEL, "problem", "stackup -p shop ps takes over"),
    "died-unseen": (
        Scene("shop", (Recorded("shop-web-1", "running", True, False),)),
        KERNEL,
        "problem",
        "container shop-web-1 died while nobody watched",
    ),
    "rebooted": (Scene("shop", (Recorded("a", "running", False, False),)), KERNEL, "note", "container a ran"),
    "unrecorded": (
        Scene("shop", unrecorded=("stackup/shop/aa", "stackup/shop/bb")),
        KERNEL,
        "problem",
        "2 containers run that no record names, for the project's records were deleted (control groups stackup/shop/aa",
    ),
    "deleted": (
        Scene("shop", (Recorded("a", "exited", True, False, "the directory of volume v was deleted"),)),
        KERNEL,
        "problem",
        "container a: the directory of volume v was deleted",
    ),
    "bridge-gone": (HEALTHY, Kernel(), "problem", "the bridge skb1 of network shop_default is gone"),
    "leftover": (
        HEALTHY,
        Kernel(KERNEL.bridges, (Leftover("lost", "stackup/lost", (5, 6), TRACE), Leftover("shop", "stackup/shop"))),
        "problem",
        "control group stackup/lost, processes 5, 6, link skb2, nft table stackup_aa",
    ),
    "build-orphan": (
        HEALTHY,
        Kernel(KERNEL.bridges, (Leftover(BUILD, f"stackup/{BUILD}"),), (BUILD,)),
        "problem",
        "stackup down --all, or any build, sweeps them",
    ),
    "mount": (HEALTHY, Kernel(KERNEL.bridges, mounts=("/x/lib/volumes/a",)), "warning", "umount /x/lib/volumes/a"),
}


@pytest.mark.parametrize("name", PROJECTS)
def test_what_may_be_wrong_with_a_project(name: str) -> None:
    scene, kernel, level, words = PROJECTS[name]
    (found,) = projects.examine((scene,), kernel)
    assert (found.id, found.level) == (name, level)
    assert words in f"{found.what} {found.do}"
    check_text(found)


@pytest.mark.parametrize(
    "scene",
    [
        HEALTHY,
        Scene("shop", (Recorded("a", "exited", False, False),), (Place("n", "gone"),)),
        Scene("shop", (Recorded("a", "running", True, False),), launcher=True),
    ],
    ids=["runs", "stopped and rebooted", "its supervisor has not seen it yet"],
)
def test_what_is_nothing_to_worry_about(scene: Scene) -> None:
    assert projects.examine((scene,), KERNEL) == []


def test_a_standalone_network_is_no_leftover() -> None:
    leftovers = (Leftover("network.edge", trace=Trace("ee", "network.edge", ("skb9",))),)
    assert projects.examine((), Kernel(leftovers=leftovers)) == []


def check_text(found: Finding) -> None:
    assert found.what and found.why, "each is explained"
    assert not found.what.endswith(".") and not found.why.endswith(".")
    assert found.do or found.level != "problem", "each problem has a next step"
