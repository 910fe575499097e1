"""YAML text to ``Node`` trees: YAML 1.2 core as Compose reads it, with a place for every value.

Compose reads YAML through a Go library whose rules differ from PyYAML's: ``22:22`` and ``yes`` are strings, ``0444``
is octal, keys may not be repeated, keys must be strings. libyaml parses; the meaning of scalars is decided here.
"""

from __future__ import annotations

import re
from datetime import datetime
from functools import lru_cache
from typing import Any

import yaml

from stackup.stackfile.advice import QUOTES, typographic
from stackup.stackfile.limits import (
    MAX_ALIASED,
    MAX_BYTES,
    MAX_DEPTH,
    MAX_VALUES,
    TOO_DEEP,
    TOO_MANY,
    TOO_MANY_ALIASES,
    too_large,
)
from stackup.stackfile.nodes import OVERRIDE, RESET, Node, Scalar, Source, Timestamp
from stackup.stackfile.problems import Problems
from stackup.stackfile.yamlerrors import TEMPLATE, TEMPLATE_HINT, report, short

_STANDARD = "tag:yaml.org,2002:"
_PLAIN = "?"
_BOOLS = {"true": True, "True": True, "TRUE": True, "false": False, "False": False, "FALSE": False}
_NULLS = frozenset(("", "~", "null", "Null", "NULL"))
_FLOAT = re.compile(r"[-+]?(\.[0-9]+|[0-9]+(\.[0-9]*)?)([eE][-+]?[0-9]+)?\Z")
_INT = re.compile(r"[-+]?(0b[01]+|0o?[0-7]+|0x[0-9a-fA-F]+|0|[1-9][0-9]*)\Z")
_TIMESTAMP = re.compile(
    r"(\d{4})-(\d\d?)-(\d\d?)(?:(?:[Tt ](\d\d?):(\d\d?):(\d\d?)(?:\.(\d+))?)(Z|[-+]\d\d:\d\d)?)?\Z", re.ASCII
)  # yaml.v3's allowedTimestampFormats
_SPECIAL = {".nan": "nan", ".NaN": "nan", ".NAN": "nan"} | {
    f"{sign}{word}": f"{sign}inf" for sign in ("", "+", "-") for word in (".inf", ".Inf", ".INF")
}


class PlainLoader(yaml.CSafeLoader):
    """Leaves the meaning of untagged nodes open: ``_PLAIN`` instead of a guess by regular expressions.

    It is asked at the beginning and the end of every node, so that it can stop before there are too many, or the
    nesting overruns the C stack.
    """

    def __init__(self, stream: str) -> None:
        super().__init__(stream)
        self.left = MAX_VALUES * 2  # keys are nodes too
        self.depth = 0

    def resolve(self, kind: Any, value: Any, implicit: Any) -> str:
        return _PLAIN

    def descend_resolver(self, current_node: Any, current_index: Any) -> None:
        self.left -= 1
        self.depth += 1
        if self.depth > MAX_DEPTH + 1:
            raise _Stop(TOO_DEEP, current_node.start_mark)
        if self.left < 0 and current_node is not None:
            raise _Stop(TOO_MANY, (current_index if isinstance(current_index, yaml.Node) else current_node).start_mark)

    def ascend_resolver(self) -> None:
        self.depth -= 1


@lru_cache(maxsize=4096)
def scalar(text: str) -> Scalar:
    """The value of an unquoted scalar (yaml.v3's resolve.go)."""
    if text in _NULLS:
        return None
    if text[0] not in "0123456789+-.tTfF":
        return text
    if text in _BOOLS:
        return _BOOLS[text]
    if text in _SPECIAL:
        return float(_SPECIAL[text])
    if text[4:5] == "-" and (stamp := _TIMESTAMP.match(text)) and (moment := _timestamp(stamp)) is not None:
        return moment
    digits = text.replace("_", "")
    if len(digits) <= 64 and _INT.match(digits):
        return _integer(digits)
    return float(digits) if len(digits) <= 400 and _FLOAT.match(digits) else text


