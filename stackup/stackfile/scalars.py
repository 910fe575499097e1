"""Forms of single values: texts, flags, numbers, durations, sizes. Compose's string-or-number rules live here."""

from __future__ import annotations

import math
import re

from stackup.stackfile.forms import Form
from stackup.stackfile.nodes import Node, Timestamp
from stackup.stackfile.reader import Reader
from stackup.stackfile.units import go_text, parse_duration, parse_size


class Text(Form):
    """A text. Numbers are refused as Compose does, with the advice to quote them."""

    def __init__(
        self,
        expected: str = "a text",
        *,
        pattern: str = "",
        choices: tuple[str, ...] = (),
        empty: bool = True,
        null: bool = False,
    ) -> None:
        self.expected = expected if not choices else " or ".join(filter(None, (", ".join(choices[:-1]), choices[-1])))
        self.pattern = re.compile(pattern) if pattern else None
        self.choices = choices
        self.empty = empty
        self.null = null

    def read(self, node: Node, path: str, reader: Reader) -> Node | None:
        value = node.value
        if type(value) is not str:
            if value is None and self.null:
                return node
            hint = f'write it in quotes: "{raw(node)}"' if type(value) in (int, float, bool, Timestamp) else ""
            reader.wrong(node, path, self.expected, hint)
            return None
        if (self.choices or self.pattern or not self.empty) and not reader.open_text(node):
            if self.choices and value not in self.choices:
                reader.wrong(node, path, self.expected, reader.problems.did_you_mean(value, self.choices))
                return None
            if (self.pattern and not self.pattern.search(value)) or (not self.empty and not value):
                reader.wrong(node, path, self.expected)
                return None
        return node


def raw(node: Node) -> str:
    """A scalar as it stands in the file: ``0444`` rather than 292."""
    rest = node.source.line(node.line)[node.column - 1 :]
    match = re.match(r"[^\s,\]}#]+", rest)
    return match[0] if match else go_text(node.value)


class NumberText(Form):
    """A text that may be written as a number: a whole one (``expose``, ``group_add``), or any (``driver_opts``)."""

    def __init__(self, *, fraction: bool = False) -> None:
        self.kinds = (int, float) if fraction else (int,)
        self.expected = "a text or a number" if fraction else "a text or a whole number"

    def read(self, node: Node, path: str, reader: Reader) -> Node | None:
        if type(node.value) is str:
            return node
        if type(node.value) in self.kinds and math.isfinite(node.value):
            return node.with_value(go_text(node.value))
        hint = f'write it in quotes: "{raw(node)}"' if type(node.value) in (bool, float) else ""
        reader.wrong(node, path, self.expected, hint)
        return None


class Scalar(Form):
    """A text, a flag or (``numbers``) a number, as text."""

    def __init__(self, *, numbers: bool = True) -> None:
        self.numbers = NumberText(fraction=True) if numbers else Text()
        self.expected = "a text, a number, true or false" if numbers else "a text, true or false"

    def read(self, node: Node, path: str, reader: Reader) -> Node | None:
        if type(node.value) is bool:
            return node.with_value("true" if node.value else "false")
        if type(node.value) in (dict, list) or node.value is None:
            reader.wrong(node, path, self.expected)
            return None
        return self.numbers.read(node, path, reader)


_LARGEST = 3e38  # Compose keeps fractions in 32 bits
_TRUE = frozenset(("true", "y", "yes", "on"))
_FALSE = frozenset(("false", "n", "no", "off"))


class Flag(Form):
    """True or false. Texts such as ``yes`` count, because Compose casts what comes out of a variable.

    ``texts=False``: one of the few where Compose does not.
    """

    expected = "true or false"

    def __init__(self, *, texts: bool = True) -> None:
        self.texts = texts

    def read(self, node: Node, path: str, reader: Reader) -> Node | None:
        value = node.value
        if type(value) is bool or reader.open_text(node):
            return node
        if type(value) is str and self.texts:
            word = value.lower()
            if word in _TRUE or word in _FALSE:
                return node.with_value(word in _TRUE)
        reader.wrong(node, path, self.expected)
        return None


