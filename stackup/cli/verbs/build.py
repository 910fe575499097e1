"""``stackup build``: images of services that say how they are built."""

from __future__ import annotations

import os
import sys
from dataclasses import dataclass
from functools import partial

from stackup.base.errors import StackFileError, StackupError, UsageError
from stackup.cli.globals import PROGRESS
from stackup.cli.options import switch, value, values
from stackup.cli.session import Session
from stackup.cli.terminal import Console
from stackup.cli.verbs.common import send, services


@dataclass(frozen=True)
class Request:
    """Build the images of services."""

    services: tuple[str, ...] = services("Services (default: all that have a build section).")
    build_arg: tuple[str, ...] = values("--build-arg", help="Build-time variable.", metavar="KEY=VALUE")
    ssh: tuple[str, ...] = values("--ssh", help="ssh agent or key for RUN --mount=type=ssh.", metavar="ID=PATH")
    no_cache: bool = switch("--no-cache", help="Do not use layers that were built before.")
    pull: bool = switch("--pull", help="Look for newer base images.")
    check: bool = switch("--check", help="Look for mistakes in the Dockerfiles; build nothing.")
    shell_on_failure: bool = switch("--shell-on-failure", help="Open a shell in the step that fails.")
    push: bool = switch("--push", help="Push what was built, under `image:` and `build.tags`.")
    progress: str | None = value("--progress", help="How progress is shown.", choices=PROGRESS)
    quiet: bool = switch("-q", "--quiet", help="Only errors.")
    with_dependencies: bool = switch("--with-dependencies", help="Build what these services depend on, too.")


def run(session: Session, request: Request) -> int:
    if request.check:
        return _check(session, request)
    if request.progress is not None:
        shown = Console.detect(session.options.ansi, request.progress, session.environment)
        session.console = session.console._replace(progress=shown.progress)
    code = _build(session, request)
    return code or _push(session, request) if request.push else code


def _build(session: Session, request: Request) -> int:
    args = {**vars(request), "build_arg": [_with_value(item, session) for item in request.build_arg]}
    if not request.shell_on_failure:
        return send(session, "build", args, quiet=request.quiet).exit_code
    if not (sys.stdin.isatty() and sys.stdout.isatty()):
        raise UsageError("cannot open a shell on failure: standard input and output are no terminal")
    return _with_shell(session, request, args)


def _with_value(item: str, session: Session) -> str:
    """``--build-arg NAME`` alone passes the caller's value on."""
    return item if "=" in item else f"{item}={session.environment.get(item, '')}"


def _with_shell(session: Session, request: Request, args: dict[str, object]) -> int:
    from stackup.build.failed import is_kept, open_shell
    from stackup.engine.build_requests import KEEP_FAILED

    name = f"{os.getpid()}-{os.urandom(6).hex()}"
    os.environ[KEEP_FAILED] = name  # the request carries the environment
    code = send(session, "build", args, quiet=request.quiet).exit_code
    if code and is_kept(session.layout, name):
        session.console.say("a shell in the step that failed; what it changes is gone when it ends")
        open_shell(session.layout, name)
    return code


def _push(session: Session, request: Request) -> int:
    """As docker compose: what has no name to push it under stays here."""
    from stackup.cli.resolve import load_again
    from stackup.cli.verbs.push import push_all, warn_nameless
    from stackup.engine.wishes import with_needed_builds

    stack = load_again(session).stack
    known = {**stack.services, **stack.disabled}
    names = with_needed_builds(stack, request.services) if request.with_dependencies else request.services
    references: list[str] = []
    for name in names or stack.services:
        service = known[name]
        if service.build is None:
            continue
        if service.image is None:
            warn_nameless(session, name)
        references += [*filter(None, (service.image,)), *service.build.tags]
    return push_all(session, references, quiet=request.quiet)


def _check(session: Session, request: Request) -> int:
    """1 when there is anything to say."""
    from stackup.build import BuildRequest, check_build
    from stackup.cli import report
    from stackup.engine.build_requests import build_request
    from stackup.engine.loading import LoadedStack
    from stackup.engine.wishes import with_build_options
    from stackup.stackfile import Notice

    loaded = session.load()
    options = {"build_arg": [_with_value(item, session) for item in request.build_arg]}
    stack = with_build_options(loaded.stack, options)
    unknown = [name for name in request.services if name not in stack.services]
    if unknown:
        raise UsageError(f"cannot check {unknown[0]}: there is no such service")
    count = 0
    for name, service in stack.services.items():
        if service.build is None or (request.services and name not in request.services):
            continue
        asked = BuildRequest.from_json(build_request(stack, name, loaded.environment))
        inline = partial(LoadedStack(stack, (), loaded.environment, loaded).point_inline, service=name)
        try:
            found = check_build(asked, session.layout)
        except StackFileError as error:
            inline(error)
            raise
        count += len(found)
        places = [StackupError(f"{item.rule}: {item.message}", where=item.where, snippet=item.line) for item in found]
        for place in places:
            inline(place)
        report.warn([Notice(place.message, place.where, place.snippet) for place in places], session.console)
    session.console.say(f"{count} warnings" if count != 1 else "1 warning")
    return 1 if count else 0
