"""``stackup create``: containers as ``up`` makes them, without starting any."""

from __future__ import annotations

from dataclasses import dataclass

from stackup.cli.options import switch, value, values
from stackup.cli.session import Session
from stackup.cli.verbs.common import POLICIES, refuse_both, services
from stackup.cli.verbs.up import carry_out_agreed, scale_of


@dataclass(frozen=True)
class Request:
    """Create containers without starting them."""

    services: tuple[str, ...] = services("Services, with what they depend on (default: all).")
    build: bool = switch("--build", help="Build images first, even where they exist.")
    no_build: bool = switch("--no-build", help="Never build; a missing image is an error.")
    force_recreate: bool = switch("--force-recreate", help="Recreate containers even where nothing has changed.")
    no_recreate: bool = switch("--no-recreate", help="Leave containers that exist as they are.")
    pull: str = value("--pull", help="Look for newer images first.", default="", metavar="POLICY", choices=POLICIES)
    quiet_pull: bool = switch("--quiet-pull", help="Show no progress of pulls.")
    remove_orphans: bool = switch("--remove-orphans", help="Remove containers of services that the file has no more.")
    scale: tuple[str, ...] = values("--scale", help="Number of containers.", metavar="SERVICE=NUM", check=scale_of)
    dry_run: bool = switch("--dry-run", help="Print what would be done, and do nothing.")
    yes: bool = switch("-y", "--yes", help="Answer every question with yes.")


def run(session: Session, request: Request) -> int:
    refuse_both("--force-recreate", request.force_recreate, "--no-recreate", request.no_recreate)
    refuse_both("--build", request.build, "--no-build", request.no_build)
    args = {**vars(request), "detach": True, "scale": dict(scale_of(item) for item in request.scale)}
    if request.dry_run:
        from stackup.cli.verbs.plan import show

        return show(session, "create", args)
    return carry_out_agreed(session, "create", args).exit_code
