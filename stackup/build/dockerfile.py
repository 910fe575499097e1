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
from stackup.base.escapes import harmless, valid
from stackup.base.values import frozen
from stackup.build.words import split_quoted

_DIRECTIVE = re.compile(r"#\s*([a-zA-Z][a-zA-Z0-9]*)\s*=\s*(.+?)\s*\Z")
_HEREDOC = re.compile(r"(\d*)<<(-?)([^<]*)\Z")
_DIRECTIVES = ("escape", "syntax", "check")  # a comment of any other shape ends them
_FLAG = re.compile(r"--([a-zA-Z][a-zA-Z-]*)(?:=(.*))?\Z", re.DOTALL)

# Keyword: flags that it takes. "json or text": RUN, CMD, ENTRYPOINT, SHELL, HEALTHCHECK; the others split into words.
FLAGS: dict[str, tuple[str, ...]] = {
    "FROM": ("platform",),
    "RUN": ("mount", "network", "security", "device"),
    "COPY": ("from", "chown", "chmod", "link", "parents", "exclude"),
    "ADD": ("chown", "chmod", "link", "checksum", "keep-git-dir", "unpack", "exclude"),
    "HEALTHCHECK": ("interval", "timeout", "start-period", "start-interval", "retries"),
    **dict.fromkeys(
        ("ARG", "CMD", "ENTRYPOINT", "ENV", "EXPOSE", "LABEL", "MAINTAINER", "ONBUILD", "SHELL", "STOPSIGNAL", "USER",
         "VOLUME", "WORKDIR"), ()
    ),
}  # fmt: skip
_WITH_HEREDOCS = ("RUN", "COPY", "ADD")
_SWITCHES = ("link", "parents", "keep-git-dir", "unpack")  # flags that are true or false
_MANY = ("mount", "exclude", "device")  # flags that may be given more than once
_WITH_JSON = ("RUN", "CMD", "ENTRYPOINT", "SHELL", "COPY", "ADD", "VOLUME")


@frozen
class Heredoc:
    """``expand``: variables in ``content`` count, because the name was not quoted. ``chomp``: tabs were removed.
    ``word``: what asks for it, as it stands in the instruction."""

    name: str
    content: str
    expand: bool
    chomp: bool
    word: str


@frozen
class Instruction:
    """``rest`` is the text behind keyword and flags; ``json`` its value when it is a JSON list of strings, ``pieces``
    its words, split outside of quotes and as they are written, with quotes and escapes."""

    keyword: str
    rest: str
    position: Position
    end_line: int
    original: str
    flags: tuple[tuple[str, str], ...] = ()
    json: tuple[str, ...] | None = None
    pieces: tuple[str, ...] = ()
    heredocs: tuple[Heredoc, ...] = ()
    lines: tuple[str, ...] = ()  # as they stand in the file, from the keyword on
    written: str = ""  # the keyword in its own letters

    def error(self, message: str, hint: str = "", *, word: str = "") -> StackFileError:
        """One that points at ``word`` in these lines, or at the keyword."""
        where, snippet = _find(self.lines, self.position, word or self.keyword)
        return StackFileError(message, hint=hint, where=where, snippet=snippet)

    def flag(self, name: str, default: str = "") -> str:
        """The last value given; a flag without a value reads "true"."""
        return next((value for key, value in reversed(self.flags) if key == name), default)

    def flag_values(self, name: str) -> tuple[str, ...]:
        return tuple(value for key, value in self.flags if key == name)

    @property
    def words(self) -> list[str]:
        """JSON list, or split at white space without regard to quotes (paths, ports)."""
        return list(self.json) if self.json is not None else self.rest.split()

    @property
    def text(self) -> str:
        """In one line, for progress and history."""
        return " ".join(self.original.split())


@frozen
class Dockerfile:
    """``empty_lines``: numbers of blank lines inside of continued instructions. ``check``: the directive of that name,
    ``skip=RULE,...;error=true``. ``syntax``: likewise, the image that BuildKit would read it with, and its line.
    ``lines``: the text, for warnings."""

    instructions: tuple[Instruction, ...]
    escape: str = "\\"
    empty_lines: tuple[int, ...] = ()
    check: str = ""
    name: str = ""
    lines: tuple[str, ...] = ()
    syntax: tuple[str, int] = ("", 0)


def parse_dockerfile(text: str, name: str) -> Dockerfile:
    """``name`` is what positions show. Raises StackFileError with every mistake, in the order of the lines."""
    dockerfile, errors = read_dockerfile(text, name)
    raise_all(errors)
    return dockerfile


def read_dockerfile(text: str, name: str) -> tuple[Dockerfile, list[StackFileError]]:
    """What could be read, and what is wrong with the rest."""
    reader = _Reader(text.removeprefix("\ufeff").removesuffix("\n").split("\n"), name)
    found = reader.read()
    if not found and not reader.errors:
        reader.errors.append(
            StackFileError(f"cannot build from {name}: it holds no instructions", where=Position(name))
        )
    dockerfile = Dockerfile(
        tuple(found), reader.escape, tuple(reader.empty), reader.check, name, tuple(reader.lines), reader.syntax
    )
    return dockerfile, reader.errors


def raise_all(errors: list[StackFileError]) -> None:
    """Raises the first of them with the others in its details; nothing when there is none."""
    if errors:
        first, *others = sorted(errors, key=lambda item: item.where.line if item.where else 0)
        first.details = (*first.details, *others)
        raise first


def _shown(line: str) -> str:
    return valid(harmless(line)).rstrip()


