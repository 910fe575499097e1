"""``stackup up``: makes the project what the stack file says, and shows its output unless detached."""

from __future__ import annotations

import sys
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from stackup.base.errors import PlanRefused, UsageError
from stackup.cli.follow import Follower, Outcome
from stackup.cli.foreground import Foreground
from stackup.cli.options import switch, value, values
from stackup.cli.session import Session
from stackup.cli.verbs.common import POLICIES, refuse_both, services, timeout


def scale_of(text: str) -> tuple[str, int]:
    """``web=3``. Raises ValueError."""
    service, equals, number = text.partition("=")
    if not (service and equals and number.isdecimal()):
        raise ValueError(f"{text!r} is not SERVICE=NUMBER")
    return service, int(number)


@dataclass(frozen=True)
class Request:
    """Create and start what the stack file describes, changing only what differs."""

    services: tuple[str, ...] = services("Services, with what they depend on (default: all).")
    detach: bool = switch("-d", "--detach", help="Leave the containers running in the background.")
    wait: bool = switch("--wait", help="Wait until services are running or healthy; implies -d.")
    wait_timeout: float | None = value("--wait-timeout", help="Give up after this long.", kind=float, metavar="SECONDS")
    build: bool = switch("--build", help="Build images first, even where they exist.")
    no_build: bool = switch("--no-build", help="Never build; a missing image is an error.")
    force_recreate: bool = switch("--force-recreate", help="Recreate containers even where nothing has changed.")
    no_recreate: bool = switch("--no-recreate", help="Leave containers that exist as they are.")
    always_recreate_deps: bool = switch("--always-recreate-deps", help="Recreate what these services depend on, too.")
    renew_anon_volumes: bool = switch(
        "-V", "--renew-anon-volumes", help="New anonymous volumes instead of those of the container before."
    )
    pull: str = value("--pull", help="Look for newer images first.", default="", metavar="POLICY", choices=POLICIES)
    quiet_pull: bool = switch("--quiet-pull", help="Show no progress of pulls.")
    no_start: bool = switch("--no-start", help="Create containers, and start none.")
    no_deps: bool = switch("--no-deps", help="Leave services alone that these depend on.")
    remove_orphans: bool = switch("--remove-orphans", help="Remove containers of services that the file has no more.")
    dry_run: bool = switch("--dry-run", help="Print what would be done, and do nothing.")
    timeout: int | None = timeout()
    scale: tuple[str, ...] = values("--scale", help="Number of containers.", metavar="SERVICE=NUM", check=scale_of)
    abort_on_container_exit: bool = switch(
        "--abort-on-container-exit", help="Stop everything as soon as one container ends."
    )
    abort_on_container_failure: bool = switch(
        "--abort-on-container-failure", help="Stop everything as soon as one container fails."
    )
    exit_code_from: str = value(
        "--exit-code-from", help="End with this service's exit code, when it ends.", default="", metavar="SERVICE"
    )
    attach: tuple[str, ...] = values("--attach", help="Show only this service's output.", metavar="SERVICE")
    no_attach: tuple[str, ...] = values("--no-attach", help="Do not show this service's output.", metavar="SERVICE")
    no_log_prefix: bool = switch("--no-log-prefix", help="Lines without the container's name.")
    no_color: bool = switch("--no-color", help="Lines without colour.")
    timestamps: bool = switch("--timestamps", help="Lines with their time.")
    yes: bool = switch("-y", "--yes", help="Answer every question with yes.")

    @property
    def background(self) -> bool:
        return self.detach or self.wait

    @property
    def aborts(self) -> bool:
        return self.abort_on_container_exit or self.abort_on_container_failure or bool(self.exit_code_from)


def run(session: Session, request: Request) -> int:
    _check(request)
    args = {**vars(request), "detach": request.background, "scale": dict(scale_of(item) for item in request.scale)}
    verb = "create" if request.no_start else "up"
    if request.dry_run:
        from stackup.cli.verbs.plan import show

        return show(session, verb, args)
    if request.background or request.no_start:
        return carry_out_agreed(session, verb, args).exit_code
    return _agreeing(session, args, lambda given: Foreground(session, request).run(given)).exit_code


def carry_out_agreed(session: Session, verb: str, args: dict[str, Any]) -> Outcome:
    """In the background. Questions are asked where somebody sits."""
    return _agreeing(
        session, args, lambda given: Follower(session, None, verb, held_back=(PlanRefused,)).run(verb, given)
    )


def _agreeing(session: Session, args: dict[str, Any], carry_out: Callable[[dict[str, Any]], Outcome]) -> Outcome:
    asks = sys.stdin.isatty() and session.console.err.isatty()
    outcome = carry_out({**args, "asks": asks})
    if not _refused(outcome):
        return outcome
    answers = _asked(session, outcome) if asks else {}
    if answers:
        outcome = carry_out({**args, "asks": asks, "answers": answers})
    if _refused(outcome):
        outcome.show_errors(session.console)
    return outcome


def _refused(outcome: Outcome) -> bool:
    return any(isinstance(error, PlanRefused) for error in outcome.errors)


def _check(request: Request) -> None:
    refuse_both("--force-recreate", request.force_recreate, "--no-recreate", request.no_recreate)
    refuse_both("--build", request.build, "--no-build", request.no_build)
    refuse_both("--no-start", request.no_start, "--detach or --wait", request.background)
    refuse_both("--no-start", request.no_start, "--abort-on-container-exit", request.aborts)
    refuse_both("--detach or --wait", request.background, "--abort-on-container-exit", request.aborts)
    if request.wait_timeout is not None and not request.wait:
        raise UsageError("cannot use --wait-timeout without --wait")


def _asked(session: Session, outcome: Outcome) -> dict[str, bool]:
    """What the person at the terminal says, by question; nothing after a no without which nothing can be done."""
    answers: dict[str, bool] = {}
    for question in (outcome.plan or {}).get("questions", ()):
        session.console.err.write(f"{question['text']} [y/N] ")
        session.console.err.flush()
        answers[question["id"]] = sys.stdin.readline().strip().lower() in ("y", "yes")
        if not (answers[question["id"]] or question.get("spared")):
            return {}
    return answers
