"""Builds images for services, in a worker process of its own, so that the supervisor's loop never waits for one."""

from __future__ import annotations

import asyncio
import json
import os
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from stackup.base.errors import ImageError, StackFileError, StackupError
from stackup.engine.apply import Emit
from stackup.engine.observe import service_image
from stackup.engine.world import World
from stackup.model.stack import Build, Stack

LINE_LIMIT = 16 << 20  # bytes of one progress event


async def build_service(
    world: World, stack: Stack, service_name: str, environment: Mapping[str, str], emit: Emit, action: str
) -> None:
    """Builds the service's image and tells what happens as ``progress`` events. Raises ImageError, StackFileError."""
    build = stack.services[service_name].build
    if build is None:
        raise StackFileError(f"cannot build service {service_name}: it has no `build`")
    request = build_request(build, service_image(stack, service_name), environment)
    await run_worker(world.layout.root, request, emit, {"action": action, "service": service_name})


def build_request(build: Build, reference: str, environment: Mapping[str, str]) -> dict[str, Any]:
    """``build.BuildRequest`` as JSON. Arguments without a value take the user's, as docker compose does."""
    args = {name: environment.get(name) if value is None else value for name, value in build.args.items()}
    return {
        "context": build.context or ".",
        "dockerfile": build.dockerfile or "",
        "inline": build.dockerfile_inline or "",
        "target": build.target or "",
        "args": {name: value for name, value in args.items() if value is not None},
        "tags": [reference, *build.tags],
        "labels": dict(build.labels),
        "network": build.network or "",
        "no_cache": build.no_cache,
        "pull": build.pull,
        "extra_hosts": {name: list(targets) for name, targets in build.extra_hosts.items()},
        "shm_size": build.shm_size or 0,
        "additional_contexts": dict(build.additional_contexts),
    }


async def run_worker(root: str, request: dict[str, Any], emit: Emit, about: dict[str, Any]) -> None:
    """Runs ``python -m stackup.build.worker``; when this is cancelled, the worker is ended and cleans up."""
    environment = {**os.environ, "PYTHONPATH": str(Path(__file__).parents[2])}
    if root:
        environment["STACKUP_ROOT"] = root
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        "-P",
        "-m",
        "stackup.build.worker",
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
        env=environment,
        limit=LINE_LIMIT,
    )
    try:
        await _converse(process, request, emit, about)
    finally:
        if process.returncode is None:
            process.terminate()
            await process.wait()


def _told(event: dict[str, Any]) -> dict[str, Any]:
    """A builder's event for the user: a line of output, or what is being done."""
    if event["kind"] == "output":
        return {"line": event["line"], "stream": event["stream"]}
    return {"text": event["text"], "kind": event["kind"]}


async def _converse(
    process: asyncio.subprocess.Process, request: dict[str, Any], emit: Emit, about: dict[str, Any]
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
            await process.wait()
            return
        emit({"event": "progress", **about, **_told(event)})
    code = await process.wait()
    raise ImageError(f"cannot build an image for {about['service']}: the builder ended with code {code}")
