"""``python -m stackup.images.worker``: one transfer as a JSON line on standard input, events as JSON lines out.

Requests: {"verb": "pull", "reference", "platform", "environment"} and {"verb": "push", "reference", "environment"};
``environment`` is what of the user's counts (``registry.caller``).

Events: ``progress`` (``meter``), then ``error`` with the error as a dictionary, or ``done``.
"""

from __future__ import annotations

import json
import os
import signal
import sys
import threading
import traceback
from collections.abc import Mapping
from types import FrameType
from typing import Any

from stackup.base.errors import Bug, StackupError, UsageError
from stackup.base.paths import Layout
from stackup.base.values import as_mapping
from stackup.images.registry.access import Registries
from stackup.images.registry.caller import Caller
from stackup.images.store import ImageStore

_TERMINATED = 143


def _terminate(_signum: int, _frame: FrameType | None) -> None:
    """At once: what is half-made is continued by the next transfer, or swept."""
    os._exit(_TERMINATED)


def transfer(request: Mapping[str, Any], layout: Layout, tell: Any) -> dict[str, Any]:
    """Does what ``request`` asks for; answers the ``done`` event. Raises StackupError."""
    from stackup.images.pulling import pull

    registries = Registries(Caller(request.get("environment") or {}))
    store = ImageStore(layout)
    store.sweep()
    reference = str(request["reference"])
    try:
        match request["verb"]:
            case "pull":
                pulled = pull(store, reference, registries, tell, platform=str(request.get("platform") or ""))
                return {"event": "done", **as_mapping(pulled)}
            case "push":
                from stackup.images.pushing import push

                return {"event": "done", **as_mapping(push(store, reference, registries, tell))}
        raise UsageError(f"cannot {request['verb']}: the transfer worker does not know that")
    finally:
        registries.close()


def main() -> int:
    # Standard output belongs to the events; whatever else prints goes to standard error.
    out = os.fdopen(os.dup(1), "w", encoding="utf-8", errors="replace")
    os.dup2(2, 1)
    signal.signal(signal.SIGTERM, _terminate)
    signal.signal(signal.SIGINT, _terminate)
    lock = threading.Lock()

    def tell(event: dict[str, Any]) -> None:
        with lock:
            out.write(json.dumps(event) + "\n")
            out.flush()

    try:
        tell(transfer(json.loads(sys.stdin.readline()), Layout.from_environment(), tell))
        return 0
    except StackupError as error:
        tell({"event": "error", "error": error.to_dict()})
    except BrokenPipeError:
        return 1
    except Exception as error:  # noqa: BLE001 - the other side must hear of it, whatever it is
        bug = Bug(f"cannot transfer: {type(error).__name__}: {error}", snippet=traceback.format_exc())
        tell({"event": "error", "error": bug.to_dict()})
    return 1


if __name__ == "__main__":
    sys.exit(main())
