"""What stands in the way of running a stack that reads well: attributes without support, values that cannot be.

Before anything runs, an attribute that is not carried out yet gets one warning; one whose omission would weaken
isolation, lose data or run a service at the wrong time is an error, and so is a value that no container can have.
``config`` only looks, so for it all of them are warnings.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from stackup.model.words import ALLOW_SOCKET, ENGINE_SOCKETS
from stackup.stackfile.addresses import check_networks
from stackup.stackfile.nodes import Node, find, plain
from stackup.stackfile.patterns import Branch, matches
from stackup.stackfile.problems import Notice, Problems
from stackup.stackfile.selection import without_unused
from stackup.stackfile.support import ENTRIES, Entry, Support
from stackup.stackfile.values import check_values

Found = list[tuple[str, Node]]
_NOTHING: tuple[object, ...] = (None, [], {}, False)
# By section and attribute, so that only what is written is looked at: a large stack has thousands of attributes.
_BY_ATTRIBUTE: dict[tuple[str, str], list[tuple[int, list[str]]]] = {}
for _index, _entry in enumerate(ENTRIES):
    if _entry.support is not Support.DONE and _entry.path.count(".") > 1:
        _section, _, _attribute, *_below = _entry.path.split(".")
        _BY_ATTRIBUTE.setdefault((_section, _attribute), []).append((_index, _below))


_AT_ONCE: dict[tuple[str, str], Branch[int]] = {}
for _key, _entries in _BY_ATTRIBUTE.items():
    _AT_ONCE[_key] = Branch()
    for _index, _below in _entries:
        _AT_ONCE[_key].add(_below, _index)


def _something(value: object, index: int) -> bool:
    return value not in _NOTHING


def check_support(services: Mapping[str, Node], tree: Node, problems: Problems, *, late: bool = False) -> None:
    """Warns once for each attribute, however many services have it; refuses each place where that is due. ``late``:
    also of what is warned of when it is carried out."""
    found: dict[int, Found] = {}
    for section in ("services", "networks", "volumes", "secrets", "configs"):
        node = tree.get(section)
        known: Mapping[str, Node] = node.value if node is not None and type(node.value) is dict else {}
        _collect(section, services if section == "services" else known, found)
    for index in sorted(found):
        if late or not ENTRIES[index].late:
            _tell(ENTRIES[index], found[index], problems)
    check_values(services, problems)
    networks = tree.get("networks")
    check_networks(services, networks.value if networks is not None and networks.value else {}, problems)


def outlook(tree: Node, services: Mapping[str, Node], problems: Problems) -> None:
    """What ``check_support`` would say of a stack that is only looked at: refusals are warnings, too."""
    found = Problems(problems.cwd)
    check_support(services, without_unused(tree, services), found, late=True)
    _sockets(services, tree, found)
    for notice in found.notices:
        problems.note(notice)
    for error in found.errors:
        problems.note(Notice(f"up refuses this: {error.message}", error.where, error.snippet, error.hint))


def _collect(section: str, items: Mapping[str, Node], found: dict[int, Found]) -> None:
    """Adds, by the number of the entry, every value that is not what it should be."""
    for name, item in items.items():
        for attribute, node in item.value.items() if type(item.value) is dict else ():
            branch = _AT_ONCE.get((section, attribute))
            if branch is None or not branch.meets(node, _something):
                continue
            for index, below in _BY_ATTRIBUTE[section, attribute]:
                entry = ENTRIES[index]
                for path, child in matches(node, below):
                    if child.value not in _NOTHING and _concerns(entry, child, path.removeprefix(".")):
                        found.setdefault(index, []).append((f"{section}.{name}.{attribute}{path}", child))


def _concerns(entry: Entry, node: Node, path: str) -> bool:
    if entry.unless is not None and entry.unless(node):
        return False
    return path not in entry.keys and (not entry.only or path in entry.only)


def _tell(entry: Entry, found: Found, problems: Problems) -> None:
    if entry.support is Support.REFUSED:
        for path, node in found:
            problems.add(node, f"cannot use {path}: {entry.reason}", hint=entry.hint, at_key=True)
        return
    path, node = found[0]
    more = f" (and {len(found) - 1} more like it)" if len(found) > 1 else ""
    words = "is not carried out yet" if entry.support is Support.NOT_YET else "has no effect here"
    problems.warn(node, f"{path}{more} {words}: {entry.reason}", at_key=True)


def _sockets(services: Iterable[str], tree: Node, problems: Problems) -> None:
    """What ``up`` asks about (``planner.sockets``)."""
    allowed = find(tree, "x-stackup.allow")
    if allowed is not None and ALLOW_SOCKET in plain(allowed):
        return
    for name in services:
        volumes = find(tree, f"services.{name}.volumes")
        for index, mount in enumerate(volumes.value if volumes is not None and type(volumes.value) is list else ()):
            if mount.text("type") == "bind" and mount.text("source") in ENGINE_SOCKETS:
                problems.warn(
                    mount,
                    f"up asks about services.{name}.volumes[{index}]: no engine of stackup is behind that socket",
                    hint="allow it with --yes, or for good with `x-stackup: {allow: [docker.sock]}`",
                )
