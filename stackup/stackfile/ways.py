"""The way of a value into the stack: which file, extended service, include, anchor or merge key it came through.

Joins what the loader kept (``Loaded.links``) with what only rereading a file can tell (``routes``). For ``explain``.
"""

from __future__ import annotations

from collections.abc import Iterator

from stackup.base.errors import Position
from stackup.base.values import frozen
from stackup.stackfile.nodes import Node, Source
from stackup.stackfile.request import Loaded
from stackup.stackfile.routes import Routes, routes

Keys = tuple[str, ...]
MAX_EXTENDED = 1000


@frozen
class Step:
    """One thing on the way of a value, as half a sentence (``services.web extends services.base``), and its place."""

    text: str
    where: Position | None = None


class Ways:
    """All that is known of one load; files are reread once."""

    def __init__(self, loaded: Loaded) -> None:
        self._files = dict.fromkeys((*loaded.stack.files, "<stdin>"))
        self._includes = [link for link in loaded.links if not link.services]
        self._extends = [link for link in loaded.links if link.services]
        self._files |= dict.fromkeys(file for link in self._includes for file in link.files)
        self._routes: dict[tuple[int, Keys], Routes] = {}

    def of(self, path: str, node: Node) -> tuple[tuple[Step, ...], str]:
        """The steps from ``node`` (at ``path`` in the stack) to the main file, outermost first; and its text."""
        keys = tuple(path.split("."))[:2]
        place = (node.line, node.column)
        for chain, file, origin in self._origins(keys):
            if file != node.source.name:
                continue
            inside = self._inside(node.source, origin)
            if place in inside:
                ways = [Step(f"through {via.how}", Position(file, *via.place)) for via in inside[place].ways]
                # A file that is extended need not be included, even if somebody else does: the first step tells.
                began = chain[0].where.file if chain and chain[0].where else file
                return (*self._included(began), *chain, *ways), inside[place].text
        return self._included(node.source.name), ""

    def _inside(self, source: Source, keys: Keys) -> Routes:
        key = (id(source), keys)
        if key not in self._routes:
            self._routes[key] = routes(source, keys)
        return self._routes[key]

    def _origins(self, keys: Keys) -> Iterator[tuple[list[Step], str, Keys]]:
        """Where ``services.web`` may come from: its own place in any file, then what it extends, and so on."""
        for file in self._files:
            yield [], file, keys
        if keys[:1] != ("services",) or len(keys) < 2:
            return
        seen: set[tuple[str, str]] = set()
        queue: list[tuple[list[Step], str]] = [([], keys[1])]
        while queue:
            chain, name = queue.pop(0)
            for link in self._extends:
                if link.services[0] != name:
                    continue
                target, file = link.services[1], link.files[0]
                step = Step(f"services.{name} extends services.{target}", link.node.position)
                yield [*chain, step], file, ("services", target)
                if (file, target) not in seen and len(seen) < MAX_EXTENDED:
                    seen.add((file, target))
                    queue.append(([*chain, step], target))

    def _included(self, file: str) -> tuple[Step, ...]:
        """The chain of includes that leads to a file, the outermost first."""
        steps: list[Step] = []
        seen = {file}
        while True:
            link = next((item for item in self._includes if file in item.files), None)
            if link is None or link.node.source.name in seen:
                return tuple(reversed(steps))
            steps.append(Step("the file is included", link.node.position))
            file = link.node.source.name
            seen.add(file)
