"""What can be said only once all files have been merged: keys that must be there, items that may not be repeated.

Done after every file, as each must make a whole with those before it: an override file may leave required keys to the
file it overrides, but what both list is there twice.
"""

from __future__ import annotations

from collections.abc import Iterator

from stackup.stackfile.forms import Form, MapOf, Record
from stackup.stackfile.grammar import STACK
from stackup.stackfile.listforms import ListOf
from stackup.stackfile.nodes import RESET, Node
from stackup.stackfile.problems import Problems, Told
from stackup.stackfile.shortforms import Names
from stackup.stackfile.wrappers import Replaced, Short


def check_required(tree: Node, problems: Problems) -> None:
    _check(tree, STACK, "", problems, Told(problems))


def _check(node: Node, form: Form, path: str, problems: Problems, told: Told) -> None:
    if node.tag == RESET or type(node.value) not in (dict, list):
        return
    form = _inner(form)
    if isinstance(form, Record) and type(node.value) is dict:
        for name in form.required:
            if (name not in node.value or _removed(node.value[name])) and not _explained(name, form, path, told):
                reason = f"{name} must be given for {form.noun}"
                problems.add(node, f"cannot use {path}: {reason}", at_key=True, path=path)
    if isinstance(form, ListOf) and form.unique and form.key is None and type(node.value) is list:
        form.check_unique(node.value, path, problems)
    for step, child, below in _below(node, form):
        _check(child, below, f"{path}{step}" if path else step[1:], problems, told)


def _explained(name: str, form: Record, path: str, told: Told) -> bool:
    """True where ``name`` is missing because of a mistake that is told: it is unreadable, or probably misspelt."""
    return path in told.places or any(key == name or key not in form.fields for key in told.below.get(path, ()))


def _removed(node: Node) -> bool:
    """True for what another file had and ``!reset`` took away."""
    return node.tag == RESET and node.shadow is not None


def _below(node: Node, form: Form) -> Iterator[tuple[str, Node, Form]]:
    """The children of a node that lead to a form that asks for a check, each with its step (``.name``, ``[0]``)."""
    if isinstance(form, Record):
        leading = _leading(form)
        for name, child in node.value.items():
            if name in leading:
                yield f".{name}", child, leading[name]
    elif isinstance(form, MapOf) and _leads(form.item):
        for name, child in node.value.items():
            yield f".{name}", child, form.item
    elif isinstance(form, ListOf) and _leads(form.item) and type(node.value) is list:
        for index, child in enumerate(node.value):
            yield f"[{index}]", child, form.item


def _inner(form: Form) -> Form:
    """Without short syntaxes and the like: what reads to the canonical value."""
    while isinstance(form, (Short, Replaced, Names)):
        form = form.long if isinstance(form, Short) else form.form if isinstance(form, Replaced) else form.mapping
    return form


_LEADS: dict[int, bool] = {}
_LEADING: dict[int, dict[str, Form]] = {}


def _leading(form: Record) -> dict[str, Form]:
    """The attributes of a record that lead to a form that asks for a check."""
    known = _LEADING.get(id(form))
    if known is None:
        known = _LEADING[id(form)] = {name: field for name, field in form.fields.items() if _leads(field)}
    return known


def _leads(form: Form) -> bool:
    """Whether some form at or below this one asks for a check; found out once for each form."""
    known = _LEADS.get(id(form))
    if known is None:
        _LEADS[id(form)] = False  # a form that contains itself adds nothing
        known = _LEADS[id(form)] = _asks(form)
    return known


def _asks(form: Form) -> bool:
    if isinstance(form, Record):
        return bool(form.required) or any(_leads(item) for item in form.fields.values())
    if _inner(form) is not form:
        return _leads(_inner(form))
    if isinstance(form, ListOf) and form.unique:
        return True
    return isinstance(form, (MapOf, ListOf)) and _leads(form.item)
