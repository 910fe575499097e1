"""OCI ``linux.resources`` as lines for the files of a control group: v1 and v2. Pure.

Conversions as the OCI runtime specification and runc do them (libcontainer/cgroups/fs, fs2).
"""

from __future__ import annotations

from stackup.linux.bpf import DeviceRule

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    Settings = list[tuple[str, str, str]]


# What every container may use, whatever its rules say: the default devices, terminals, and making (not opening) nodes.
# Appended to the rules of a bundle, as runc and crun do.
_DEFAULT_DEVICES = (
    ("c", -1, -1, "m"),
    ("b", -1, -1, "m"),
    ("c", 1, 3, "rwm"),
    ("c", 1, 5, "rwm"),
    ("c", 1, 7, "rwm"),
    ("c", 1, 8, "rwm"),
    ("c", 1, 9, "rwm"),
    ("c", 5, 0, "rwm"),
    ("c", 5, 2, "rwm"),
    ("c", 136, -1, "rwm"),
)


def device_rules(resources: dict[str, Any]) -> list[DeviceRule]:
    """Empty when the bundle has none: then access is not restricted."""
    found: list[DeviceRule] = []
    for rule in resources.get("devices") or ():
        major, minor = (-1 if rule.get(key) is None else rule[key] for key in ("major", "minor"))
        found.append(
            DeviceRule(bool(rule["allow"]), rule.get("type") or "a", major, minor, rule.get("access") or "rwm")
        )
    said = {(rule.kind, rule.major, rule.minor, rule.access) for rule in found if rule.allow}
    return found + [DeviceRule(True, *rule) for rule in _DEFAULT_DEVICES if found and rule not in said]


# Not every kernel has them, and nothing breaks without: Docker leaves them out, too (daemon/daemon_unix.go).
WEIGHTS = frozenset({"blkio.weight", "blkio.weight_device", "io.weight"})


def v1_settings(resources: dict[str, Any]) -> Settings:
    """(controller, file, text) in the order in which they must be written."""
    memory, cpu, io = (resources.get(key) or {} for key in ("memory", "cpu", "blockIO"))
    found: Settings = []

    def put(controller: str, name: str, value: Any) -> None:
        if value is not None and value != "":
            found.append((controller, f"{controller}.{name}", str(value)))

    put("memory", "limit_in_bytes", memory.get("limit"))
    put("memory", "memsw.limit_in_bytes", memory.get("swap"))
    put("memory", "soft_limit_in_bytes", memory.get("reservation"))
    put("memory", "swappiness", memory.get("swappiness"))
    if memory.get("disableOOMKiller"):
        put("memory", "oom_control", 1)
    put("cpu", "shares", cpu.get("shares"))
    put("cpu", "cfs_period_us", cpu.get("period"))
    put("cpu", "cfs_quota_us", cpu.get("quota"))
    put("cpu", "rt_period_us", cpu.get("realtimePeriod"))
    put("cpu", "rt_runtime_us", cpu.get("realtimeRuntime"))
    put("cpuset", "cpus", cpu.get("cpus"))
    put("cpuset", "mems", cpu.get("mems"))
    if resources.get("pids"):
        put("pids", "max", _unlimited(resources["pids"]["limit"] or -1, "max"))
    put("blkio", "weight", io.get("weight"))
    for item in io.get("weightDevice") or ():
        put("blkio", "weight_device", f"{item['major']}:{item['minor']} {item['weight']}")
    for key, name in _THROTTLES:
        for item in io.get(key) or ():
            put("blkio", f"throttle.{name}", f"{item['major']}:{item['minor']} {item['rate']}")
    return found


_THROTTLES = (
    ("throttleReadBpsDevice", "read_bps_device"),
    ("throttleWriteBpsDevice", "write_bps_device"),
    ("throttleReadIOPSDevice", "read_iops_device"),
    ("throttleWriteIOPSDevice", "write_iops_device"),
)
_IO_MAX = {
    "throttleReadBpsDevice": "rbps",
    "throttleWriteBpsDevice": "wbps",
    "throttleReadIOPSDevice": "riops",
    "throttleWriteIOPSDevice": "wiops",
}


def v2_settings(resources: dict[str, Any]) -> Settings:
    """(controller, file, text) in the order in which they must be written."""
    memory, cpu, io = (resources.get(key) or {} for key in ("memory", "cpu", "blockIO"))
    found: Settings = []
    limit, swap = memory.get("limit"), memory.get("swap")
    if limit is not None:
        found.append(("memory", "memory.max", _unlimited(limit, "max")))
    if swap is not None:
        only_swap = "max" if swap < 0 else str(max(swap - max(limit or 0, 0), 0))
        found.append(("memory", "memory.swap.max", only_swap))
    if memory.get("reservation") is not None:
        found.append(("memory", "memory.low", _unlimited(memory["reservation"], "max")))
    if cpu.get("shares"):
        found.append(("cpu", "cpu.weight", str(1 + (cpu["shares"] - 2) * 9999 // 262142)))
    if cpu.get("quota") is not None or cpu.get("period") is not None:
        quota = cpu.get("quota") or -1
        found.append(("cpu", "cpu.max", f"{_unlimited(quota, 'max')} {cpu.get('period') or 100000}"))
    found += [("cpuset", f"cpuset.{key}", cpu[key]) for key in ("cpus", "mems") if cpu.get(key)]
    if resources.get("pids"):
        found.append(("pids", "pids.max", _unlimited(resources["pids"]["limit"] or -1, "max")))
    if io.get("weight"):
        found.append(("io", "io.weight", f"default {1 + (io['weight'] - 10) * 9999 // 990}"))
    for key, name in _IO_MAX.items():
        for item in io.get(key) or ():
            found.append(("io", "io.max", f"{item['major']}:{item['minor']} {name}={item['rate']}"))
    found += [(name.split(".")[0], name, text) for name, text in (resources.get("unified") or {}).items()]
    return found


def _unlimited(value: int, word: str) -> str:
    return word if value < 0 else str(value)
