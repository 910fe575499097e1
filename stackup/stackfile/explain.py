"""``explain``: why a value of the finished stack is what it is, and what it replaced, newest first.

The loader leaves the facts on the nodes (place, template, what was shadowed); ``history`` reads what stood there
before, ``ways`` how a value came into the stack, ``uses`` what its variables were. This module puts them together.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path
from typing import Any

from stackup.base.errors import Position, UsageError
from stackup.base.values import changed, frozen
from stackup.stackfile.canonical import shown_value
from stackup.stackfile.history import in_one_place, left_out, replaced_whole, trail, versions
from stackup.stackfile.nodes import OVERRIDE, RESET, Node, Source, find
from stackup.stackfile.problems import did_you_mean
from stackup.stackfile.reader import show
from stackup.stackfile.request import Loaded
from stackup.stackfile.routes import reset_at
from stackup.stackfile.uses import Variable, variables_of
from stackup.stackfile.ways import Step, Ways

_RESET = "(!reset takes it away)"


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
    if node is None and path.endswith(".0") and _lone(find(loaded.tree, path[:-2])):
        path = path[:-2]
        node = find(loaded.tree, path)
    if node is not None:
        shown = _shown(loaded.tree, path)
        return [*(explainer.leaf(*item) for item in _leaves(node, shown, path)), *explainer.gone_below(path)]
    if loaded.whole is not None and find(loaded.whole, path) is not None:
        return [_unused(item) for item in explain(changed(loaded, tree=loaded.whole, whole=None), path)]
    for known in (explainer.gone(path), explainer.nothing_to_reset(path), _default(path, loaded)):
        if known is not None:
            return [known]
    raise unknown_path(loaded, path)


def _unused(explanation: Explanation) -> Explanation:
    """Of something at the top level that no service uses."""
    first, *others = explanation.layers
    first = changed(first, reason=f"{first.reason} (nothing uses it)".strip())
    return changed(explanation, layers=(first, *others))


def _lone(node: Node | None) -> bool:
    """A text that stands for a list of one, as ``x-stackup`` keeps it."""
    return node is not None and type(node.value) is str


def _leaves(node: Node, shown: str, path: str) -> Iterator[tuple[str, str, Node]]:
    """The values that have a place of their own; what one text stands for (a short port, a command) is one value.

    ``shown`` is the path for people, ``path`` the one with dots only.
    """
    value = node.value
    if not isinstance(value, dict | list) or not value or in_one_place(node, node) or replaced_whole(node):
        yield shown, path, node
        return
    items = value.items() if isinstance(value, dict) else enumerate(value)
    secret = path.startswith("secrets.") and path.count(".") == 1
    for key, child in items:
        if secret and key == "content":  # what config does not show is not shown here
            continue
        below = f"{shown}[{key}]" if isinstance(value, list) else f"{shown}.{key}" if shown else str(key)
        yield from _leaves(child, below, f"{path}.{key}" if path else str(key))


def _shown(tree: Node, path: str) -> str:
    """The path with its numbers in brackets where they count items of lists."""
    steps = trail(tree, path)
    parts: list[str] = []
    for (node, rest), (_, below) in pairwise(steps):
        key = rest[: len(rest) - len(below)].rstrip(".") if below else rest
        parts.append(f"[{key}]" if type(node.value) is list else f".{key}")
    return "".join(parts).removeprefix(".")


class _Explainer:
    def __init__(self, loaded: Loaded) -> None:
        self.loaded = loaded
        self.ways = Ways(loaded)

    def leaf(self, shown: str, path: str, node: Node) -> Explanation:
        value = shown_value(node, path.rpartition(".")[2])
        return Explanation(shown, value, self.layers(self.loaded.tree, path, path))

    def layers(self, start: Node, below: str, path: str) -> tuple[Layer, ...]:
        """The versions of what stands ``below`` a node, each told once."""
        found: dict[tuple[Any, ...], Layer] = {}
        for node in versions(start, below):
            layer = self.layer(path, node)
            found.setdefault((layer.where, layer.written, str(layer.value)), layer)
        return tuple(found.values())

    def layer(self, path: str, node: Node) -> Layer:
        origin, source = node.origin, node.source
        if node.tag == RESET:
            return Layer(None, "stack file", node.position, source.line(node.line).strip(), _RESET)
        value = shown_value(node, path.rpartition(".")[2])
        if origin is not None and origin.reason:
            return Layer(value, "default", node.position if node.line else None, reason=origin.reason)
        if source.cause is not None:
            written = source.line(node.line).strip()
            kind = "env file" if type(source.cause.value) is dict else "label file"
            step = Step(f"{kind.replace(' ', '_')} names the file", source.cause.position)
            variables = variables_of(origin, source.environment)
            return Layer(value, kind, node.position, written, steps=(step,), variables=variables)
        steps, text = self.ways.of(path, node)
        written = _first_line(text or (origin.template if origin else show(node)))
        variables = variables_of(origin, source.environment)
        kind, reason = "stack file", ""
        if origin is not None and "$" not in origin.template and origin.variables:
            reason = "(it stands without a value, so the caller's is taken)"
        return Layer(value, kind, node.position, written, reason, steps, variables)

    # --- what is not in the tree

    def gone(self, path: str) -> Explanation | None:
        """A value that ``!reset`` or ``!override`` in a later file, or in an extending service, took away."""
        stone = next((item for item in _prefixes(path) if item in self.loaded.removed), None)
        if stone is not None:
            node = self.loaded.removed[stone]
            top = self.layer(stone, node)
            start, below = node.shadow, path[len(stone) + 1 :]
        else:
            steps = trail(self.loaded.tree, path)
            replaced = [(item, rest) for item, rest in steps if item.shadow is not None]
            if not replaced:
                return None
            node, below = replaced[-1]
            start = node.shadow
            reason = f"({'!override' if node.tag == OVERRIDE else 'this'} replaces all that stood here)"
            at_key = type(node.value) is dict
            where = node.key_position if at_key else node.position
            top = Layer(None, "stack file", where, node.source.line(where.line).strip(), reason)
        layers = self.layers(start, below, path) if start is not None else ()
        above = path[: len(path) - len(below)].rstrip(".")
        tail = _shown(start, below) if start is not None and below else ""
        shown = f"{above}{'' if tail.startswith('[') or not tail else '.'}{tail}"
        return Explanation(shown, None, (top, *layers)) if layers else None

    def gone_below(self, path: str) -> Iterator[Explanation]:
        """What a section would have beside what it has, had nobody taken it away."""
        prefix = f"{path}." if path else ""
        paths = [item for item in self.loaded.removed if item.startswith(prefix)]
        node = find(self.loaded.tree, path)
        if node is not None and not path.startswith("secrets."):
            paths += _left_out_below(node, prefix)
        for item in paths:
            found = self.gone(item)
            if found is not None:
                yield found

    def nothing_to_reset(self, path: str) -> Explanation | None:
        """``!reset`` of what no other file has."""
        for file in reversed(self.loaded.stack.files):
            try:
                source = Source(file, Path(file).read_text(encoding="utf-8-sig"), "")
            except (OSError, UnicodeDecodeError):
                continue
            for above in _prefixes(path):
                place = reset_at(source, tuple(above.split(".")))
                if place is not None:
                    layer = Layer(None, "stack file", Position(file, *place), source.line(place[0]).strip(), _RESET)
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


def _prefixes(path: str) -> Iterator[str]:
    """The path itself, then what is above it."""
    while path:
        yield path
        path = path.rpartition(".")[0]


def _left_out_below(node: Node, prefix: str) -> Iterator[str]:
    yield from (f"{prefix}{key}" for key in left_out(node) if key != "single")  # what a lone ulimit is known by
    for key, child in node.value.items() if type(node.value) is dict else ():
        yield from _left_out_below(child, f"{prefix}{key}.")


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
