"""Files to one tree: documents are read, interpolated, brought to long form, extended, included and merged.

Every step keeps the places of the values, and everything that is wrong in any file is collected before giving up.
"""

from __future__ import annotations

import os
from itertools import pairwise
from pathlib import Path

from stackup.base.errors import Position, StackFileError
from stackup.base.values import frozen
from stackup.stackfile.environment import Environment, read_env_files
from stackup.stackfile.extend import Extender
from stackup.stackfile.finish import prune
from stackup.stackfile.forms import merge
from stackup.stackfile.gitaddress import AddressError, is_remote
from stackup.stackfile.grammar import SECTIONS, STACK
from stackup.stackfile.interpolate import interpolate
from stackup.stackfile.limits import MAX_FILES, MAX_INCLUDES
from stackup.stackfile.links import Link
from stackup.stackfile.mounts import clean
from stackup.stackfile.nodes import Node, Origin, Source, find, plain
from stackup.stackfile.problems import Problems
from stackup.stackfile.reader import Empty, Reader, check_empty, show
from stackup.stackfile.remotes import Remotes
from stackup.stackfile.request import LoadRequest
from stackup.stackfile.required import check_required
from stackup.stackfile.sources import Sources
from stackup.stackfile.yamltree import read_documents


@frozen
class Unit:
    """Files that are merged with each other: those of the user, or those of one entry of ``include``.

    ``base`` is what their relative paths get in front where paths stay relative (``--no-path-resolution``); None for
    the user's own, whose paths stay as they are. ``chain`` is how they were reached: (file, file, the entry).
    """

    directory: Path
    base: str | None = None
    chain: tuple[tuple[str, str, Node], ...] = ()

    def below(self, directory: Path) -> str:
        """The base of files in ``directory`` that are named in one of these."""
        return clean(os.path.join(self.base or "", os.path.relpath(directory, self.directory)))


