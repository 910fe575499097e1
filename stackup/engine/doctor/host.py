"""What may be wrong with a machine. Each check reads through a ``Machine`` and answers findings; none changes anything.

The numbers: Linux 5.10 is the oldest kernel that stackup's tests run on; the limits are the distributions' defaults.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator

from stackup.base.errors import HostUnfit
from stackup.engine.doctor.finding import NOTE, PROBLEM, WARNING, Finding
from stackup.engine.doctor.machine import Machine
from stackup.linux.cgroups import Hierarchies

OLDEST_KERNEL = (5, 10)
NAMESPACES = ("mnt", "net", "pid", "uts", "ipc", "cgroup")
CONTROLLERS = ("cpu", "memory", "pids")
UNFIT_FILE_SYSTEMS = ("overlay", "nfs", "nfs4", "cifs", "smb3", "9p", "vfat", "exfat", "ntfs3", "fuseblk")
MEMORY_FILE_SYSTEMS = ("tmpfs", "ramfs")
MIB, GIB = 1 << 20, 1 << 30
LEAST_OPEN_FILES = 8192
LEAST_PIDS = 32_768
LEAST_INOTIFY = 128
EARLIEST = 1_735_689_600  # 2025-01-01: no machine that this version runs on is older

Check = Callable[[Machine, str], Iterator[Finding]]


def kernel(machine: Machine, root: str) -> Iterator[Finding]:
    found = re.match(r"(\d+)\.(\d+)", machine.release())
    if found and (int(found[1]), int(found[2])) < OLDEST_KERNEL:
        yield Finding(
            "kernel-old",
            PROBLEM,
            f"the kernel is Linux {machine.release()}",
            "stackup is tested with Linux 5.10 and later; older ones lack system calls that it starts containers with",
            "boot a newer kernel",
        )
    missing = [kind for kind in NAMESPACES if not machine.exists(f"/proc/self/ns/{kind}")]
    if missing:
        yield Finding(
            "namespaces",
            PROBLEM,
            f"the kernel has no namespaces of kind {', '.join(missing)}",
            "containers are made of them",
            "boot a kernel with CONFIG_NAMESPACES and its parts, as every distribution's is",
        )
    if "errno" not in machine.text("/proc/sys/kernel/seccomp/actions_avail"):
        yield Finding(
            "seccomp",
            PROBLEM,
            "the kernel cannot filter system calls (seccomp)",
            "containers are started with docker's default filter, and not without",
            "boot a kernel with CONFIG_SECCOMP_FILTER",
        )


def modules(machine: Machine, root: str) -> Iterator[Finding]:
    systems = machine.text("/proc/filesystems").split()
    wanted = {
        "overlay": ("overlay" in systems, "images are stacked with overlayfs"),
        "bridge": (machine.exists("/sys/module/bridge"), "every network is a bridge"),
        "veth": (machine.exists("/sys/module/veth"), "veth pairs lead from containers to networks"),
        "nf_tables": (machine.exists("/sys/module/nf_tables"), "published ports and the way out are nftables rules"),
    }
    directory = f"/lib/modules/{machine.release()}"
    loadable = machine.text(f"{directory}/modules.dep") + machine.text(f"{directory}/modules.builtin")
    for name, (present, why) in wanted.items():
        if not present and loadable and f"/{name}.ko" not in loadable:
            yield Finding(
                f"module-{name}",
                PROBLEM,
                f"the kernel has no {name}, and no module of that name",
                why,
                f"install your distribution's full kernel (its modules), then: modprobe {name}",
            )


def control_groups(machine: Machine, root: str) -> Iterator[Finding]:
    found = Hierarchies.parse(machine.text("/proc/self/mountinfo"))
    if not found.v2 and not found.v1:
        yield Finding(
            "cgroups",
            PROBLEM,
            "no control groups are mounted",
            "without them there are no limits, and what a container started is not found again",
            "mount -t cgroup2 cgroup2 /sys/fs/cgroup",
        )
        return
    have = set(found.v1) | set(machine.text(f"{found.v2}/cgroup.controllers").split() if found.v2 else ())
    missing = [name for name in CONTROLLERS if name not in have]
    if missing:
        yield Finding(
            "cgroup-controllers",
            WARNING,
            f"there is no control group controller for {', '.join(missing)}",
            "limits of that kind (mem_limit, cpus, pids_limit) are refused",
            "boot with cgroup_enable=memory, where it is memory that is missing" if "memory" in missing else "",
        )


def libraries(machine: Machine, root: str) -> Iterator[Finding]:
    if not machine.seccomp_library():
        yield Finding(
            "libseccomp",
            PROBLEM,
            "libseccomp.so.2 cannot be loaded",
            "filters of system calls are compiled with it; without one no container starts",
            "apt-get install libseccomp2 (Debian, Ubuntu), dnf install libseccomp (Fedora)",
        )
    for name, (wanted, version) in machine.requirements().items():
        least = re.search(r">=\s*([\d.]+)", wanted)
        if not version or (least and _number(version) < _number(least[1])):
            yield Finding(
                "python-package",
                PROBLEM,
                f"the Python package {name} is {version or 'missing'}; wanted: {wanted}",
                "stackup's own environment was changed after it was installed",
                f"install stackup anew, or: pip install '{wanted}'",
            )


def firewall(machine: Machine, root: str) -> Iterator[Finding]:
    try:
        chains = [item["chain"] for item in machine.nft("list chains") if "chain" in item]
    except HostUnfit as error:
        yield Finding(
            "nftables",
            PROBLEM,
            f"nftables cannot be asked: {error.message}",
            "networks need it: the way out of containers and published ports are rules",
            error.hint or "modprobe nf_tables; without root it cannot be asked",
        )
        return
    for chain in chains:
        foreign = not str(chain["table"]).startswith("stackup_")
        if foreign and chain.get("hook") == "forward" and chain.get("policy") == "drop":
            yield Finding(
                "forward-drop",
                NOTE,
                f"the firewall chain {chain['family']} {chain['table']} {chain['name']} drops what is forwarded",
                "stackup puts rules for its own bridges at the head of that chain, and back when they are flushed",
            )


def forwarding(machine: Machine, root: str) -> Iterator[Finding]:
    """Only where there are bridges that need it."""
    if "skb" in machine.text("/proc/net/dev") and machine.text("/proc/sys/net/ipv4/ip_forward").strip() == "0":
        yield Finding(
            "ip-forward",
            PROBLEM,
            "net.ipv4.ip_forward is 0, although there are networks",
            "somebody switched it off: containers do not reach the outside, and published ports not the containers",
            "sysctl -w net.ipv4.ip_forward=1; and look for who sets it: grep -r ip_forward /etc/sysctl*",
        )


def storage(machine: Machine, root: str) -> Iterator[Finding]:
    kind, _ = file_system(machine, root)
    if kind in UNFIT_FILE_SYSTEMS:
        yield Finding(
            "state-file-system",
            PROBLEM,
            f"the state directory {root} lies on {kind}",
            "it cannot hold the upper layers of overlay mounts, or file locks; containers do not start",
            "set STACKUP_ROOT to a directory on ext4, xfs or btrfs",
        )
    elif kind in MEMORY_FILE_SYSTEMS:
        yield Finding(
            "state-in-memory",
            WARNING,
            f"the state directory {root} lies on {kind}, in memory",
            "images and volumes are gone after a reboot, and take memory until then",
            "set STACKUP_ROOT to a directory on a disk",
        )
    space = machine.space(root)
    if space.read_only:
        yield Finding(
            "state-read-only",
            PROBLEM,
            f"{root} lies on a file system that is read-only",
            "nothing can be recorded there, so no container can be started, changed or stopped for good",
            "look for what made it so (`dmesg | grep -i remount`), then: "
            f"mount -o remount,rw the file system of {root}, or set STACKUP_ROOT",
        )
    if space.free < GIB:
        yield Finding(
            "disk-full",
            PROBLEM if space.free < 100 * MIB else WARNING,
            f"{space.free // MIB} MiB are free where {root} lies",
            "images, volumes and output go there; when it is full, containers wait in write(2) and nothing starts",
            "free some space: stackup images -a and stackup volume prune show and remove what nobody uses",
        )
    if space.inodes and space.inodes_free * 20 < space.inodes:
        yield Finding(
            "inodes",
            WARNING,
            f"{space.inodes_free} of {space.inodes} inodes are free where {root} lies",
            "unpacked images are many small files; without inodes the disk counts as full",
            "delete directories with many small files, or use another file system",
        )


def limits(machine: Machine, root: str) -> Iterator[Finding]:
    if machine.open_files() < LEAST_OPEN_FILES:
        yield Finding(
            "open-files",
            WARNING,
            f"a process may have {machine.open_files()} open files here",
            "a supervisor needs about ten for each container",
            "ulimit -Hn 1048576, or LimitNOFILE= of the unit that starts stackup",
        )
    pids = _first(machine.text("/proc/sys/kernel/pid_max"))
    if pids and pids < LEAST_PIDS:
        yield Finding(
            "pid-max",
            WARNING,
            f"there can be {pids} processes",
            "containers share them with everybody else",
            f"sysctl -w kernel.pid_max={LEAST_PIDS}",
        )
    files = machine.text("/proc/sys/fs/file-nr").split()
    if len(files) == 3 and int(files[0]) * 5 > int(files[2]) * 4:
        yield Finding(
            "files-used",
            WARNING,
            f"{files[0]} of {files[2]} open files of the whole machine are in use",
            "when all are, nothing starts any more",
            f"sysctl -w fs.file-max={int(files[2]) * 4}",
        )
    instances = _first(machine.text("/proc/sys/fs/inotify/max_user_instances"))
    if instances and instances < LEAST_INOTIFY:
        yield Finding(
            "inotify",
            WARNING,
            f"a user may have {instances} inotify instances",
            "each supervisor has one, and many programs in containers several, all counted as root's",
            "sysctl -w fs.inotify.max_user_instances=1024",
        )


def clock(machine: Machine, root: str) -> Iterator[Finding]:
    if machine.now() < EARLIEST:
        yield Finding(
            "clock",
            PROBLEM,
            "the clock is years behind",
            "times in logs and records are wrong, and certificates are refused; restarts and health checks do not care",
            "set it: timedatectl set-ntp true, or date -s",
        )


def others(machine: Machine, root: str) -> Iterator[Finding]:
    """Tools that program the same parts of the machine. Stackup is tested beside the first three."""
    known = {
        "docker": (machine.exists("/run/docker.sock") or machine.exists("/var/run/docker.pid"), "a Docker engine runs"),
        "ufw": ("ENABLED=yes" in machine.text("/etc/ufw/ufw.conf"), "ufw is enabled"),
        "firewalld": (machine.exists("/run/firewalld"), "firewalld runs"),
    }
    for name, (present, what) in known.items():
        if present:
            yield Finding(
                f"beside-{name}",
                NOTE,
                what,
                "it has rules of its own for forwarded packets; stackup adds accept rules for its bridges to them",
            )
    if machine.text("/sys/fs/selinux/enforce").strip() == "1":
        yield Finding(
            "selinux",
            WARNING,
            "SELinux is enforcing",
            "stackup gives containers no labels: what the policy lets root's unconfined processes do, they may do, and "
            "files that are bound in keep the labels they have",
            "look for denials when a container fails: ausearch -m avc -ts recent",
        )


CHECKS: tuple[Check, ...] = (
    kernel,
    modules,
    control_groups,
    libraries,
    firewall,
    forwarding,
    storage,
    limits,
    clock,
    others,
)


def examine(machine: Machine, root: str) -> list[Finding]:
    """``root``: the state directory, which need not exist."""
    return [finding for check in CHECKS for finding in check(machine, root)]


def facts(machine: Machine, root: str) -> dict[str, str]:
    """What one wants to know of a machine that one does not sit at."""
    groups = Hierarchies.parse(machine.text("/proc/self/mountinfo"))
    version = "v2" if groups.unified else "v1 and v2" if groups.v2 else "v1" if groups.v1 else "none"
    kind, place = file_system(machine, root)
    free = machine.space(root).free / GIB
    hours, minutes = divmod(int(machine.uptime()) // 60, 60)
    return {
        "kernel": machine.release(),
        "cgroups": version,
        "state": f"{root} on {kind or 'an unknown file system'} ({place}), {free:.1f} GiB free",
        "running for": f"{hours} h {minutes} min",
    }


def file_system(machine: Machine, path: str) -> tuple[str, str]:
    """Type and mount point of the file system that ``path`` is, or would be, on."""
    best, kind = "", ""
    for line in machine.text("/proc/self/mountinfo").splitlines():
        head, _, tail = line.partition(" - ")
        point = head.split(" ")[4]
        inside = path == point or path.startswith(point.rstrip("/") + "/")
        if inside and len(point) >= len(best):  # the last of several at one place is on top
            best, kind = point, tail.split(" ")[0]
    return kind, best


def _number(version: str) -> tuple[int, ...]:
    return tuple(int(part) for part in re.findall(r"\d+", version)[:3])


def _first(text: str) -> int:
    word = text.split()[0] if text.split() else ""
    return int(word) if word.isdigit() else 0
