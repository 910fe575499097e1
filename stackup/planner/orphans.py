"""Whose containers a stack file's are not: those of services that are gone from it, and those of other files."""

from __future__ import annotations

from stackup.model.observed import Observed, ObservedContainer
from stackup.model.stack import Stack
from stackup.planner.draft import Draft


def find_orphans(stack: Stack, observed: Observed) -> list[ObservedContainer]:
    """Containers of services that the stack does not have. One-off containers are none, nor is what was made from
    another file (``-f``) of the same project, as long as that file exists."""
    return [item for item in _strangers(stack, observed) if not _of_another_file(stack, item)]


def tell_others(draft: Draft, stack: Stack, observed: Observed) -> None:
    """Whoever wants everything else gone learns what is not."""
    others = [item for item in _strangers(stack, observed) if _of_another_file(stack, item)]
    for files in sorted({item.files for item in others}):
        names = " ".join(f"-f {file}" for file in files)
        command = f"stackup -p {observed.project} {names} down"
        draft.notice(f"what another stack file of this project has made stays; to remove it: {command}")


def _strangers(stack: Stack, observed: Observed) -> list[ObservedContainer]:
    known = {*stack.services, *stack.disabled}
    return [item for item in observed.containers if item.service not in known and not item.oneoff]


def _of_another_file(stack: Stack, container: ObservedContainer) -> bool:
    return bool(container.files and stack.files) and {*stack.files}.isdisjoint(container.files)
