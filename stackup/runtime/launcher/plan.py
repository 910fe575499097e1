"""A bundle as the list of operations of its first process; an OCI process as those of an exec. Pure.

The order is what counts here. Host paths are opened before pivot_root, targets are resolved after it; sysctls come
before /proc/sys turns read-only; masks last; identities, capabilities and the filter in the order in which each still
permits the next. The text of ``describe`` is the test (tests/unit/runtime).
"""

from __future__ import annotations

import os
from functools import lru_cache

from stackup.linux import capabilities, sysctls
from stackup.linux.mountoptions import MountOptions
from stackup.runtime.launcher.operations import covering, devices, finish, isolation, network, rootfs, stdio
from stackup.runtime.launcher.operations.base import Operation, Refusal

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

_EPERM, _EINVAL = 1, 22
_CONSOLE_DEFAULT = {"height": 0, "width": 0}


class Surroundings:
    """What the launcher knows and a bundle does not say."""

    __slots__ = ("cgroup_v1", "last_capability", "mount_point", "oom_score", "reap", "unified")

    def __init__(
        self,
        *,
        mount_point: str,
        last_capability: int,
        reap: Callable[[], None],
        oom_score: int = 0,
        unified: bool = True,
        cgroup_v1: list[tuple[str, str]] | None = None,
    ) -> None:
        """``mount_point``: an empty directory; every container mounts its root there, each in its own namespace.

        ``oom_score`` is the launcher's, which children inherit.
        """
        self.mount_point = mount_point
        self.last_capability = last_capability
        self.reap = reap
        self.oom_score = oom_score
        self.unified = unified
        self.cgroup_v1 = cgroup_v1 or []


def container_operations(
    config: dict[str, Any],
    launch: dict[str, Any],
    bundle: str,
    around: Surroundings,
    *,
    join: list[tuple[str, str]],
    bridges: list[int],
    stdin_fd: int,
    stdio_fds: list[int] | None,
    seccomp: bytes,
) -> list[Operation]:
    """``join``: (cgroup directory, file) to write oneself into; ``bridges``: an index per veth; ``seccomp``: BPF.

    Raises Refusal for what this runtime cannot do.
    """
    process, linux = config["process"], config.get("linux") or {}
    namespaces = {item["type"]: item.get("path") or "" for item in linux.get("namespaces") or ()}
    user = process.get("user") or {}
    found: list[Operation] = [
        *_begin(process, around),
        *(isolation.JoinCgroup(directory, file) for directory, file in join),
    ]
    if namespaces.get("cgroup") == "" and not (around.unified and not join):
        found.append(isolation.UnshareCgroup())
    found += [
        isolation.JoinNamespace(kind, path)
        for kind, path in namespaces.items()
        if path and kind not in ("pid", "mount")
    ]
    found.append(isolation.NewKeyring(f"_ses.{launch['container_id']}"))
    mounts = [_Mount(index, item, bundle) for index, item in enumerate(config.get("mounts") or ())]
    found += [rootfs.OpenSource(m.index, m.source, m.options.recursive) for m in mounts if m.options.bind]
    found += _root(config, launch, bundle, around)
    found += _network(launch, namespaces, bridges)
    if stdio_fds is not None:
        found.append(stdio.TakeDescriptors(stdio_fds))
    elif not launch["tty"]:
        found.append(stdio.TakeInput(stdin_fd))
        found.append(stdio.OpenOutput(launch["stdout"], launch["stderr"], user.get("uid", 0), user.get("gid", 0)))
    found.append(rootfs.PivotRoot(around.mount_point))
    found += [_mount(m, around) for m in mounts]
    found += [_device(item) for item in linux.get("devices") or ()]
    if launch["tty"]:
        found.append(_console(process, on_console=True))
    found += _settle(config, launch, linux, namespaces)
    if namespaces.get("uts") == "":
        found += [isolation.SetHostname(config["hostname"])] if config.get("hostname") else []
        found += [isolation.SetDomainname(config["domainname"])] if config.get("domainname") else []
    return found + _finish(process, around, seccomp, init=launch.get("init", False))


def _settle(
    config: dict[str, Any], launch: dict[str, Any], linux: dict[str, Any], namespaces: dict[str, str]
) -> list[Operation]:
    """What is written or made inside the finished tree, before parts of it turn read-only or vanish under masks."""
    found: list[Operation] = [rootfs.MakeDirectory(config["process"]["cwd"])]
    found += [_sysctl(name, value, namespaces) for name, value in (linux.get("sysctl") or {}).items()]
    if (config.get("root") or {}).get("readonly"):
        targets = [item["target"] for item in launch["overlays"]] or ["/"]
        found += [rootfs.MakeReadonly(target) for target in targets]
    return found + _covered(tuple(linux.get("readonlyPaths") or ()), tuple(linux.get("maskedPaths") or ()))


def _sysctl(name: str, value: str, namespaces: dict[str, str]) -> Operation:
    problem = sysctls.why_not(name, namespaces)
    if problem:
        raise Refusal("sysctl", _EPERM, name, problem)
    return rootfs.SetSysctl(name, value)


def exec_operations(
    process: dict[str, Any],
    around: Surroundings,
    *,
    container_id: str,
    pidfd: int,
    namespace_flags: int,
    join: list[tuple[str, str]],
    stdio_fds: list[int],
    tty: bool,
    seccomp: bytes,
) -> list[Operation]:
    """A further process in a running container. The pid namespace is the launcher's business (before the clone)."""
    found: list[Operation] = [
        *_begin(process, around),
        *(isolation.JoinCgroup(directory, file) for directory, file in join),
        isolation.NewKeyring(f"_ses.{container_id}"),
        isolation.EnterContainer(pidfd, namespace_flags),
    ]
    if tty:
        found.append(_console(process, on_console=False))
    else:
        found.append(stdio.TakeDescriptors(stdio_fds))
    return found + _finish(process, around, seccomp, init=False)


