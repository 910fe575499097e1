"""The interpolation language: ``$VAR``, ``${VAR}``, defaults, alternatives, required variables, nesting, ``$$``.

Compose Specification, "Interpolation". Defaults are worked out only where they are needed, so that a required
variable inside a default that is not used does no harm.
"""

from __future__ import annotations

import re
from collections.abc import Callable

from stackup.base.values import frozen
from stackup.stackfile.limits import MAX_TEXT, MAX_VALUES

Lookup = Callable[[str], str | None]

MAX_NESTING = 50
_NAME = re.compile(r"[_a-zA-Z][_a-zA-Z0-9]*")
_OPERATORS = (":-", ":+", ":?", "-", "+", "?")


class TemplateError(Exception):
    """``offset`` counts characters from the start of the text that was being interpolated."""

    def __init__(self, message: str, offset: int, hint: str = "") -> None:
        super().__init__(message)
        self.offset = offset
        self.hint = hint


@frozen
class Use:
    """One variable that a text mentions, for ``config --variables``."""

    name: str
    default: str = ""
    alternative: str = ""
    required: bool = False


def substitute(text: str, lookup: Lookup, unset: Callable[[str, int], None] | None = None) -> str:
    """``text`` with its variables filled in. ``unset`` hears of variables that have neither a value nor a default.

    Raises TemplateError.
    """
    if "$" not in text:
        return text
    return _Template(text, lookup, unset).run(0, len(text), 0)


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
        unset: Callable[[str, int], None] | None,
        found: list[Use] | None = None,
    ) -> None:
        self.text = text
        self.lookup = lookup
        self.unset = unset
        self.found = found
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
            value, start = self.one(dollar, end, depth)
            parts.append(value)
            size += len(value)
            if size > MAX_TEXT:
                raise TemplateError(f"the text becomes longer than {MAX_TEXT >> 20} MiB", dollar)

    def one(self, dollar: int, end: int, depth: int) -> tuple[str, int]:
        """The value of the expression at ``dollar``, and where it ends."""
        text = self.text
        following = text[dollar + 1 : dollar + 2] if dollar + 1 < end else ""
        if following == "$":
            return "$", dollar + 2
        self.left -= 1
        if self.left < 0:
            raise TemplateError(f"the text holds more than {MAX_VALUES:,} variables", dollar)
        if following == "{":
            close = self.closing(dollar, end)
            return self.braced(dollar, close, depth), close + 1
        name = _NAME.match(text, dollar + 1, end)
        if name is None:  # a dollar sign that begins nothing stays: $(date), $1, "5 $"
            return "$", dollar + 1
        if self.found is not None:
            self.found.append(Use(name[0]))
        return self.value(name[0], dollar), name.end()

    def closing(self, dollar: int, end: int) -> int:
        """The brace that ends ``${`` at ``dollar``: braces in a default come in pairs; else it is the last one."""
        text = self.text
        level = 0
        for index in range(dollar + 1, end):
            if text[index] == "{":
                level += 1
            elif text[index] == "}":
                level -= 1
                if level == 0:
                    if "\n" in text[dollar:index]:
                        break
                    return index
        last = text.rfind("}", dollar, end)
        if last < 0 or "\n" in text[dollar:last]:
            raise TemplateError("'${' has no closing '}'", dollar, "write $$ for a plain dollar sign")
        return last

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
        if kind == "+":
            return self.run(*span, depth + 1) if there else ""
        if there:
            return value or ""
        if kind == "-":
            return self.run(*span, depth + 1)
        said = self.run(*span, depth + 1).strip()
        state = "empty" if value is not None else "not set"
        message = f"the required variable {name} is {state}" + (f": {said}" if said else "")
        raise TemplateError(
            message, span[0] - len(operator) - len(name) - 2, f"set {name} in the environment or in .env"
        )

    def value(self, name: str, offset: int) -> str:
        value = self.lookup(name)
        if value is None:
            if self.unset is not None:
                self.unset(name, offset)
            return ""
        return value
