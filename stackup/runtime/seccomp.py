"""Seccomp filters: a profile compiled for a set of capabilities, cached on disk by everything that it depends on.

``seccomp-default.json`` is Docker's default profile (moby/profiles, seccomp/default.json).
"""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Collection
from pathlib import Path
from typing import Any

from stackup.base.errors import ContainerFault, HostUnfit
from stackup.base.files import write_atomic
from stackup.base.paths import Layout
from stackup.linux import libseccomp
from stackup.linux.seccompshrink import shrink
from stackup.linux.syscall import MACHINE

# Changes when the same profile is to be compiled to something else.
_FORM = "shrunk"
DEFAULT_PROFILE = Path(__file__).with_name("seccomp-default.json")


def compiled_filter(layout: Layout, caps: Collection[str], profile: Path | None = None) -> Path:
    """Path of the filter for a container with the bounding set ``caps``; compiles it when not cached (50 ms).

    Raises HostUnfit without libseccomp, ContainerFault for a profile that cannot be read or understood.
    """
    source = profile or DEFAULT_PROFILE
    try:
        text = source.read_bytes()
    except OSError as error:
        raise ContainerFault(
            f"cannot read the seccomp profile {source}: {error.strerror}",
            step="seccomp",
            errno=error.errno or 0,
            path=str(source),
        ) from error
    try:
        version = libseccomp.version()
    except OSError as error:
        raise HostUnfit(
            f"cannot compile the seccomp profile: {error}", hint="install libseccomp (Debian, Ubuntu: libseccomp2)"
        ) from error
    names = sorted(set(caps))
    kernel = os.uname().release
    key = "\0".join((hashlib.sha256(text).hexdigest(), *names, MACHINE, kernel, version, _FORM))
    path = layout.cache / "seccomp" / f"{hashlib.sha256(key.encode()).hexdigest()[:32]}.bpf"
    if not path.exists():
        program = _compile(source, text, frozenset(names), kernel)
        path.parent.mkdir(parents=True, exist_ok=True)
        write_atomic(path, program, mode=0o644)
    return path


def oci_profile(caps: Collection[str], profile: Path | None = None) -> dict[str, Any]:
    """``linux.seccomp`` of a config.json for other runtimes: the rules that apply to ``caps`` and this machine."""
    source: dict[str, Any] = json.loads((profile or DEFAULT_PROFILE).read_bytes())
    names, kernel = frozenset(caps), _release(os.uname().release)
    default = source["defaultAction"], source.get("defaultErrnoRet")
    architectures = [item for item in source.get("archMap") or () if item["architecture"] == _OCI_ARCHITECTURE]
    return {
        **{key: source[key] for key in ("defaultAction", "defaultErrnoRet") if key in source},
        "architectures": [
            name for item in architectures for name in (item["architecture"], *(item["subArchitectures"] or ()))
        ],
        "syscalls": [
            {key: rule[key] for key in ("names", "action", "errnoRet", "args") if rule.get(key)}
            for rule in source.get("syscalls") or ()
            if libseccomp.applies(rule, names, kernel) and (rule["action"], rule.get("errnoRet")) != default
        ],
    }


_OCI_ARCHITECTURE = f"SCMP_ARCH_{MACHINE.upper()}"


def _release(kernel: str) -> tuple[int, int]:
    major, minor = kernel.split(".")[:2]
    return int(major), int(minor.partition("-")[0])


def _compile(source: Path, text: bytes, caps: frozenset[str], kernel: str) -> bytes:
    try:
        profile: dict[str, Any] = json.loads(text)
        return shrink(libseccomp.compile_profile(profile, caps, _release(kernel)))
    except (ValueError, KeyError, TypeError) as error:
        raise ContainerFault(
            f"cannot understand the seccomp profile {source}: {error}", step="seccomp", path=str(source)
        ) from error
