"""``stackup push``: images to their registries."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING

from stackup.base.errors import StackupError, UsageError
from stackup.cli import report
from stackup.cli.asking import grouped
from stackup.cli.imagenames import split
from stackup.cli.options import argument, switch
from stackup.cli.session import Session
from stackup.cli.transfers import Job, Transfers

if TYPE_CHECKING:
    from stackup.model.stack import Stack


@dataclass(frozen=True)
class Request:
    """Push the images of services that are built, or any image by its name, such as registry.example/app:1."""

    names: tuple[str, ...] = argument("Services (default: all), or images.", metavar="NAME", many=True)
    quiet: bool = switch("-q", "--quiet", help="Print only what was pushed.")
    ignore_push_failures: bool = switch(
        "--ignore-push-failures", help="Push what can be pushed; the rest is told only."
    )
    include_deps: bool = switch("--include-deps", help="Also what these services depend on.")


def run(session: Session, request: Request) -> int:
    loaded, services, references = split(session, request.names)
    if loaded is not None:
        references += list(_of_services(session, request, loaded.stack, services))
    return push_all(session, references, quiet=request.quiet, ignore_failures=request.ignore_push_failures)


def push_all(session: Session, references: Iterable[str], *, quiet: bool, ignore_failures: bool = False) -> int:
    """The exit code; prints what each has become, failures at the end."""
    from stackup.images.transfers import push_request

    jobs = [Job("push", name, push_request(name, session.environment)) for name in dict.fromkeys(references)]
    Transfers(session, "push", jobs, quiet=quiet).run()
    errors: list[StackupError] = []
    for job in jobs:
        if job.result is not None:
            session.console.print(f"{job.result['reference']}: digest: {job.result['digest']}")
        elif job.error is not None:
            errors.append(job.error)
    if ignore_failures:
        for error in errors:
            session.console.warn(error.message)
        return 0
    for error in grouped(errors):
        report.show(error, session.console)
    return errors[0].exit_code if errors else 0


def _of_services(session: Session, request: Request, stack: Stack, names: list[str]) -> Iterator[str]:
    """As docker compose: what is built here and has a name to push it under."""
    from stackup.planner.order import graph_of

    known = {**stack.services, **stack.disabled}
    for name in names:
        if name not in known:
            raise UsageError(
                f"cannot push service {name}: there is no such service",
                hint=f"services: {', '.join(sorted(known)) or 'none'}",
            )
    graph = graph_of(known)
    chosen = graph.closure(names) if request.include_deps else set(names)
    for name in graph:
        service = known[name]
        if name in chosen or (not names and name in stack.services):
            if service.build is None:
                if name in names:
                    session.console.warn(f"service {name} is not built here: nothing to push")
            elif service.image is None:
                warn_nameless(session, name)
            else:
                yield service.image


def warn_nameless(session: Session, service_name: str) -> None:
    session.console.warn(f"service {service_name} has no `image:`, so there is no name to push it under")
