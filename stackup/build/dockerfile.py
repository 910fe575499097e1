"""Reads a Dockerfile into instructions with their places: lines, continuations, comments, directives, heredocs.

Pure text work; what an instruction means is not known here, only how its arguments are written. The grammar is
BuildKit's (frontend/dockerfile/parser). Every complaint is a StackFileError with file and line.
"""

from __future__ import annotations

import difflib
import json
import re
from dataclasses import dataclass, field

from stackup.base.errors import Position, StackFileError
from stackup.build.words import split_quoted

_DIRECTIVE = re.compile(r"#\s*([a-zA-Z][a-zA-Z0-9]*)\s*=\s*(.+?)\s*\Z")
_HEREDOC = re.compile(r"(\d*)<<(-?)([^<]*)\Z")
_HEREDOC_NAME = re.compile(r"""(?:"([^"]+)"|'([^']+)'|([a-zA-Z_][a-zA-Z0-9_.-]*))\Z""")
_FLAG = re.compile(r"--([a-zA-Z][a-zA-Z-]*)(?:=(.*))?\Z", re.DOTALL)

# Keyword: flags that it takes. "json or text": RUN, CMD, ENTRYPOINT, SHELL, HEALTHCHECK; the others split into words.
FLAGS: dict[str, tuple[str, ...]] = {
    "FROM": ("platform",),
    "RUN": ("mount", "network", "security"),
    "COPY": ("from", "chown", "chmod", "link", "parents", "exclude"),
    "ADD": ("chown", "chmod", "link", "checksum", "keep-git-dir", "unpack", "exclude"),
    "HEALTHCHECK": ("interval", "timeout", "start-period", "start-interval", "retries"),
    **dict.fromkeys(
        ("ARG", "CMD", "ENTRYPOINT", "ENV", "EXPOSE", "LABEL", "MAINTAINER", "ONBUILD", "SHELL", "STOPSIGNAL", "USER",
         "VOLUME", "WORKDIR"), ()
    ),
}  # fmt: skip
_WITH_HEREDOCS = ("RUN", "COPY", "ADD")
_WITH_JSON = ("RUN", "CMD", "ENTRYPOINT", "SHELL", "COPY", "ADD", "VOLUME")


@dataclass(frozen=True, slots=True)
class Heredoc:
    """``expand``: variables in ``content`` count, because the name was not quoted. ``chomp``: tabs were removed."""

    name: str
    content: str
    expand: bool
    chomp: bool


@dataclass(frozen=True, slots=True)
class Instruction:
    """``rest`` is the text behind keyword and flags; ``json`` its value when it is a JSON list of strings."""

    keyword: str
    rest: str
    position: Position
    end_line: int
    original: str
    flags: tuple[tuple[str, str], ...] = ()
    json: tuple[str, ...] | None = None
    heredocs: tuple[Heredoc, ...] = ()

    def flag(self, name: str, default: str = "") -> str:
        """The last value given; a flag without a value reads "true"."""
        return next((value for key, value in reversed(self.flags) if key == name), default)

    @property
    def words(self) -> list[str]:
        """JSON list, or split at white space without regard to quotes (paths, ports)."""
        return list(self.json) if self.json is not None else self.rest.split()

    @property
    def text(self) -> str:
        """In one line, for progress and history."""
        return " ".join(self.original.split())


@dataclass(frozen=True, slots=True)
class Dockerfile:
    instructions: tuple[Instruction, ...]
    escape: str = "\\"
    warnings: tuple[str, ...] = ()


def parse_dockerfile(text: str, name: str) -> Dockerfile:
    """``name`` is what positions show. Raises StackFileError; all unknown instructions are found in one pass."""
    reader = _Reader(text.removeprefix("\ufeff").splitlines(), name)
    found = reader.read()
    if reader.errors:
        raise StackFileError(
            reader.errors[0].message,
            hint=reader.errors[0].hint,
            where=reader.errors[0].where,
            snippet=reader.errors[0].snippet,
            details=tuple(reader.errors) if len(reader.errors) > 1 else (),
        )
    if not found:
        raise StackFileError(f"cannot build from {name}: it holds no instructions", where=Position(name))
    return Dockerfile(tuple(found), reader.escape, tuple(reader.warnings))


