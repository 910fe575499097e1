"""Turns what the launcher's child reported (step, errno, path) into a ``ContainerFault`` that a user understands."""

from __future__ import annotations

import errno
import os
from collections.abc import Callable
from typing import Any

from stackup.base.errors import ContainerFault, HostUnfit, StackupError

_LIMITS = "as core cpu data fsize locks memlock msgqueue nice nofile nproc rss rtprio rttime sigpending stack"


def sentence(fault: dict[str, Any]) -> StackupError:
    """``fault``: ``step``, ``errno``, ``path``, ``text`` (the kernel's or the child's words) and what the step adds."""
    step, number, path = fault.get("step", ""), fault.get("errno") or 0, fault.get("path") or ""
    tell = _BY_STEP.get(step, _plain)
    message, hint = tell(fault, number, path)
    if step == "overlay" and number == errno.ENODEV:
        return HostUnfit(message, hint=hint)
    return ContainerFault(message, step=step, errno=number, path=path, hint=hint)


def exit_code(fault: StackupError) -> int:
    """The shell's and Docker's convention: 127 command not found, 126 found but cannot be run, else 125."""
    if isinstance(fault, ContainerFault) and fault.step in ("command", "exec"):
        return 127 if fault.errno == errno.ENOENT else 126
    return 125


def _why(fault: dict[str, Any], number: int) -> str:
    return str(fault.get("text") or (os.strerror(number) if number else "unknown reason"))


def _plain(fault: dict[str, Any], number: int, path: str) -> tuple[str, str]:
    what = fault.get("what") or f"set up the container ({fault.get('step', 'start')})"
    return f"cannot {what}: {path + ': ' if path else ''}{_why(fault, number)}", ""


def _command(fault: dict[str, Any], number: int, path: str) -> tuple[str, str]:
    if number == errno.ENOENT:
        if "/" in path:
            return f"cannot run {path!r}: there is no such file in the image", ""
        searched = fault.get("search") or "(empty)"
        return f"cannot run {path!r}: command not found in the image (PATH is {searched})", ""
    if number == errno.EACCES:
        return f"cannot run {path!r}: permission denied", "make it executable in the image: chmod +x"
    if number == errno.EISDIR:
        return f"cannot run {path!r}: it is a directory", ""
    return f"cannot run {path!r}: {_why(fault, number)}", ""


def _exec(fault: dict[str, Any], number: int, path: str) -> tuple[str, str]:
    if number == errno.ENOEXEC:
        return f"cannot run {path!r}: not a program for this machine", "built for another architecture, or no #! line"
    if number == errno.ENOENT:
        return f"cannot run {path!r}: its interpreter (#! line) or loader is not in the image", ""
    return _command(fault, number, path)


def _cwd(fault: dict[str, Any], number: int, path: str) -> tuple[str, str]:
    reason = {errno.ENOENT: "there is no such directory in the container", errno.ENOTDIR: "it is not a directory"}
    return f"cannot enter the working directory {path!r}: {reason.get(number) or _why(fault, number)}", ""


def _source(fault: dict[str, Any], number: int, path: str) -> tuple[str, str]:
    if number == errno.ENOENT:
        return f"cannot bind {path!r}: there is no such file or directory on the host", ""
    return f"cannot bind {path!r}: {_why(fault, number)}", ""


def _overlay(fault: dict[str, Any], number: int, path: str) -> tuple[str, str]:
    if number == errno.ENODEV:
        return "cannot mount the root file system: this kernel has no overlayfs", "load it: modprobe overlay"
    hint = ""
    if number == errno.EINVAL:
        hint = "overlayfs needs a writable layer on a file system such as ext4 or xfs; move it with STACKUP_ROOT"
    return f"cannot mount the root file system: {_why(fault, number)}", hint


def _rlimit(fault: dict[str, Any], number: int, path: str) -> tuple[str, str]:
    if number == errno.EPERM:
        return (
            f"cannot set ulimit {path}: it exceeds what this machine allows stackup to give",
            "lower it in the stack file, or raise the limit of the shell or service that runs stackup",
        )
    if number == errno.EINVAL and "not known" in _why(fault, number):
        return f"cannot set ulimit {path.partition('=')[0]}: Linux has no such limit", f"its limits: {_LIMITS}"
    return f"cannot set ulimit {path}: {_why(fault, number)}", ""


def _sysctl(fault: dict[str, Any], number: int, path: str) -> tuple[str, str]:
    if number == errno.ENOENT:
        return f"cannot set the sysctl {path!r}: this kernel has none of that name in a container", ""
    if number == errno.EINVAL:
        return f"cannot set the sysctl {path!r}: the kernel does not take this value", ""
    return f"cannot set the sysctl {path!r}: {_why(fault, number)}", ""


def _apparmor(fault: dict[str, Any], number: int, path: str) -> tuple[str, str]:
    if number in (errno.ENOENT, errno.EINVAL):
        return f"cannot use the AppArmor profile {path!r}: it is not loaded on this machine", "aa-status lists them"
    return f"cannot use the AppArmor profile {path!r}: {_why(fault, number)}", ""


def _cgroup(fault: dict[str, Any], number: int, path: str) -> tuple[str, str]:
    name, sign, value = path.rpartition("/")[2].partition("=")
    if name.startswith("cpuset.") and number in (errno.ERANGE, errno.EINVAL):
        return (
            f"cannot limit the container to the processors {value}: this machine has {os.cpu_count()}",
            "count from 0",
        )
    if sign and number in (errno.ERANGE, errno.EINVAL):
        return f"cannot set the resource limit {name} to {value}: the kernel does not take this value", ""
    return f"cannot set the resource limits{' ' + repr(path) if path else ''}: {_why(fault, number)}", ""


def _hostname(fault: dict[str, Any], number: int, path: str) -> tuple[str, str]:
    if number == errno.EINVAL:
        return "cannot set the host name: it is longer than 64 characters", ""
    return _plain(fault, number, path)


def _named(verb: str) -> Callable[[dict[str, Any], int, str], tuple[str, str]]:
    return lambda fault, number, path: (f"cannot {verb}{' ' + repr(path) if path else ''}: {_why(fault, number)}", "")


_BY_STEP: dict[str, Callable[[dict[str, Any], int, str], tuple[str, str]]] = {
    "command": _command,
    "exec": _exec,
    "cwd": _cwd,
    "source": _source,
    "overlay": _overlay,
    "rlimits": _rlimit,
    "bundle": _named("read the bundle"),
    "mount": _named("mount"),
    "sysctl": _sysctl,
    "apparmor": _apparmor,
    "hostname": _hostname,
    "veth": _named("connect the container to its network"),
    "cgroup": _cgroup,
    "user": _named("become the container's user"),
    "seccomp": _named("load the seccomp filter"),
    "stdio": _named("open the container's output"),
    "clone": _named("create the container's process"),
    "running": _named("start the container"),
    "find": _named("find the container"),
}
