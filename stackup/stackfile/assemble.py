"""Files to one tree: documents are read, interpolated, brought to long form, extended, included and merged.

Every step keeps the places of the values, and everything that is wrong in any file is collected before giving up.
"""

from __future__ import annotations

from pathlib import Path

from stackup.base.errors import StackFileError
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

    def tree(
        self, files: tuple[str, ...], directory: Path, environment: Environment, chain: tuple[str, ...] = ()
    ) -> Node | None:
        """The merged tree of ``files``; None when there is none. ``chain`` are the files that include these."""
        merged: Node | None = None
        for name in files:
            for document in self.documents(name, directory):
                layer = self.layer(document, environment, (*chain, name), directory)
                if layer is not None:
                    merged = layer if merged is None else merge(STACK, merged, layer)
                    self.check(merged, environment)
        if merged is not None:
            resolve_content(merged, environment)
        return merged

    def check(self, merged: Node | None, environment: Environment) -> None:
        """What can be said only of a whole: every file must make one together with those before it."""
        if merged is None:
            return
        check_empty(merged, self.reader(environment))
        self.empty.clear()
        if not self.problems.errors:
            check_required(merged, self.problems)

    def documents(self, name: str, directory: Path) -> list[Node]:
        """The documents of a file, as written."""
        self.files += 1
        if name == "-":
            text = self.request.stdin or ""
        else:
            try:
                text = self.sources.read(Path(name), "the stack file")
            except StackFileError as error:
                self.problems.append(error)
                return []
        source = Source("<stdin>" if name == "-" else name, text, str(directory))
        before = len(self.problems.errors)
        documents = read_documents(source, self.problems)
        written = [item for item in documents if item.value is not None]
        if not written and len(self.problems.errors) == before:
            self.problems.at(source, 1, 1, f"cannot use {source.name}: it is empty", hint="a stack file has services:")
        return written

    def layer(self, document: Node, environment: Environment, chain: tuple[str, ...], directory: Path) -> Node | None:
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
            Extender(self, environment, reader).apply(services)
        includes = tree.value.pop("include", None)
        if includes is not None and includes.value:
            tree = self.include(tree, includes, environment, chain, directory)
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

    def include(
        self, tree: Node, includes: Node, environment: Environment, chain: tuple[str, ...], directory: Path
    ) -> Node:
        sections = dict(tree.value)
        for index, entry in enumerate(includes.value):
            other = self.included(entry, f"include.{index}", environment, chain, directory)
            if other is None:
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

    def included(
        self, entry: Node, path: str, environment: Environment, chain: tuple[str, ...], directory: Path
    ) -> Node | None:
        paths = entry.get("path")
        names = _texts(paths)
        if not names:
            self.problems.add(entry, f"cannot use {path}: the path of the file to include is missing")
            return None
        items = [item for item in paths.value if type(item.value) is str] if paths is not None else []
        files = tuple(file for item in items if (file := self.place(item, path, directory)) is not None)
        if len(files) < len(items):
            return None
        if self.cyclic(entry, path, files[0], chain) or self.missing(paths or entry, path, files):
            return None
        given = entry.text("project_directory")
        where = self.local(given, directory) if given else Path(files[0]).parent
        inner = self.included_environment(entry, path, environment, directory, where, files)
        tree = None if inner is None else self.tree(files, where, inner, chain)
        return None if tree is None else prune(tree)

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

    def cyclic(self, entry: Node, path: str, file: str, chain: tuple[str, ...]) -> bool:
        if file in chain:
            cycle = [*chain[chain.index(file) :], file]
            self.problems.add(entry, f"cannot use {path}: files include each other: {' -> '.join(cycle)}")
            return True
        if len(chain) > MAX_INCLUDES:
            self.problems.add(entry, f"cannot use {path}: more than {MAX_INCLUDES} files include one another in a row")
            return True
        if self.files >= MAX_FILES:
            if self.problems.once("too many files"):
                hint = "a file counts each time that it is included"
                self.problems.add(entry, f"cannot use {path}: more than {MAX_FILES} files would be read", hint=hint)
            return True
        return False

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


def resolve_content(tree: Node, environment: Environment) -> None:
    """Secrets and configs from the environment get their content from the variables of the file they stand in."""
    for section in ("secrets", "configs"):
        for node in _children(tree, section):
            name = node.text("environment")
            value = environment.get(name) if name and "content" not in node.value else None
            if value is not None:
                content = node.under(value)
                content.origin = Origin(f"${{{name}}}", (name,))
                node.value["content"] = content


def _texts(node: Node | None) -> list[str]:
    return [item.value for item in node.value if type(item.value) is str] if node is not None else []


def _children(tree: Node, section: str) -> list[Node]:
    node = find(tree, section)
    if node is None or type(node.value) is not dict:
        return []
    return [child for child in node.value.values() if type(child.value) is dict]
