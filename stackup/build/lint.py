"""What is allowed in a Dockerfile and yet likely a mistake: the rules of BuildKit's checks, by their names.

``# check=skip=RULE,...;error=true`` in the Dockerfile (or the build argument BUILDKIT_DOCKERFILE_CHECK) leaves rules
out, or makes findings errors. Texts are stackup's own.
"""

from __future__ import annotations

import difflib
from collections.abc import Callable, Iterator

from stackup.base.errors import Position, StackFileError
from stackup.base.escapes import harmless, valid
from stackup.base.values import frozen
from stackup.build import lintrules
from stackup.build.dockerfile import Dockerfile
from stackup.build.ignore import IgnoreRules
from stackup.build.inputs import platform_arguments
from stackup.build.lintrules import Found, Subject
from stackup.build.metadata import PROXIES
from stackup.build.request import BuildRequest
from stackup.build.stages import parse_arguments

_ARGUMENT = "BUILDKIT_DOCKERFILE_CHECK"
_ALWAYS = (*PROXIES, *platform_arguments(), "SOURCE_DATE_EPOCH")  # known without ARG


@frozen
class Finding:
    rule: str
    message: str
    where: Position
    line: str


@frozen
class Settings:
    """``skip``: names of rules in lower case; "all"."""

    skip: frozenset[str] = frozenset()
    error: bool = False


def findings(
    dockerfile: Dockerfile,
    request: BuildRequest,
    ignore: IgnoreRules,
    variables_of: Callable[[str], frozenset[str] | None] = lambda _base: None,
    platform_of: Callable[[str], str] = lambda _base: "",
) -> list[Finding]:
    """In the order of the lines. ``variables_of``: names that an image's environment has, None where that is not
    known; ``platform_of``: what it is for, "" likewise. Raises StackFileError where the Dockerfile wants findings to be
    errors."""
    settings = read_settings(request.args.get(_ARGUMENT) or dockerfile.check)
    if "all" in settings.skip:
        return []
    named = frozenset(request.additional_contexts)
    subject = Subject(dockerfile, request.args, ignore, named, request.platforms, variables_of, platform_of)
    found = [_finding(dockerfile, item) for item in _all(subject) if item.rule.lower() not in settings.skip]
    found.sort(key=lambda item: item.where.line)
    if found and settings.error:
        errors = [
            StackFileError(f"cannot build: {item.rule}: {item.message}", where=item.where, snippet=item.line)
            for item in found
        ]
        errors[0].details = tuple(errors[1:])
        raise errors[0]
    return found


def unused_arguments(dockerfile: Dockerfile, request: BuildRequest) -> dict[str, str]:
    """Of the user's: names that no ARG takes, with what may be meant instead. The base may have triggers, too."""
    known = [name for item in dockerfile.instructions if item.keyword == "ARG" for name, _ in parse_arguments(item)]
    if any("$" in name for name in known) or any(item.keyword == "ONBUILD" for item in dockerfile.instructions):
        return {}
    unused = [name for name in request.args if name not in (*known, *_ALWAYS) and not name.startswith("BUILDKIT_")]
    return {name: next(iter(difflib.get_close_matches(name, known, 1)), "") for name in unused}


def read_settings(text: str) -> Settings:
    options = dict(part.strip().partition("=")[::2] for part in text.split(";") if part.strip())
    skip = frozenset(name.strip().lower() for name in options.get("skip", "").split(",") if name.strip())
    return Settings(skip, options.get("error", "").strip().lower() in ("true", "1"))


def _all(subject: Subject) -> Iterator[Found]:
    seen = set()
    for rule in lintrules.RULES:
        for found in rule(subject):
            if found not in seen:
                seen.add(found)
                yield found


def _finding(dockerfile: Dockerfile, found: Found) -> Finding:
    text = dockerfile.lines[found.line - 1] if 0 < found.line <= len(dockerfile.lines) else ""
    return Finding(found.rule, found.message, Position(dockerfile.name, found.line), valid(harmless(text)).rstrip())
