"""libyaml's events to ``Node`` trees: aliases and merge keys are expanded, keys are checked, scalars get their meaning.

One walk, as a large file is mostly this: the nodes that PyYAML itself would compose are never made.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import yaml
from yaml.composer import ComposerError

from stackup.stackfile.advice import QUOTES, typographic
from stackup.stackfile.limits import MAX_ALIASED, MAX_DEPTH, MAX_VALUES, TOO_DEEP, TOO_MANY, TOO_MANY_ALIASES
from stackup.stackfile.nodes import OVERRIDE, RESET, Node, Scalar, Source
from stackup.stackfile.plainscalar import scalar
from stackup.stackfile.problems import Problems
from stackup.stackfile.yamlerrors import TEMPLATE, TEMPLATE_HINT, short

# Any, as PyYAML's types say that an event may have no place: libyaml's have one.
Event = Any
_ALIAS: Any = yaml.AliasEvent
_SCALAR: Any = yaml.ScalarEvent
_MAPPING: Any = yaml.MappingStartEvent
_END: Any = yaml.MappingEndEvent
_LIST_END: Any = yaml.SequenceEndEvent
_STREAM_END: Any = yaml.StreamEndEvent
_STANDARD = "tag:yaml.org,2002:"
_NO_TAG = (None, "!")
_ODD = frozenset(("", *"0123456789+-.tTfFnN~"))  # what a key that is no text begins with


class Stop(Exception):
    """Reading on would be endless, or as good as. Lines and columns count from 1."""

    def __init__(self, message: str, line: int, column: int, hint: str = "") -> None:
        super().__init__(message)
        self.line = line
        self.column = column
        self.hint = hint


class _Anchor:
    """A value that has a name. ``size`` is how many values it is; less than 0 while it is being read."""

    __slots__ = ("key", "node", "size")

    def __init__(self, node: Node, size: int, key: Event = None) -> None:
        self.node = node
        self.size = size
        self.key = key  # what it is where an alias to it stands as a key


class Composer:
    """Reads one file. What is wrong with single values is kept in ``found``: nobody wants it of what is no YAML."""

    def __init__(self, source: Source, problems: Problems, loader: yaml.CSafeLoader) -> None:
        self.source = source
        self.problems = problems
        self.next: Callable[[], Any] = loader.get_event
        self.left = MAX_VALUES * 2  # keys are values too
        self.made = 0  # values, those that aliases stand for counted each time
        self.depth = 0
        self.anchors: dict[str, _Anchor] = {}
        self.ports = 0  # how many keys ``ports`` lead to what is read now
        self.found: list[Callable[[], None]] = []

    def documents(self) -> list[Node]:
        """Raises Stop, and what libyaml raises (yaml.YAMLError)."""
        documents: list[Node] = []
        self.next()
        while type(self.next()) is not _STREAM_END:
            self.anchors.clear()
            documents.append(self.value(self.next(), 0, 0))
            self.next()
        return documents

    def drain(self) -> None:
        """Looks at what is left: that the file is no YAML at all matters more than what stopped the reading."""
        while self.left > 0 and self.next() is not None:
            self.left -= 1

    def value(self, event: Event, key_line: int, key_column: int) -> Node:
        kind = type(event)
        if kind is _ALIAS:
            return self.alias(event, key_line, key_column)
        mark = event.start_mark
        line, column = mark.line + 1, mark.column + 1
        tag = event.tag
        kept = "" if tag in _NO_TAG or tag.startswith(_STANDARD) else self.own_tag(tag, line, column)
        if kind is _SCALAR:
            node = Node(self.scalar(event), self.source, line, column, key_line, key_column, kept)
            if event.anchor is not None:
                self.anchors[event.anchor] = _Anchor(node, 1, event)
            return node
        node = Node(None, self.source, line, column, key_line, key_column, kept)
        anchor = None
        if event.anchor is not None:
            self.anchors[event.anchor] = anchor = _Anchor(node, -1)
        if self.depth > MAX_DEPTH:
            self.left = 0
            raise Stop(TOO_DEEP, line, column)
        self.depth += 1
        before = self.made
        node.value = self.mapping() if kind is _MAPPING else self.sequence()
        self.depth -= 1
        if anchor is not None:
            anchor.size = self.made - before + 1
        return node

    def sequence(self) -> list[Node]:
        items: list[Node] = []
        following, source = self.next, self.source
        while True:
            event = following()
            if type(event) is _SCALAR and event.tag is None and event.anchor is None:
                place = event.start_mark
                value = event.value if event.style else self.plain(event.value, place)
                items.append(Node(value, source, place.line + 1, place.column + 1))
            elif type(event) is _LIST_END:
                break
            else:
                items.append(self.value(event, 0, 0))
            self.left -= 1
            if self.left < 0:
                self.full(event.start_mark)
        self.made += len(items)
        return items

    def mapping(self) -> dict[str, Node]:
        own: dict[str, Node] = {}
        merged: list[tuple[Node, Any]] = []
        following, source = self.next, self.source
        while True:
            key = following()
            if type(key) is _END:
                break
            self.left -= 2
            if self.left < 0:
                self.full(key.start_mark)
            if (type(key) is not _SCALAR or key.anchor is not None) and (key := self.key(key)) is None:
                self.skip()
                continue
            name: str = key.value
            mark = key.start_mark
            if name[:1] in _ODD and not self.ports and self.is_plain(key) and type(scalar(name)) is not str:
                self.bad_key(mark, f"the key {name or 'null'} is not a text", f'write it in quotes: "{name}"')
                self.skip()
            elif name in own:
                first = own[name].key_line
                words = f"the key {name!r} is written twice here; the first one is in line {first}"
                self.bad_key(mark, words, width=len(name))
                self.skip()
            elif name == "<<" and self.is_plain(key):
                self.merge_key(mark, merged)
            else:
                line, column = mark.line + 1, mark.column + 1
                event = following()
                if type(event) is _SCALAR and event.tag is None and event.anchor is None:
                    place = event.start_mark
                    value = event.value if event.style else self.plain(event.value, place)
                    own[name] = Node(value, source, place.line + 1, place.column + 1, line, column)
                elif name == "ports":
                    # A mapping in place of a list of ports is one mistake: its numbers are not judged as well.
                    self.ports += 1
                    own[name] = self.value(event, line, column)
                    self.ports -= 1
                else:
                    own[name] = self.value(event, line, column)
        self.made += len(own)
        return self.merged(own, merged) if merged else own

    def merge_key(self, mark: Any, merged: list[tuple[Node, Any]]) -> None:
        """Adds what it leads to, and where it stands."""
        if merged:
            hint = "merge several at once: <<: [*first, *second]"
            self.bad_key(
                mark, f"the key '<<' is written twice here; the first one is in line {merged[0][1].line + 1}", hint
            )
            self.skip()
        else:
            merged.append((self.value(self.next(), 0, 0), mark))

    def merged(self, own: dict[str, Node], parts: list[tuple[Node, Any]]) -> dict[str, Node]:
        result: dict[str, Node] = {}
        for node, mark in parts:
            for part in node.value if type(node.value) is list else (node,):
                if type(part.value) is not dict:
                    self.bad_key(mark, "a merge key (<<) takes a mapping or a list of mappings", width=2)
                    continue
                for name, child in part.value.items():
                    result.setdefault(name, child)
        result.update(own)
        return result

    def key(self, event: Event) -> Any:
        """The scalar that a key is when it is not just one; None, and said, where it is none."""
        if type(event) is _SCALAR:
            self.anchors[event.anchor] = _Anchor(
                Node(self.scalar(event), self.source, event.start_mark.line + 1, event.start_mark.column + 1), 1, event
            )
            return event
        mark = event.start_mark
        if type(event) is _ALIAS:
            anchor = self.known(event)
            if anchor.key is not None:
                return anchor.key
        elif self.source.line(mark.line + 1)[mark.column - 1 : mark.column + 1] == "{{":
            raise Stop(TEMPLATE, mark.line + 1, mark.column + 1, TEMPLATE_HINT)
        else:
            self.skip(event)
        self.bad_key(mark, "a key must be a text, not a list or mapping")
        return None

    def skip(self, event: Event = None) -> None:
        """Reads a value that nobody is to have: one mistake is told, the one that led here."""
        found = len(self.found)
        self.value(event or self.next(), 0, 0)
        del self.found[found:]

    # --- aliases

    def known(self, event: Event) -> _Anchor:
        anchor = self.anchors.get(event.anchor)
        if anchor is None:
            raise ComposerError(None, None, "found undefined alias", event.start_mark)
        return anchor

    def alias(self, event: Event, key_line: int, key_column: int) -> Node:
        """A copy of the value, at its own place: variables are filled in where they stand, in each of them."""
        anchor = self.known(event)
        node = anchor.node
        if anchor.size < 0:
            raise Stop("an alias refers to a value that contains it", node.line, node.column)
        self.made += anchor.size
        if self.made > MAX_ALIASED:
            raise Stop(TOO_MANY_ALIASES, node.line, node.column)
        copy = self.copy(node, self.depth)
        copy.key_line, copy.key_column = key_line, key_column
        return copy

    def copy(self, node: Node, depth: int) -> Node:
        value = node.value
        if type(value) in (dict, list):
            if depth > MAX_DEPTH:
                raise Stop(TOO_DEEP, node.line, node.column)
            depth += 1
            if type(value) is dict:  # Compose applies !reset where it is written, not where an alias leads
                value = {key: self.copy(child, depth) for key, child in value.items() if child.tag != RESET}
            else:
                value = [self.copy(child, depth) for child in value]
        return Node(value, self.source, node.line, node.column, node.key_line, node.key_column, node.tag)

    # --- single values

    def scalar(self, event: Event) -> Scalar:
        tag: str | None = event.tag
        text: str = event.value
        if tag is not None and tag.startswith(_STANDARD):
            return text if tag[len(_STANDARD) :] in ("str", "binary") else scalar(text)
        return text if event.style else self.plain(text, event.start_mark)

    def plain(self, text: str, mark: Any) -> Scalar:
        if text[:1] > "\x7f" and text[0] in QUOTES:
            node = Node(text, self.source, mark.line + 1, mark.column + 1)
            said = f"the quote {text[0]} is part of the text: YAML does not know it"
            self.found.append(lambda: self.problems.warn(node, said, hint=typographic(text)))
        return scalar(text)

    def is_plain(self, key: Event) -> bool:
        return key.style == "" and key.tag in _NO_TAG

    def own_tag(self, tag: str, line: int, column: int) -> str:
        if tag in (RESET, OVERRIDE):
            self.source.resets = True
            return tag
        self.bad(line, column, f"the tag {tag} is unknown; Compose has !reset and !override", width=len(tag))
        return ""

    # --- what is wrong

    def full(self, mark: Any) -> None:
        raise Stop(TOO_MANY, mark.line + 1, mark.column + 1)

    def bad_key(self, mark: Any, words: str, hint: str = "", width: int = 1) -> None:
        self.bad(mark.line + 1, mark.column + 1, words, hint, width)

    def bad(self, line: int, column: int, words: str, hint: str = "", width: int = 1) -> None:
        message = f"cannot read {short(self.source, self.problems)}: {words}"
        self.found.append(lambda: self.problems.at(self.source, line, column, message, hint=hint, width=width))