class Whole(Form):
    """A whole number, also written as a text. ``fraction``: where Compose takes any number and drops its fraction."""

    def __init__(
        self,
        expected: str = "a whole number",
        low: int | None = None,
        high: int | None = None,
        *,
        fraction: bool = False,
    ) -> None:
        self.expected = expected
        self.low = low
        self.high = high
        self.fraction = fraction

    def read(self, node: Node, path: str, reader: Reader) -> Node | None:
        value = node.value
        if reader.open_text(node):
            return node
        if (type(value) is str and re.fullmatch(r"[-+]?[0-9]{1,19}", value)) or (
            type(value) is float and (value.is_integer() or (self.fraction and abs(value) < 1 << 62))
        ):
            value = int(value)
        if type(value) is not int:
            large = type(value) is str and re.fullmatch(r"[-+]?[0-9]{20,}", value) is not None
            reader.wrong(node, path, f"{self.expected} of at most 64 bits" if large else self.expected)
            return None
        if not -1 << 63 <= value < 1 << 64:
            reader.wrong(node, path, f"{self.expected} of at most 64 bits")
            return None
        if (self.low is not None and value < self.low) or (self.high is not None and value > self.high):
            bounds = f"of at least {self.low}" if self.high is None else f"from {self.low} to {self.high}"
            reader.wrong(node, path, f"{self.expected} {bounds}")
            return None
        return node if value is node.value else node.with_value(value)


class Number(Form):
    """A number with or without a fraction, also written as a text."""

    expected = "a number"

    def read(self, node: Node, path: str, reader: Reader) -> Node | None:
        value = node.value
        if type(value) is str and not reader.open_text(node):
            try:
                value = float(value)
            except ValueError:
                value = None
        if reader.open_text(node):
            return node
        if type(value) in (int, float) and math.isfinite(value) and abs(value) < _LARGEST:
            return node if value is node.value else node.with_value(value)
        reader.wrong(node, path, self.expected)
        return None


class Duration(Form):
    """Seconds, from texts such as ``1m30s``."""

    expected = "a duration such as 10s, 1m30s or 500ms"

    def read(self, node: Node, path: str, reader: Reader) -> Node | None:
        value = node.value
        if reader.open_text(node):
            return node
        if type(value) is str:
            seconds = parse_duration(value)
            if seconds is not None:
                return node.with_value(seconds)
            reader.wrong(node, path, self.expected)
        else:
            number = type(value) in (int, float)
            reader.wrong(node, path, self.expected, f'a number needs a unit: "{go_text(value)}s"' if number else "")
        return None


class Microseconds(Whole):
    """A number of microseconds, or a duration such as ``400ms``."""

    def __init__(self) -> None:
        super().__init__("a number of microseconds, or a duration such as 400ms")

    def read(self, node: Node, path: str, reader: Reader) -> Node | None:
        seconds = parse_duration(node.value) if type(node.value) is str and node.value != "0" else None
        return super().read(node, path, reader) if seconds is None else node.with_value(round(seconds * 1_000_000))


class Size(Form):
    """Bytes, from numbers and texts such as ``512m``. ``number=False``: Compose takes texts only here."""

    expected = "a size such as 512m, 1.5g or 64k"

    def __init__(
        self, *, number: bool = True, fraction: bool = True, low: int | None = None, unlimited: bool = False
    ) -> None:
        self.number = number
        self.fraction = fraction  # where Compose takes any number; it is cut off
        self.low = low
        self.unlimited = unlimited

    def read(self, node: Node, path: str, reader: Reader) -> Node | None:
        value = node.value
        if reader.open_text(node):
            return node
        if type(value) in (int, float) and self.number and self.fits(value):
            return node.with_value(int(value))
        if type(value) is str:
            size = -1 if self.unlimited and value == "-1" else parse_size(value)
            if size is not None:
                return node.with_value(size)
        hint = f'write it in quotes: "{raw(node)}"' if type(value) in (int, float) and not self.number else ""
        reader.wrong(node, path, self.expected, hint)
        return None

    def fits(self, value: float) -> bool:
        whole = math.isfinite(value) and (self.fraction or value == int(value))
        return whole and (self.low is None or value >= self.low)
