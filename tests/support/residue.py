"""What is left of stackup on this machine: the check that every end-to-end test ends with.

``Watch(root)`` remembers what is there, ``left()`` tells what has come since and belongs to the state root ``root``
(or, for links, nft tables and sysctls, to this network namespace, which a test has to itself). Kept on purpose and so
no residue: images, layers, the build cache, named volumes, history and caches.
"""

from __future__ import annotations

import hashlib
import json
import os
import re
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

from tests.support.isolation import namespace
from tests.support.waiting import eventually

# How deep files are stackup's own.
KEPT = {"images": 2, "layers": 1, "host": 1, "build": 2, "volumes": 1, "cache": 2, "history": 1}
HALF_MADE = re.compile(r"^\.?tmp|\.tmp$|\.partial$")
NAMESPACES = ("net", "mnt", "pid", "uts", "ipc", "cgroup")
VOLATILE_SYSCTLS = re.compile(r"nf_conntrack_count|netdev_rss_key|/(conf|neigh)/(?!all/|default/|lo/|eth0/)")


@dataclass(frozen=True, slots=True, order=True)
class Residue:
    """``kind`` is one of process, namespace, mount, link, cgroup, table, rule, sysctl, file."""

    kind: str
    what: str

    def __str__(self) -> str:
        return f"{self.kind}: {self.what}"


@dataclass(frozen=True, slots=True)
class Process:
    pid: int
    command: str

    def __str__(self) -> str:
        return f"{self.pid} {self.command}"


@dataclass(slots=True)
class Watch:
    """Take one before the test does anything; ask it afterwards."""

    root: Path
    before: frozenset[Residue] = field(init=False)
    sysctls: dict[str, str] = field(init=False)

    def __post_init__(self) -> None:
        self.root = Path(os.path.abspath(self.root))
        self.before = frozenset(look(self.root))
        self.sysctls = read_sysctls()

    def left(self) -> list[Residue]:
        now = read_sysctls()
        changed = {
            Residue("sysctl", f"{name}: {value} -> {now[name]}")
            for name, value in self.sysctls.items()
            if name in now and now[name] != value
        }
        return sorted((frozenset(look(self.root)) - self.before) | changed)

    def assert_nothing_left(self, timeout: float = 3.0) -> None:
        """Gives the kernel some time: it takes network namespaces apart after their last process is gone."""

        def clean() -> bool:
            found = self.left()
            assert not found, "stackup left behind:\n" + "\n".join(f"  {item}" for item in found)
            return True

        eventually(clean, "nothing of stackup is left", timeout)


def look(root: Path) -> Iterator[Residue]:
    """Everything on the machine that belongs to the state root, and every stackup object of this network namespace."""
    processes = [process for process in all_processes() if belongs(process.pid, root)]
    yield from (Residue("process", str(process)) for process in processes)
    yield from namespaces_held(processes)
    yield from (Residue("mount", text) for text in mounts(root))
    yield from (Residue("link", name) for name in links())
    yield from (Residue("cgroup", str(path)) for path in cgroups(root))
    yield from (Residue("table", name) for name in nft_tables())
    yield from (Residue("rule", text) for text in foreign_rules())
    yield from (Residue("file", str(path)) for path in files(root))


# ------------------------------------------------------------------------------------------------------- processes


def all_processes() -> Iterator[Process]:
    for entry in os.listdir("/proc"):
        if entry.isdigit() and int(entry) != os.getpid() and (command := read(f"/proc/{entry}/cmdline")):
            yield Process(int(entry), command.replace("\0", " ").strip())


def root_mark(root: Path) -> str:
    """What the names of a root's cgroups end with (docs/architecture.md, names)."""
    return "@" + hashlib.sha256(f"root\0{root}".encode()).hexdigest()[:6]


def belongs(pid: int, root: Path) -> bool:
    """By environment, cgroup, open files, working directory, or what its own mount namespace is made of."""
    here = str(root)
    if f"STACKUP_ROOT={here}" in read(f"/proc/{pid}/environ").split("\0"):
        return True
    if re.search(rf"stackup/[^/\n]+{root_mark(root)}", read(f"/proc/{pid}/cgroup")):
        return True
    if any(is_below(target, here) for target in held_files(pid)):
        return True
    try:
        return namespace("mnt", pid) != namespace("mnt") and here + "/" in read(f"/proc/{pid}/mountinfo")
    except OSError:
        return False


def held_files(pid: int) -> Iterator[str]:
    names = ["cwd", "root", "exe"]
    try:
        names += [f"fd/{name}" for name in os.listdir(f"/proc/{pid}/fd")]
    except OSError:
        return
    for name in names:
        try:
            yield os.readlink(f"/proc/{pid}/{name}")
        except OSError:
            continue


def is_below(path: str, directory: str) -> bool:
    return path == directory or path.startswith(directory + "/")


