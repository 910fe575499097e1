"""The interpolation language: ``$VAR``, ``${VAR}``, defaults, alternatives, required variables, nesting, ``$$``.

Compose Specification, "Interpolation". Defaults are worked out only where they are needed, so that a required
variable inside a default that is not used does no harm.
"""

from __future__ import annotations

import re
from array import array
from collections.abc import Callable, Iterable
from enum import StrEnum
from typing import NamedTuple

from stackup.base.errors import Position
from stackup.base.values import frozen
from stackup.stackfile.limits import MAX_TEXT, MAX_VALUES

Lookup = Callable[[str], str | None]

MAX_NESTING = 50
_NAME = re.compile(r"[_a-zA-Z][_a-zA-Z0-9]*")
_BRACE = re.compile(r"[{}]")
_OPERATORS = (":-", ":+", ":?", "-", "+", "?")


class TemplateError(Exception):
    """``offset`` counts characters from the start of the text that was being interpolated.

    ``unclosed``: a brace is missing. ``whole``: the text as a whole is too much, so nothing more is said of it.
    """

    def __init__(
        self, message: str, offset: int, hint: str = "", *, unclosed: bool = False, whole: bool = False
    ) -> None:
        super().__init__(message)
        self.offset = offset
        self.hint = hint
        self.unclosed = unclosed
        self.whole = whole


@frozen
class Use:
    """One variable that a text mentions, for ``config --variables``."""

    name: str
    default: str = ""
    alternative: str = ""
    required: bool = False


def mentioned(texts: Iterable[str]) -> dict[str, Use]:
    """The variables of all ``texts`` by name, each once: required where one text requires it, the first default that
    is given, the first alternative. Raises TemplateError."""
    found: dict[str, Use] = {}
    for use in (use for text in texts for use in uses(text)):
        known = found.get(use.name, use)
        found[use.name] = Use(
            use.name,
            known.default or use.default,
            known.alternative or use.alternative,
            known.required or use.required,
        )
    return found


class Outcome(StrEnum):
    """What became of one look-up. ``NOTHING``: an alternative whose condition does not hold."""

    VALUE = "value"
    DEFAULT = "default"
    ALTERNATIVE = "alternative"
    NOTHING = "nothing"
    UNSET = "unset"  # neither a value nor a default
    REFUSED = "refused"  # it is required


class Asked(NamedTuple):
    """One look-up that took place. ``argument`` is what follows the operator, as it is written.

    ``offset`` counts characters from the start of the text. ``where`` is the place of the value where it is none of the
    project's variables: another line of the same env file, for instance.
    """

    name: str
    operator: str
    argument: str
    outcome: Outcome
    offset: int
    value: str | None
    where: Position | None = None


Record = Callable[[Asked], None]


def substitute(
    text: str, lookup: Lookup, record: Record | None = None, wrong: list[TemplateError] | None = None
) -> str:
    """``text`` with its variables filled in. ``record`` hears of every look-up, in order.

    Raises TemplateError; with ``wrong`` all of them are collected there instead, and the answer is good for nothing.
    """
    if "$" not in text:
        return text
    return _Template(text, lookup, record, wrong=wrong).run(0, len(text), 0)


def uses(text: str) -> list[Use]:
    """Every variable that ``text`` mentions, in order, nested ones too. Raises TemplateError."""
    found: list[Use] = []
    template = _Template(text, lambda name: None, None, found)
    template.run(0, len(text), 0)
    return found


