"""Collects what is wrong, so that all errors of the files are shown at once, in the order of the lines."""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterable
from itertools import islice

from stackup.base.errors import Position, StackFileError
from stackup.base.values import frozen
from stackup.stackfile.limits import MAX_PORTS, TOO_MANY_PORTS
from stackup.stackfile.nodes import Node, Source

MAX_PROBLEMS = 100  # beyond this nobody reads; the last one says how many more there are
MAX_SEEN = 50_000  # beyond this they are counted even if they repeat themselves
MAX_KEPT = 2000  # beyond this they are only counted: a broken file of some MiB must not take long to refuse

MAX_EDGES = 20  # of a circle that are shown with their lines
MAX_KNOWN = 1000  # words among which the closest one is looked for


_SERVICE = re.compile(r"\bservices\.[^\s.:\[]+")


def same_for_all(message: str) -> str:
    """What is said of one place, whichever of the services that share it is named."""
    return _SERVICE.sub("services", message) if "services." in message else message


@frozen
class Notice:
    """A warning: the file works, but perhaps not as its author believes."""

    message: str
    where: Position | None = None
    snippet: str = ""
    hint: str = ""

    def __str__(self) -> str:
        text = f"{self.where}: {self.message}" if self.where else self.message
        return f"{text} ({self.hint})" if self.hint else text


