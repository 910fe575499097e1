"""``stackup publish``: the stack file goes to a registry, from where ``include: oci://`` and ``-f oci://`` take it."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from stackup.base.errors import PlanRefused, StackFileError, StackupError, UsageError
from stackup.cli import report
from stackup.cli.asking import grouped
from stackup.cli.options import argument, switch
from stackup.cli.session import Session
from stackup.cli.things import confirm
from stackup.cli.transfers import Job, Transfers

if TYPE_CHECKING:
    from stackup.images.artifacts import File
    from stackup.model.service import Service
    from stackup.stackfile import Loaded

_WHOLE = "stackup config --no-interpolate -o whole.yaml makes one file of all, for stackup -f whole.yaml publish"


@dataclass(frozen=True)
class Request:
    """Publish the stack file to a registry, and push the images that are built here."""

    reference: str = argument("Where to, such as registry.example/team/stack:1.", metavar="NAME[:TAG]", required=True)
    with_env: bool = switch("--with-env", help="Publish env files, too: whoever may pull reads them.")
    resolve_image_digests: bool = switch("--resolve-image-digests", help="Pin every image to what its tag is now.")
    quiet: bool = switch("-q", "--quiet", help="Print only what was published.")
    yes: bool = switch("-y", "--yes", help="Answer every question with yes.")


def run(session: Session, request: Request) -> int:
    from stackup.images.transfers import publish_request, push_request

    loaded = session.load(resolve_environment=False)
    problems = [*_problems(loaded, request)]
    for problem in grouped(problems):
        raise problem
    files = [*_files(session, loaded, request)]
    reference = request.reference.removeprefix("oci://")
    doubts = [*_doubts(loaded)]
    if doubts and not request.yes:
        if not sys.stdin.isatty():
            hint = "--yes publishes it all the same"
            raise PlanRefused(f"cannot publish {reference}: {'; '.join(doubts)}", hint=hint)
        confirm(session, f"publish {reference}", "\n".join(doubts), flag="--yes")
    pushes = dict.fromkeys(item.image for item in loaded.stack.services.values() if item.build and item.image)
    jobs = [Job("push", image, push_request(image, session.environment)) for image in pushes if image]
    final = Job(
        "publish", reference, publish_request(reference, session.environment, [item.to_json() for item in files])
    )
    for step in (jobs, [final]):
        Transfers(session, "publish", step, quiet=request.quiet).run()
        errors: list[StackupError] = [job.error for job in step if job.error is not None]
        for error in grouped(errors):
            report.show(error, session.console)
            return error.exit_code
    assert final.result is not None
    session.console.print(f"oci://{reference}: digest: {final.result['digest']}")
    return 0


def _problems(loaded: Loaded, request: Request) -> Iterator[StackupError]:
    """What would not be there for whoever takes the stack from the registry."""
    if "-" in loaded.stack.files:
        raise UsageError("cannot publish a stack file that is piped in", hint="give its path with -f")
    for link in loaded.links:
        for file in link.files:
            if not link.services and Path(file).is_absolute() and not _fetched(loaded, file):
                yield _at(link.node.position, f"cannot publish: the included {_shown(loaded, file)} would stay here")
            if link.services and file not in loaded.stack.files and not _beside(loaded, file):
                yield _at(
                    link.node.position, f"cannot publish: {_shown(loaded, file)}, which is extended, is elsewhere"
                )
    for service in loaded.stack.services.values():
        where = loaded.key_position(f"services.{service.name}")
        if service.build is not None and not service.image:
            text = f"cannot publish: service {service.name} is built here and has no image that others could pull"
            yield StackFileError(text, where=where, hint="give it an `image:` beside its `build:`")
        yield from _env_problems(loaded, service, request)


def _env_problems(loaded: Loaded, service: Service, request: Request) -> Iterator[StackupError]:
    for index, item in enumerate(service.env_file):
        where, snippet = loaded.place(f"services.{service.name}.env_file.{index}")
        if not request.with_env:
            yield StackFileError(
                f"cannot publish: the values in {_shown(loaded, item.path)} would be open to whoever may pull",
                where=where,
                snippet=snippet,
                hint="--with-env publishes them all the same",
            )
        elif not _beside(loaded, item.path):
            yield _at(where, f"cannot publish: the env file {_shown(loaded, item.path)} is not beside the stack file")


def _at(where: object, text: str) -> StackFileError:
    from stackup.base.errors import Position

    return StackFileError(text, where=where if isinstance(where, Position) else None, hint=_WHOLE)


def _shown(loaded: Loaded, file: str) -> str:
    path = Path(file)
    return str(path.relative_to(loaded.directory)) if path.is_relative_to(loaded.directory) else file


def _beside(loaded: Loaded, file: str) -> bool:
    """Beside the stack file, so that its plain name leads to it there as well as here; or from elsewhere anyway."""
    return Path(file).parent == loaded.directory or _fetched(loaded, file)


def _fetched(loaded: Loaded, file: str) -> bool:
    """It came from another machine, and will come from there for others, too."""
    from stackup.base.paths import Layout

    return Path(file).is_relative_to(Layout.from_environment(dict(loaded.environment)).cache)


def _doubts(loaded: Loaded) -> Iterator[str]:
    """What somebody may not want others to read, or cannot work elsewhere."""
    for service in loaded.stack.services.values():
        if service.environment:
            yield f"service {service.name} has environment variables; their values are published as the file has them"
        for mount in service.volumes:
            if mount.type == "bind":
                yield f"service {service.name} mounts {mount.source}, which is a path of this machine"


def _files(session: Session, loaded: Loaded, request: Request) -> Iterator[File]:
    from stackup.images.artifacts import ENV_FILE, File

    for file in loaded.stack.files:
        if not _fetched(loaded, file):
            yield File(Path(file).name, _read(file))
    extended = {file for link in loaded.links if link.services for file in link.files}
    for file in sorted(extended - {*loaded.stack.files}):
        if not _fetched(loaded, file):
            yield File(Path(file).name, _read(file), extends=True)
    if request.resolve_image_digests:
        yield File("image-digests.yaml", _digests(session, loaded))
    if request.with_env:
        paths = {item.path for service in loaded.stack.services.values() for item in service.env_file}
        for path in sorted(paths):
            if Path(path).exists():
                yield File(Path(path).name, _read(path), ENV_FILE)


def _read(file: str) -> bytes:
    try:
        return Path(file).read_bytes()
    except OSError as error:
        raise StackupError(f"cannot publish {file}: {error.strerror}") from None


def _digests(session: Session, loaded: Loaded) -> bytes:
    from stackup.cli.imagedigests import lock, pin
    from stackup.cli.verbs.config import filled_in
    from stackup.stackfile.yamltext import as_yaml

    built = {name for name, service in loaded.stack.services.items() if service.build is not None}
    config = filled_in(loaded)
    config["services"] = {name: item for name, item in config["services"].items() if name not in built}
    return as_yaml(lock(pin(config, session.environment))).encode()
