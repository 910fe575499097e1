"""``load``: the whole way from a user's wish to a checked ``Stack``."""

from __future__ import annotations

import gc
import re
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from stackup.base.errors import Position, StackFileError, UsageError
from stackup.base.names import is_project_name, normalize_project_name
from stackup.model.stack import Stack
from stackup.stackfile.assemble import Assembler, Unit
from stackup.stackfile.check import Checker, children
from stackup.stackfile.checkresources import check_resources
from stackup.stackfile.concerning import concerning
from stackup.stackfile.cycles import check_cycles
from stackup.stackfile.discovery import Found, named, search, working_directory
from stackup.stackfile.environment import Environment, env_file_names, home, read_env_files
from stackup.stackfile.finish import Fields, Finisher
from stackup.stackfile.gitaddress import AddressError, is_remote
from stackup.stackfile.grammar_extras import SERVICE_EXTRAS, STACK_EXTRAS
from stackup.stackfile.links import Link
from stackup.stackfile.modelerrors import validated
from stackup.stackfile.nodes import Node, find, plain
from stackup.stackfile.problems import Problems, Told
from stackup.stackfile.reader import Reader
from stackup.stackfile.remotes import Remotes
from stackup.stackfile.request import Loaded, LoadRequest
from stackup.stackfile.selection import reached, select, without_unused
from stackup.stackfile.sources import Sources
from stackup.stackfile.template import TemplateError, substitute
from stackup.stackfile.variablefiles import Files
from stackup.stackfile.verdict import check_support, outlook
from stackup.stackfile.yamltree import read_documents


def load(request: LoadRequest) -> Loaded:
    """Reads, checks and completes the stack files.

    Raises StackFileError; all errors of all files are in it (the first one itself, the others in ``details``), in the
    order of the lines. Raises UsageError for what is wrong with the command line or a COMPOSE_ variable.
    """
    with _without_collector():
        try:
            return _Load(request).run()
        except StackFileError as error:
            # The frames that it came through hold all that was read, and itself: circles that would need collecting.
            raise error.with_traceback(None) from None


@contextmanager
def _without_collector() -> Iterator[None]:
    """Loading makes many small objects and no cyclic garbage: collecting would double its time for nothing."""
    enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if enabled:
            gc.enable()


