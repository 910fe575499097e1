"""Rules for single values that Compose passes on unread and an engine refuses only when it starts a container.

Each takes a value that is not empty and raises ``Wrong`` with half a sentence. ``values`` says which value has which.
"""

from __future__ import annotations

import os
import re
import resource
from collections.abc import Callable, Sequence
from ipaddress import ip_address
from typing import Any

from stackup.base.capabilities import ALL_CAPABILITIES
from stackup.base.errors import ImageError
from stackup.model.words import (
    DEVICE_RULE,
    SECURITY_OPTIONS,
    capability,
    device_rule,
    is_capability,
    security_option,
    signal_number,
)
from stackup.oci.platforms import is_architecture, parse_platform
from stackup.stackfile.problems import did_you_mean

Rule = Callable[[Any], None]
SMALLEST_MEMORY = 6 << 20  # bytes; moby daemon/daemon_unix.go, linuxMinMemory
NETWORK_MODES = ("none", "host", "bridge", "default")  # besides service: and container:
_SIGNALS = ("SIGTERM", "SIGINT", "SIGQUIT", "SIGHUP", "SIGKILL", "SIGUSR1", "SIGUSR2", "SIGWINCH", "SIGSTOP")
_POLICIES = ("no", "always", "unless-stopped", "on-failure")
_RESTART = re.compile(r"(no|always|unless-stopped|on-failure(:[0-9]+)?)?\Z")
_TMPFS_FLAGS = frozenset(
    (
        "ro", "rw", "exec", "noexec", "suid", "nosuid", "dev", "nodev", "sync",
        "async", "dirsync", "atime", "noatime", "diratime", "nodiratime", "relatime",
        "norelatime", "strictatime", "nostrictatime", "defaults", "remount", "mand",
        "nomand", "swap", "noswap", "inode32", "inode64",
    )
)  # fmt: skip
_TMPFS_VALUES = {
    "size": r"[0-9]+([kKmMgGtTpP][iI]?[bB]?|[bB]|%)?",
    "mode": r"[0-7]{1,4}",
    "uid": r"[0-9]+",
    "gid": r"[0-9]+",
    "nr_inodes": r"[0-9]+[kKmMgG]?",
    "nr_blocks": r"[0-9]+[kKmMgG]?",
    "mpol": r".+",
    "huge": r"never|always|within_size|advise|deny|force",
}
_IPC_SYSCTLS = frozenset(
    f"kernel.{name}" for name in ("msgmax", "msgmnb", "msgmni", "sem", "shmall", "shmmax", "shmmni", "shm_rmid_forced")
)
_RLIMITS = frozenset(name.removeprefix("RLIMIT_").lower() for name in dir(resource) if name.startswith("RLIMIT_"))
RLIMITS = (_RLIMITS | {"locks"}) - {"ofile"}


class Wrong(Exception):
    """``reason`` completes "cannot use X for Y: ..."."""

    def __init__(self, reason: str, hint: str = "") -> None:
        super().__init__(reason)
        self.reason = reason
        self.hint = hint


def one_of(words: Sequence[str], noun: str, *, prefixes: Sequence[str] = ()) -> Rule:
    """``words``, or something after one of ``prefixes`` (``service:``)."""

    def rule(value: Any) -> None:
        text = str(value)
        if text in words or any(text.startswith(item) and text != item for item in prefixes):
            return
        known = [*words, *(f"{item}NAME" for item in prefixes)]
        hint = did_you_mean(text, known)
        raise Wrong(f"there is no such {noun}", hint or f"one of {', '.join(known)}")

    return rule


def restart(value: Any) -> None:
    if not _RESTART.match(str(value)):
        hint = did_you_mean(str(value).partition(":")[0], _POLICIES)
        raise Wrong("there is no such policy", hint or f"one of {', '.join(_POLICIES)}, or on-failure:<number>")


def stop_signal(value: Any) -> None:
    if signal_number(str(value)) is None:
        hint = did_you_mean(f"SIG{str(value).upper().removeprefix('SIG')}", _SIGNALS)
        raise Wrong("there is no such signal", hint or "such as SIGTERM, SIGINT or SIGQUIT")


def known_capability(value: Any) -> None:
    name = capability(str(value))
    if not is_capability(name):
        plain = [item.removeprefix("CAP_") for item in ALL_CAPABILITIES]
        raise Wrong("there is no such capability", did_you_mean(name.removeprefix("CAP_"), plain))


def known_security_option(value: Any) -> None:
    option = security_option(str(value))
    if option is None:
        raise Wrong("there is no such option", SECURITY_OPTIONS)
    key, given = option
    if key == "seccomp" and given.startswith("/") and not os.path.isfile(given):
        raise Wrong(f"there is no file {given}")


def cgroup_device_rule(value: Any) -> None:
    if device_rule(str(value)) is None:
        raise Wrong("it is no rule for devices", DEVICE_RULE)


def device_access(value: Any) -> None:
    if set(str(value)) - set("rwm"):
        raise Wrong("it is not made of r, w and m")


def user(value: Any) -> None:
    text = str(value)
    name, _, group = text.partition(":")
    if ":" in group or re.search(r"\s", text):
        raise Wrong("it is no user", "NAME, NUMBER, NAME:GROUP or NUMBER:NUMBER")
    for part in (name, group):
        if re.fullmatch(r"-?[0-9]+", part) and not (len(part) < 11 and 0 <= int(part) < 1 << 31):
            raise Wrong(f"{part} is no number of a user or group", "they go from 0 to 2147483647")


