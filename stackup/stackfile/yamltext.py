"""Plain data as YAML text, laid out as docker compose prints it: blocks of two spaces, list items below their key.

Written by hand because what Compose reads differs from what PyYAML quotes for (``scalar``), and because it is many
times quicker: ``config`` of a large stack would spend most of its time here.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from typing import Any

from stackup.stackfile.plainscalar import scalar

# Older readers take these for booleans, numbers or dates: in quotes nobody is in doubt.
_OLD_BOOLS = frozenset(
    word for plain in ("y", "yes", "on", "n", "no", "off") for word in (plain, plain.capitalize(), plain.upper())
)
_SEXAGESIMAL = re.compile(r"[-+]?[0-9][0-9_]*(:[0-5]?[0-9])+(\.[0-9_]*)?\Z")
_DATE = re.compile(r"[0-9]{4}-[0-9]{1,2}-[0-9]{1,2}([Tt \t]|\Z)")
_PLAIN_START = re.compile(r"[^\s\-?:,\[\]{}#&*!|>'\"%@`=<]|[-?:](?=[^\s,\[\]{}])")
_NOT_PLAIN = re.compile(r": |:\Z| #|\s\Z|\t")
_SIMPLE = re.compile(r"[A-Za-z_/][A-Za-z0-9_./-]*\Z")


def as_yaml(data: Mapping[str, Any]) -> str:
    """``data`` (texts, numbers, booleans, None, lists, mappings with text keys) as a YAML document."""
    lines: list[str] = []
    _mapping(data, "", lines, "")
    return "\n".join(lines) + "\n" if lines else "{}\n"


def _mapping(data: Mapping[str, Any], indent: str, lines: list[str], first: str) -> None:
    """``first`` begins the first line in place of ``indent``: the dash of the list item that this mapping is."""
    lead = first or indent
    for key, value in data.items():
        _entry(f"{lead}{_text(key, '')}:", value, indent, lines)
        lead = indent


def _entry(lead: str, value: Any, indent: str, lines: list[str]) -> None:
    if isinstance(value, dict) and value:
        lines.append(lead)
        _mapping(value, f"{indent}  ", lines, "")
    elif isinstance(value, list | tuple) and value:
        lines.append(lead)
        _sequence(value, f"{indent}  ", lines, "")
    else:
        lines.append(f"{lead} {_single(value, f'{indent}  ')}")


def _sequence(data: list[Any] | tuple[Any, ...], indent: str, lines: list[str], first: str) -> None:
    lead = first or indent
    for value in data:
        if isinstance(value, dict) and value:
            _mapping(value, f"{indent}  ", lines, f"{lead}- ")
        elif isinstance(value, list | tuple) and value:
            _sequence(value, f"{indent}  ", lines, f"{lead}- ")
        else:
            lines.append(f"{lead}- {_single(value, f'{indent}  ')}")
        lead = indent


def _single(value: Any, indent: str) -> str:
    if value is None:
        return "null"
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, str):
        return _text(value, indent)
    if isinstance(value, float):
        return _number(value)
    return "{}" if isinstance(value, dict) else "[]" if isinstance(value, list | tuple) else str(value)


def _number(value: float) -> str:
    special = {"inf": ".inf", "-inf": "-.inf", "nan": ".nan"}
    return special.get(str(value), repr(value))


def _text(value: str, indent: str) -> str:
    """``indent`` is that of the lines of a block; empty where there can be none (keys)."""
    if _SIMPLE.match(value) and value not in _OLD_BOOLS and type(scalar(value)) is str:
        return value
    if not value.replace("\n", "").isprintable():
        return _escaped(value)
    if "\n" in value:
        return _block(value, indent) if indent else _escaped(value)
    if _ambiguous(value):
        return _escaped(value)
    if not _PLAIN_START.match(value) or _NOT_PLAIN.search(value):
        return "'" + value.replace("'", "''") + "'"
    return value


def _ambiguous(value: str) -> bool:
    """True for a text that some reader would take for something else when it is not quoted."""
    return (
        value in _OLD_BOOLS
        or type(scalar(value)) is not str
        or bool(_SEXAGESIMAL.match(value))
        or bool(_DATE.match(value))
    )


def _escaped(value: str) -> str:
    text = json.dumps(value, ensure_ascii=False)
    return text if text.isprintable() else "".join(map(_visible, text))


def _visible(char: str) -> str:
    if char.isprintable():
        return char
    return f"\\U{ord(char):08x}" if ord(char) > 0xFFFF else f"\\u{ord(char):04x}"


def _block(value: str, indent: str) -> str:
    lines = value.split("\n")
    if value[0] in " \n" or any(line != line.rstrip() for line in lines):
        return _escaped(value)
    ends = len(value) - len(value.rstrip("\n"))
    head = "|-" if ends == 0 else "|" if ends == 1 else "|+"
    body = lines[:-1] if ends else lines
    return "\n".join((head, *(f"{indent}{line}" if line else "" for line in body)))
