"""Fills variables into the values of a tree, and says where exactly a bad one stands."""

from __future__ import annotations

import re

from stackup.stackfile.dotenv import warn_unset
from stackup.stackfile.environment import Environment
from stackup.stackfile.nodes import RESET, Node, Origin
from stackup.stackfile.problems import MAX_PROBLEMS, Problems
from stackup.stackfile.template import Asked, Outcome, TemplateError, substitute


def interpolate(root: Node, environment: Environment, problems: Problems) -> None:
    """Changes ``root`` in place; it was just read and nobody else has it. Keys are not interpolated."""
    _Interpolator(environment, problems).walk(root, "")


class _Interpolator:
    def __init__(self, environment: Environment, problems: Problems) -> None:
        self.environment = environment
        self.problems = problems

    def walk(self, node: Node, path: str) -> None:
        value = node.value
        if type(value) is dict:
            for key, child in value.items():
                inner = child.value
                # Most children are texts without variables: nothing is called for them.
                if type(inner) is str:
                    if "$" in inner:
                        self.fill(child, f"{path}.{key}" if path else key)
                elif type(inner) is dict or type(inner) is list:
                    self.walk(child, f"{path}.{key}" if path else key)
        elif type(value) is list:
            for index, child in enumerate(value):
                inner = child.value
                if type(inner) is str:
                    if "$" in inner:
                        self.fill(child, f"{path}[{index}]")
                elif type(inner) is dict or type(inner) is list:
                    self.walk(child, f"{path}[{index}]")
        elif type(value) is str and "$" in value:
            self.fill(node, path)

    def fill(self, node: Node, path: str) -> None:
        template: str = node.value
        asked: list[Asked] = []
        wrong: list[TemplateError] = []
        node.value = substitute(template, self.environment.get, asked.append, wrong)
        if wrong:
            if self.unknown(asked):
                self.leave(node, path)
                return
            self.refuse(node, template, path, wrong)
        node.origin = Origin(template, tuple(dict.fromkeys(item.name for item in asked)), asked=tuple(asked))
        if self.unknown(asked):
            self.leave(node, path)
            return
        for item in asked:
            if item.outcome is Outcome.UNSET:
                self.warn(node, template, item.name, item.offset)

    def refuse(self, node: Node, template: str, path: str, wrong: list[TemplateError]) -> None:
        self.problems.unkept += max(0, len(wrong) - MAX_PROBLEMS)
        for error in wrong[:MAX_PROBLEMS]:
            line, column = place(node, template, error.offset)
            width = _width(template, error.offset)
            self.problems.at(
                node.source, line, column, f"cannot use {path}: {error}", hint=error.hint, width=width, path=path
            )
        node.value, node.tag = "", RESET  # as if it were not there: it is wrong already
        node.source.resets = True

    def unknown(self, asked: list[Asked]) -> bool:
        """Whether a variable is not known only because the file that may set it could not be read."""
        return self.problems.doubtful and any(item.outcome in (Outcome.UNSET, Outcome.REFUSED) for item in asked)

    def leave(self, node: Node, path: str) -> None:
        """As if it were not there, and without a word: what is wrong is said where the variables come from."""
        node.value, node.tag = "", RESET
        node.source.resets = True
        self.problems.places.append(path)

    def warn(self, node: Node, template: str, name: str, offset: int) -> None:
        if self.problems.crowded() or not self.problems.once(f"unset variable {name}"):
            return
        line, column = place(node, template, offset)
        warn_unset(self.problems, node.source, name, line, column)


_EXPRESSION = re.compile(r"\$\{[^{}]*\}?|\$[A-Za-z_][A-Za-z0-9_]*")


def _width(template: str, offset: int) -> int:
    """How long the expression at ``offset`` is, for the caret."""
    match = _EXPRESSION.match(template, offset)
    return len(match[0]) if match else 1


def _beyond(text: str, template: str, offset: int) -> int:
    """How far ``offset`` is from the dollar sign before it, where the file has the same characters between them."""
    dollar = template.rfind("$", 0, offset + 1)
    return offset - dollar if text.startswith(template[dollar:offset]) else 0


def place(node: Node, template: str, offset: int) -> tuple[int, int]:
    """Line and column in the file of a character of a scalar: it may be quoted, folded or a block."""
    nth = template.count("$", 0, offset + 1)
    line, column = node.line, node.column
    text = node.source.line(line)[column - 1 : column + 10 * len(template)]  # some lines are megabytes
    last = node.line + template.count("\n") * 2 + 50
    while nth and line <= last:
        start = -1
        while nth:
            start = text.find("$", start + 1)
            if start < 0:
                break
            nth -= 1
        if not nth:
            return line, column + start + _beyond(text[start:], template, offset)
        line, column = line + 1, 1
        text = node.source.line(line)
    return node.line, node.column
