"""JSON Schema of the stack file, made from the grammar: what an author may write, short forms included.

It is for editors (completion, help, red lines) and says what JSON Schema can say: references between sections, limits
that depend on one another and merging are the loader's affair. A text with a variable is allowed wherever the loader
fills one in, so numbers and flags also take ``${...}``.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Any

from stackup.stackfile.describe import About, descriptions
from stackup.stackfile.forms import Form, MapOf, Record
from stackup.stackfile.grammar import STACK, ExternalForm
from stackup.stackfile.grammar_extras import Cron, Factor
from stackup.stackfile.grammar_parts import Count, FileMode
from stackup.stackfile.grammar_service import ProviderValue
from stackup.stackfile.listforms import ListOf, Pairs
from stackup.stackfile.mounts import HostPath
from stackup.stackfile.plainscalar import scalar
from stackup.stackfile.ports import PortList
from stackup.stackfile.scalars import Duration, Flag, Microseconds, Number, NumberText, Scalar, Size, Text, Whole
from stackup.stackfile.schemarules import (
    CHECKS,
    CRON,
    DURATION,
    NEEDED,
    NUMBER,
    OFFERED,
    PATTERNS,
    PORT,
    RULES,
    SIZE,
    VOLUME,
    WORDS,
)
from stackup.stackfile.shortforms import Hosts, Names, SshKeys, UlimitForm
from stackup.stackfile.wrappers import OneOf, Probe, Replaced, Short, Typed

DIALECT = "http://json-schema.org/draft-07/schema#"  # what the language servers of editors know best
Schema = dict[str, Any]

_STRING: Schema = {"type": "string"}
_NOTHING: Schema = {"type": "null"}
_VARIABLE: Schema = {"type": "string", "pattern": r"\$"}


def schema() -> Schema:
    """The schema as plain data."""
    builder = _Builder()
    root = builder.contents(STACK)
    return {
        "$schema": DIALECT,
        "title": "Stack file",
        "description": "A Compose file, with stackup's own additions under x-stackup.",
        **root,
        "definitions": dict(sorted(builder.definitions.items())),
    }


class _Builder:
    """Collects the records under ``definitions``, each once."""

    def __init__(self) -> None:
        self.definitions: dict[str, Schema] = {}
        self.names: dict[int, str] = {}

    def record(self, form: Record) -> Schema:
        name = self.names.get(id(form))
        if name is None:
            plain = re.sub(r"^an? ", "", form.noun).replace(" ", "_")
            used = set(self.names.values())
            name = next(item for item in (plain, *(f"{plain}_{number}" for number in range(2, 99))) if item not in used)
            self.names[id(form)] = name
            self.definitions[name] = self.contents(form)
        reference: Schema = {"$ref": f"#/definitions/{name}"}
        return _any(reference, _NOTHING) if form.null else reference

    def contents(self, form: Record) -> Schema:
        result: Schema = {
            "type": "object",
            "properties": {name: self.attribute(form, name, child) for name, child in form.fields.items()},
            "additionalProperties": False,
        }
        if form.open:
            result["patternProperties"] = {"^x-(?!stackup$)": {}}
        needed = (*form.required, *NEEDED.get(form.noun, ()))
        if needed:
            result["required"] = list(needed)
        result |= RULES.get(form.noun, {})
        if isinstance(form, OneOf):
            kinds = [{"required": [kind]} for kind in form.kinds]
            result |= {"oneOf": [*kinds, {"not": {"anyOf": kinds}}], "minProperties": 1}
        return result

    def attribute(self, owner: Record, name: str, form: Form) -> Schema:
        """An attribute with its help, its default and examples."""
        found = self.form(form)
        if pattern := PATTERNS.get((owner.noun, name)):
            found = {"type": "string", "pattern": pattern}
        if (owner.noun, name) == ("a healthcheck", "test"):
            found = _any(_STRING, {"type": "array", "items": [CHECKS], "additionalItems": _STRING})
        offered = OFFERED.get((owner.noun, name))
        if offered:
            found = _any({"enum": list(offered)}, found)
        about = descriptions().get((owner.noun, name))
        return found if about is None else {**found, **_help(about, found)}

    # --- one method for each kind of form

    def form(self, form: Form) -> Schema:
        if isinstance(form, Record):
            return self.record(form)
        if isinstance(form, Typed):
            return self.record(form.record)
        if isinstance(form, Probe):
            return _any(self.form(form.record.fields[form.field]), self.record(form.record))
        if isinstance(form, Replaced):
            return _any(self.form(form.form), *([_NOTHING] if form.null else []))
        if isinstance(form, Short):
            return _any(_short(form), self.form(form.long))
        if isinstance(form, UlimitForm):
            long = {**self.record(form.long)}
            return _any(self.form(form.number), {"allOf": [long, {"required": ["soft", "hard"]}]})
        return self.collection(form) or _single(form)

    def collection(self, form: Form) -> Schema | None:
        if isinstance(form, PortList):
            return {
                "type": "array",
                "items": _any(
                    {"type": "integer", "minimum": 1, "maximum": 65535},
                    {"type": "string", "pattern": PORT},
                    self.record(form.long),
                ),
            }
        if isinstance(form, ListOf):
            items = {"type": "array", "items": self.form(form.item)} | ({"uniqueItems": True} if form.unique else {})
            return _any(_text_of(self.form(form.item)), items) if form.single else items
        if isinstance(form, MapOf):
            item = self.form(form.item)
            result: Schema = {"type": "object", "additionalProperties": _any(item, _NOTHING) if form.null else item}
            return result | ({"propertyNames": {"pattern": form.names.pattern}} if form.names is not None else {})
        if isinstance(form, Names):
            names = {"type": "array", "items": _STRING, "uniqueItems": True}
            return _any(names, self.form(form.mapping))
        return None


def _single(form: Form) -> Schema:
    if isinstance(form, Pairs):
        value = _STRING if form.values is not None else {"type": ["string", "number", "boolean", "null"]}
        return _any({"type": "object", "additionalProperties": value}, {"type": "array", "items": _STRING})
    if isinstance(form, Hosts):
        hosts = {"type": "object", "additionalProperties": _any(_STRING, {"type": "array", "items": _STRING})}
        return _any(hosts, {"type": "array", "items": {"type": "string", "pattern": "[=:]"}})
    if isinstance(form, SshKeys):
        keys = {"type": "object", "additionalProperties": {"type": ["string", "null"]}}
        return _any(_STRING, {"type": "array", "items": _STRING}, keys)
    if isinstance(form, ExternalForm):
        named = {"type": "object", "properties": {"name": _STRING}, "additionalProperties": False}
        return _any(_flag(), named)
    if isinstance(form, ProviderValue):
        one: Schema = {"type": ["string", "number", "boolean"]}
        return _any(one, {"type": "array", "items": one})
    return _scalar(form)


def _scalar(form: Form) -> Schema:
    if isinstance(form, Cron):
        return {"type": "string", "pattern": CRON}
    if isinstance(form, Text):
        return _text(form)
    if isinstance(form, HostPath):
        return _STRING
    if isinstance(form, Flag):
        return _flag()
    if isinstance(form, Count):
        return _any({"type": "integer"}, {"enum": ["all"]}, {"type": "string", "pattern": r"^[-+]?[0-9]+$|\$"})
    if isinstance(form, Microseconds):
        return {"type": ["integer", "string"]}
    if isinstance(form, Whole):
        limits = {key: limit for key, limit in (("minimum", form.low), ("maximum", form.high)) if limit is not None}
        return _any({"type": "integer", **limits}, {"type": "string", "pattern": r"^[-+]?[0-9]+$|\$"})
    if isinstance(form, Factor):
        return _any({"type": "number", "minimum": 1}, {"type": "string", "pattern": rf"{NUMBER}|\$"})
    if isinstance(form, Number):
        return _any({"type": "number"}, {"type": "string", "pattern": rf"{NUMBER}|\$"})
    if isinstance(form, FileMode):
        return _any({"type": "integer", "minimum": 0, "maximum": 0o7777}, {"type": "string", "pattern": r"^[0-7]+$|\$"})
    if isinstance(form, Duration):
        return {"type": "string", "pattern": rf"{DURATION}|\$"}
    if isinstance(form, Size):
        texts = [{"type": "string", "pattern": rf"{SIZE}|{'^-1$|' if form.unlimited else ''}\$"}]
        return _any(*([{"type": "number"}] if form.number else []), *texts)
    if isinstance(form, Scalar):
        return {"type": ["string", "number", "boolean"]}
    if isinstance(form, NumberText):
        return {"type": ["string", "number"]}
    return {}


def _text(form: Text) -> Schema:
    result = _STRING
    if form.choices:
        result = _any({"enum": list(form.choices)}, _VARIABLE)
    elif form.pattern is not None:
        result = {"type": "string", "pattern": rf"{form.pattern.pattern}|\$"}
    return _any(result, _NOTHING) if form.null else result


def _flag() -> Schema:
    words = "|".join("".join(f"[{char.upper()}{char}]" if char.isalpha() else char for char in word) for word in WORDS)
    return _any({"type": "boolean"}, {"type": "string", "pattern": rf"^({words})$|\$"})


def _short(form: Short) -> Schema:
    """What the text of a short form must look like, where that can be said."""
    patterns = {"a volume of a service": VOLUME, "a schedule": CRON}
    pattern = patterns.get(form.long.noun) if isinstance(form.long, Record) else None
    if form.expected.startswith("all, or"):  # gpus
        return _any({"enum": ["all"]}, _VARIABLE)
    return {"type": "string", "pattern": pattern} if pattern else _STRING


def _text_of(item: Schema) -> Schema:
    """A lone text stands for a list of one; what the item's schema says of texts holds for it, too."""
    texts = [each for each in item.get("anyOf", [item]) if each.get("type") == "string" or "enum" in each]
    return _any(*texts) if texts else _STRING