class Assembler:
    """One load. ``tree`` is the only entry; included files come back to it with their own directory and variables."""

    def __init__(self, request: LoadRequest, sources: Sources, problems: Problems, home: str, remotes: Remotes) -> None:
        self.request = request
        self.remotes = remotes
        self.sources = sources
        self.problems = problems
        self.home = home
        self.files = 0
        self.empty: Empty = {}
        self.links: list[Link] = []
        self.read: list[Source] = []

    def tree(self, files: tuple[str, ...], unit: Unit, environment: Environment) -> Node | None:
        """The merged tree of ``files``; None when there is none."""
        merged: Node | None = None
        for name in files:
            for document in self.documents(name, unit.directory, unit.base):
                layer = self.layer(document, environment, unit, name)
                if layer is not None:
                    merged = layer if merged is None else merge(STACK, merged, layer)
                    self.check(merged, environment)
        if merged is not None:
            resolve_content(merged, environment)
        return merged

    @property
    def resets(self) -> bool:
        """Whether some value of what was read is marked ``!reset``; most stacks have none."""
        return any(source.resets for source in self.read)

    def check(self, merged: Node | None, environment: Environment) -> None:
        """What can be said only of a whole: every file must make one together with those before it."""
        if merged is None:
            return
        check_empty(merged, self.reader(environment))
        self.empty.clear()
        check_required(merged, self.problems)

    def documents(self, name: str, directory: Path, base: str | None) -> list[Node]:
        """The documents of a file, as written. ``base``: see ``Source``."""
        self.files += 1
        if name == "-":
            text = self.request.stdin or ""
        else:
            try:
                text = self.sources.read(Path(name), "the stack file")
            except StackFileError as error:
                self.problems.append(error)
                self.problems.lost = True
                return []
        source = Source("<stdin>" if name == "-" else name, text, str(directory), base=base)
        before = len(self.problems.errors)
        self.read.append(source)
        documents = read_documents(source, self.problems)
        written = [item for item in documents if item.value is not None]
        self.problems.lost |= not written
        if not written and len(self.problems.errors) == before:
            self.problems.at(source, 1, 1, f"cannot use {source.name}: it is empty", hint="a stack file has services:")
        return written

    def layer(self, document: Node, environment: Environment, unit: Unit, file: str) -> Node | None:
        """One document in long form, with what it extends and includes."""
        if type(document.value) is not dict:
            self.problems.add(document, f"cannot use {document.source.name}: expected a mapping, not {show(document)}")
            return None
        document.source.environment = environment
        if self.request.interpolate:
            interpolate(document, environment, self.problems)
        reader = self.reader(environment)
        tree = STACK.read(document, "", reader)
        if tree is None:
            return None
        if (version := tree.get("version")) is not None and version.value is not None:
            del tree.value["version"]
            self.problems.warn(version, "version is obsolete and ignored", hint="remove the line", at_key=True)
        services = tree.get("services")
        if services is not None and type(services.value) is dict:
            Extender(self, environment, reader, unit).apply(services)
        includes = tree.value.pop("include", None)
        if includes is not None and includes.value:
            tree = self.include(tree, includes, environment, unit, file)
        return tree

    def reader(self, environment: Environment) -> Reader:
        return Reader(
            self.problems,
            self.home,
            resolve_paths=self.request.resolve_paths,
            lenient=not self.request.interpolate,
            inherit=environment.get if self.request.resolve_environment else None,
            empty=self.empty,
        )

    # --- include

    def include(self, tree: Node, includes: Node, environment: Environment, unit: Unit, file: str) -> Node:
        sections = dict(tree.value)
        for index, entry in enumerate(includes.value):
            other = self.included(entry, f"include[{index}]", environment, unit, file)
            if other is None:
                self.problems.lost = True
                continue
            for section in SECTIONS:
                theirs = other.get(section)
                if theirs is not None and theirs.value:
                    sections[section] = self.adopt(section, sections.get(section), theirs, entry)
        return tree.with_value(sections)

    def adopt(self, section: str, ours: Node | None, theirs: Node, entry: Node) -> Node:
        """Takes over included resources; a name that both define differently is an error."""
        if ours is None or not ours.value:
            return theirs
        result = dict(ours.value)
        for name, node in theirs.value.items():
            if name not in result:
                result[name] = node
            elif plain(result[name]) != plain(node):
                self.problems.add(
                    result[name],
                    f"cannot use {section}.{name}: the included {node.key_position} defines it too, and differently",
                    hint="change included resources in an override file (a second -f), or rename one of the two",
                    at_key=True,
                )
        return ours.with_value(result)

    def included(self, entry: Node, path: str, environment: Environment, unit: Unit, file: str) -> Node | None:
        directory = unit.directory
        paths = entry.get("path")
        names = _texts(paths)
        if not names:
            self.problems.add(entry, f"cannot use {path}: the path of the file to include is missing")
            return None
        items = [item for item in paths.value if type(item.value) is str] if paths is not None else []
        files = tuple(name for item in items if (name := self.place(item, path, directory)) is not None)
        if len(files) < len(items):
            return None
        if any(self.cyclic(entry, path, name, unit, file) for name in files):
            return None
        if self.missing(paths or entry, path, files):
            return None
        given = entry.text("project_directory")
        where = self.local(given, directory) if given else Path(files[0]).parent
        inner = self.included_environment(entry, path, environment, directory, where, files)
        absolute = given.startswith(("/", "~")) or (not given and is_remote(items[0].value))
        theirs = Unit(where, str(where) if absolute else unit.below(where), (*unit.chain, (file, files[0], entry)))
        tree = None if inner is None else self.tree(files, theirs, inner)
        if tree is None:
            return None
        default_contexts(tree, str(where) if self.request.resolve_paths else theirs.base or ".")
        return prune(tree) if self.resets else tree

    def missing(self, node: Node, path: str, files: tuple[str, ...]) -> bool:
        absent = [file for file in files if not self.sources.exists(Path(file))]
        for file in absent:
            self.problems.add(node, f"cannot use {path}: the file to include does not exist ({file})")
        return bool(absent)

    def included_environment(
        self, entry: Node, path: str, environment: Environment, directory: Path, where: Path, included: tuple[str, ...]
    ) -> Environment | None:
        env_files = entry.get("env_file")
        names = _texts(env_files)
        files = tuple(str(self.local(name, directory)) for name in names if name != "/dev/null")
        for name, file in zip(names, files, strict=False):
            if not self.sources.exists(Path(file)):
                self.problems.add(env_files, f"cannot use {path}: the env file {name} does not exist ({file})")
                return None
        self.links.append(Link(entry, (), included))
        child = environment.child()
        if files or not names:
            read_env_files(files, directory, where, child, self.sources, self.problems)
        return child

    def cyclic(self, entry: Node, path: str, file: str, unit: Unit, within: str) -> bool:
        """True, and said, where ``entry`` of the file ``within`` must not be followed to ``file``."""
        chain = (*unit.chain, (within, file, entry))
        start = next((index for index, step in enumerate(chain) if step[0] == file), None)
        if start is not None:
            shown = [*(self.short(here) for here, _, _ in chain[start:]), self.short(file)]
            steps = zip(pairwise(shown), chain[start:], strict=True)
            names = " -> ".join(shown)
            hint = self.problems.edges((f"{here} includes {there}", step[2], False) for (here, there), step in steps)
            self.problems.add(entry, f"cannot use {path}: files include each other in a circle, {names}", hint=hint)
            return True
        if len(unit.chain) >= MAX_INCLUDES:
            self.problems.add(entry, f"cannot use {path}: more than {MAX_INCLUDES} files include one another in a row")
            return True
        if self.files >= MAX_FILES:
            if self.problems.once("too many files"):
                hint = "a file counts each time that it is included"
                self.problems.add(entry, f"cannot use {path}: more than {MAX_FILES} files would be read", hint=hint)
            return True
        return False

    def short(self, file: str) -> str:
        return "<stdin>" if file == "-" else self.problems.short(Position(file))

    def place(self, node: Node, path: str, directory: Path) -> str | None:
        """The file that ``node`` names, here or on another machine; None where that cannot be had."""
        if not is_remote(node.value):
            return str(self.local(node.value, directory))
        try:
            return self.remotes.find(node.value).file
        except AddressError as error:
            self.problems.add(node, f"cannot use {path}: {error}", hint=error.hint)
            return None

    def local(self, name: str, directory: Path) -> Path:
        if name.startswith("~") and self.home:
            return Path(clean(f"{self.home}/{name[1:].lstrip('/')}"))
        return Path(clean(str(directory / name)))


def default_contexts(tree: Node, context: str) -> None:
    """Of included files the default build context is their own project directory."""
    for service in _children(tree, "services"):
        build = service.get("build")
        if build is not None and type(build.value) is dict and "context" not in build.value:
            own = build.implied(context, "the default context is the project directory")
            service.value["build"] = build.with_value({**build.value, "context": own})


def resolve_content(tree: Node, environment: Environment) -> None:
    """Secrets and configs from the environment get their content from the variables of the file they stand in."""
    for section in ("secrets", "configs"):
        for node in _children(tree, section):
            name = node.text("environment")
            value = environment.get(name) if name and "content" not in node.value else None
            if value is not None:
                content = node.under(value)
                content.origin = Origin(f"${{{name}}}", (name,), written=False)
                node.value["content"] = content


def _texts(node: Node | None) -> list[str]:
    return [item.value for item in node.value if type(item.value) is str] if node is not None else []


def _children(tree: Node, section: str) -> list[Node]:
    node = find(tree, section)
    if node is None or type(node.value) is not dict:
        return []
    return [child for child in node.value.values() if type(child.value) is dict]