class _Load:
    def __init__(self, request: LoadRequest) -> None:
        self.request = request
        self.sources = Sources()
        self.problems = Problems(str(request.cwd), self.sources.inputs)
        self.environment = Environment(request.environment)
        self.home = home(self.environment)
        self.links: tuple[Link, ...] = ()
        self.removed: Fields = {}
        self.remotes = Remotes(request.environment)
        self.told = Told(self.problems)
        self.readable = False

    def run(self) -> Loaded:
        found = self.find()
        self.sources.check(found.files)
        self.problems.doubtful = bool(self.problems.errors)  # those of .env; the files are looked at all the same
        try:
            name = self.project_name(found)
        except UsageError:
            self.problems.settle()
            raise
        self.environment.put("COMPOSE_PROJECT_NAME", name)
        assembler = Assembler(self.request, self.sources, self.problems, self.home, self.remotes)
        tree = assembler.tree(found.files, Unit(found.directory), self.environment)
        self.links = tuple(assembler.links)
        if tree is None or not tree.value:
            for source in assembler.read[:1] if not self.problems.errors else ():
                name = self.problems.short(Position(source.name))
                self.problems.at(source, 1, 1, f"cannot use {name}: it has no services", hint=_NO_SERVICES)
            self.problems.settle()
            raise StackFileError("cannot use the stack files: they have no services", hint=_NO_SERVICES)
        self.told = Told(self.problems)  # something could not be read; the rest is checked all the same
        finisher = Finisher(self.request, found.directory, name, self.environment, self.problems)
        tree = finisher.finish(tree, resets=assembler.resets)
        self.removed = finisher.removed
        profiles = self.profiles()
        enabled, disabled = select(tree, profiles)
        tree = self.complete(tree, enabled, disabled, found.directory)
        self.check_extras(tree)
        if self.request.outlook:
            services = reached(self.request.named, enabled) if self.request.named else enabled
            outlook(tree, services, self.problems)
            if self.request.named:
                self.problems.notices = dict.fromkeys(concerning(self.problems.notices, tree, services))
        try:
            self.problems.settle()
        except StackFileError as error:
            if self.readable:
                with suppress(StackFileError):
                    error.loaded = self.answer(tree, enabled, disabled, found, name, profiles)
            raise
        return self.answer(tree, enabled, disabled, found, name, profiles)

    def find(self) -> Found:
        """The files and the project directory; reads ``.env`` on the way, as it may name the files."""
        request, environment = self.request, self.environment
        env_files = env_file_names(request.env_files, environment)
        if request.project_directory and not (request.cwd / request.project_directory).is_dir():
            raise UsageError(
                f"cannot use the project directory {request.project_directory}: there is no such directory"
            )
        first = working_directory(request, named(request, environment) if request.files else ())
        option = "--env-file" if request.env_files else "COMPOSE_ENV_FILES"
        read_env_files(env_files, request.cwd, first, environment, self.sources, self.problems, option=option)
        files = named(request, environment)
        found = self.given(files) if files else search(request, self.sources, self.problems)
        if not env_files and found.directory != first:
            read_env_files((), request.cwd, found.directory, environment, self.sources, self.problems)
        environment.add({"PWD": str(request.cwd)})  # every shell sets it; callers without one mean it all the same
        return self.fetched(found)

    def given(self, files: tuple[str, ...]) -> Found:
        directory = working_directory(self.request, files)
        return Found(files, directory, directory.name)

    def fetched(self, found: Found) -> Found:
        """The same with local copies of the files that are on other machines; they bring their own directory."""
        if not any(map(is_remote, found.files)):
            return found
        files = []
        for name in found.files:
            try:
                files.append(self.remotes.find(name).file if is_remote(name) else name)
            except AddressError as error:
                self.problems.append(StackFileError(f"cannot use the stack file {name}: {error}", hint=error.hint))
        self.problems.settle()
        theirs = is_remote(found.files[0]) and not self.request.project_directory
        return Found(tuple(files), Path(files[0]).parent if theirs else found.directory, found.called)

    def profiles(self) -> tuple[str, ...]:
        if self.request.profiles:
            return self.request.profiles
        given = self.environment.get("COMPOSE_PROFILES") or ""
        return tuple(item.strip() for item in given.split(",") if item.strip())

    def project_name(self, found: Found) -> str:
        """-p, else COMPOSE_PROJECT_NAME, else ``name`` of the last file that has one, else the directory's name."""
        given = self.request.project_name or self.environment.get("COMPOSE_PROJECT_NAME") or ""
        if given:
            if not is_project_name(given):
                raise UsageError(
                    f"cannot use project name {given!r} {self.naming()}: it must consist of a-z, 0-9, - and _, "
                    "and begin with a letter or digit"
                )
            return given
        written = self.written_name(found)
        name = normalize_project_name(written) if written else ""
        name = name or normalize_project_name(found.called)
        if not name:
            raise UsageError(
                f"cannot name the project after the directory {found.directory}",
                hint="choose a name with -p, or write name: at the top of the stack file",
            )
        return name

    def naming(self) -> str:
        """What gave the project its name, for an error about it."""
        if self.request.project_name:
            return "given with -p"
        files = next((files for _, files in self.environment.whence("COMPOSE_PROJECT_NAME")), ())
        return f"of COMPOSE_PROJECT_NAME in {files[0]}" if files else "of COMPOSE_PROJECT_NAME in the environment"

    def written_name(self, found: Found) -> str:
        """Only looks: what is wrong with the file or the name is reported when it is read properly."""
        written = ""
        for file in found.files:
            try:
                text = self.request.stdin or "" if file == "-" else self.sources.read(Path(file), "the stack file")
            except StackFileError:
                continue
            if not _MAY_NAME.search(text):
                continue
            written = _top_level_name(text) or written
        try:
            return substitute(written, self.environment.get)
        except TemplateError:
            return ""

    def unsure(self, services: Fields) -> set[str]:
        """Services that may lack something because it could not be read, their own or what they extend."""
        told = self.told
        if not told.places:
            return set()
        if told.lost or "" in told.places or "services" in told.places:
            return set(services)
        extending = {link.services[0] for link in self.links if link.services}
        return {name for name in services if name in extending or f"services.{name}" in told}

    def complete(self, tree: Node, enabled: Fields, disabled: Fields, directory: Path) -> Node:
        """Files into environment and labels, then the checks that need the whole stack."""
        if self.request.resolve_environment:
            files = Files(self.environment, self.sources, self.problems, directory)
            for name, service in enabled.items():
                enabled[name] = files.resolve(name, service)
        if self.request.check_consistency and self.request.interpolate:
            Checker(tree, enabled, disabled, self.problems, told=self.told, unsure=self.unsure(enabled)).check()
            check_resources(tree, self.problems, self.told)
            check_cycles(enabled, self.problems)
            self.readable = not self.problems.errors
            if self.request.run:
                check_support(enabled, without_unused(tree, enabled), self.problems)
        services = tree.get("services")
        if services is not None:
            tree = tree.with_value({**tree.value, "services": services.with_value({**enabled, **disabled})})
        return tree

    def answer(
        self,
        tree: Node,
        enabled: Fields,
        disabled: Fields,
        found: Found,
        name: str,
        profiles: tuple[str, ...],
    ) -> Loaded:
        whole = tree
        if not self.request.all_resources:
            tree = without_unused(tree, enabled)
        data = plain(tree)
        data["name"] = name
        data["directory"] = str(found.directory)
        data["files"] = [file for file in found.files if file != "-"]
        services = data.pop("services", None) or {}
        data["services"] = {key: {**services[key], "name": key} for key in enabled}
        data["disabled"] = {key: {**services[key], "name": key} for key in disabled}
        self.extras(tree, data)
        data = {key: value for key, value in data.items() if value is not None}
        stack = validated(data, tree, self.problems) if self.request.interpolate else Stack(name=name)
        return Loaded(
            stack=stack,
            warnings=self.problems.warnings(),
            inputs=(*self.sources.inputs.values(), *self.remotes.inputs.values()),
            absent=tuple(self.sources.absent),
            variables=dict(self.environment.used),
            tree=tree,
            whole=whole,
            directory=found.directory,
            environment=self.environment.merged(),
            profiles=profiles,
            links=self.links,
            removed=self.removed,
        )

    def check_extras(self, tree: Node) -> None:
        """What ``x-stackup`` must be once all files have been merged."""
        reader = Reader(self.problems, self.home, lenient=not self.request.interpolate, final=True)
        for key, service in children(tree.get("services")).items():
            own = service.get("x-stackup")
            if own is not None:
                SERVICE_EXTRAS.read(own, f"services.{key}.x-stackup", reader)

    def extras(self, tree: Node, data: dict[str, Any]) -> None:
        """``x-stackup`` in typed form beside the written one."""
        reader = Reader(Problems(), self.home)
        for record, path, target in (
            (STACK_EXTRAS, "x-stackup", data),
            *((SERVICE_EXTRAS, f"services.{key}.x-stackup", data["services"][key]) for key in data["services"]),
            *((SERVICE_EXTRAS, f"services.{key}.x-stackup", data["disabled"][key]) for key in data["disabled"]),
        ):
            if "x-stackup" in target and (node := find(tree, path)) is not None:
                typed = record.read(node, path, reader)
                if typed is not None:
                    target["stackup"] = plain(typed)


_NO_SERVICES = "a stack file has services: or include:"
_MAY_NAME = re.compile(r"""^[ \t]*(?:['"]?name['"]?[ \t]*:|[?{&*!]|<<|---[ \t]*\S)""", re.MULTILINE)


def _top_level_name(text: str) -> str:
    from stackup.stackfile.nodes import Source

    for document in read_documents(Source("", text, ""), Problems()):
        name = document.get("name")
        if name is not None and type(name.value) is str:
            return name.value
    return ""
