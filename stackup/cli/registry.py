"""Which verbs there are, and the module of each. A verb's module holds its ``Request`` and its ``run``."""

from __future__ import annotations

import importlib
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, NamedTuple

from stackup.cli.options import Option, options_of

if TYPE_CHECKING:
    from stackup.cli.session import Session

VERBS = {
    "up": "up",
    "down": "down",
    "ps": "ps",
    "logs": "logs",
    "exec": "exec_",
    "build": "build",
    "plan": "plan",
    "apply": "apply",
    "rollback": "rollback",
    "start": "start",
    "stop": "stop",
    "restart": "restart",
    "kill": "kill",
    "pause": "pause",
    "unpause": "unpause",
    "create": "create",
    "scale": "scale",
    "rm": "rm",
    "wait": "wait",
    "top": "top",
    "port": "port",
    "events": "events",
    "history": "history",
    "config": "config",
    "images": "images",
    "pull": "pull",
    "push": "push",
    "publish": "publish",
    "login": "login",
    "logout": "logout",
    "rmi": "rmi",
    "tag": "tag",
    "inspect": "inspect",
    "save": "save",
    "load": "load",
    "import": "import_",
    "export": "export",
    "commit": "commit",
    "graph": "graph",
    "schema": "schema",
    "doctor": "doctor",
    "version": "version",
}
_BOTH = ("build", "pull", "push", "save", "load", "import")  # with `image` before them, as docker has it, and without
# Verbs of two words; the modules are in a package named after the first one.
GROUPS = {
    "network": ("create", "ls", "inspect", "rm", "prune"),
    "image": ("ls", "rm", "tag", "history", "inspect", "prune", "base", "diff", "verify", *_BOTH),
    "system": ("df", "prune"),
    "volume": ("create", "ls", "inspect", "rm", "prune"),
    "systemd": ("install", "remove", "status", "start", "stop"),
}
_SAME = {"image rm": "rmi", **{f"image {name}": name for name in ("tag", *_BOTH)}}
SPELLINGS = {"list": "ls", "remove": "rm"}  # of the second word


def names() -> tuple[str, ...]:
    """Of all verbs, those of two words with a blank between them."""
    return (*VERBS, *(f"{group} {name}" for group, inside in GROUPS.items() for name in inside))


class Verb(NamedTuple):
    """``positional_last``: the first argument ends the options, as in ``exec web ls -l``."""

    name: str
    request: type
    run: Callable[[Session, Any], int]
    options: tuple[Option, ...]
    positional_last: bool
    needs_root: bool


def load(name: str) -> Verb:
    same = _SAME.get(name, name)
    module = importlib.import_module(f"stackup.cli.verbs.{VERBS.get(same) or same.replace(' ', '.')}")
    return Verb(
        name=name,
        request=module.Request,
        run=module.run,
        options=options_of(module.Request),
        positional_last=getattr(module, "POSITIONAL_LAST", False),
        needs_root=getattr(module, "NEEDS_ROOT", True),
    )