def tmpfs(value: Any) -> None:
    target, _, options = str(value).partition(":")
    if not target.startswith("/"):
        raise Wrong(f"{target!r} is no absolute path")
    for option in filter(None, (item.strip() for item in options.split(","))):
        name, equals, given = option.partition("=")
        if not equals and name in _TMPFS_FLAGS:
            continue
        if not equals or name not in _TMPFS_VALUES:
            raise Wrong(f"tmpfs has no option {option!r}", did_you_mean(name, (*_TMPFS_VALUES, *sorted(_TMPFS_FLAGS))))
        if not re.fullmatch(_TMPFS_VALUES[name], given):
            raise Wrong(f"{given!r} is no value for the option {name}")


def absolute(value: Any) -> None:
    if not str(value).startswith("/"):
        raise Wrong("it is no absolute path")


def address(value: Any) -> None:
    _address(str(value).partition("%")[0])


def mapped_address(value: Any) -> None:
    """Of ``extra_hosts``."""
    if value != "host-gateway":
        _address(str(value).strip("[]"), "an address, or host-gateway")


def address4(value: Any) -> None:
    if _address(str(value)).version != 4:
        raise Wrong("it is no IPv4 address")


def address6(value: Any) -> None:
    if _address(str(value)).version != 6:
        raise Wrong("it is no IPv6 address")


def _address(text: str, hint: str = "") -> Any:
    try:
        return ip_address(text)
    except ValueError:
        raise Wrong("it is no IP address", hint) from None


def mac_address(value: Any) -> None:
    pairs = re.split("[:-]", str(value))
    if len(pairs) != 6 or not all(re.fullmatch("[0-9a-fA-F]{2}", pair) for pair in pairs):
        raise Wrong("it is not six pairs of hexadecimal digits", "such as 02:42:ac:11:00:02")
    if int(pairs[0], 16) & 1:
        raise Wrong("it is a multicast address", "the second digit must be even, such as 02:42:ac:11:00:02")


def cpuset(value: Any) -> None:
    highest = 0
    for part in str(value).split(","):
        found = re.fullmatch(r"\s*([0-9]{1,5})(?:-([0-9]{1,5}))?\s*", part)
        if found is None or int(found[2] or found[1]) < int(found[1]):
            raise Wrong(f"{part!r} is no processor and no range of them", "such as 0-3 or 0,2")
        highest = max(highest, int(found[2] or found[1]))
    there = os.sysconf("SC_NPROCESSORS_CONF")
    if highest >= there:
        raise Wrong(f"this machine has no processor {highest}", f"its processors go from 0 to {there - 1}")


def processors(value: Any) -> None:
    """moby daemon/daemon_unix.go, verifyPlatformContainerResources."""
    if not isinstance(value, int | float):
        return
    if value < 0:
        raise Wrong("it is below zero")
    there = os.cpu_count() or 1
    if value > there:
        raise Wrong(f"this machine has {there} processor{'s' if there > 1 else ''} only")


def pids(value: Any) -> None:
    if isinstance(value, int) and value < -1:
        raise Wrong("it is below zero", "-1 is no limit")


def platform(value: Any) -> None:
    try:
        found = parse_platform(str(value))
    except ImageError:
        raise Wrong("it is no platform", _PLATFORM) from None
    if "/" not in str(value) and found.architecture and not is_architecture(found.architecture):
        raise Wrong("there is no such system or architecture", _PLATFORM)


_PLATFORM = "OS/ARCHITECTURE[/VARIANT], such as linux/arm64"


def container_name(value: Any) -> None:
    """Compose looks for the pattern anywhere in the text; an engine wants all of it to be so."""
    if not re.fullmatch(r"[a-zA-Z0-9][a-zA-Z0-9_.-]+", str(value)):
        raise Wrong("a container cannot have this name", "letters, digits, '_', '.' and '-', beginning with the former")


def one_word(value: Any) -> None:
    if re.search(r"\s", str(value)):
        raise Wrong("it holds a space", "write each as an item of its own")


def exposed(value: Any) -> None:
    ports, slash, protocol = str(value).partition("/")
    port_range(ports)
    if slash and protocol.lower() not in ("tcp", "udp", "sctp"):
        raise Wrong("there is no such protocol", "tcp, udp or sctp")


def memory(value: Any) -> None:
    if isinstance(value, int) and 0 < value < SMALLEST_MEMORY:
        raise Wrong("the memory limit is too low", "a container needs at least 6m")


def between(low: int, high: int) -> Rule:
    """0 is "not said", as elsewhere in Compose."""

    def rule(value: Any) -> None:
        if isinstance(value, int) and value and not low <= value <= high:
            raise Wrong(f"it is not within {low} and {high}")

    return rule


def hostname(value: Any) -> None:
    if len(str(value).encode("utf-8", "surrogatepass")) > 63 or re.search(r"[\s/:]", str(value)):
        raise Wrong("it is no name of a host", "at most 63 letters, digits, '-' and '.'")


def port_range(value: Any) -> None:
    found = re.fullmatch(r"([0-9]{1,5})(?:-([0-9]{1,5}))?", str(value))
    if found is None or not int(found[1]) <= int(found[2] or found[1]) <= 65535:
        raise Wrong("it is no port from 0 to 65535 and no range of them")


def port_number(value: Any) -> None:
    if isinstance(value, int) and not 0 < value <= 65535:
        raise Wrong("it is no port from 1 to 65535")


def sysctl(name: str, service_shares_network: bool) -> None:
    plain = name.replace("/", ".")
    if plain.startswith("net."):
        if service_shares_network:
            raise Wrong("the service uses another network, whose settings are not its own")
    elif plain not in _IPC_SYSCTLS and not plain.startswith("fs.mqueue."):
        raise Wrong(
            "it is a setting of the whole machine", "net.*, fs.mqueue.*, kernel.sem, .shm* and .msg* may be set"
        )
