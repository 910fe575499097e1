"""Reads the templates of ``--format``: the part of Go's text/template that people write for docker.

Values, fields, variables, pipelines, functions, ``if``, ``with``, ``range``, comments and trim marks; ``define``,
``template`` and ``block`` are refused. ``cli/templates.py`` carries them out.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from typing import NamedTuple

from stackup.base.errors import UsageError

_TOKEN = re.compile(
    r"""\s*(?:
        (?P<string>"(?:[^"\\\n]|\\.)*"|`[^`]*`)
      | (?P<number>-?\d+(?:\.\d+)?)(?![\w.])
      | (?P<chain>(?:\$\w*)?(?:\.\w+)+|\$\w*|\.)(?!\w)
      | (?P<word>[A-Za-z_]\w*)
      | (?P<mark>:=|[|(),=])
    )""",
    re.VERBOSE,
)
_CONSTANTS = {"true": True, "false": False, "nil": None}
_BLOCKS = ("if", "with", "range")


class Text(NamedTuple):
    text: str


class Literal(NamedTuple):
    value: object


class Chain(NamedTuple):
    """``.A.B``: ``variable`` is "", or the name of what the fields are of, ``$`` included. Or of a pipeline's value."""

    variable: str
    fields: tuple[str, ...]
    inner: Pipeline | None = None


class Call(NamedTuple):
    function: str
    arguments: tuple[Operand, ...]


class Pipeline(NamedTuple):
    """The value of each command is the last argument of the next. ``names`` are given the value of the last."""

    names: tuple[str, ...]
    declares: bool
    commands: tuple[Operand, ...]


class Block(NamedTuple):
    """``kind`` is if, with or range."""

    kind: str
    pipeline: Pipeline
    body: tuple[Node, ...]
    otherwise: tuple[Node, ...]


Operand = Literal | Chain | Call
Node = Text | Pipeline | Block


class _Token(NamedTuple):
    kind: str
    text: str


def parse(text: str) -> tuple[Node, ...]:
    """Raises UsageError, with the part that is wrong."""
    reader = _Reader(list(_pieces(text)))
    nodes, end = reader.nodes()
    if end:
        raise _wrong(end, "nothing is open that it would end")
    return nodes


def _wrong(part: str, reason: str) -> UsageError:
    return UsageError(
        f"cannot use --format: '{{{{{part}}}}}': {reason}", hint="as for docker: '{{.ID}} {{json .Config}}'"
    )


def _pieces(text: str) -> Iterator[Text | str]:
    """Texts, and the insides of ``{{ }}``."""
    position, trim = 0, False
    while (begin := text.find("{{", position)) >= 0:
        action = re.compile(
            r"\{\{(-\s)?((?:\s*/\*.*?\*/\s*?)|(?:\"(?:[^\"\\]|\\.)*\"|`[^`]*`|[^\"`])*?)(\s-)?\}\}", re.S
        )
        match = action.match(text, begin)
        if match is None:
            raise _wrong(text[begin + 2 : begin + 30], "there is no }} to it")
        before = text[position:begin]
        before = before.lstrip() if trim else before
        yield Text(before.rstrip() if match[1] else before)
        if not match[2].strip().startswith("/*"):
            yield match[2].strip()
        position, trim = match.end(), bool(match[3])
    yield Text(text[position:].lstrip() if trim else text[position:])