def _find(lines: tuple[str, ...] | list[str], start: Position, word: str) -> tuple[Position, str]:
    """Where ``word`` first stands in lines of which the first is at ``start``, and that line with a caret below."""
    for number, line in enumerate(lines):
        match = re.search(rf"(?<![^\s=]){re.escape(word)}(?![A-Za-z0-9_])", line, re.IGNORECASE)
        if match:
            lead = re.sub(r"[^\t]", " ", line[: match.start()])
            snippet = f"{_shown(line)}\n{lead}{'^' * len(match[0])}"
            return Position(start.file, start.line + number, match.start() + 1), snippet
    return start, _shown(lines[0]) if lines else ""


@dataclass(slots=True)
class _Reader:
    """``raw``: lines with the carriage returns at their ends, which belong to the content of a heredoc."""

    raw: list[str]
    name: str
    lines: list[str] = field(init=False)
    escape: str = "\\"
    at: int = 0
    errors: list[StackFileError] = field(default_factory=list)
    empty: list[int] = field(default_factory=list)
    check: str = ""
    syntax: tuple[str, int] = ("", 0)

    def __post_init__(self) -> None:
        self.lines = [line.rstrip("\r") for line in self.raw]

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
        seen: set[str] = set()
        for line in self.lines:
            match = _DIRECTIVE.match(line.strip())
            if match is None or match[1].lower() not in _DIRECTIVES:
                break
            self.at += 1
            name = match[1].lower()
            if name in seen:
                self.errors.append(self._error(self.at - 1, f"there are two {name} directives", word=match[1]))
            seen.add(name)
            if name == "check":
                self.check = match[2]
            if name == "syntax":
                self.syntax = match[2].split()[0], self.at
            if name == "escape":
                if match[2] not in ("\\", "`"):
                    self.errors.append(self._error(self.at - 1, "the escape directive must be \\ or `", word=match[2]))
                else:
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
                        self.empty.append(self.at)
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
            hint = f"did you mean {close[0]}?" if close else ""
            raise self._error(start, f"unknown instruction {word}", hint, word=word)
        flags, rest = self._flags(keyword, rest.strip(), start)
        inner = rest.split(None, 1)[0].upper() if keyword == "ONBUILD" and rest else keyword
        as_json = json_list(rest)
        pieces = tuple(split_quoted(rest, self.escape))
        heredocs_found = self._heredocs(pieces, start) if inner in _WITH_HEREDOCS and as_json is None else ()
        if not rest and keyword not in ("CMD", "ENTRYPOINT", "SHELL"):
            raise self._error(start, f"{keyword} needs arguments", word=word)
        return Instruction(
            keyword=keyword,
            rest=rest,
            position=Position(self.name, start + 1, len(self.lines[start]) - len(self.lines[start].lstrip()) + 1),
            end_line=self.at,
            original=line,
            flags=flags,
            json=as_json if keyword in _WITH_JSON else None,
            pieces=pieces,
            heredocs=heredocs_found,
            lines=tuple(self.lines[start : self.at]),
            written=word,
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
                flag = word.split("=")[0]
                self.errors.append(self._error(start, f"{keyword} has no flag {flag}", hint, word=flag))
                rest = rest[len(word) :].lstrip()
                continue
            value = _unquoted(match[2]) if match[2] is not None else "true" if match[1] in _SWITCHES else None
            problem = _flag_problem(match[1], value, [name for name, _ in found])
            if problem:
                self.errors.append(self._error(start, f"{problem}", word=word.split("=")[0]))
            found.append((match[1], value or ""))
            rest = rest[len(word) :].lstrip()
        return tuple(found), rest

    def _heredocs(self, pieces: tuple[str, ...], start: int) -> tuple[Heredoc, ...]:
        found = []
        for word in pieces:
            match = _HEREDOC.match(word)
            if match and match[3]:
                found.append(self._heredoc(match[3], bool(match[2]), start, word))
        return tuple(found)

    def _heredoc(self, written: str, chomp: bool, start: int, word: str) -> Heredoc:
        """A quote anywhere in the name keeps variables in the text as they are, as in a shell."""
        plain = re.sub(r"\\.", "", written)
        if plain.count("'") % 2 or plain.count('"') % 2:
            raise self._error(start, f"the name of the heredoc {word} has a quote that is not closed", word=word)
        ending = re.sub(r"""\\(.)|['"]""", r"\1", written)
        content: list[str] = []
        while self.at < len(self.lines):
            line = self.raw[self.at].lstrip("\t") if chomp else self.raw[self.at]
            self.at += 1
            if line.rstrip("\r") == ending:
                text = "".join(f"{item}\n" for item in content)
                return Heredoc(ending, text, not set(plain) & set("'\""), chomp, word)
            content.append(line)
        raise self._error(start, f"the heredoc {ending} is not ended", f"a line {ending} must end it", word=word)

    def _error(self, line: int, reason: str, hint: str = "", *, word: str = "") -> StackFileError:
        where, snippet = _find(self.lines[line : max(self.at, line + 1)], Position(self.name, line + 1), word)
        return StackFileError(f"cannot read the Dockerfile: {reason}", hint=hint, where=where, snippet=snippet)


def _unquoted(text: str) -> str:
    """Quotes of a flag's value go, wherever they stand; a backslash keeps the next character."""
    return re.sub(r"\\(.)|([\"'])(.*?)\2", lambda found: found[1] or found[3] or "", text)


def _flag_problem(name: str, value: str | None, before: list[str]) -> str:
    """What BuildKit would not take (instructions/bflag.go)."""
    if name in before and name not in _MANY:
        return f"--{name} is given twice"
    if value is None:
        return f"--{name} needs a value"
    if name in _SWITCHES and value not in ("true", "false"):
        return f"--{name} must be true or false, not '{value}'"
    return ""


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
