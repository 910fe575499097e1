"""Builds and pulls images for services, in worker processes of their own, so that the supervisor's loop never waits."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager, nullcontext, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

from stackup.base.clock import now_ns
from stackup.base.errors import ImageError, Position, StackupError
from stackup.base.values import changed
from stackup.engine.apply import Emit
from stackup.engine.build_requests import build_request
from stackup.engine.observe import service_image
from stackup.engine.world import World
from stackup.images import transfers
from stackup.images.claims import Claim
from stackup.images.registry.errors import RegistryError
from stackup.images.store import is_host
from stackup.model.observed import ImageMarks
from stackup.model.plan import PullImage
from stackup.model.stack import Stack

if TYPE_CHECKING:
    from stackup.base.paths import Layout
    from stackup.engine.loading import LoadedStack
    from stackup.images.image import Image

BUILDER = "stackup.build.worker"
GRACE = 15.0  # seconds that a worker has to clean up
PULLS_AT_ONCE = 3  # images; each brings in several layers at a time

_pulls = asyncio.Semaphore(PULLS_AT_ONCE)


async def claim_images(world: World, stack: Stack) -> AbstractContextManager[object]:
    """Keeps the images of the stack's services here, and what is brought in under their names, until it is left."""
    references = {service_image(stack, name) for name in stack.services}
    wanted = [reference for reference in references if not is_host(reference)]
    if not wanted:
        return nullcontext()
    return await asyncio.to_thread(Claim, world.layout, f"project {world.project}", wanted)


async def build_service(
    world: World,
    stack: Stack,
    service_name: str,
    environment: Mapping[str, str],
    emit: Emit,
    action: str,
    loaded: LoadedStack | None = None,
) -> None:
    """Builds the service's image and tells what happens as ``progress`` events. ``loaded``: what warnings point into.
    Raises ImageError, StackFileError."""
    request = build_request(stack, service_name, environment)
    about = {"action": action, "service": service_name}

    def tell(event: dict[str, Any]) -> None:
        warned = event.get("kind") == "warning"
        emit({"event": "notice", "text": build_warning(event, service_name, loaded)} if warned else event)

    task = f"build an image for {service_name}"
    await run_worker(BUILDER, task, world.layout.root, request, tell, about, lambda: _sweep_builds(world.layout))


def _sweep_builds(layout: Layout) -> None:
    from stackup.build import sweep  # seldom needed

    sweep(layout)


def build_warning(event: Mapping[str, Any], service_name: str, loaded: LoadedStack | None) -> str:
    """At its place in the stack file, where that has the Dockerfile in it, or the attribute that it is about."""
    found = StackupError(event["message"], where=Position(event["file"], event["line"]) if event["file"] else None)
    if loaded is not None and event["about"]:
        loaded.point(found, f"services.{service_name}{event['about']}")
    if loaded is not None:
        loaded.point_inline(found, service_name)
        if found.where is not None:
            found.where = changed(found.where, file=_shortened(found.where.file, loaded.source.directory))
    return f"{found.where}: {found.message}" if found.where else found.message


def _shortened(file: str, directory: Path) -> str:
    path = Path(file)
    return str(path.relative_to(directory)) if path.is_absolute() and path.is_relative_to(directory) else file


async def pull_image(world: World, action: PullImage, environment: Mapping[str, str], emit: Emit) -> None:
    """Raises ImageError; where the image need not be the registry's newest and one is here, that is only told."""
    quick = not action.required and world.image(action.image) is not None
    request = transfers.pull_request(action.image, environment, action.platform, quick=quick)
    about = {"action": action.id, "service": action.service}
    try:
        async with _pulls:
            await run_worker(transfers.MODULE, f"pull {action.image}", world.layout.root, request, emit, about)
    except RegistryError as error:
        if action.required or world.image(action.image) is None:
            raise
        emit({"event": "notice", "text": f"{error.message}; the one that is here is used"})
        emit({"event": "progress", **about, "kind": "outcome", "did": "kept"})


def without_pulls(emit: Emit) -> Emit:
    """For who wants to hear nothing of how far pulls are."""

    def tell(event: dict[str, Any]) -> None:
        if event["event"] != "progress" or not event["action"].startswith(f"{PullImage.verb} "):
            emit(event)

    return tell


def marks_of(image: Image | None) -> ImageMarks | None:
    """What the planner may want to know of an image that is here."""
    if image is None:
        return None
    from datetime import datetime  # seldom needed

    age = None
    if image.pulled:
        age = max(0.0, now_ns() / 1e9 - datetime.fromisoformat(image.pulled).timestamp())
    return ImageMarks(age, str(image.platform or ""))


async def run_worker(
    module: str,
    task: str,
    root: str,
    request: dict[str, Any],
    emit: Emit,
    about: dict[str, Any],
    after_kill: Callable[[], object] = lambda: None,
) -> None:
    """Runs ``python -m MODULE``; when this is cancelled, the worker is ended and cleans up. ``task``: for an error.
    ``after_kill``: takes away what one that did not end in time has left; called in a thread."""
    process = await asyncio.create_subprocess_exec(
        *transfers.command(module),
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
        env=transfers.environment(root),
        limit=transfers.LINE_LIMIT,
    )
    try:
        await _converse(process, task, request, emit, about)
    finally:
        if not await _ended(process):
            with suppress(OSError, StackupError):  # what stays is collected by the next build
                await asyncio.to_thread(after_kill)


async def _ended(process: asyncio.subprocess.Process) -> bool:
    """Asks the worker to end; False when it had to be killed. It never outlives this, also when that is cancelled."""
    if process.returncode is not None:
        return True
    with suppress(ProcessLookupError):
        process.terminate()
    try:
        await asyncio.wait_for(process.wait(), GRACE)
    except TimeoutError:
        process.kill()
        await process.wait()
        return False
    except asyncio.CancelledError:
        process.kill()
        raise
    return True


def _told(event: dict[str, Any]) -> dict[str, Any]:
    """A worker's event for the user: a line of output, how far a transfer is, or what is being done."""
    match event["kind"]:
        case "output":
            return {"lines": event["lines"], "stream": event["stream"]}
        case "transfer":
            return {key: event[key] for key in ("kind", "layers", "rate", "left", "text") if key in event}
        case "built":
            return {"kind": "built", "text": event["text"], "did": event["summary"]}
        case "warning":
            return {key: event[key] for key in ("kind", "message", "file", "line", "about")}
    return {"text": event["text"], "kind": event["kind"]}


async def _converse(
    process: asyncio.subprocess.Process, task: str, request: dict[str, Any], emit: Emit, about: dict[str, Any]
) -> None:
    assert process.stdin is not None
    assert process.stdout is not None
    process.stdin.write(json.dumps(request).encode() + b"\n")
    process.stdin.close()
    async for line in process.stdout:
        event = json.loads(line)
        if event.get("event") == "error":
            raise StackupError.from_dict(event["error"])
        if event.get("event") == "done":
            with suppress(TimeoutError):
                await asyncio.wait_for(process.wait(), GRACE)
            return
        emit({"event": "progress", **about, **_told(event)})
    with suppress(TimeoutError):
        code = await asyncio.wait_for(process.wait(), GRACE)
        raise transfers.silent_end(task, code)
    raise ImageError(f"cannot {task}: the worker says nothing more and does not end")
