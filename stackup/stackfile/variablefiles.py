"""``env_file`` and ``label_file`` of services: what the files say goes into ``environment`` and ``labels``."""

from __future__ import annotations

import re
from itertools import islice
from pathlib import Path

from stackup.base.errors import Position, StackFileError
from stackup.stackfile import dotenv
from stackup.stackfile.environment import Environment, home
from stackup.stackfile.forms import replacing
from stackup.stackfile.limits import MAX_VALUES
from stackup.stackfile.mounts import clean
from stackup.stackfile.nodes import Node, Origin, Source
from stackup.stackfile.problems import Problems
from stackup.stackfile.sources import Sources
from stackup.stackfile.template import Asked

Fields = dict[str, Node]


class Files:
    """Resolves ``env_file`` and ``label_file`` of services into ``environment`` and ``labels``."""

    def __init__(self, environment: Environment, sources: Sources, problems: Problems, directory: Path) -> None:
        """``directory``: what paths are relative to where they have not been resolved."""
        self.directory = directory
        self.environment = environment
        self.sources = sources
        self.problems = problems

    def resolve(self, name: str, service: Node) -> Node:
        fields: Fields = dict(service.value)
        env_files = fields.pop("env_file", None)
        if env_files is not None:
            own: Fields = dict(fields["environment"].value) if "environment" in fields else {}
            values: Fields = {}
            for index, entry in enumerate(env_files.value):
                if type(entry.value) is dict:
                    self.env_file(f"services.{name}.env_file[{index}]", entry, own, values)
            for key, node in own.items():
                values[key] = replacing(values[key], node) if key in values else node
            fields["environment"] = fields.get("environment", env_files).with_value(values)
        label_files = fields.pop("label_file", None)
        if label_files is not None:
            labels: Fields = {}
            for index, entry in enumerate(label_files.value):
                if type(entry.value) is str:
                    self.label_file(f"services.{name}.label_file[{index}]", entry, labels)
            for key, node in fields["labels"].value.items() if "labels" in fields else ():
                labels[key] = replacing(labels[key], node) if key in labels else node
            fields["labels"] = fields.get("labels", label_files).with_value(labels)
        return service.with_value(fields)

    def env_file(self, path: str, entry: Node, own: Fields, values: Fields) -> None:
        file = self.local(entry.text("path"))
        required = entry.get("required")
        if not self.sources.exists(file):
            if required is None or required.value is not False:
                hint = "" if file.is_absolute() else "the path is relative to the directory of the stack file"
                self.problems.add(
                    entry.get("path"),
                    f"cannot use {path}: the env file {file} does not exist",
                    hint=hint or f"create it, or write {{path: {file.name}, required: false}}",
                )
            return
        raw = entry.text("format") == "raw"
        self.take(file, entry, own, values, raw=raw)

    def local(self, name: str) -> Path:
        if name.startswith("~"):
            return Path(clean(f"{home(self.environment)}/{name[1:].lstrip('/')}"))
        return Path(clean(str(self.directory / name)))

    def label_file(self, path: str, entry: Node, labels: Fields) -> None:
        file = self.local(entry.value)
        if not self.sources.exists(file):
            self.problems.add(entry, f"cannot use {path}: the label file {file} does not exist")
            return
        self.take(file, entry, {}, labels, raw=False)

    def take(self, file: Path, entry: Node, own: Fields, values: Fields, *, raw: bool) -> None:
        def lookup(name: str) -> str | None:
            found = self.environment.get(name)
            for layer in (own, values) if found is None else ():
                if name in layer and layer[name].value is not None:
                    return str(layer[name].value)
            return found

        what = "the env file" if type(entry.value) is dict else "the label file"
        try:
            text = self.sources.read(file, what)
        except StackFileError as error:
            self.problems.append(error)
            return
        source = Source(str(file), text, str(file.parent), entry)
        source.environment = self.environment
        lines = lines_of(text)
        before = dict(values)
        asked: dotenv.AskedBy = {}
        read = dotenv.read(file, text, lookup, self.problems, raw=raw, what=what, asked=asked)

        def placed(item: Asked) -> Asked:
            """With the place of its value where that is none of the project's variables."""
            if item.value is None or self.environment.get(item.name) is not None:
                return item
            layer = own if item.name in own else before
            known = layer[item.name].position if item.name in layer else Position(str(file), lines.get(item.name, 0), 1)
            return item._replace(where=known)

        for name, value in read.items():
            if value is None and name in values:
                continue  # a name alone that the caller does not have says nothing
            line = lines.get(name, 0)
            node = Node(value, source, line, 1, line, 1)
            uses = tuple(placed(item) for item in asked.get(name, ()))
            if uses:
                node.origin = Origin(source.line(line).strip(), tuple(item.name for item in uses), asked=uses)
            node.shadow = values.get(name)
            values[name] = node


_BEGINNING = re.compile(r"^[^\S\n]*(?:export[^\S\n]+)?([^\s=:]+)[^\S\n]*(?:[=:]|$)", re.MULTILINE)


def lines_of(text: str) -> dict[str, int]:
    """The last line that begins with each name: good enough to point at."""
    found: dict[str, int] = {}
    line, at = 1, 0
    for match in islice(_BEGINNING.finditer(text), MAX_VALUES):
        line += text.count("\n", at, match.start(1))
        at = match.start(1)
        found[match[1]] = line
    return found