class _Reader:
    def __init__(self, pieces: list[Text | str]) -> None:
        self._pieces = pieces
        self._at = 0

    def nodes(self) -> tuple[tuple[Node, ...], str]:
        """Until ``end`` or ``else``, which is answered; "" at the end of all."""
        found: list[Node] = []
        while self._at < len(self._pieces):
            piece = self._pieces[self._at]
            self._at += 1
            if isinstance(piece, Text):
                found += [piece] if piece.text else []
                continue
            word, _, rest = piece.partition(" ")
            if word in ("end", "else"):
                return tuple(found), piece
            if word in ("define", "template", "block", "break", "continue"):
                raise _wrong(piece, f"{word} is not supported")
            found.append(self._block(word, rest) if word in _BLOCKS else _Action(piece).whole())
        return tuple(found), ""

    def _block(self, kind: str, condition: str) -> Block:
        pipeline = _Action(condition).whole()
        body, end = self.nodes()
        otherwise: tuple[Node, ...] = ()
        if end == "else":
            otherwise, end = self.nodes()
        elif end.startswith("else "):  # else if: a block of its own, with the same end
            inner, _, rest = end.removeprefix("else ").strip().partition(" ")
            if inner not in ("if", "with"):
                raise _wrong(end, "it is neither else nor else if")
            return Block(kind, pipeline, body, (self._block(inner, rest),))
        if end != "end":
            raise _wrong(f"{kind} {condition}", "there is no {{end}} to it")
        return Block(kind, pipeline, body, otherwise)


class _Action:
    """What stands in one pair of braces."""

    def __init__(self, text: str) -> None:
        self._text = text
        self._tokens = list(self._split())
        self._at = 0

    def _split(self) -> Iterator[_Token]:
        position = 0
        while self._text[position:].strip():
            match = _TOKEN.match(self._text, position)
            if match is None or match.lastgroup is None:
                raise _wrong(self._text, f"'{self._text[position:].strip()}' is not understood")
            yield _Token(match.lastgroup, match[match.lastgroup])
            position = match.end()

    def _peek(self) -> _Token:
        return self._tokens[self._at] if self._at < len(self._tokens) else _Token("end", "")

    def _next(self) -> _Token:
        token = self._peek()
        self._at += 1
        return token

    def whole(self) -> Pipeline:
        found = self._pipeline()
        if self._peek().kind != "end":
            raise _wrong(self._text, f"'{self._peek().text}' is not expected there")
        return found

    def _pipeline(self) -> Pipeline:
        names, declares = self._names()
        commands = [self._command()]
        while self._peek().text == "|" and self._peek().kind == "mark":
            self._next()
            commands.append(self._command())
        return Pipeline(names, declares, tuple(commands))

    def _names(self) -> tuple[tuple[str, ...], bool]:
        """``$x :=``, ``$x =``, ``$key, $value :=``."""
        texts = [token.text for token in self._tokens[self._at : self._at + 4]]
        count = 1 if texts[1:2] in ([":="], ["="]) else 2 if texts[1:2] == [","] and texts[3:4] == [":="] else 0
        if not count:
            return (), False
        self._at += 2 * count
        return tuple(texts[0 : 2 * count : 2]), texts[2 * count - 1] == ":="

    def _command(self) -> Operand:
        token = self._peek()
        if token.kind != "word" or token.text in _CONSTANTS:
            return self._operand()
        self._next()
        arguments = []
        while self._peek().kind != "end" and self._peek().text not in ("|", ")"):
            arguments.append(self._operand())
        return Call(token.text, tuple(arguments))

    def _operand(self) -> Operand:
        token = self._next()
        match token.kind:
            case "string":
                return Literal(token.text[1:-1] if token.text[0] == "`" else _unquoted(token.text))
            case "number":
                return Literal(float(token.text) if "." in token.text else int(token.text))
            case "chain":
                variable, _, fields = token.text.partition(".")
                return Chain(variable, tuple(fields.split(".")) if fields else ())
            case "word" if token.text in _CONSTANTS:
                return Literal(_CONSTANTS[token.text])
            case "word":
                return Call(token.text, ())
        if token.text == "(":
            inner = self._pipeline()
            if self._next().text != ")":
                raise _wrong(self._text, "there is no ) to a (")
            if self._peek().kind == "chain" and self._peek().text.startswith("."):
                return Chain("", tuple(self._next().text[1:].split(".")), inner)
            return Chain("", (), inner)
        raise _wrong(self._text, f"'{token.text}' is not expected there" if token.text else "a value is missing")


def _unquoted(text: str) -> str:
    try:
        return str(json.loads(text))
    except ValueError:
        return text[1:-1]
