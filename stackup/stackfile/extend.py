"""``extends``: a service made from another one, of this file or of another, with its own attributes on top."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from stackup.stackfile.environment import Environment
from stackup.stackfile.forms import merge
from stackup.stackfile.gitaddress import AddressError, is_remote
from stackup.stackfile.grammar import SERVICE
from stackup.stackfile.interpolate import interpolate
from stackup.stackfile.limits import MAX_EXTENDS
from stackup.stackfile.links import Link
from stackup.stackfile.mounts import clean
from stackup.stackfile.nodes import RESET, Node
from stackup.stackfile.reader import Reader

if TYPE_CHECKING:
    from stackup.stackfile.assemble import Assembler, Unit

Step = tuple[str, str, Node]  # file, service, and the ``extends`` that leads on


class Extender:
    """Resolves the ``extends`` of one document's services, in place."""

    def __init__(self, assembler: Assembler, environment: Environment, reader: Reader, unit: Unit) -> None:
        self.unit = unit
        self.assembler = assembler
        self.environment = environment
        self.reader = reader
        self.circles: set[frozenset[tuple[str, str]]] = set()
        self.raw: dict[str, dict[str, Node]] = {}  # services of other files, as written but interpolated
        self.bases: dict[tuple[str, str], tuple[Node, dict[str, Node]]] = {}  # services of other files, read
        self.done: dict[int, tuple[Node, Node]] = {}  # by id, with the service so that the id stays its own

    def apply(self, services: Node) -> None:
        known = services.value
        resolved: dict[str, Node] = {}
        for name, service in known.items():
            resolved[name] = self.resolve(name, service, known, ())
        known.update(resolved)

    def resolve(self, name: str, service: Node, siblings: dict[str, Node], chain: tuple[Step, ...]) -> Node:
        """``service`` merged over what it extends; itself when that cannot be found."""
        if id(service) not in self.done:
            self.done[id(service)] = (service, self.extended(name, service, siblings, chain))
        return self.done[id(service)][1]

    def extended(self, name: str, service: Node, siblings: dict[str, Node], chain: tuple[Step, ...]) -> Node:
        extends = service.get("extends")
        if extends is None or extends.tag == RESET or type(extends.value) is not dict:
            return service
        own = service.with_value({key: child for key, child in service.value.items() if key != "extends"})
        target = extends.text("service")
        if not target and (written := extends.get("service")) is not None and written.tag == RESET:
            return own
        if not target:
            self.refuse(extends, name, "the name of the service is missing")
            return own
        file = self.file_of(extends)
        link = (service.source.name, name, extends)
        if any((item[0], item[1]) == (file or service.source.name, target) for item in (*chain, link)):
            self.cycle((*chain, link), file or service.source.name, target)
            return own
        if len(chain) > MAX_EXTENDS:
            self.refuse(extends, name, f"more than {MAX_EXTENDS} services extend one another in a row")
            return own
        found = self.base(name, target, extends, file, siblings)
        if found is None:
            return own
        base, others = found
        self.assembler.links.append(Link(extends, (name, target), (file or service.source.name,)))
        base = self.resolve(target, base, others, (*chain, link))
        ports = base.get("ports")
        inherited = len(ports.value) if ports is not None and type(ports.value) is list else 0
        if inherited and not self.assembler.problems.afford_ports(inherited, extends, f"services.{name}.extends"):
            return own
        merged = merge(SERVICE, base, own)
        return own if merged is None else merged

    def base(
        self, name: str, target: str, extends: Node, file: str, siblings: dict[str, Node]
    ) -> tuple[Node, dict[str, Node]] | None:
        """The service that is extended, in long form, and the services beside it."""
        if not file:
            if target in siblings:
                return siblings[target], siblings
            self.refuse(extends, name, f"there is no service {target!r} in this file", self.nearest(target, siblings))
            return None
        if (file, target) in self.bases:
            return self.bases[file, target]
        others = self.services_of(file, extends, name)
        if others is None:
            return None
        if target not in others:
            self.refuse(extends, name, f"there is no service {target!r} in {file}", self.nearest(target, others))
            return None
        read = SERVICE.read(others[target], f"services.{target}", self.reader)
        if read is None:
            return None
        # Further links are followed in that file: only what is reached is read, as the rest of it is not ours.
        lazily = {key: child for key, child in others.items() if type(child.value) is dict}
        self.bases[file, target] = read, _Lazy(lazily, self.reader)
        return self.bases[file, target]

    def file_of(self, extends: Node) -> str:
        file = extends.text("file")
        if not file:
            return ""
        if is_remote(file):
            return file
        if file.startswith("~"):
            return clean(f"{self.assembler.home}/{file[1:].lstrip('/')}")
        return clean(str(Path(extends.source.directory) / file))

    def services_of(self, file: str, extends: Node, name: str) -> dict[str, Node] | None:
        asked = file
        if asked in self.raw:
            return self.raw[asked]
        if is_remote(file):
            try:
                file = self.assembler.remotes.find(file).file
            except AddressError as error:
                at = extends.get("file") or extends
                self.assembler.problems.add(
                    at, f"cannot extend services.{name}: {error}", hint=error.hint, path=f"services.{name}"
                )
                return None
        path = Path(file)
        if not self.assembler.sources.exists(path):
            where = extends.get("file") or extends
            self.assembler.problems.add(
                where,
                f"cannot extend services.{name}: the file {extends.text('file')} does not exist ({file})",
                path=f"services.{name}",
            )
            return None
        base = str(path.parent) if is_remote(asked) else self.unit.below(path.parent)
        services: dict[str, Node] = {}
        documents = self.assembler.documents(file, path.parent, base)
        if not documents:  # and it has been said why
            return None
        for document in documents:
            document.source.environment = self.environment
            if self.assembler.request.interpolate:
                interpolate(document, self.environment, self.assembler.problems)
            section = document.get("services")
            if section is not None and type(section.value) is dict:
                services.update(section.value)
        self.raw[asked] = services
        return services

    def nearest(self, target: str, services: dict[str, Node]) -> str:
        return self.assembler.problems.did_you_mean(target, services)

    def refuse(self, extends: Node, name: str, reason: str, hint: str = "") -> None:
        at = extends.get("service") or extends
        path = f"services.{name}"
        self.assembler.problems.add(at, f"cannot extend {path}: {reason}", hint=hint, path=path)

    def cycle(self, chain: tuple[Step, ...], file: str, target: str) -> None:
        self.assembler.links.append(Link(chain[-1][2], (chain[-1][1], target), (file,)))
        start = next(index for index, item in enumerate(chain) if (item[0], item[1]) == (file, target))
        loop = chain[start:]
        known = frozenset((item[0], item[1]) for item in loop)
        if known in self.circles:
            return
        self.circles.add(known)
        names = [item[1] for item in loop] + [loop[0][1]]
        edges = self.assembler.problems.edges(
            (f"{name} extends {after}", item[2], False)
            for item, name, after in zip(loop, names, names[1:], strict=False)
        )
        self.assembler.problems.add(
            loop[0][2],
            f"cannot extend services.{loop[0][1]}: services extend each other in a circle, {' -> '.join(names)}",
            hint=edges,
            path=f"services.{loop[0][1]}",
        )


class _Lazy(dict[str, Node]):
    """Services of another file, each read into long form when it is reached."""

    def __init__(self, services: dict[str, Node], reader: Reader) -> None:
        super().__init__(services)
        self.reader = reader
        self.done: set[str] = set()

    def __getitem__(self, name: str) -> Node:
        node = super().__getitem__(name)
        if name not in self.done:
            self.done.add(name)
            node = SERVICE.read(node, f"services.{name}", self.reader) or node.with_value({})
            self[name] = node
        return node