def _any(*schemas: Schema) -> Schema:
    """One of several; those that are choices themselves are laid out flat."""
    flat: list[Schema] = []
    for item in schemas:
        flat += item["anyOf"] if set(item) == {"anyOf"} else [item]
    return flat[0] if len(flat) == 1 else {"anyOf": flat}


def _help(about: About, found: Schema) -> Schema:
    default = f" Default: {about.default}." if about.default else ""
    result: Schema = {"description": f"{about.summary}{default}"}
    if about.default and _is_value(about.default):
        result["default"] = about.default if _only_texts(found) else scalar(about.default)
    if about.examples:
        result["examples"] = list(_examples(about.examples))
    return result


def _only_texts(found: Schema) -> bool:
    return all(item.get("type") == "string" or "enum" in item for item in found.get("anyOf", [found]))


def _is_value(default: str) -> bool:
    """False for prose (``a free one``), names that stand for something (``PROJECT_KEY``) and octal numbers."""
    prose = re.search(r"[\s,\[]|[A-Z]{3}|^0[0-9]", default)
    return not prose and default not in ("all", "unlimited", "eth0")


def _examples(texts: Iterable[str]) -> Iterable[Any]:
    from stackup.stackfile.nodes import Source, plain
    from stackup.stackfile.problems import Problems
    from stackup.stackfile.yamltree import read_documents

    for text in texts:
        for document in read_documents(Source("example", text, ""), Problems()):
            yield plain(document)