@dataclass(slots=True)
class _Reader:
    lines: list[str]
    name: str
    escape: str = "\\"
    at: int = 0
    errors: list[StackFileError] = field(default_factory=list)
    warnings: list[str] = field(default_factory=list)

    def read(self) -> list[Instruction]:
        self._directives()
        found: list[Instruction] = []
        while self.at < len(self.lines):
            start = self.at
            line = self._logical_line()
            if line:
                try:
                    found.append(self._instruction(line, start))
                except StackFileError as error:
                    self.errors.append(error)
        return found

    def _directives(self) -> None:
        """Only at the very top, before any comment, blank line or instruction."""
        for line in self.lines:
            match = _DIRECTIVE.match(line.strip())
            if match is None:
                break
            self.at += 1
            if match[1].lower() == "escape":
                if match[2] not in ("\\", "`"):
                    raise self._error(self.at - 1, "the escape directive must be \\ or `")
                self.escape = match[2]

    def _logical_line(self) -> str:
        """Joins continued lines; comments and blank lines between them vanish. Empty when there is no instruction."""
        result, continued = "", False
        ending = re.compile(rf"(?:^|[^{re.escape(self.escape)}])({re.escape(self.escape)}[ \t]*)\Z")
        while self.at < len(self.lines):
            line = self.lines[self.at]
            self.at += 1
            stripped = line.strip()
            if stripped.startswith("#") or not stripped:
                if continued:
                    if not stripped:
                        self.warnings.append(f"{self.name}:{self.at}: an empty line continues the instruction above")
                    continue
                return ""
            match = ending.search(line)
            result += (line[: match.start(1)] if match else line) if continued else (
                line[: match.start(1)] if match else line).lstrip()  # fmt: skip
            continued = bool(match)
            if not match:
                break
        return result.rstrip()

    def _instruction(self, line: str, start: int) -> Instruction:
        while not self.lines[start].strip() or self.lines[start].lstrip().startswith("#"):
            start += 1
        word, _, rest = line.partition(" ") if "\t" not in line.split(" ")[0] else line.partition("\t")
        keyword = word.upper()
        if keyword not in FLAGS:
            close = difflib.get_close_matches(keyword, FLAGS, 1)
            heredocs = f"did you mean {close[0]}?" if close else ""
            raise self._error(start, f"unknown instruction {word}", heredocs)
        flags, rest = self._flags(keyword, rest.strip(), start)
        heredocs_found = self._heredocs(rest, start) if keyword in _WITH_HEREDOCS else ()
        if not rest and keyword not in ("CMD", "ENTRYPOINT", "SHELL"):
            raise self._error(start, f"{keyword} needs arguments")
        return Instruction(
            keyword=keyword,
            rest=rest,
            position=Position(self.name, start + 1),
            end_line=self.at,
            original=line,
            flags=flags,
            json=json_list(rest) if keyword in _WITH_JSON else None,
            heredocs=heredocs_found,
        )

    def _flags(self, keyword: str, rest: str, start: int) -> tuple[tuple[tuple[str, str], ...], str]:
        found: list[tuple[str, str]] = []
        while rest.startswith("--"):
            word = split_quoted(rest, self.escape)[0]
            if word == "--":
                return tuple(found), rest[2:].strip()
            match = _FLAG.match(word)
            if match is None or match[1] not in FLAGS[keyword]:
                close = difflib.get_close_matches(word[2:].split("=")[0], FLAGS[keyword], 1)
                hint = f"did you mean --{close[0]}?" if close else ""
                raise self._error(start, f"{keyword} has no flag {word.split('=')[0]}", hint)
            found.append((match[1], "true" if match[2] is None else match[2].strip("\"'")))
            rest = rest[len(word) :].lstrip()
        return tuple(found), rest

    def _heredocs(self, rest: str, start: int) -> tuple[Heredoc, ...]:
        if json_list(rest) is not None:
            return ()
        found = []
        for word in split_quoted(rest, self.escape):
            match = _HEREDOC.match(word)
            name = _HEREDOC_NAME.match(match[3]) if match else None
            if match and name:
                found.append(self._heredoc(name, bool(match[2]), start))
        return tuple(found)

    def _heredoc(self, name: re.Match[str], chomp: bool, start: int) -> Heredoc:
        ending = name[1] or name[2] or name[3]
        content: list[str] = []
        while self.at < len(self.lines):
            line = self.lines[self.at]
            self.at += 1
            line = line.lstrip("\t") if chomp else line
            if line == ending:
                return Heredoc(ending, "".join(f"{item}\n" for item in content), name[3] is not None, chomp)
            content.append(line)
        raise self._error(start, f"the heredoc {ending} is not ended")

    def _error(self, line: int, reason: str, hint: str = "") -> StackFileError:
        return StackFileError(
            f"cannot read the Dockerfile: {reason}",
            hint=hint,
            where=Position(self.name, line + 1),
            snippet=self.lines[line] if line < len(self.lines) else "",
        )


def json_list(text: str) -> tuple[str, ...] | None:
    if not text.startswith("["):
        return None
    try:
        value = json.loads(text)
    except ValueError:
        return None
    if isinstance(value, list) and all(isinstance(item, str) for item in value):
        return tuple(value)
    return None
