"""``stackup scale``: another number of containers."""

from __future__ import annotations

from dataclasses import dataclass

from stackup.base.errors import UsageError
from stackup.cli.options import argument, switch
from stackup.cli.session import Session
from stackup.cli.verbs.common import timeout
from stackup.cli.verbs.up import carry_out_agreed, scale_of


@dataclass(frozen=True)
class Request:
    """Change the number of containers of services."""

    numbers: tuple[str, ...] = argument("How many of which service, e.g. web=3.", metavar="SERVICE=NUM", many=True)
    no_deps: bool = switch("--no-deps", help="Leave services alone that these depend on.")
    timeout: int | None = timeout()
    dry_run: bool = switch("--dry-run", help="Print what would be done, and do nothing.")
    yes: bool = switch("-y", "--yes", help="Answer every question with yes.")


def run(session: Session, request: Request) -> int:
    if not request.numbers:
        raise UsageError("cannot scale: no service is named", hint="stackup scale web=3")
    try:
        numbers = dict(scale_of(item) for item in request.numbers)
    except ValueError as error:
        raise UsageError(f"cannot scale: {error}", hint="stackup scale web=3") from None
    args = {**vars(request), "detach": True, "services": list(numbers), "scale": numbers}
    if request.dry_run:
        from stackup.cli.verbs.plan import show

        return show(session, "up", args)
    return carry_out_agreed(session, "up", args).exit_code