def namespaces_held(processes: list[Process]) -> Iterator[Residue]:
    """Those of stackup's processes that are not this process's own, and those they keep open by descriptor."""
    own = {f"{kind}:[{namespace(kind)}]" for kind in NAMESPACES}
    for process in processes:
        held = set(held_files(process.pid))
        for kind in NAMESPACES:
            try:
                held.add(os.readlink(f"/proc/{process.pid}/ns/{kind}"))
            except OSError:
                continue
        for name in sorted(held - own):
            if re.fullmatch(r"[a-z_]+:\[\d+\]", name) and name.split(":")[0] in NAMESPACES:
                yield Residue("namespace", f"{name} held by {process}")


# ------------------------------------------------------------------------------------------------------- kernel objects


def mounts(root: Path) -> Iterator[str]:
    """Mounts of the state root's files, in the mount namespace of any process; namespaces bound to a stackup name."""
    seen: set[int] = set()
    for entry in ["self", *filter(str.isdigit, os.listdir("/proc"))]:
        try:
            inode = namespace("mnt", entry)
        except OSError:
            continue
        if inode in seen:
            continue
        seen.add(inode)
        for line in read(f"/proc/{entry}/mountinfo").splitlines():
            kept_namespace = " - nsfs " in line and "stackup" in line
            if re.search(re.escape(str(root)) + r"(?=[/ ,:]|$)", line) or kept_namespace:
                where = "here" if inode == namespace("mnt") else f"in mnt:[{inode}]"
                yield f"{line.split()[4]} {where}"


def links() -> list[str]:
    """Links named sk..., each with the identity in its alias."""
    listed = json.loads(run("ip", "-j", "link", "show") or "[]")
    return [
        f"{link['ifname']} ({link.get('ifalias', 'no alias')})" for link in listed if link["ifname"].startswith("sk")
    ]


def cgroup_mounts() -> list[Path]:
    return [Path(line.split()[4]) for line in read("/proc/self/mountinfo").splitlines() if " - cgroup" in line]


def cgroups(root: Path) -> Iterator[Path]:
    """Deepest first, so that they can be removed in this order."""
    mark = root_mark(root)
    for hierarchy in cgroup_mounts():
        for directory, _, _ in os.walk(hierarchy, topdown=False):
            if any(part.endswith(mark) for part in Path(directory).parts):
                yield Path(directory)


def nft_tables() -> list[str]:
    found = json.loads(run("nft", "-j", "list", "tables") or "{}").get("nftables", [])
    tables = [item["table"] for item in found if "table" in item]
    return [f"{table['family']} {table['name']}" for table in tables if table["name"].startswith("stackup_")]


def foreign_rules() -> Iterator[str]:
    """Rules in other people's tables whose comment names stackup; nftables and both kinds of iptables."""
    found = json.loads(run("nft", "-j", "list", "ruleset") or "{}").get("nftables", [])
    for item in found:
        rule = item.get("rule", {})
        if "stackup" in rule.get("comment", "") and not rule["table"].startswith("stackup_"):
            yield f"nft {rule['family']} {rule['table']} {rule['chain']} handle {rule['handle']}"
    for tool, names in (("iptables", "ip_tables_names"), ("ip6tables", "ip6_tables_names")):
        variants = ["nft"] + (["legacy"] if read(f"/proc/net/{names}").strip() else [])
        for variant in variants:
            table = ""
            for line in run(f"{tool}-{variant}-save").splitlines():
                table = line[1:] if line.startswith("*") else table
                if line.startswith("-A") and "stackup" in line:
                    yield f"{tool}-{variant} -t {table} {line}"


def read_sysctls() -> dict[str, str]:
    """All of /proc/sys/net of this network namespace but the per-link part and the counters."""
    values = {}
    for directory, _, names in os.walk("/proc/sys/net"):
        for name in names:
            path = f"{directory}/{name}"
            if not VOLATILE_SYSCTLS.search(path):
                values[path.removeprefix("/proc/sys/").replace("/", ".")] = read(path).strip()
    return values


# ------------------------------------------------------------------------------------------------------- files


def files(root: Path) -> Iterator[Path]:
    """Anything of a project, any file in the run directory, half-made things."""
    yield from below(root / "lib/projects", 1)
    for directory, names, entries in os.walk(root / "run"):
        if Path(directory) == root / "run/projects":
            yield from (Path(directory, name) for name in names)
        for entry in entries:
            yield Path(directory, entry)
    for name, depth in KEPT.items():
        yield from (path for path in below(root / "lib" / name, depth) if HALF_MADE.search(path.name))


def below(directory: Path, depth: int) -> Iterator[Path]:
    try:
        entries = sorted(directory.iterdir())
    except OSError:
        return
    for entry in entries:
        yield entry
        if depth > 1 and entry.is_dir() and not entry.is_symlink():
            yield from below(entry, depth - 1)


def read(path: str) -> str:
    """A file's text; empty when it is gone or not ours to read, as files in /proc may be at any moment."""
    try:
        with open(path, "rb") as file:
            return file.read().decode(errors="surrogateescape")
    except OSError:
        return ""


def run(*command: str) -> str:
    """A tool's output; empty when it is missing or fails."""
    try:
        return subprocess.run(command, capture_output=True, text=True, timeout=20, check=False).stdout
    except FileNotFoundError:
        return ""
