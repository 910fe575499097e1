"""``python -m stackup.images.worker``: one transfer as a JSON line on standard input, events as JSON lines out.

Requests: {"verb", "reference", "environment"} and what the verb needs: pull "platform"; push nothing more; artifact (a
published stack) "cache", the directory to keep it in; publish "files" (``artifacts.File``). ``environment`` is what of
the user's counts (``registry.caller``).

Events: ``progress`` (``meter``), then ``error`` with the error as a dictionary, or ``done``.

It ends at once by any signal, and with the process that started it (its only argument): what is half-made is
continued by the next transfer, or swept.
"""

from __future__ import annotations

import json
import os
import signal
import sys
import threading
import traceback
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from stackup.base.errors import Bug, StackupError, UsageError
from stackup.base.paths import Layout
from stackup.base.values import as_mapping
from stackup.images.registry.access import Registries
from stackup.images.registry.caller import Caller
from stackup.linux.process import die_with_parent

if TYPE_CHECKING:
    from stackup.images.store import ImageStore

_UNHEARD = 141  # 128 + SIGPIPE
_ORPHAN = 143  # 128 + SIGTERM


def _die_easily(parent: int) -> None:
    """A handler of Python's would run only when the main thread does, which waits for others most of the time."""
    for signum in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(signum, signal.SIG_DFL)
    die_with_parent(signal.SIGKILL)
    if parent and os.getppid() != parent:  # it was quicker
        os._exit(_ORPHAN)


def transfer(request: Mapping[str, Any], layout: Layout, tell: Any) -> dict[str, Any]:
    """Does what ``request`` asks for; answers the ``done`` event. Raises StackupError."""
    registries = Registries(Caller(request.get("environment") or {}))
    try:
        for text in registries.settings.warnings:
            tell({"event": "progress", "kind": "note", "text": f"warning: {text}"})
        return {"event": "done", **_VERBS[request["verb"]](request, layout, registries, tell)}
    except KeyError as error:
        raise UsageError(f"cannot transfer: the request has no {error}, or one that is not known") from None
    finally:
        registries.close()


def _pull(request: Mapping[str, Any], layout: Layout, registries: Registries, tell: Any) -> dict[str, Any]:
    from stackup.images.pulling import pull

    store = _store(layout)
    platform, quick = request.get("platform") or "", bool(request.get("quick"))
    return as_mapping(pull(store, request["reference"], registries, tell, platform=platform, quick=quick))


def _push(request: Mapping[str, Any], layout: Layout, registries: Registries, tell: Any) -> dict[str, Any]:
    from stackup.images.pushing import push

    return as_mapping(push(_store(layout), request["reference"], registries, tell))


def _store(layout: Layout) -> ImageStore:
    from stackup.images.store import ImageStore

    store = ImageStore(layout)
    store.sweep()
    return store


def _artifact(request: Mapping[str, Any], _layout: Layout, registries: Registries, _tell: Any) -> dict[str, Any]:
    from stackup.images import artifacts

    return {"path": str(artifacts.fetch(request["reference"], Path(request["cache"]), registries))}


def _publish(request: Mapping[str, Any], _layout: Layout, registries: Registries, _tell: Any) -> dict[str, Any]:
    from stackup.images import artifacts

    files = [artifacts.File.from_json(item) for item in request["files"]]
    return {"reference": request["reference"], "digest": artifacts.publish(request["reference"], files, registries)}


_VERBS = {"pull": _pull, "push": _push, "artifact": _artifact, "publish": _publish}


def main() -> int:
    # Standard output belongs to the events; whatever else prints goes to standard error.
    out = os.fdopen(os.dup(1), "w", encoding="utf-8", errors="replace")
    os.dup2(2, 1)
    _die_easily(int(sys.argv[1]) if len(sys.argv) > 1 else 0)
    lock = threading.Lock()

    def tell(event: dict[str, Any]) -> None:
        try:
            with lock:
                out.write(json.dumps(event) + "\n")
                out.flush()
        except BrokenPipeError:  # nobody waits for it any more, and this is no fault of the transfer
            os._exit(_UNHEARD)

    try:
        tell(transfer(json.loads(sys.stdin.readline()), Layout.from_environment(), tell))
        return 0
    except StackupError as error:
        tell({"event": "error", "error": error.to_dict()})
    except Exception as error:  # noqa: BLE001 - the other side must hear of it, whatever it is
        bug = Bug(f"cannot transfer: {type(error).__name__}: {error}", snippet=traceback.format_exc())
        tell({"event": "error", "error": bug.to_dict()})
    return 1


if __name__ == "__main__":
    sys.exit(main())
