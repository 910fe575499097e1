"""Runs recorded compose files through the loader and compares with what ``docker compose config`` said about them.

A case has ``files``, ``args``, ``env``, ``profiles`` and ``expect``; ``test_compose_cases`` says where they come from.
"""

from __future__ import annotations

import json
import os
import re
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from stackup.base.errors import StackupError
from stackup.stackfile import LoadRequest, canonical, load

CASE_FILES = ("compose-cases.jsonl", "stacks.jsonl")


@dataclass(frozen=True)
class Outcome:
    """``verdict``: equal, different, wrongly-refused, refused, refused-otherwise (the message does not
    name what docker compose names), wrongly-accepted or crashed."""

    case: str
    verdict: str
    detail: str = ""


def cases(directory: Path) -> Iterator[tuple[str, dict[str, Any]]]:
    for name in CASE_FILES:
        with open(directory / name, encoding="utf-8") as file:
            for line in file:
                case = json.loads(line)
                yield name, case


def judge(case: dict[str, Any]) -> list[Outcome]:
    """One outcome for the active profiles, and one for all of them where that was recorded."""
    outcomes = [_judge(case, tuple(case.get("profiles") or ()), case["expect"], "")]
    if "expect_all_profiles" in case:
        outcomes.append(_judge(case, ("*",), case["expect_all_profiles"], " (all profiles)"))
    return outcomes


def _judge(case: dict[str, Any], profiles: tuple[str, ...], expect: dict[str, Any], suffix: str) -> Outcome:
    name = f"{case['id']}{suffix}"
    with tempfile.TemporaryDirectory() as scratch:
        root = written(case, Path(scratch))
        environment = {"PATH": os.environ["PATH"], "HOME": "/home/u", **case["env"]}
        try:
            loaded = load(LoadRequest(root, tuple(case["args"]), profiles=profiles, environment=environment, run=False))
        except StackupError as error:
            if expect["accept"]:
                return Outcome(name, "wrongly-refused", f"{error.where}: {error.message}")
            ours = "\n".join(f"{item.where} {item.message} {item.hint}" for item in (error, *error.details))
            unsaid = sorted(elements(expect["error"]) - words(ours))
            verdict = "refused-otherwise" if unsaid else "refused"
            return Outcome(name, verdict, f"says nothing of {unsaid}: {ours}\n     docker: {expect['error']}")
        except Exception as error:  # noqa: BLE001 - any other exception is what this test looks for
            return Outcome(name, "crashed", repr(error))
        if not expect["accept"]:
            return Outcome(name, "wrongly-accepted", expect["error"])
        difference = compared(json.dumps(canonical(loaded.stack)), root, expect)
        return Outcome(name, "different" if difference else "equal", "; ".join(difference[:6]))


def written(case: dict[str, Any], scratch: Path) -> Path:
    """The directory that holds the files of a case."""
    root = scratch.resolve() / "case"
    root.mkdir()
    for path, text in case["files"].items():
        target = root / path
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_bytes(text.encode("utf-8", "surrogateescape"))
    return root


def compared(printed: str, root: Path, expect: dict[str, Any]) -> list[str]:
    """What differs between our JSON and the recorded one."""
    ours = json.loads(printed.replace(str(root), "@DIR@"))
    return differences(normalised(ours, ""), normalised(expect["config"], ""))


_PATH = re.compile(r"(?<![\w/-])(?:services|networks|volumes|secrets|configs|models)(?:\.[\w\[\]-]+)+")
_NAMED = re.compile(r"\b(?:service|network|volume|secret|config|undefined \w+) \"?([\w.-]+)")
_EXTRA = re.compile(r"additional propert\w+ (('[^']+'(, )?)+)")
_FILE = re.compile(r"@DIR@/(\S*?[\w-]+\.\w+)")
_VERBS = frozenset(("for", "references", "additional", "refers", "depends", "conflicts", "must", "has", "is"))


def elements(theirs: str) -> set[str]:
    """What docker compose's message names: the keys of a path, services and resources, unknown keys; else the file."""
    found = {part for path in _PATH.findall(theirs) for part in re.findall(r"[\w-]+", path)}
    found |= {name.strip(".") for name in _NAMED.findall(theirs)}
    found |= {name for group in _EXTRA.findall(theirs) for name in re.findall(r"'([^']+)'", group[0])}
    found -= _VERBS
    return found or {re.findall(r"[\w.-]+", name)[-1] for name in _FILE.findall(theirs)}


def words(text: str) -> set[str]:
    """Every name in a text, also those that hold dots or stand in brackets."""
    whole = re.findall(r"[\w.-]+", text)
    return {part for word in whole for part in (word.strip("."), *word.split(".")) if part}


UNORDERED = ("cap_add", "cap_drop", "networks", "depends_on")
PAIRS = ("environment", "labels", "args")


def normalised(value: Any, key: str) -> Any:
    """Without empty values; pairs as mappings; lists without an order sorted."""
    if isinstance(value, dict):
        items = {name: normalised(child, name) for name, child in value.items()}
        return {name: child for name, child in items.items() if child not in (None, {}, [], "")}
    if isinstance(value, list):
        if key in PAIRS:
            return normalised(dict(item.partition("=")[::2] for item in value), key)
        items = [normalised(child, "") for child in value]
        if key in UNORDERED:
            return sorted(items)
        if key == "ports":
            return sorted(items, key=lambda item: (item.get("target", 0), str(item.get("published", "")), repr(item)))
        if key == "volumes":
            return sorted(items, key=lambda item: str(item.get("target", "")) if isinstance(item, dict) else str(item))
        return [item for item in items if item not in (None, {}, [], "")]
    return value


def differences(ours: Any, theirs: Any, path: str = "") -> list[str]:
    if isinstance(ours, dict) and isinstance(theirs, dict):
        found = []
        for key in sorted({*ours, *theirs}):
            if key not in ours:
                found.append(f"{path}.{key} missing: {theirs[key]!r}")
            elif key not in theirs:
                found.append(f"{path}.{key} too much: {ours[key]!r}")
            else:
                found += differences(ours[key], theirs[key], f"{path}.{key}")
        return found
    if isinstance(ours, list) and isinstance(theirs, list) and len(ours) == len(theirs):
        return [
            line
            for index, pair in enumerate(zip(ours, theirs, strict=True))
            for line in differences(*pair, f"{path}.{index}")
        ]
    return [] if ours == theirs and type(ours) is type(theirs) else [f"{path}: {ours!r} instead of {theirs!r}"]
