"""Hints for values that are not what belongs in their place, as far as what was meant can be guessed."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Collection

from stackup.stackfile.nodes import Node

_TYPED = dict.fromkeys("\u201c\u201d\u201e\u201f\u00ab\u00bb", '"') | dict.fromkeys("\u2018\u2019\u201a\u201b", "'")
_TYPED |= dict.fromkeys("\u2010\u2011\u2012\u2013\u2014\u2212", "-") | dict.fromkeys(
    "\u00a0\u2007\u202f\u3000", "a space"
)
QUOTES = frozenset(char for char, plain in _TYPED.items() if plain in ('"', "'"))
_CONDITIONS = ("service_started", "service_healthy", "service_completed_successfully")
_SHORT = 60  # longer texts are not repeated in a hint


def typographic(text: str) -> str:
    """Names a character at an end of ``text`` that a word processor put in place of what YAML means."""
    found = next((char for char in (text[:1], text[-1:]) if char in _TYPED and char), "")
    if not found:
        return ""
    shown = found if found.isprintable() else ""
    name = unicodedata.name(found).lower()
    return f"type {_TYPED[found]} in place of {shown + ' ' if shown else ''}(U+{ord(found):04X}, {name})"


def for_list(node: Node, *, texts: bool = False) -> str:
    """Of what stands where a list belongs, or one of ``texts``."""
    value = node.value
    if type(value) in (str, int) and node.line:
        text = value if type(value) is str else f'"{value}"'
        return typographic(text) or (f"write it as a list item: - {text}" if len(text) < _SHORT else "")
    if type(value) is not dict or not value:
        return ""
    name, child = next(iter(value.items()))
    if name.isdigit() and type(child.value) in (str, int):
        return f'write each as a list item: - "{name}:{child.value}"'
    return f"write it as a list item: - {name}: ..." if len(name) < _SHORT and not texts else ""


def for_mapping(node: Node, names: Collection[str] = ()) -> str:
    """Of what stands where a mapping belongs; ``names`` are its keys where they are known."""
    value = node.value
    if "condition" in names and type(value) in (str, list):
        said = value if type(value) is str else value[0].value if value else ""
        shown = said if said in _CONDITIONS else "service_started"
        return f"write {{condition: {shown}}}"
    if type(value) is list:
        dashed = bool(value) and type(value[0].value) is dict
        return "leave out the dash; attributes are written NAME: value" if dashed and names else ""
    if type(value) is not str or len(value) > _SHORT:
        return ""
    key, colon, rest = value.partition(":")
    if colon and rest and (key in names if names else re.fullmatch(r"[\w-]+", key)):
        return f"put a space after the colon: {key}: {rest}"
    key, equals, rest = value.partition("=")
    if equals and rest and key in names:
        return f"write {key}: {rest}"
    first, _, rest = value.partition(" ")
    if rest and first in names:
        return f"put a colon after {first}: {first}: {rest}"
    if re.fullmatch(r"[A-Za-z_][\w.-]*", value) and (not names or value in names):
        return f"put a colon after it: {value}:"
    return typographic(value)


def for_pairs(node: Node) -> str:
    """Of what stands where names with values belong (``environment``)."""
    value = node.value
    if type(value) is not str:
        return ""
    name, equals, text = value.partition("=")
    if equals and re.fullmatch(r"[A-Za-z_][\w.-]*", name):
        first = text.split(" ")[0]
        if len(name) + len(first) > _SHORT:
            name, first = "NAME", "value"
        return f"write each line as {name}: {first}, or each as - {name}={first}"
    return for_mapping(node)
