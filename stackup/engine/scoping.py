"""What ``down`` is about: the services of the stack file, or, where only a name was given, the whole project."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from stackup.base.errors import StackFileError, UsageError
from stackup.model.observed import Observed
from stackup.model.stack import Stack


def whole_project(files: Mapping[str, Any], args: Mapping[str, Any]) -> bool:
    """``-p NAME`` without ``-f``, as in docker compose (cmd/compose ``projectOrName``); ``--all``."""
    return bool(args.get("all")) or bool(files.get("project_name") and not files.get("files"))


def of_project(stack: Stack, project: str) -> Stack:
    """Raises UsageError for the stack file of another project."""
    if stack.name != project:
        raise UsageError(f"cannot use this stack file for project {project}: it names {stack.name}")
    return stack


def without_file(error: StackFileError, observed: Observed) -> str:
    """A stack file that cannot be read keeps nobody from taking down what was made from it: answers what to say then.
    Raises ``error`` where parts of the project were made from other files."""
    if len({item.files for item in observed.containers}) > 1:
        error.hint = error.hint or f"all of the project, whoever made it: stackup -p {observed.project} down"
        raise error
    return f"{error.message}; all of project {observed.project} is taken down"