class Problems:
    """Errors and warnings of one load, from all its files."""

    def __init__(self, cwd: str = "", read: Iterable[str] = ()) -> None:
        """``read`` are the files of the load in their order, as far as they are known when problems are sorted."""
        self.cwd = cwd
        self.read = read
        self.errors: list[StackFileError] = []
        self.unkept = 0  # errors that were not kept
        self.unsaid = 0  # warnings that were not
        self.notices: dict[Notice, None] = {}
        self.places: list[str] = []  # the paths that errors are about, "" for those about none
        self.lost = False  # a whole file could not be read: nothing is known to be missing
        self.doubtful = False  # some variables could not be read: nothing is said of what is not set
        self._seen: set[int] = set()
        self._warned: set[tuple[str, Position | None]] = set()
        self._once: set[str] = set()
        self._ports = MAX_PORTS

    def add(self, node: Node | None, message: str, *, hint: str = "", at_key: bool = False, path: str = "") -> None:
        """An error about ``node``; ``at_key`` points at its key instead of its value. ``path`` is its own, as in
        messages (``services.web.ports[0]``)."""
        if node is None:
            self.append(StackFileError(message, hint=hint), path)
            return
        at_key = (at_key or node.value is None) and bool(node.key_line)
        line, column = (node.key_line, node.key_column) if at_key else (node.line, node.column)
        if len(self.errors) >= MAX_KEPT:
            self._count(message, (node.source.name, line, column), path)
            return
        self.at(node.source, line, column, message, hint=hint, width=caret_width(node, at_key), path=path)

    def at(
        self, source: Source, line: int, column: int, message: str, *, hint: str = "", width: int = 1, path: str = ""
    ) -> None:
        """An error at a place in a file; lines and columns count from 1."""
        if len(self.errors) >= MAX_KEPT:
            self._count(message, (source.name, line, column), path)
            return
        where = Position(source.name, line, column)
        self.append(
            StackFileError(message, hint=hint, where=where, snippet=source.snippet(line, column, max(1, width))), path
        )

    def append(self, error: StackFileError, path: str = "") -> None:
        where = error.where
        if not self._count(error.message, (where.file, where.line, where.column) if where else None, path):
            return
        error.__traceback__ = None  # its frames hold this list: a circle that only the collector could take away
        self.errors.append(error)

    def _count(self, message: str, where: tuple[str, int, int] | None, path: str) -> bool:
        """Whether an error is new and is kept: an anchor that is used twice is wrong once, and so is a service that
        others extend. Those beyond what is kept are counted all the same, and what follows from them is not said."""
        full = len(self.errors) >= MAX_KEPT
        if path or not full:
            self.places.append(path)
        if len(self._seen) < MAX_SEEN:
            key = hash((same_for_all(message) if where else message, where))
            if key in self._seen:
                return False
            self._seen.add(key)
        self.unkept += full
        return not full

    def did_you_mean(self, word: str, known: Iterable[str]) -> str:
        """A hint naming the closest known word; none where so much is wrong that nobody will read it."""
        return did_you_mean(word, islice(known, MAX_KNOWN)) if len(self.errors) < MAX_PROBLEMS else ""

    def warn(self, node: Node | None, message: str, *, hint: str = "", at_key: bool = False) -> None:
        if node is None:
            notice = Notice(message, hint=hint)
        else:
            where = node.key_position if at_key else node.position
            width = caret_width(node, at_key)
            notice = Notice(message, where, node.source.snippet(where.line, where.column, width), hint)
        self.note(notice)

    def note(self, notice: Notice) -> None:
        """A warning that is made already; each is said once."""
        said = same_for_all(notice.message) if notice.where else notice.message
        if (said, notice.where) not in self._warned and not self.crowded():
            self._warned.add((said, notice.where))
            self.notices[notice] = None

    def crowded(self) -> bool:
        """True when there are so many warnings that one more is only counted, as this call does."""
        full = len(self.notices) >= MAX_KEPT
        self.unsaid += full
        return full

    def once(self, key: str) -> bool:
        """True the first time that ``key`` is asked for: for warnings that would repeat themselves."""
        first = key not in self._once
        self._once.add(key)
        return first

    def afford_ports(self, number: int, node: Node, path: str) -> bool:
        """Counts what short ports stand for; False, and said once, for those beyond what one load takes on."""
        if self._ports < 0:
            return False
        self._ports -= number
        if self._ports < 0:
            self.add(
                node, f"cannot use {path}: {TOO_MANY_PORTS}", hint="publish fewer, or let network_mode: host do it"
            )
        return self._ports >= 0

    def settle(self) -> None:
        """Raises the first error with all others in its ``details`` when there is any."""
        if not self.errors:
            return
        errors = sorted(self.errors, key=_Rank(self.read))
        left = len(errors[MAX_PROBLEMS:]) + self.unkept
        if left:
            rest = StackFileError(f"cannot show {left} more errors: there are too many")
            rest.hidden = left
            errors = [*errors[:MAX_PROBLEMS], rest]
        first = errors[0]
        raised = StackFileError(
            first.message, hint=first.hint, where=first.where, snippet=first.snippet, details=tuple(errors[1:])
        )
        told = {error.where for error in errors}
        raised.notices = tuple(item for item in self.warnings() if item.where not in told)
        raise raised

    def warnings(self) -> tuple[Notice, ...]:
        """In the order of the files and their lines; those about no line come first."""
        found = in_order(self.notices, self.read)
        return (*found, Notice(f"there are {self.unsaid} more warnings")) if self.unsaid else found

    def short(self, where: Position) -> str:
        """A place as it is shown everywhere: files below the user's directory by their short name."""
        inside = where.file.removeprefix(f"{self.cwd}/") if self.cwd else where.file
        return str(Position(inside, where.line, where.column))

    def edges(self, items: Iterable[tuple[str, Node, bool]]) -> str:
        """A circle, an edge a line: what leads where, its place (that of the key, where True), and the line there."""
        lines: list[str] = []
        for words, node, at_key in items:
            if len(lines) == MAX_EDGES:
                lines.append("...")
                break
            where = node.key_position if at_key else node.position
            line = node.source.line(where.line)
            rest = line[where.column - 1 :]
            written = line.strip() if len(line) < 100 else f"... {rest[:80]}{' ...' if len(rest) > 80 else ''}"
            lines.append(f"{words}: {self.short(where)}: {written}")
        return "\n".join(lines)