def _timestamp(parts: re.Match[str]) -> Timestamp | None:
    """None for what only looks like a date (2024-02-31)."""
    year, month, day, hour, minute, second = (int(part or 0) for part in parts.groups()[:6])
    try:
        moment = datetime(year, month, day, hour, minute, second)
    except ValueError:
        return None
    fraction = (parts[7] or "").rstrip("0")
    fraction = f".{fraction[:9]}" if fraction else ""
    zone = parts[8] or "Z"
    printed_zone = "+0000 UTC" if zone.upper() == "Z" else f"{zone.replace(':', '')} {zone.replace(':', '')}"
    day_text, time_text = moment.date().isoformat(), f"{moment.time().isoformat()}{fraction}"
    return Timestamp(f"{day_text}T{time_text}{zone.upper()}", f"{day_text} {time_text} {printed_zone}")


def _integer(digits: str) -> int:
    sign = -1 if digits[0] == "-" else 1
    body = digits.lstrip("+-")
    if body[0] == "0" and len(body) > 1:
        number = int(body[2:], 16) if body[1] == "x" else int(body[2:], 2) if body[1] == "b" else 0
        if body[1] not in "xb":
            number = int(body.replace("o", ""), 8)
    else:
        number = int(body)
    return sign * number


def read_documents(source: Source, problems: Problems) -> list[Node]:
    """All documents of a file that are not empty. What is wrong goes to ``problems``; what can be read is answered."""
    text = source.text
    if len(text) > MAX_BYTES:
        problems.at(source, 1, 1, f"cannot read {short(source, problems)}: {too_large(len(text))}")
        return []
    if "\0" in text:
        before = text[: text.index("\0")]
        place = before.count("\n") + 1, len(before) - before.rfind("\n")
        problems.at(
            source, *place, f"cannot read {short(source, problems)}: it holds a NUL byte, so it is no text file"
        )
        return []
    roots: list[yaml.Node] = []
    loader = None
    try:
        loader = PlainLoader(text.removeprefix("\ufeff"))
        while loader.check_node():
            roots.append(loader.get_node())  # type: ignore[arg-type]  # check_node says that there is one
    except _Stop as stop:
        problems.at(source, stop.mark.line + 1, stop.mark.column + 1, f"cannot read {short(source, problems)}: {stop}")
        return []
    except yaml.MarkedYAMLError as error:
        report(source, error, problems)
        return []
    except yaml.reader.ReaderError as error:
        before = text[: error.position]
        line, column = before.count("\n") + 1, error.position - before.rfind("\n")
        what = f"character U+{error.character:04X}" if isinstance(error.character, int) else "a character"
        problems.at(source, line, column, f"cannot read {short(source, problems)} as YAML: {what} is not allowed")
        return []
    finally:
        if loader is not None:
            loader.dispose()
    builder = _Builder(source, problems)
    documents = [builder.document(root) for root in roots if root is not None]
    return [] if builder.stopped else [document for document in documents if document is not None]


