"""How instructions write their arguments: name=value pairs, durations, ports, modes. Pure; raises ValueError."""

from __future__ import annotations

import re
from collections.abc import Mapping

from stackup.build.words import expand, expand_words, split_quoted

_DURATION = re.compile(r"(\d+(?:\.\d+)?)(ns|us|µs|ms|s|m|h)")
_UNITS = {"ns": 1, "us": 10**3, "µs": 10**3, "ms": 10**6, "s": 10**9, "m": 60 * 10**9, "h": 3600 * 10**9}
_PORT = re.compile(r"(\d+)(?:-(\d+))?(?:/(tcp|udp|sctp))?\Z", re.IGNORECASE)


def pairs(rest: str, variables: Mapping[str, str], escape: str) -> list[tuple[str, str]]:
    """ENV and LABEL: ``a=b c="d e"``, or the old ``name the rest of the line``."""
    words = split_quoted(rest, escape)
    if "=" not in words[0]:
        value = rest[len(words[0]) :].strip()
        if not value:
            raise ValueError(f"{words[0]} has no value; write {words[0]}=value")
        return [(expand(words[0], variables, escape), expand(value, variables, escape))]
    found = []
    for word in words:
        name, sign, value = word.partition("=")
        if not sign:
            raise ValueError(f"{word} has no value; write {word}=value")
        if not name:
            raise ValueError(f"{word} has no name before '='")
        found.append((expand(name, variables, escape), expand(value, variables, escape)))
    return found


def duration(text: str) -> int:
    """Nanoseconds of ``1m30s``, Go's way of writing durations."""
    total, at = 0, 0
    for match in _DURATION.finditer(text):
        if match.start() != at:
            break
        total += round(float(match[1]) * _UNITS[match[2]])
        at = match.end()
    if text == "0":
        return 0
    if not text or at != len(text):
        raise ValueError(f"'{text}' is not a duration such as 30s or 1m30s")
    return total


def ports(rest: str, variables: Mapping[str, str], escape: str) -> list[str]:
    """EXPOSE: "80", "80/udp", "8000-8010/tcp" as "80/tcp" each."""
    found = []
    for word in expand_words(rest, variables, escape):
        match = _PORT.match(word)
        if match is None:
            raise ValueError(f"'{word}' is not a port such as 80 or 53/udp")
        first, last = int(match[1]), int(match[2] or match[1])
        if not 0 < first <= last < 65536:
            raise ValueError(f"'{word}' is not between 1 and 65535")
        found += [f"{port}/{(match[3] or 'tcp').lower()}" for port in range(first, last + 1)]
    return found


def mode(text: str) -> int:
    if not re.fullmatch(r"[0-7]{1,4}", text.removeprefix("0o")):
        raise ValueError(f"--chmod={text} is not an octal mode such as 755")
    return int(text.removeprefix("0o"), 8)