class Told:
    """Where something is wrong already, so that one mistake is told once: what follows from it is not said."""

    def __init__(self, problems: Problems) -> None:
        self.lost = problems.lost
        self.places = frozenset(problems.places)
        self.below: dict[str, set[str]] = {}  # to each path above a place, the next steps towards it
        for place in self.places:
            for match in _STEP.finditer(place):
                self.below.setdefault(place[: match.start()], set()).add(match[0].strip(".[]"))

    def __contains__(self, path: str) -> bool:
        """True where ``path`` itself or something below it is wrong."""
        return path in self.places or path in self.below


_STEP = re.compile(r"(?:^|\.)[^.\[]+|\[\d+\]|\.(?=\.|$)")


class _Rank:
    """Sorts by the files in the order in which they were read, then by line and column."""

    def __init__(self, read: Iterable[str]) -> None:
        self.order = {file: number for number, file in enumerate(read, 1)}

    def __call__(self, item: StackFileError | Notice) -> tuple[int, int, int]:
        if item.where is None:
            return (-1, 0, 0) if isinstance(item, Notice) else (len(self.order) + 1, 0, 0)
        return (self.order.get(item.where.file, 0), item.where.line, item.where.column)


def in_order(notices: Iterable[Notice], read: Iterable[str]) -> tuple[Notice, ...]:
    """In the order of the files, as they were ``read``, and of their lines; those about no line come first."""
    return tuple(sorted(notices, key=_Rank(read)))


def caret_width(node: Node, at_key: bool = False) -> int:
    """How many characters the caret underlines: the key, or what of the value stands in its first line."""
    text = node.source.line(node.key_line if at_key else node.line)
    start = (node.key_column if at_key else node.column) - 1
    rest = text[start : start + 1000]  # some lines are megabytes
    if at_key:
        key = _KEY.match(rest)
        return len(key[0].rstrip()) if key else _token(rest)
    raw = node.origin.template if node.origin else node.value
    shown = raw if type(raw) is str else str(raw).lower()
    for text in (shown, f'"{shown}"', f"'{shown}'") if shown and type(raw) not in (dict, list) else ():
        if rest.startswith(text):
            return len(text)
    return _token(rest)


_KEY = re.compile(r"""("[^"]*"|'[^']*'|[^:"'\[\]{},]+)(?=\s*:)""")
_QUOTED = re.compile(r"""!*("(?:[^"\\]|\\.)*"|'(?:[^']|'')*')""")
_FLOW = re.compile(r"\[[^\[\]{}]*\]|\{(?:[^\[\]{}]|\[[^\[\]{}]*\])*\}")
_PLAIN = re.compile(r"""[^\s\[\]{}"'&*|>#,](?:[^\s,\[\]{}]|\{[^\s,{}]*\})*""")


def _token(rest: str) -> int:
    """A quoted text, a word (``- db``, ``[front, back]``), brackets that close in this line; 1 for what is longer."""
    flow = _FLOW.match(rest)
    if flow:
        return len(flow[0])
    quoted = _QUOTED.match(rest)
    if quoted:
        return len(quoted[0])
    match = _PLAIN.match(rest)
    if match is None or match[0] == "-" or match[0].endswith(":") or rest[len(match[0]) :].lstrip().startswith(": "):
        return 1
    return len(match[0])


def did_you_mean(word: str, known: Iterable[str]) -> str:
    """A hint naming the closest known word, or an empty string."""
    words = [item for item in known if item != word]
    lowered = {item.lower().replace("-", "_"): item for item in words}
    plain = word.lower().replace("-", "_")
    match = difflib.get_close_matches(plain, list(lowered), n=1, cutoff=0.65)
    if not match and len(plain) > 3:  # healthy for service_healthy
        match = [item for item in lowered if plain in item][:1]
    if not match:  # bd for db: too short to be alike otherwise
        match = [item for item in lowered if len(item) > 1 and sorted(item) == sorted(plain)][:1]
    return f"did you mean {lowered[match[0]]!r}?" if match else ""
