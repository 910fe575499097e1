"""``explain``: why a value of the finished stack is what it is, and what it replaced, newest first.

The loader leaves the facts on the nodes (place, template, what was shadowed) and in ``Loaded.links``; this module joins
them with what only rereading a file can tell (``routes``). It prints nothing.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from stackup.base.errors import Position, UsageError
from stackup.base.values import frozen
from stackup.stackfile.canonical import shown_value
from stackup.stackfile.nodes import Node, Source, find
from stackup.stackfile.problems import did_you_mean
from stackup.stackfile.reader import show
from stackup.stackfile.request import Loaded
from stackup.stackfile.routes import Routes, reset_at, routes
from stackup.stackfile.uses import Variable, variables_of


@frozen
class Step:
    """One thing on the way of a value, as half a sentence (``services.web extends services.base``), and its place."""

    text: str
    where: Position | None = None


@frozen
class Layer:
    """A value somewhere. ``written`` is its text in the file, empty for what nobody wrote; then ``reason`` says why.

    ``kind``: stack file, env file, label file, environment, default.
    """

    value: Any
    kind: str
    where: Position | None = None
    written: str = ""
    reason: str = ""
    steps: tuple[Step, ...] = ()
    variables: tuple[Variable, ...] = ()


@frozen
class Explanation:
    """``layers`` begins with the one that counts; those after it were overridden."""

    path: str
    value: Any
    layers: tuple[Layer, ...]


def explain(loaded: Loaded, path: str) -> list[Explanation]:
    """One explanation for each single value at or below ``path``. Raises UsageError for a path that leads nowhere."""
    path = re.sub(r"\[(\d+)\]", r".\1", path)  # ports[0], as errors write it
    explainer = _Explainer(loaded)
    if path == "name":
        return [explainer.project_name()]
    node = find(loaded.tree, path)
    if node is not None:
        return [explainer.leaf(below, leaf) for below, leaf in _leaves(node, path)]
    removed = explainer.removed(path)
    if removed is not None:
        return [removed]
    known = _default(path, loaded)
    if known is not None:
        return [known]
    raise unknown_path(loaded, path)


def _leaves(node: Node, path: str) -> Iterator[tuple[str, Node]]:
    """The values that have a place of their own; what one text stands for (a short port, a command) is one value."""
    value = node.value
    if not isinstance(value, dict | list) or not value or _in_one_place(node, node):
        yield path, node
        return
    items = value.items() if isinstance(value, dict) else enumerate(value)
    secret = path.startswith("secrets.") and path.count(".") == 1
    for key, child in items:
        if secret and key == "content":  # what config does not show is not shown here
            continue
        below = f"{path}[{key}]" if isinstance(value, list) else f"{path}.{key}" if path else str(key)
        yield from _leaves(child, below)


def _in_one_place(node: Node, root: Node) -> bool:
    """True when everything below stands where ``root`` stands and nothing of it was filled in."""
    if (node.line, node.column, node.source) != (root.line, root.column, root.source):
        return False
    if node is not root and node.origin is not None and node.origin.reason:
        return False
    value = node.value
    children = value.values() if isinstance(value, dict) else value if isinstance(value, list) else ()
    return all(_in_one_place(child, root) for child in children)


class _Explainer:
    def __init__(self, loaded: Loaded) -> None:
        self.loaded = loaded
        self.routes: dict[tuple[int, tuple[str, ...]], Routes] = {}

    def leaf(self, path: str, node: Node) -> Explanation:
        layers = []
        current: Node | None = node
        while current is not None:
            layers.append(self.layer(path, current))
            current = current.shadow
        return Explanation(path, shown_value(node, path.rpartition(".")[2]), tuple(layers))

    def layer(self, path: str, node: Node) -> Layer:
        value = shown_value(node, path.rpartition(".")[2])
        origin, source = node.origin, node.source
        if origin is not None and origin.reason:
            return Layer(value, "default", node.position if node.line else None, reason=origin.reason)
        if source.cause is not None:
            written = source.line(node.line).strip()
            kind = "env file" if type(source.cause.value) is dict else "label file"
            step = Step(f"{kind.replace(' ', '_')} names the file", source.cause.position)
            variables = variables_of(written.partition("=")[2], None, source.environment) if "$" in written else ()
            return Layer(value, kind, node.position, written, steps=(step,), variables=variables)
        steps, text = self.steps(path, node)
        written = _first_line(text or (origin.template if origin else show(node)))
        variables = variables_of(origin.template, origin.variables, source.environment) if origin else ()
        kind, reason = "stack file", ""
        if origin is not None and "$" not in origin.template and origin.variables:
            reason = "(it stands without a value, so the caller's is taken)"
        return Layer(value, kind, node.position, written, reason, steps, variables)

    # --- the way into the tree

    def steps(self, path: str, node: Node) -> tuple[tuple[Step, ...], str]:
        """Extends, include, anchors and merge keys between the place of the value and its path; and its text."""
        keys = tuple(path.split("."))[:2]
        place = (node.line, node.column)
        steps: list[Step] = []
        text = ""
        for chain, target in self.origins(keys):
            if target[0] != node.source.name:
                continue
            inside = self.places(node.source, target[1])
            if place in inside:
                file = node.source.name
                ways = [Step(f"through {via.how}", Position(file, *via.place)) for via in inside[place].ways]
                text = inside[place].text
                steps = [*chain, *ways]
                break
        return (*self.included(node.source.name), *steps), text

    def places(self, source: Source, keys: tuple[str, ...]) -> Routes:
        key = (id(source), keys)
        if key not in self.routes:
            self.routes[key] = routes(source, keys)
        return self.routes[key]

    def origins(self, keys: tuple[str, ...]) -> Iterator[tuple[list[Step], tuple[str, tuple[str, ...]]]]:
        """Where ``services.web`` may come from: its own place in any file, then what it extends, and so on."""
        files = dict.fromkeys((*self.loaded.stack.files, "<stdin>", *self.files_of_links()))
        for file in files:
            yield [], (file, keys)
        if keys[:1] != ("services",) or len(keys) < 2:
            return
        seen: set[tuple[str, str]] = set()
        queue: list[tuple[list[Step], str]] = [([], keys[1])]
        while queue:
            chain, name = queue.pop(0)
            for link in self.loaded.links:
                if link.services[:1] == (name,):
                    target = link.services[1]
                    file = link.files[0]
                    step = Step(f"services.{name} extends services.{target}", link.node.position)
                    yield [*chain, step], (file, ("services", target))
                    if (file, target) not in seen and len(seen) < 1000:
                        seen.add((file, target))
                        queue.append(([*chain, step], target))

    def files_of_links(self) -> Iterator[str]:
        for link in self.loaded.links:
            if not link.services:
                yield from link.files

    def included(self, file: str) -> tuple[Step, ...]:
        """The chain of includes that leads to a file, the outermost first."""
        steps: list[Step] = []
        seen = {file}
        while True:
            link = next((item for item in self.loaded.links if not item.services and file in item.files), None)
            if link is None or link.node.source.name in seen:
                return tuple(reversed(steps))
            steps.append(Step("the file is included", link.node.position))
            file = link.node.source.name
            seen.add(file)

    # --- what is not in the tree

    def removed(self, path: str) -> Explanation | None:
        """A value that a later file took away with ``!reset``."""
        for file in reversed(self.loaded.stack.files):
            try:
                source = Source(file, Path(file).read_text(encoding="utf-8-sig"), "")
            except (OSError, UnicodeDecodeError):
                continue
            keys = path.split(".")
            for depth in range(len(keys), 0, -1):
                place = reset_at(source, tuple(keys[:depth]))
                if place is not None:
                    where = Position(file, *place)
                    layer = Layer(None, "stack file", where, source.line(place[0]).strip(), "(!reset takes it away)")
                    return Explanation(path, None, (layer,))
        return None

    def project_name(self) -> Explanation:
        loaded = self.loaded
        name = loaded.stack.name
        node = loaded.tree.get("name")
        given = loaded.variables.get("COMPOSE_PROJECT_NAME")
        layers: list[Layer] = []
        if given == name:
            layers.append(Layer(given, "environment", reason="COMPOSE_PROJECT_NAME is set in the caller's environment"))
        if node is not None:
            layers.append(self.layer("name", node))
        layers.append(
            Layer(loaded.directory.name, "default", reason=f"the name of the project directory {loaded.directory}")
        )
        if not any(str(layer.value).lower() == name for layer in layers[:1]) and node is None and not given:
            return Explanation("name", name, tuple(layers))
        if layers[0].value != name and node is not None:
            layers.insert(0, Layer(name, "environment", reason="given with -p, or by COMPOSE_PROJECT_NAME in .env"))
        return Explanation("name", name, tuple(layers))


def _first_line(text: str) -> str:
    lines = text.strip().splitlines() or [""]
    head = lines[0].rstrip()
    if head[:1] in ("|", ">") and len(lines) > 1:  # a block: its first line says more than its sign
        head = f"{head} {lines[1].strip()}"
    return f"{head[:97]}..." if len(head) > 100 else f"{head} ..." if len(lines) > 1 else head


def _default(path: str, loaded: Loaded) -> Explanation | None:
    """An attribute that nobody wrote, below something that exists."""
    from stackup.stackfile.describe import about

    parent = find(loaded.tree, path.rpartition(".")[0])
    known = about(path)
    if known is None or (parent is None and not _parent_known(path, loaded)):
        return None
    reason = "nobody sets it" + (f"; the default is {known.default}" if known.default else "; there is no default")
    return Explanation(path, None, (Layer(None, "default", reason=reason),))


def _parent_known(path: str, loaded: Loaded) -> bool:
    """``services.web.healthcheck.interval`` may be asked for where ``web`` exists and has no healthcheck."""
    keys = path.split(".")
    return len(keys) > 2 and find(loaded.tree, ".".join(keys[:2])) is not None


def unknown_path(loaded: Loaded, path: str) -> UsageError:
    """Names the longest part that exists and the nearest thing that it has."""
    keys = path.split(".")
    node: Node = loaded.tree
    good: list[str] = []
    for key in keys:
        child = find(node, key)
        if child is None:
            break
        good.append(key)
        node = child
    wrong = keys[len(good)] if len(good) < len(keys) else keys[-1]
    names = [str(name) for name in node.value] if isinstance(node.value, dict) else []
    services = loaded.tree.get("services")
    if not good and services is not None and isinstance(services.value, dict):
        if wrong in services.value:
            return UsageError(f"cannot explain {path}: there is no {wrong}", hint=f"did you mean 'services.{path}'?")
        names += [f"services.{name}" for name in services.value]
    hint = did_you_mean(wrong, names)
    if not hint and names:
        hint = f"there are: {', '.join(names[:12])}{' ...' if len(names) > 12 else ''}"
    if isinstance(node.value, list):
        hint = (
            f"it is a list of {len(node.value)}: the numbers go from 0 to {len(node.value) - 1}" if node.value else ""
        )
    where = f"{'.'.join(good)} has no {wrong!r}" if good else f"there is no {wrong!r}"
    return UsageError(f"cannot explain {path}: {where}", hint=hint)


__all__ = ["Explanation", "Layer", "Step", "explain", "unknown_path"]