class _Builder:
    """Walks libyaml's nodes once: expands aliases and merge keys, checks keys, resolves scalars."""

    def __init__(self, source: Source, problems: Problems) -> None:
        self.source = source
        self.problems = problems
        self.budget = MAX_ALIASED
        self.open: set[int] = set()  # nodes whose children are being read: meeting one again is a cycle
        self.read: set[int] = set()  # mappings that were read before: this time it is an alias that leads here
        self.stopped = False
        self.ports = 0  # how many keys ``ports`` lead to what is read now

    def document(self, root: yaml.Node) -> Node | None:
        try:
            return self.node(root, 0, 0)
        except _Stop as stop:
            self.stopped = True
            mark = stop.mark
            message = f"cannot read {short(self.source, self.problems)}: {stop}"
            self.problems.at(self.source, mark.line + 1, mark.column + 1, message, hint=stop.hint)
        return None

    def node(self, node: Any, key_line: int, key_column: int) -> Node:
        mark = node.start_mark
        self.budget -= 1
        if self.budget < 0:
            raise _Stop(TOO_MANY_ALIASES, mark)
        tag = node.tag
        kept = ""
        if tag != _PLAIN and not tag.startswith(_STANDARD):
            kept = self.own_tag(tag, mark)
        value: Any
        if isinstance(node, yaml.ScalarNode):
            value = self.scalar_value(node, tag, mark)
        else:
            if id(node) in self.open:
                raise _Stop("an alias refers to a value that contains it", mark)
            if len(self.open) > MAX_DEPTH:
                raise _Stop(TOO_DEEP, mark)
            self.open.add(id(node))
            if isinstance(node, yaml.MappingNode):
                value = self.mapping(node)
                if id(node) in self.read:  # Compose applies !reset where it is written, not where an alias leads
                    value = {key: child for key, child in value.items() if child.tag != RESET}
                self.read.add(id(node))
            else:
                value = [self.node(child, 0, 0) for child in node.value]
            self.open.discard(id(node))
        return Node(value, self.source, mark.line + 1, mark.column + 1, key_line, key_column, kept)

    def own_tag(self, tag: str, mark: Any) -> str:
        if tag in (RESET, OVERRIDE):
            return str(tag)
        self.problems.at(
            self.source,
            mark.line + 1,
            mark.column + 1,
            f"cannot read {short(self.source, self.problems)}: the tag {tag} is unknown; "
            "Compose has !reset and !override",
            width=len(tag),
        )
        return ""

    def scalar_value(self, node: Any, tag: str, mark: Any) -> Scalar:
        if tag.startswith(_STANDARD):
            kind = tag[len(_STANDARD) :]
            if kind in ("str", "binary"):
                return str(node.value)
            return scalar(node.value)
        if node.style:
            return node.value  # type: ignore[no-any-return]
        if node.value[:1] in QUOTES and node.value:
            said = f"the quote {node.value[0]} is part of the text: YAML does not know it"
            self.problems.warn(
                Node(node.value, self.source, mark.line + 1, mark.column + 1), said, hint=typographic(node.value)
            )
        return scalar(node.value)

    def mapping(self, node: Any) -> dict[str, Node]:
        own: dict[str, Node] = {}
        merged: list[Any] = []
        merge_line = 0
        for key, value in node.value:
            name = key.value
            mark = key.start_mark
            if type(name) is not str:
                if self.source.line(mark.line + 1)[mark.column - 1 : mark.column + 1] == "{{":
                    raise _Stop(TEMPLATE, mark, TEMPLATE_HINT)
                self.bad_key(mark, "a key must be a text, not a list or mapping")
                continue
            if key.style == "" and key.tag == _PLAIN:
                if name == "<<":
                    if merged:
                        line = merge_line
                        hint = "merge several at once: <<: [*first, *second]"
                        self.bad_key(mark, f"the key '<<' is written twice here; the first one is in line {line}", hint)
                    merged.append(value)
                    merge_line = mark.line + 1
                    continue
                if name[:1] in "0123456789+-.tTfFnN~" and type(scalar(name)) is not str and not self.ports:
                    self.bad_key(mark, f"the key {name or 'null'} is not a text", f'write it in quotes: "{name}"')
                    continue
            if name in own:
                first = own[name].key_line
                words = f"the key {name!r} is written twice here; the first one is in line {first}"
                self.bad_key(mark, words, width=len(name))
                continue
            # A mapping in place of a list of ports is one mistake: its numbers are not judged as well.
            self.ports += name == "ports"
            own[name] = self.node(value, mark.line + 1, mark.column + 1)
            self.ports -= name == "ports"
        if not merged:
            return own
        result: dict[str, Node] = {}
        for value in merged:
            for part in value.value if isinstance(value, yaml.SequenceNode) else (value,):
                if not isinstance(part, yaml.MappingNode):
                    self.bad_key(part.start_mark, "a merge key (<<) takes a mapping or a list of mappings")
                    continue
                for name, child in self.node(part, 0, 0).value.items():
                    result.setdefault(name, child)
        result.update(own)
        return result

    def bad_key(self, mark: Any, words: str, hint: str = "", width: int = 1) -> None:
        message = f"cannot read {short(self.source, self.problems)}: {words}"
        self.problems.at(self.source, mark.line + 1, mark.column + 1, message, hint=hint, width=width)


class _Stop(Exception):
    """Reading on would be endless, or as good as."""

    def __init__(self, message: str, mark: Any, hint: str = "") -> None:
        super().__init__(message)
        self.mark = mark
        self.hint = hint