def _begin(process: dict[str, Any], around: Surroundings) -> list[Operation]:
    """While /proc is the host's and nobody can have prepared it."""
    found: list[Operation] = [isolation.DieWithLauncher(), isolation.ClearUmask()]
    score = process.get("oomScoreAdj") or 0
    if score != around.oom_score:
        found.append(isolation.SetOomScore(score))
    if process.get("apparmorProfile"):
        found.append(isolation.SetApparmor(process["apparmorProfile"]))
    return found


# The containers of a project ask for the same few things again and again, and the launcher plans for all of them.
@lru_cache(256)
def _options(bind: bool, options: tuple[str, ...]) -> MountOptions:
    found = MountOptions(options)
    found.bind = found.bind or bind
    return found


@lru_cache(64)
def _covered(protected: tuple[str, ...], masked: tuple[str, ...]) -> list[Operation]:
    return [*(covering.ProtectPath(path) for path in protected), *(covering.MaskPath(path) for path in masked)]


@lru_cache(64)
def _capabilities(names: tuple[str, ...]) -> int:
    return capabilities.mask(names)


class _Mount:
    """One entry of ``mounts`` with its options sorted."""

    __slots__ = ("index", "kind", "options", "source", "target")

    def __init__(self, index: int, item: dict[str, Any], bundle: str) -> None:
        self.index = index
        self.target: str = item["destination"]
        self.kind: str = item.get("type") or ""
        self.options = _options(self.kind == "bind", tuple(item.get("options") or ()))
        self.source: str = item.get("source") or ""
        if self.options.bind:
            self.source = os.path.join(bundle, self.source)
        if not self.target.startswith("/"):
            raise Refusal("mount", _EINVAL, self.target, "the destination is not an absolute path")


def _root(config: dict[str, Any], launch: dict[str, Any], bundle: str, around: Surroundings) -> list[Operation]:
    place = around.mount_point
    if not launch["overlays"]:
        return [rootfs.BindRoot(os.path.join(bundle, (config.get("root") or {}).get("path") or "rootfs"), place)]
    return [
        rootfs.MountOverlay(
            item["target"],
            place + item["target"].rstrip("/"),
            list(item["lowers"]),
            item["upper"],
            item["work"],
            launch["volatile"],
        )
        for item in launch["overlays"]
    ]


def _network(launch: dict[str, Any], namespaces: dict[str, str], bridges: list[int]) -> list[Operation]:
    """A fresh network namespace at least gets its loopback; one that is joined or shared is not touched."""
    if namespaces.get("network") != "":
        return []
    found: list[Operation] = []
    if launch["veths"]:
        found.append(network.MakeLinks(list(zip(launch["veths"], bridges, strict=True))))
    found.append(network.ConfigureLinks(launch["veths"]))
    if launch["dns"]:
        found.append(network.OpenResolver())
    return found


def _mount(item: _Mount, around: Surroundings) -> Operation:
    if item.options.bind:
        return rootfs.AttachSource(item.index, item.target, item.options)
    if item.kind == "tmpfs" and item.target == "/dev":
        return devices.MountDev(item.target, item.options)
    if item.kind in ("cgroup", "cgroup2"):
        return devices.MountCgroups(item.target, item.options, around.unified, around.cgroup_v1)
    return rootfs.MountFilesystem(item.kind, item.target, item.source or item.kind, item.options)


def _device(item: dict[str, Any]) -> Operation:
    return devices.MakeDevice(
        item["path"],
        item["type"],
        item.get("major", 0),
        item.get("minor", 0),
        item.get("fileMode", 0o666) & 0o7777,
        item.get("uid") or 0,
        item.get("gid") or 0,
    )


def _console(process: dict[str, Any], *, on_console: bool) -> Operation:
    size = process.get("consoleSize") or _CONSOLE_DEFAULT
    uid = (process.get("user") or {}).get("uid", 0)
    return devices.OpenConsole(size["height"], size["width"], uid, on_console)


def _finish(process: dict[str, Any], around: Surroundings, seccomp: bytes, *, init: bool) -> list[Operation]:
    user, sets = process.get("user") or {}, process.get("capabilities") or {}
    bounding, effective, inheritable, permitted, ambient = (
        _capabilities(tuple(sets.get(name) or ()))
        for name in ("bounding", "effective", "inheritable", "permitted", "ambient")
    )
    env = dict(entry.partition("=")[::2] for entry in process.get("env") or ())
    no_new_privileges = bool(process.get("noNewPrivileges"))
    find = finish.FindCommand(list(process["args"]), env)
    found: list[Operation] = [
        isolation.SetRlimit(item["type"], item["soft"], item["hard"]) for item in process.get("rlimits") or ()
    ]
    if init:
        found.append(finish.BecomeInit(around.reap))
    found.append(stdio.NewSession())
    found.append(finish.LimitBounding(bounding, around.last_capability))
    if seccomp and not no_new_privileges:
        found.append(finish.LoadFilter(seccomp))
    found += [
        finish.BecomeUser(user.get("uid", 0), user.get("gid", 0), list(user.get("additionalGids") or ())),
        finish.LimitCapabilities(effective, permitted, inheritable, ambient),
        finish.EnterDirectory(process["cwd"], 0o022 if user.get("umask") is None else user["umask"]),
        find,
    ]
    if no_new_privileges:
        found.append(finish.SetNoNewPrivileges())
    found.append(finish.Execute(find, seccomp if no_new_privileges else b""))
    return found
