"""The generated pages are fresh and complete, and the registry behind them speaks of attributes that exist."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, get_args, get_origin

from pydantic import BaseModel

import stackup
from stackup.model.stack import Stack
from stackup.stackfile.describe import attributes, descriptions
from stackup.stackfile.reference import ATTRIBUTES, PACKAGED, SCHEMA, attributes_markdown, schema_text
from stackup.stackfile.support import ENTRIES, Support, entry_for

PACKAGE = Path(stackup.__file__).parent

STALE = "stale: run python -m stackup.stackfile.reference"
# What the model has for itself, and what only files have.
OWN = {"extensions", "disabled", "directory", "files", "stackup"}
ONLY_MODEL = {"services.*.name", "services.*.ulimits.*.single", "services.*.build.ulimits.*.single"}
ONLY_MODEL |= {"services.*.build.ssh.*.id", "services.*.build.ssh.*.path", "secrets.*.content"}
ONLY_MODEL |= {f"configs.*.{name}" for name in ("driver", "driver_opts")}
HOOKS = ("post_start.*", "pre_stop.*", "develop.watch.*.exec")
ONLY_MODEL |= {f"services.*.{hook}.{name}" for hook in HOOKS for name in ("image", "per_replica")}
ONLY_FILES = ("version", "include", "services.*.extends", "x-stackup", "services.*.x-stackup")


def model_paths(kind: Any, path: str) -> Iterator[str]:
    """The paths of a model's fields at any depth, ``*`` for names and items."""
    if isinstance(kind, type) and issubclass(kind, BaseModel):
        for name, field in kind.model_fields.items():
            if name not in OWN:
                below = f"{path}.{name}" if path else name
                yield below
                yield from model_paths(field.annotation, below)
        return
    star = f"{path}.*" if get_origin(kind) in (tuple, dict, Mapping) else path
    for inner in get_args(kind):
        if inner not in (str, type(None), ...):
            yield from model_paths(inner, star)


def test_pages_are_fresh() -> None:
    assert ATTRIBUTES.read_text(encoding="utf-8") == attributes_markdown(), STALE
    assert SCHEMA.read_text(encoding="utf-8") == schema_text(), STALE
    assert PACKAGED.read_text(encoding="utf-8") == schema_text(), STALE


def test_no_attribute_of_the_model_is_missing() -> None:
    model = set(model_paths(Stack, "")) - ONLY_MODEL
    grammar = {item.text for item in attributes() if not item.text.startswith(ONLY_FILES)}
    assert sorted(model - grammar) == []
    assert sorted(grammar - model) == []


def test_x_stackup_is_in_the_model_too() -> None:
    service = set(model_paths(Stack.model_fields["services"].annotation, "services"))
    assert service
    from stackup.model.stack import ServiceExtras, StackExtras

    model = set(model_paths(ServiceExtras, "services.*.x-stackup")) | set(model_paths(StackExtras, "x-stackup"))
    grammar = {item.text for item in attributes() if "x-stackup." in item.text}
    assert model == grammar


def test_everything_is_described() -> None:
    known = {(item.record, item.path[-1]) for item in attributes()}
    assert sorted(known - set(descriptions())) == []
    assert [item for item in known if not descriptions()[item].summary] == []


def test_the_registry_speaks_of_attributes_that_exist() -> None:
    known = {item.text for item in attributes()}
    assert [entry.path for entry in ENTRIES if entry.path.removesuffix(".*") not in known] == []
    assert [entry.path for entry in ENTRIES if entry.unless is not None and not entry.but] == []


def test_what_would_weaken_isolation_is_refused() -> None:
    refused = {entry.path for entry in ENTRIES if entry.support is Support.REFUSED}
    assert refused >= {"services.*.userns_mode", "services.*.security_opt.*", "volumes.*.driver", "networks.*.driver"}


# What the loader itself carries out, and what is documentation only.
BY_THE_LOADER = {"include", "services.*.extends", "services.*.env_file.*.format", "services.*.x-stackup", "x-stackup"}
NOTHING_TO_DO = {
    "services.*.expose",
    "services.*.logging",
    "services.*.ports.*.app_protocol",
    "services.*.volumes.*.consistency",
    "networks.*.attachable",
}
DOERS = ("spec", "engine", "network", "volumes", "planner", "build", "graph", "images", "control")


def test_what_is_called_carried_out_is_read_by_those_who_act() -> None:
    """An attribute that no code beyond the loader ever names cannot be carried out: the registry must say so."""
    code = "\n".join(path.read_text() for name in DOERS for path in (PACKAGE / name).rglob("*.py"))
    unread = {
        item.text
        for item in attributes()
        if ((entry := entry_for(item.text)) is None or entry.support is Support.DONE)
        and not re.search(rf"\.{re.escape(item.path[-1])}\b|[\"']{re.escape(item.path[-1])}[\"']", code)
    }
    assert sorted(unread - BY_THE_LOADER - NOTHING_TO_DO) == []
