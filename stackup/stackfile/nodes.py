"""The tree between YAML and the model: values that remember where they were written.

A ``Node`` keeps its file, line and column through interpolation, merging and ``extends``, so that an error about the
finished stack can point at the line which caused it. Trees are never changed once they have been read: merging makes
new nodes and shares the old ones.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from stackup.base.errors import Position

if TYPE_CHECKING:
    from stackup.stackfile.environment import Environment
    from stackup.stackfile.template import Asked

RESET: Final = "!reset"
OVERRIDE: Final = "!override"

Scalar = str | int | float | bool | None


class Timestamp(str):
    """A date that stands without quotes: YAML makes a point in time of it, so it is no text. Content: RFC 3339.

    ``printed`` is what Compose makes of it where it takes any scalar (``environment``, ``labels``).
    """

    printed: str

    def __new__(cls, content: str, printed: str) -> Timestamp:
        new = super().__new__(cls, content)
        new.printed = printed
        return new


class Source:
    """One file of the stack as it was read. ``directory`` is what its relative paths start from.

    ``environment`` is what its variables were filled in from (``environment.Environment``), None where none were.
    Where paths are not resolved, ``base`` is put in front of them; with None they stay as they are written.
    ``resets``: some value of it is marked ``!reset``.
    ``cause`` is the entry of ``env_file`` or ``label_file`` that names this file, where it is one.
    """

    __slots__ = ("_lines", "base", "cause", "directory", "environment", "name", "resets", "text")

    def __init__(
        self, name: str, text: str, directory: str, cause: Node | None = None, *, base: str | None = None
    ) -> None:
        self.cause = cause
        self.base = base
        self.name = name
        self.text = text
        self.directory = directory
        self.environment: Environment | None = None
        self._lines: list[str] | None = None
        self.resets = False

    def line(self, number: int) -> str:
        """Line ``number`` (from 1) without its end; empty where there is none."""
        if self._lines is None:
            self._lines = self.text.split("\n")
        return self._lines[number - 1].rstrip("\r") if 0 < number <= len(self._lines) else ""

    def snippet(self, line: int, column: int, width: int = 1) -> str:
        """The line with a caret below ``column``; long lines are cut around it. Tabs stay, so that the caret fits."""
        text = self.line(line)
        if not text.strip() or column < 1:
            return ""
        start = max(0, column - 61) if column > 100 else 0
        text = text[start : start + 120]
        shown, lead = text, " " * min(column - 1 - start, len(text))
        if not text.isprintable():
            shown = "".join(
                char if char.isprintable() or char == "\t" else "\N{REPLACEMENT CHARACTER}" for char in text
            )
            lead = "".join("\t" if char == "\t" else " " for char in shown[: column - 1 - start])
        width = max(1, min(width, len(shown) - len(lead)))
        return f"{shown}\n{lead}{'^' * width}"


class Origin:
    """Why a value is what it is: the text before interpolation and the variables that went into it.

    ``asked`` are the look-ups that took place; a name that stands for its own value is in ``variables`` only.
    ``written`` is False for what nobody wrote: a default, or what another attribute implies; ``reason`` may say why.
    """

    __slots__ = ("asked", "reason", "template", "variables", "written")

    def __init__(
        self,
        template: str,
        variables: tuple[str, ...],
        reason: str = "",
        asked: tuple[Asked, ...] = (),
        *,
        written: bool = True,
    ) -> None:
        self.template = template
        self.variables = variables
        self.asked = asked
        self.reason = reason
        self.written = written


class Node:
    """A mapping, a sequence or a scalar, and its place. ``key_line`` is 0 where there is no key (sequence items).

    ``shadow`` is the value that this one replaced in a merge (another file, or a service that was extended).
    """

    __slots__ = ("column", "key_column", "key_line", "line", "origin", "shadow", "source", "tag", "value")

    def __init__(
        self,
        value: Any,
        source: Source,
        line: int,
        column: int,
        key_line: int = 0,
        key_column: int = 0,
        tag: str = "",
        origin: Origin | None = None,
        shadow: Node | None = None,
    ) -> None:
        self.value = value
        self.source = source
        self.line = line
        self.column = column
        self.key_line = key_line
        self.key_column = key_column
        self.tag = tag
        self.origin = origin
        self.shadow = shadow

    @property
    def written(self) -> bool:
        """False for a value that nobody wrote: it stands at the place of what it follows from."""
        return self.origin is None or self.origin.written

    def __repr__(self) -> str:
        return f"Node({self.value!r} at {self.line}:{self.column})"

    @property
    def position(self) -> Position:
        return Position(self.source.name, self.line, self.column)

    @property
    def key_position(self) -> Position:
        return Position(self.source.name, self.key_line, self.key_column) if self.key_line else self.position

    def with_value(self, value: Any) -> Node:
        """The same place, another value."""
        node = _new(Node)  # a large stack has ten thousands of these: the call of __init__ is spared
        node.value = value
        node.source = self.source
        node.line = self.line
        node.column = self.column
        node.key_line = self.key_line
        node.key_column = self.key_column
        node.tag = self.tag
        node.origin = self.origin
        node.shadow = self.shadow
        return node

    def under(self, value: Any) -> Node:
        """A value that a short form implies: at the place of what was written."""
        node = _new(Node)
        node.value = value
        node.source = self.source
        node.line = self.line
        node.column = self.column
        node.key_line = self.key_line
        node.key_column = self.key_column
        node.tag = ""
        node.origin = node.shadow = None
        return node

    def implied(self, value: Any, reason: str) -> Node:
        """A value that nobody wrote, at the place of what it follows from."""
        node = self.under(value)
        node.origin = Origin("" if value is None else str(value), (), reason, written=False)
        return node

    def get(self, key: str) -> Node | None:
        """The child of a mapping; None where there is none, or where this is no mapping."""
        value = self.value
        return value.get(key) if type(value) is dict else None

    def text(self, key: str) -> str:
        """The child's value where it is a string that is not empty, else an empty string."""
        value = self.value
        if type(value) is not dict or (child := value.get(key)) is None:
            return ""
        text = child.value
        return text if type(text) is str else ""


_new = object.__new__


def plain(node: Node) -> Any:
    """The tree without its places: dictionaries, lists and scalars."""
    value = node.value
    kind = type(value)
    if kind is dict:
        # Most children are scalars, and a call for each of them would be half of the time.
        return {key: plain(child) if type(child.value) in (dict, list) else child.value for key, child in value.items()}
    if kind is list:
        return [plain(child) if type(child.value) in (dict, list) else child.value for child in value]
    return value


def find(root: Node, path: str) -> Node | None:
    """Follows a dotted path (``services.web.ports.0``); keys may hold dots themselves. None where it leads nowhere."""
    if not path:
        return root
    value = root.value
    if type(value) is list:
        head, _, rest = path.partition(".")
        index = int(head) if head.isdigit() else len(value)
        return find(value[index], rest) if index < len(value) else None
    if type(value) is not dict:
        return None
    for key, child in value.items():
        if path == key:
            return child  # type: ignore[no-any-return]
        if path.startswith(f"{key}.") and (found := find(child, path[len(key) + 1 :])) is not None:
            return found
    return None
