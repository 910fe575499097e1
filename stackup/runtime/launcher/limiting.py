"""Makes a container's control groups and writes its limits; says which of them the child still has to join."""

from __future__ import annotations

import os
from itertools import groupby

from stackup.linux import bpf, features, limits
from stackup.linux.cgroups import Hierarchies, copy_cpuset, read_file
from stackup.runtime.launcher.operations.base import Refusal

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

# Hosts without swap accounting lack these files; Docker goes on without them as well.
_OPTIONAL = frozenset(("memory.memsw.limit_in_bytes", "memory.swappiness", "memory.swap.max"))
_ALWAYS_V1 = ("memory", "pids")
_DENIED = frozenset((1, 2, 13, 30))
_EINVAL = 22


class Groups:
    """``v2`` is the directory to clone into ("" when there is none), ``join`` what the child writes itself into."""

    __slots__ = ("directories", "join", "v2")

    def __init__(self) -> None:
        self.v2 = ""
        self.join: list[tuple[str, str]] = []
        self.directories: list[str] = []


class Limiter:
    def __init__(self, hierarchies: Hierarchies) -> None:
        self._hierarchies = hierarchies
        self._programs: dict[bytes, int] = {}

    def make(self, group: str, resources: dict[str, Any]) -> Groups:
        """Raises Refusal when a limit that was asked for cannot be set."""
        made = Groups()
        if not group:
            return made
        if self._hierarchies.v2:
            self._make_v2(made, group, resources if self._hierarchies.unified else {})
        if self._hierarchies.v1:
            self._make_v1(made, group, resources)
        return made

    def _make_v1(self, made: Groups, group: str, resources: dict[str, Any]) -> None:
        hierarchies, rules = self._hierarchies.v1, limits.device_rules(resources)
        settings = limits.v1_settings(resources)
        wanted = {
            *(controller for controller, name, _ in settings if name not in limits.WEIGHTS),
            *(("devices",) if rules else ()),
        }
        tried = wanted | {controller for controller, name, _ in settings if name in limits.WEIGHTS}
        places: dict[str, str] = {}
        for controller in dict.fromkeys((*_ALWAYS_V1, *sorted(tried))):
            if controller not in hierarchies:
                if controller in wanted:
                    raise Refusal("cgroup", 2, controller, f"this machine has no {controller} cgroup controller")
                continue
            directory = self._directory(hierarchies[controller], group, required=controller in wanted)
            if directory and directory not in made.directories:
                made.directories.append(directory)
                made.join.append((directory, "tasks"))
            places[controller] = directory
        if "cpuset" in places:
            copy_cpuset(places["cpuset"])
        for controller, name, text in settings:
            if name not in limits.WEIGHTS or os.path.exists(f"{places.get(controller)}/{name}"):
                _write(f"{places[controller]}/{name}", text)
        for allow, same in groupby(rules, key=lambda rule: rule.allow):
            _write(f"{places['devices']}/devices.{'allow' if allow else 'deny'}", *(rule.v1_line() for rule in same))

    def _make_v2(self, made: Groups, group: str, resources: dict[str, Any]) -> None:
        settings, rules = limits.v2_settings(resources), limits.device_rules(resources)
        if self._hierarchies.unified:
            self._hierarchies.enable_controllers(group)
        directory = self._directory(self._hierarchies.v2, group, required=bool(settings or rules))
        if not directory:
            return
        made.directories.append(directory)
        for controller, name, text in settings:
            if name in limits.WEIGHTS and not os.path.exists(f"{directory}/{name}"):
                continue
            if not os.path.exists(f"{directory}/{name}") and name not in _OPTIONAL:
                raise Refusal("cgroup", 2, name, f"the {controller} cgroup controller is not available here")
            _write(f"{directory}/{name}", text)
        if rules:
            self._attach_devices(directory, bpf.compile_rules(rules))
        if features.usable(features.CLONE_INTO_CGROUP):
            made.v2 = directory
        else:
            made.join.append((directory, "cgroup.procs"))

    def _directory(self, hierarchy: str, group: str, *, required: bool) -> str:
        """ "" when the hierarchy is not ours to write and nothing depends on it."""
        try:
            return self._hierarchies.make(hierarchy, group)
        except OSError as error:
            if required or error.errno not in _DENIED:
                raise Refusal("cgroup", error.errno or 0, f"{hierarchy}/{group}", error.strerror or "") from error
            return ""

    def _attach_devices(self, directory: str, program: bytes) -> None:
        try:
            try:
                if program not in self._programs:
                    self._programs[program] = bpf.load_device_program(program)
                bpf.attach_device_program(directory, self._programs[program])
            except OSError as error:
                # A group that could not be made anew has this very program already; the kernel takes no program twice.
                if error.errno != _EINVAL or program not in self._programs:
                    raise
                os.close(self._programs.pop(program))
                self._programs[program] = bpf.load_device_program(program)
                bpf.attach_device_program(directory, self._programs[program])
        except OSError as error:
            raise Refusal("cgroup", error.errno or 0, directory, f"device rules: {error.strerror}") from error


def oom_kills(hierarchies: Hierarchies, group: str) -> int:
    """How often the kernel killed for memory in this group, so far."""
    if not group:
        return 0
    v1 = hierarchies.v1.get("memory")
    path = f"{v1}/{group}/memory.oom_control" if v1 else f"{hierarchies.v2}/{group}/memory.events"
    for line in read_file(path).splitlines():
        key, _, count = line.partition(" ")
        if key == "oom_kill":
            return int(count)
    return 0


def _write(path: str, *texts: str) -> None:
    """Each text with a write of its own, as control files want it."""
    text = texts[0]
    try:
        fd = os.open(path, os.O_WRONLY | os.O_CLOEXEC)
        try:
            for text in texts:
                os.write(fd, text.encode())
        finally:
            os.close(fd)
    except OSError as error:
        name = os.path.basename(path)
        if error.errno in (2, 95) and name in _OPTIONAL:
            return
        raise Refusal("cgroup", error.errno or 0, f"{name}={text}", error.strerror or "") from error
