"""What reading a value needs besides it: where problems go, whose variables, and how values are shown to people."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import TYPE_CHECKING

from stackup.stackfile.advice import typographic
from stackup.stackfile.nodes import Node
from stackup.stackfile.problems import Problems
from stackup.stackfile.units import go_text

if TYPE_CHECKING:
    from stackup.stackfile.forms import Form


class Reader:
    """What reading needs besides the value.

    ``lenient``: variables were left in place, so texts are not judged. ``inherit`` gives names that stand without a
    value (``environment: [TERM]``) the caller's one; None leaves them open. ``final``: all files have been merged.
    ``empty`` collects the empty values that mean nothing where another file has a value, and are wrong otherwise.
    """

    __slots__ = ("empty", "final", "home", "inherit", "lenient", "problems", "resolve_paths")

    def __init__(
        self,
        problems: Problems,
        home: str,
        *,
        resolve_paths: bool = True,
        lenient: bool = False,
        inherit: Callable[[str], str | None] | None = None,
        final: bool = False,
        empty: Empty | None = None,
    ) -> None:
        self.final = final
        self.empty: Empty = {} if empty is None else empty
        self.problems = problems
        self.home = home
        self.resolve_paths = resolve_paths
        self.lenient = lenient
        self.inherit = inherit

    def postponed(self, node: Node, path: str, form: Form) -> bool:
        """True for an empty value that ``form`` does not take: merging may still fill it in."""
        if node.value is not None or form.read(node, path, Reader(Problems(), self.home)) is not None:
            return False
        self.empty[_place(node)] = form
        return True

    def wrong(self, node: Node, path: str, expected: str, hint: str = "") -> None:
        """Says that ``node`` is not what belongs at ``path``."""
        self.problems.add(
            node, f"cannot use {show(node)} for {path}: expected {expected}", hint=_odd(node) or hint, path=path
        )

    def misused(self, node: Node, path: str, reason: str, hint: str = "") -> None:
        """Says what is wrong with the text of ``node``."""
        self.problems.add(node, f"cannot use {show(node)} for {path}: {reason}", hint=_odd(node) or hint, path=path)

    def refuse(self, node: Node, path: str, reason: str, hint: str = "", *, at_key: bool = False) -> None:
        self.problems.add(node, f"cannot use {path}: {reason}", hint=hint, at_key=at_key, path=path)

    def resets_nothing(self, node: Node, path: str) -> None:
        """Says that ``!reset`` stands where it cannot take anything away."""
        if node.origin is None:  # else it marks a text whose variables are wrong
            hint = "write !reset or !override in front of the whole list"
            self.problems.warn(node, f"{path} is left out, and takes no item of another file away", hint=hint)

    def open_text(self, node: Node) -> bool:
        """True for a text whose variables were left in place, so that nothing can be said about it."""
        return self.lenient and type(node.value) is str and "$" in node.value


def _odd(node: Node) -> str:
    return typographic(node.value) if type(node.value) is str else ""


_NUMBER = re.compile(r"[-+.0-9][^\s,\[\]{}#]*")  # as it is written: 1.20 rather than 1.2


def show(node: Node) -> str:
    """The value as a user would recognise it, short."""
    value = node.value
    if value is None:
        return "an empty value"
    if type(value) is dict:
        return "a mapping"
    if type(value) is list:
        return "a list"
    if type(value) is bool:
        return "true" if value else "false"
    if type(value) is str:
        return repr(value if len(value) <= 60 else f"{value[:57]}...") if value else "an empty text"
    if node.origin is None and node.line and type(value) in (int, float):
        written = _NUMBER.match(node.source.line(node.line)[node.column - 1 :])
        return written[0] if written else go_text(value)
    return go_text(value)


Place = tuple[str, int, int, int, int]
Empty = dict[Place, "Form"]


def check_empty(tree: Node, reader: Reader) -> None:
    """Refuses the empty values that no file has filled in, and takes them out of the tree."""
    if reader.empty:
        _check_empty(tree, "", reader)


def _check_empty(node: Node, path: str, reader: Reader) -> None:
    value = node.value
    if type(value) is list:
        for index, child in enumerate(value):
            _check_empty(child, f"{path}[{index}]", reader)
    elif type(value) is dict:
        for key, child in list(value.items()):
            below = f"{path}.{key}" if path else key
            if child.value is not None:
                _check_empty(child, below, reader)
            elif (form := reader.empty.get(_place(child))) is not None:
                form.read(child, below, reader)
                del value[key]


def _place(node: Node) -> Place:
    return node.source.name, node.line, node.column, node.key_line, node.key_column
