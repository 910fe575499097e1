"""``stackup pull``: images from their registries, without starting anything."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from stackup.base.errors import StackupError
from stackup.cli import report
from stackup.cli.asking import grouped
from stackup.cli.imagenames import split
from stackup.cli.options import argument, switch, value
from stackup.cli.session import Session
from stackup.cli.transfers import Job, Transfers

if TYPE_CHECKING:
    from stackup.model.plan import PullImage
    from stackup.model.stack import Stack
    from stackup.stackfile import Loaded


@dataclass(frozen=True)
class Request:
    """Pull the images of services, or any image by its name, such as redis:7."""

    names: tuple[str, ...] = argument("Services (default: all), or images.", metavar="NAME", many=True)
    quiet: bool = switch("-q", "--quiet", help="Show no progress.")
    ignore_pull_failures: bool = switch(
        "--ignore-pull-failures", help="Pull what can be pulled; the rest is told only."
    )
    ignore_buildable: bool = switch("--ignore-buildable", help="Leave out images that can be built.")
    include_deps: bool = switch("--include-deps", help="Also what these services depend on.")
    policy: str = value("--policy", help="missing: only what is not here.", default="", choices=("always", "missing"))
    platform: str = value("--platform", help="Another platform than this machine's.", default="", metavar="OS/ARCH")
    parallel: bool = switch(
        "--parallel", help="Accepted: images are pulled side by side.", hidden=True, opposite="no_parallel"
    )
    no_parallel: bool = switch("--no-parallel", help="One image at a time.", hidden=True)


def run(session: Session, request: Request) -> int:
    from stackup.images.transfers import pull_request

    loaded, services, references = split(session, request.names)
    jobs, optional, causes = [], set(), {}
    for action in _planned(session, request, loaded.stack, services) if loaded else ():
        platform = request.platform or action.platform
        job = Job("pull", action.image, pull_request(action.image, session.environment, platform))
        jobs.append(job)
        causes[job.id] = action
        if not action.required:
            optional.add(job.id)
    for reference in dict.fromkeys(references):
        jobs.append(Job("pull", reference, pull_request(reference, session.environment, request.platform)))
    if not jobs and not request.quiet:
        session.console.say("nothing to pull")
    Transfers(session, "pull", jobs, quiet=request.quiet, at_once=1 if request.no_parallel else 0).run()
    return _outcome(session, request, loaded, jobs, optional, causes)


def _planned(session: Session, request: Request, stack: Stack, services: list[str]) -> list[PullImage]:
    from stackup.images.store import ImageStore
    from stackup.model.observed import ImageMarks, Observed
    from stackup.model.plan import PullImage
    from stackup.planner import Desired, Verb, decide

    store = ImageStore(session.layout)
    found = {item.image: store.usable(item.image) for item in stack.services.values() if item.image}
    observed = Observed(
        stack.name,
        images={reference: image.id if image else None for reference, image in found.items()},
        image_marks={
            reference: ImageMarks(platform=str(image.platform or "")) for reference, image in found.items() if image
        },
    )
    desired = Desired(
        Verb.PULL,
        stack,
        tuple(services),
        no_deps=not request.include_deps,
        ignore_buildable=request.ignore_buildable,
        pull=request.policy,
    )
    plan = decide(desired, observed)
    for notice in () if request.quiet else plan.notices:
        session.console.say(notice.text)
    return [action for action in plan if isinstance(action, PullImage)]


def _outcome(
    session: Session,
    request: Request,
    loaded: Loaded | None,
    jobs: list[Job],
    optional: set[str],
    causes: dict[str, PullImage],
) -> int:
    errors: list[StackupError] = []
    for job in jobs:
        if job.error is None:
            continue
        if job.id in optional:
            service = causes[job.id].service
            session.console.warn(f"{job.error.message}; it can be built: stackup build {service}")
            continue
        if loaded is not None and job.id in causes:
            _point(job.error, loaded, causes[job.id])
        errors.append(job.error)
    if request.ignore_pull_failures:
        for error in errors:
            session.console.warn(error.message)
        return 0
    for error in grouped(errors):
        report.show(error, session.console)
    return errors[0].exit_code if errors else 0


def _point(error: StackupError, loaded: Loaded, action: PullImage) -> None:
    """To where the stack file names the image."""
    from stackup.stackfile.nodes import find

    node = find(loaded.tree, f"services.{action.service}.image")
    if node is not None and node.line:
        error.where = node.position
        error.snippet = node.source.snippet(node.line, node.column, len(str(node.value)))
