"""How instructions write their arguments: name=value pairs, durations, ports, modes. Pure; raises ValueError."""

from __future__ import annotations

import re
from collections.abc import Mapping

from stackup.base.values import frozen
from stackup.build.dockerfile import Instruction
from stackup.build.words import expand, expand_words

_DURATION = re.compile(r"(\d+(?:\.\d+)?)(ns|us|µs|ms|s|m|h)")
_UNITS = {"ns": 1, "us": 10**3, "µs": 10**3, "ms": 10**6, "s": 10**9, "m": 60 * 10**9, "h": 3600 * 10**9}
_PORT = re.compile(r"(?:.*:)?(\d+)(?:-(\d+))?(?:/(tcp|udp|sctp)?)?\Z", re.IGNORECASE)
_SHORTEST = 10**6  # ns; moby, container.MinimumDuration


def pairs(item: Instruction, variables: Mapping[str, str], escape: str) -> list[tuple[str, str]]:
    """ENV and LABEL: ``a=b c="d e"``, or the old ``name the rest of the line``."""
    words = item.pieces
    if "=" not in words[0]:
        value = item.rest[len(words[0]) :].strip()
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
    if 0 < total < _SHORTEST:
        raise ValueError(f"'{text}' is shorter than 1ms")
    return total


def ports(rest: str, variables: Mapping[str, str], escape: str) -> list[str]:
    """EXPOSE: "80", "80/udp", "8000-8010/tcp" as "80/tcp" each. An address or host's port before it means nothing."""
    found = []
    for word in expand_words(rest, variables, escape):
        match = _PORT.match(word)
        if match is None:
            raise ValueError(f"'{word}' is not a port such as 80 or 53/udp")
        first, last = int(match[1]), int(match[2] or match[1])
        if last < first:
            raise ValueError(f"'{word}' runs backwards: write {last}-{first}")
        if not 0 < first <= last < 65536:
            raise ValueError(f"'{word}' is not between 1 and 65535")
        found += [f"{port}/{(match[3] or 'tcp').lower()}" for port in range(first, last + 1)]
    return found


_SYMBOLIC = re.compile(r"([ugoa]*)((?:[-+=](?:[rwxXst]*|[ugo]))+)\Z")
_CLAUSE = re.compile(r"([-+=])([rwxXst]+|[ugo])?")
_BITS = {"r": 0o4, "w": 0o2, "x": 0o1}
_SHIFTS = {"u": 6, "g": 3, "o": 0}
_UMASK = 0o022  # counts where a symbolic mode names nobody, as for chmod(1)


@frozen
class Mode:
    """``--chmod``: "755" or "u=rwX,go-w"."""

    text: str

    @property
    def absolute(self) -> int | None:
        """The bits, where they do not depend on anything."""
        return int(self.text.removeprefix("0o"), 8) if self.text[0].isdigit() else None

    def applied(self, before: int, *, directory: bool) -> int:
        """The permission bits of a file that has ``before``."""
        if self.absolute is not None:
            return self.absolute
        for part in self.text.split(","):
            found = _SYMBOLIC.match(part)
            assert found is not None, "checked by mode()"
            for sign, what in _CLAUSE.findall(found[2]):
                before = _changed(before, found[1], sign, what, directory)
        return before


def mode(text: str) -> Mode:
    if re.fullmatch(r"[0-9]+|0o[0-9]+", text):
        if not re.fullmatch(r"0*[0-7]{1,4}", text.removeprefix("0o")):
            raise ValueError(f"--chmod={text} is not an octal mode such as 755")
    elif not all(_SYMBOLIC.match(part) for part in text.split(",")):
        raise ValueError(f"--chmod={text} is not an octal mode such as 755, nor a symbolic one such as u=rwX,go-w")
    return Mode(text)


def _changed(before: int, who: str, sign: str, what: str, directory: bool) -> int:
    targets = "ugo" if not who or "a" in who else who
    if what in _SHIFTS and what:
        bits = before >> _SHIFTS[what] & 0o7
    else:
        bits = sum(_BITS[letter] for letter in set(what) & set("rwx"))
        if "X" in what and (directory or before & 0o111):
            bits |= 0o1
    mask = sum(bits << _SHIFTS[target] for target in targets)
    if not who:
        mask &= ~_UMASK
    if "s" in what:
        mask |= (0o4000 if "u" in targets else 0) | (0o2000 if "g" in targets else 0)
    if "t" in what and targets == "ugo":
        mask |= 0o1000
    if sign == "+":
        return before | mask
    if sign == "-":
        return before & ~mask
    whole = sum(0o7 << _SHIFTS[target] for target in targets)
    whole |= (0o4000 if "u" in targets else 0) | (0o2000 if "g" in targets else 0)
    return before & ~whole | mask