class _Template:
    def __init__(
        self,
        text: str,
        lookup: Lookup,
        record: Record | None,
        found: list[Use] | None = None,
        wrong: list[TemplateError] | None = None,
    ) -> None:
        self.wrong = wrong
        self.text = text
        self.lookup = lookup
        self.record = record
        self.found = found
        self.pairs: array[int] | None = None
        self.left = MAX_VALUES  # variables, nested ones too

    def run(self, start: int, end: int, depth: int) -> str:
        """Interpolates ``text[start:end]``; offsets in errors stay those of the whole text."""
        if depth > MAX_NESTING:
            raise TemplateError(f"variables are nested deeper than {MAX_NESTING} levels", start)
        text = self.text
        parts: list[str] = []
        size = 0
        while True:
            dollar = text.find("$", start, end)
            if dollar < 0:
                parts.append(text[start:end])
                return "".join(parts)
            parts.append(text[start:dollar])
            try:
                value, start = self.one(dollar, end, depth)
                size += len(value)
                if size > MAX_TEXT:
                    raise TemplateError(f"the text becomes longer than {MAX_TEXT >> 20} MiB", dollar, whole=True)
            except TemplateError as error:
                if self.wrong is None or depth:
                    raise
                self.wrong.append(error.with_traceback(None))  # its frames hold this list
                if error.whole:
                    return ""
                value, start = "", self.after(error, dollar, end)
            parts.append(value)

    def after(self, error: TemplateError, dollar: int, end: int) -> int:
        """Where reading goes on after what is wrong: behind the brace that ends it, else in the next line."""
        if not error.unclosed:
            return self.closing(dollar, end)[0] + 1
        line_end = self.text.find("\n", dollar, end)
        return end if line_end < 0 else line_end

    def one(self, dollar: int, end: int, depth: int) -> tuple[str, int]:
        """The value of the expression at ``dollar``, and where it ends."""
        text = self.text
        following = text[dollar + 1 : dollar + 2] if dollar + 1 < end else ""
        if following == "$":
            return "$", dollar + 2
        self.left -= 1
        if self.left < 0:
            raise TemplateError(f"the text holds more than {MAX_VALUES:,} variables", dollar, whole=True)
        if following == "{":
            close, paired = self.closing(dollar, end)
            try:
                return self.braced(dollar, close, depth), close + 1
            except TemplateError as error:
                if paired or not error.unclosed:
                    raise
                raise _unclosed(dollar) from None  # it has no brace of its own: it took that of the inner one
        name = _NAME.match(text, dollar + 1, end)
        if name is None:  # a dollar sign that begins nothing stays: $(date), $1, "5 $"
            return "$", dollar + 1
        if self.found is not None:
            self.found.append(Use(name[0]))
        return self.value(name[0], dollar), name.end()

    def closing(self, dollar: int, end: int) -> tuple[int, bool]:
        """The brace that ends ``${`` at ``dollar``, and whether it is one of a pair; else it is the line's last one."""
        text = self.text
        if self.pairs is None:
            self.pairs = _pairs(text)
        close = self.pairs[dollar + 1]
        if close and close < end and text.find("\n", dollar, close) < 0:
            return close, True
        line_end = text.find("\n", dollar, end)
        close = text.rfind("}", dollar, end if line_end < 0 else line_end)
        if close < 0:
            raise _unclosed(dollar)
        return close, False

    def braced(self, dollar: int, close: int, depth: int) -> str:
        text = self.text
        name = _NAME.match(text, dollar + 2, close)
        if name is None:
            raise TemplateError(
                f"{text[dollar : close + 1]!r} names no variable",
                dollar,
                "a name consists of letters, digits and _; write $$ for a plain dollar sign",
            )
        after = name.end()
        if after == close:
            if self.found is not None:
                self.found.append(Use(name[0]))
            return self.value(name[0], dollar)
        operator = next((item for item in _OPERATORS if text.startswith(item, after)), "")
        if not operator or after + len(operator) > close:
            raise TemplateError(
                f"{text[after]!r} may not follow the name in {text[dollar : close + 1]!r}",
                after,
                "after the name come :- - :+ + :? ? or }",
            )
        return self.operate(name[0], operator, (after + len(operator), close), depth)

    def operate(self, name: str, operator: str, span: tuple[int, int], depth: int) -> str:
        """``span`` is the part after the operator: default, alternative or message."""
        kind = operator[-1]
        if self.found is not None:
            argument = self.text[span[0] : span[1]]
            self.found.append(
                Use(name, argument if kind == "-" else "", argument if kind == "+" else "", required=kind == "?")
            )
            self.run(*span, depth + 1)
            return ""
        value = self.lookup(name)
        there = bool(value) if operator[0] == ":" else value is not None
        offset = span[0] - len(operator) - len(name) - 2
        if self.record is not None:
            outcome = _OUTCOMES[kind][there]
            self.record(Asked(name, operator, self.text[span[0] : span[1]], outcome, offset, value))
        if kind == "+":
            return self.run(*span, depth + 1) if there else ""
        if there:
            return value or ""
        if kind == "-":
            return self.run(*span, depth + 1)
        said = self.run(*span, depth + 1).strip()
        state = "empty" if value is not None else "not set"
        message = f"the required variable {name} is {state}" + (f": {said}" if said else "")
        raise TemplateError(message, offset, f"set {name} in the environment or in .env")

    def value(self, name: str, offset: int) -> str:
        value = self.lookup(name)
        if self.record is not None:
            self.record(Asked(name, "", "", Outcome.UNSET if value is None else Outcome.VALUE, offset, value))
        return value or ""


def _unclosed(dollar: int) -> TemplateError:
    return TemplateError("'${' has no closing '}'", dollar, "write $$ for a plain dollar sign", unclosed=True)


# By the kind of the operator: when the variable is not there, and when it is.
_OUTCOMES = {
    "-": (Outcome.DEFAULT, Outcome.VALUE),
    "+": (Outcome.NOTHING, Outcome.ALTERNATIVE),
    "?": (Outcome.REFUSED, Outcome.VALUE),
}


def _pairs(text: str) -> array[int]:
    """By the index of each opening brace that of the closing one, 0 where there is none.

    Found in one go, however deep they are nested; an array, as a text may hold millions of them.
    """
    opened, pairs = array("I"), array("I", bytes(len(text) * array("I").itemsize))
    for match in _BRACE.finditer(text):
        index = match.start()
        if match[0] == "{":
            opened.append(index)
        elif opened:
            pairs[opened.pop()] = index
    return pairs
