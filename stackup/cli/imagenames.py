"""What ``pull`` and ``push`` are given: services of the stack file, or references of images."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from stackup.base.errors import StackFileError
from stackup.cli.session import Session

if TYPE_CHECKING:
    from stackup.stackfile import Loaded


def split(session: Session, names: Sequence[str]) -> tuple[Loaded | None, list[str], list[str]]:
    """The stack, where one is needed, its services among ``names``, and the references.

    No service's name has a colon, a slash or an @; any other word is a reference only where there is no stack file.
    """
    references = [name for name in names if any(mark in name for mark in ":/@")]
    services = [name for name in names if name not in references]
    if names and not services:
        return None, [], references
    try:
        return session.load(), services, references
    except StackFileError as error:
        options = session.options
        if not services or options.file or options.project_name or error.where or error.details:
            raise
        return None, [], list(names)
