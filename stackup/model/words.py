"""Words of stack files that name things of Linux: signals, capabilities, security options, device rules.

Read here and nowhere else, so that what is refused when a file is checked is what could not be carried out.
"""

from __future__ import annotations

import signal

from stackup.base.capabilities import ALL_CAPABILITIES

SECURITY_OPTIONS = (
    "no-new-privileges:true, seccomp=FILE, seccomp=unconfined, apparmor=PROFILE, label=..., systempaths=unconfined"
)
ENGINE_SOCKETS = frozenset({"/var/run/docker.sock", "/run/docker.sock"})
ALLOW_SOCKET = "docker.sock"  # in x-stackup.allow at the top of the file
DEVICE_RULE = 'it reads "c 7:* rwm"'


def signal_number(text: str) -> int | None:
    """``SIGTERM``, ``TERM``, ``15`` or ``SIGRTMIN+3``; None for anything else."""
    name = text.upper().removeprefix("SIG")
    if name.isdecimal() and name.isascii():
        return int(name) if len(name) < 4 and 0 < int(name) <= signal.SIGRTMAX else None
    base, plus, offset = name.partition("+")
    if plus and base == "RTMIN" and offset.isdecimal() and offset.isascii() and len(offset) < 4:
        number = signal.SIGRTMIN + int(offset)
        return number if number <= signal.SIGRTMAX else None
    found = getattr(signal, f"SIG{name}", None)
    return int(found) if isinstance(found, signal.Signals) else None


def capability(text: str) -> str:
    """``CAP_NET_ADMIN`` for ``net_admin``, in any case and with or without ``CAP_``; ALL stays. Not checked."""
    name = text.upper()
    return name if name == "ALL" or name.startswith("CAP_") else f"CAP_{name}"


def is_capability(name: str) -> bool:
    """Of what ``capability`` answers."""
    return name == "ALL" or name in ALL_CAPABILITIES


def security_option(text: str) -> tuple[str, str] | None:
    """Key and value of one ``security_opt`` (``key=value``, the older ``key:value``, or a key alone); None for none."""
    key, value = _split(text)
    if key == "no-new-privileges":
        return (key, value or "true") if value in ("", "true", "false") else None
    if key in ("seccomp", "apparmor", "label"):
        return (key, value) if value else None
    return (key, value) if (key, value) == ("systempaths", "unconfined") else None


def _split(option: str) -> tuple[str, str]:
    for separator in ("=", ":"):
        key, found, value = option.partition(separator)
        if found and key.isascii() and ":" not in key:
            return key, value
    return option, ""


def device_rule(text: str) -> tuple[str, int | None, int | None, str] | None:
    """Kind, major, minor (None: all) and access of ``c 7:* rwm``; None for what is no such rule."""
    parts = text.split()
    if len(parts) != 3:
        return None
    kind, numbers, access = parts
    major, colon, minor = numbers.partition(":")
    fits = kind in ("a", "b", "c") and bool(colon) and set(access) <= set("rwm")
    if not fits or not all(
        part == "*" or (part.isdecimal() and part.isascii() and len(part) < 11) for part in (major, minor)
    ):
        return None
    return kind, None if major == "*" else int(major), None if minor == "*" else int(minor), access
