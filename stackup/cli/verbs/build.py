"""``stackup build``: images of services that say how they are built."""

from __future__ import annotations

import json
import os
import sys
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING

from stackup.base.errors import StackFileError, StackupError, UsageError
from stackup.cli.globals import PROGRESS
from stackup.cli.options import switch, value, values
from stackup.cli.session import Session
from stackup.cli.terminal import Console
from stackup.cli.verbs.common import send, services

if TYPE_CHECKING:
    from stackup.build import BuildRequest
    from stackup.model.stack import Stack
    from stackup.stackfile import Loaded

_ATTESTATIONS = ("provenance", "sbom")
_NO = (None, "", "false", "0", "disabled=true")


def _check_argument(text: str) -> None:
    if text.startswith("=") or not text:
        raise ValueError(f"{text!r} has no name before '='")


@dataclass(frozen=True)
class Request:
    """Build the images of services."""

    services: tuple[str, ...] = services("Services (default: all that have a build section).")
    build_arg: tuple[str, ...] = values(
        "--build-arg", help="Build-time variable.", metavar="KEY=VALUE", check=_check_argument
    )
    ssh: tuple[str, ...] = values("--ssh", help="ssh agent or key for RUN --mount=type=ssh.", metavar="ID=PATH")
    no_cache: bool = switch("--no-cache", help="Do not use layers that were built before.")
    pull: bool = switch("--pull", help="Look for newer base images.")
    provenance: str | None = value("--provenance", help="Not carried out yet: attest how it is built.", metavar="MODE")
    sbom: str | None = value("--sbom", help="Not carried out yet: attest what is in it.", metavar="MODE")
    builder: str | None = value("--builder", help="Has no effect: there is one builder.", metavar="NAME")
    memory: str | None = value("-m", "--memory", help="Has no effect, as with BuildKit.", metavar="SIZE")
    compress: bool = switch("--compress", help="Has no effect.", hidden=True)
    force_rm: bool = switch("--force-rm", help="Has no effect.", hidden=True)
    no_rm: bool = switch("--no-rm", help="Has no effect.", hidden=True)
    print: bool = switch("--print", help="Print what would be built as a bake file; build nothing.")
    check: bool = switch("--check", help="Look for mistakes in the Dockerfiles; build nothing.")
    shell_on_failure: bool = switch("--shell-on-failure", help="Open a shell in the step that fails.")
    push: bool = switch("--push", help="Push what was built, under `image:` and `build.tags`.")
    progress: str | None = value("--progress", help="How progress is shown.", choices=PROGRESS)
    quiet: bool = switch("-q", "--quiet", help="Only errors.")
    with_dependencies: bool = switch("--with-dependencies", help="Build what these services depend on, too.")


def run(session: Session, request: Request) -> int:
    if request.print:
        return _print(session, request)
    _warn(session, request)
    if request.check:
        return _check(session, request)
    if request.progress is not None:
        shown = Console.detect(session.options.ansi, request.progress, session.environment)
        session.console = session.console._replace(progress=shown.progress)
    code = _build(session, request)
    return code or _push(session, request) if request.push else code


def _build(session: Session, request: Request) -> int:
    args = {**vars(request), **_overrides(session, request)}
    if request.quiet or session.console.progress in ("quiet", "json"):
        from stackup.engine.build_requests import QUIET

        os.environ[QUIET] = "1"
    if not request.shell_on_failure:
        return send(session, "build", args, quiet=request.quiet).exit_code
    if not (sys.stdin.isatty() and sys.stdout.isatty()):
        raise UsageError("cannot open a shell on failure: standard input and output are no terminal")
    return _with_shell(session, request, args)


def _warn(session: Session, request: Request) -> None:
    """Of options that docker compose has, and that do nothing here."""
    for name in _ATTESTATIONS:
        if getattr(request, name) not in _NO:
            session.console.warn(f"--{name} is not carried out yet: no attestation is made")
    if request.builder:
        session.console.warn("--builder has no effect: there is one builder")
    if request.memory:
        session.console.warn("--memory has no effect: what a build may use is not limited")
    for name in ("compress", "force_rm", "no_rm"):
        if getattr(request, name):
            session.console.warn(f"--{name.replace('_', '-')} has no effect: it is of another builder's time")


def _overrides(session: Session, request: Request) -> dict[str, object]:
    """What goes over the stack file. An attestation that is asked for here is warned of here, and nowhere else."""
    attestations = {name: "false" for name in _ATTESTATIONS if getattr(request, name) is not None}
    arguments = [_with_value(item, session) for item in request.build_arg]
    options = {"build_arg": arguments, "no_cache": request.no_cache, "pull": request.pull, "ssh": list(request.ssh)}
    return {**options, **dict.fromkeys(_ATTESTATIONS), **attestations}


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


def _requests(session: Session, request: Request, verb: str) -> tuple[Stack, Loaded, dict[str, BuildRequest]]:
    """What the builder would be asked for, by the service's name."""
    from stackup.build import BuildRequest
    from stackup.engine.build_requests import build_request
    from stackup.engine.wishes import with_build_options, with_needed_builds

    loaded = session.load()
    stack = with_build_options(loaded.stack, _overrides(session, request))
    unknown = [name for name in request.services if name not in stack.services]
    if unknown:
        raise UsageError(f"cannot {verb} {unknown[0]}: there is no such service")
    names = with_needed_builds(stack, request.services) if request.with_dependencies else request.services
    chosen = [name for name in names or stack.services if stack.services[name].build is not None]
    return stack, loaded, {
        name: BuildRequest.from_json(build_request(stack, name, loaded.environment)) for name in chosen
    }  # fmt: skip


def _print(session: Session, request: Request) -> int:
    from stackup.cli.bakefile import bake_file

    stack, _, requests = _requests(session, request, "print")
    grants = [grant for name in requests for grant in getattr(stack.services[name].build, "secrets", ())]
    variables = {grant.target or grant.source: stack.secrets[grant.source].environment or "" for grant in grants}
    known = {name: variable for name, variable in variables.items() if variable}
    session.console.print(json.dumps(bake_file(requests, known, push=request.push), indent=2))
    return 0


def _check(session: Session, request: Request) -> int:
    """1 when there is anything to say."""
    from stackup.build import check_build
    from stackup.cli import report
    from stackup.engine.loading import LoadedStack
    from stackup.stackfile import Notice

    stack, loaded, requests = _requests(session, request, "check")
    count = 0
    clean: dict[str, None] = {}  # several services may have the same one
    for name, asked in requests.items():
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
        if places:
            report.warn([Notice(place.message, place.where, place.snippet) for place in places], session.console)
        else:
            clean[_dockerfile(asked)] = None
    for file in clean:
        session.console.say(f"{file}: no warnings")
    if count:
        session.console.say(f"{count} warnings" if count != 1 else "1 warning")
    return 1 if count else 0


def _dockerfile(request: BuildRequest) -> str:
    """As somebody who reads what was looked at knows it."""
    from pathlib import Path

    from stackup.build.inputs import dockerfile_path
    from stackup.build.remote import is_remote

    if request.inline:
        return f"{request.service}: dockerfile_inline"
    if is_remote(request.context):
        return f"{request.service}: {request.dockerfile or 'Dockerfile'} of {request.context}"
    path = dockerfile_path(request, Path(request.context))
    return str(path.relative_to(Path.cwd())) if path.is_relative_to(Path.cwd()) else str(path)
