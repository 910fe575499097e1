"""What ``logging:`` of a service means here: which driver, how much is kept, where lines are sent as well. Pure.

Whatever the driver, output is first moved into files, from which ``logs`` reads: all of it for ``json-file``, as with
Docker, unless ``max-size`` is given; 5 segments of 20 MB for ``local``, and for ``journald`` and ``syslog``, whose
lines are sent on from there. The limits count for stdout and stderr separately. ``none``: into /dev/null.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from typing import Any

from stackup.base.values import frozen
from stackup.engine.logwriter import Limits

DRIVERS = ("json-file", "local", "none", "journald", "syslog")
FORWARDED = frozenset({"journald", "syslog"})
FACILITIES = (
    "kern", "user", "mail", "daemon", "auth", "syslog", "lpr", "news", "uucp", "cron", "authpriv", "ftp", "ntp",
    "security", "console", "solaris-cron", *(f"local{number}" for number in range(8)),
)  # fmt: skip
FORMATS = ("", "rfc3164", "rfc5424", "rfc5424micro")

_COMMON = {"mode", "max-buffer-size", "cache-disabled", "cache-max-size", "cache-max-file", "cache-compress"}
_ATTRIBUTES = {"labels", "labels-regex", "env", "env-regex", "tag"}
_OPTIONS = {
    "json-file": {"max-size", "max-file", "compress"} | _ATTRIBUTES,
    "local": {"max-size", "max-file", "compress"},
    "none": {"max-size", "max-file", "compress"} | _ATTRIBUTES,
    "journald": _ATTRIBUTES,
    "syslog": {"syslog-address", "syslog-facility", "syslog-format"} | _ATTRIBUTES,
}
_TLS = re.compile("syslog-tls-.*")
_SIZE = re.compile(r"(-?\d+(?:\.\d+)?) ?([kmgt]?)i?b?", re.IGNORECASE)
_ADDRESS = re.compile(r"(unix|unixgram)://(/.+)|(udp|tcp)://(\[[0-9a-fA-F:]+\]|[^:/]+)(?::(\d{1,5}))?")
_PLACEHOLDER = re.compile(r"\{\{\s*(.*?)\s*\}\}")
TAG_WORDS = (".ID", ".FullID", ".Name", ".FullName", ".ImageName", ".ImageID", ".ImageFullID", ".DaemonName")


@frozen
class LogRule:
    """``options`` are the driver's, as they were written."""

    driver: str
    options: Mapping[str, str]
    limits: Limits

    @property
    def kept(self) -> bool:
        return self.driver != "none"

    @property
    def forwarded(self) -> bool:
        return self.driver in FORWARDED


@frozen
class Mistake:
    """``option`` is empty where the driver itself is wrong."""

    option: str
    text: str
    hint: str


def rule_of(logging: Mapping[str, Any] | None) -> LogRule:
    """Of a configuration in which ``mistakes`` finds none."""
    driver, options = _parts(logging)
    prefix = "cache-" if driver in FORWARDED else ""
    size = _size(options.get(f"{prefix}max-size", ""))
    files = int(options.get(f"{prefix}max-file") or 0)
    if driver in ("json-file", "none"):
        limits = Limits(max(0, size or 0), max(1, files))
    else:
        limits = Limits(20_000_000 if size is None else max(0, size), files or 5)
    return LogRule(driver, options, limits)


def mistakes(logging: Mapping[str, Any] | None) -> Iterable[Mistake]:
    """What Docker's engine would refuse, and what there is no support for here."""
    driver, options = _parts(logging)
    if driver not in DRIVERS:
        yield Mistake("", f"there is no log driver {driver!r} here", f"one of {', '.join(DRIVERS)}")
        return
    for name, value in options.items():
        if _TLS.fullmatch(name) and driver == "syslog":
            yield Mistake(name, "messages cannot be sent over TLS yet", "syslog-address: tcp://... or a local relay")
        elif name not in _OPTIONS[driver] | _COMMON:
            known = ", ".join(sorted(_OPTIONS[driver]))
            yield Mistake(name, f"the driver {driver} has no such option", f"it has: {known}")
        elif hint := _wrong(name, value):
            yield Mistake(name, f"{value!r} will not do", hint)
    if int(options.get("max-file", "1") or 1) > 1 and driver == "json-file" and "max-size" not in options:
        yield Mistake("max-file", "there is nothing to rotate without max-size", "such as max-size: 10m")


def _wrong(name: str, value: str) -> str:
    """What would do instead; empty when ``value`` does."""
    kind = name.removeprefix("cache-")
    if kind == "max-size" and _size(value) is None:
        return "a size such as 10m, 500k or 1g"
    if kind == "max-file" and not (value.isdecimal() and int(value) > 0):
        return "a number from 1"
    if name == "mode" and value not in ("blocking", "non-blocking"):
        return "blocking or non-blocking (services never wait for readers in any case)"
    if name == "syslog-facility" and value not in FACILITIES and not (value.isdecimal() and int(value) < 24):
        return f"one of {', '.join(FACILITIES)}"
    if name == "syslog-format" and value not in FORMATS:
        return "rfc3164, rfc5424 or rfc5424micro"
    if name == "syslog-address" and not _ADDRESS.fullmatch(value):
        return "unix:///dev/log, unixgram://PATH, udp://HOST:PORT or tcp://HOST:PORT"
    if name == "tag" and any(word not in TAG_WORDS for word in _PLACEHOLDER.findall(value)):
        return "placeholders are " + ", ".join(f"{{{{{word}}}}}" for word in TAG_WORDS)
    return ""


def address_of(text: str) -> tuple[str, str, int]:
    """Kind (unix, unixgram, udp, tcp), path or host, port."""
    match = _ADDRESS.fullmatch(text)
    if match is None:
        return "", "", 0
    if match[1]:
        return match[1], match[2], 0
    return match[3], match[4].strip("[]"), int(match[5] or 514)


def fill_in(template: str, values: Mapping[str, str]) -> str:
    """A tag; ``values`` by the words of ``TAG_WORDS``."""
    return _PLACEHOLDER.sub(lambda match: values.get(match[1], ""), template)


def _parts(logging: Mapping[str, Any] | None) -> tuple[str, dict[str, str]]:
    given = logging or {}
    options = {key: str(value) for key, value in (given.get("options") or {}).items() if value is not None}
    return given.get("driver") or "json-file", options


def _size(text: str) -> int | None:
    """Bytes; decimal units, as docker's log drivers count. None: no size. -1 means no limit."""
    match = _SIZE.fullmatch(text.strip())
    if match is None:
        return None
    return int(float(match[1]) * 1000 ** " kmgt".index(match[2].lower() or " "))
