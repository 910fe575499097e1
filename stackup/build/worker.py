"""``python -m stackup.build.worker``: one BuildRequest as a JSON line on standard input, events as JSON lines out.

Events: ``progress`` (see ``build.progress``), then ``error`` with the error as a dictionary, or ``done`` with the
image's id and references. SIGTERM ends the build cleanly, and so does the end of the process that started it (its only
argument).
"""

from __future__ import annotations

import json
import os
import signal
import sys
import traceback
from types import FrameType

from stackup.base.errors import Bug, StackupError
from stackup.base.paths import Layout
from stackup.build import BuildRequest, build_image
from stackup.build.metadata import PROXIES
from stackup.build.telling import Teller
from stackup.linux.process import die_with_parent

_TERMINATED = 143
_FETCHING = (*PROXIES, "SSL_CERT_FILE", "SSL_CERT_DIR", "HOME", "XDG_CONFIG_HOME")


def _terminate(_signum: int, _frame: FrameType | None) -> None:
    """Unwinds, so that everything is taken away; once. asyncio lets nothing but SystemExit through its callbacks."""
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    raise SystemExit(_TERMINATED)


def _end_with(parent: int) -> None:
    """What a killed supervisor has begun is nobody's, and a command of it might hang for ever."""
    die_with_parent(signal.SIGTERM)
    if parent and os.getppid() != parent:  # it was quicker
        raise SystemExit(_TERMINATED)


def _of_the_user(request: BuildRequest) -> dict[str, str]:
    """For what the build fetches: proxies, trust, git's settings and keys of whoever asked."""
    agent = request.ssh.get("default", ("",))[0]
    found = {name: value for name, value in request.environment.items() if name in _FETCHING}
    return {**found, **({"SSH_AUTH_SOCK": agent} if agent else {})}


def main() -> int:
    # Standard output belongs to the events; whatever else prints goes to standard error.
    out = os.fdopen(os.dup(1), "w", encoding="utf-8", errors="replace")
    os.dup2(2, 1)
    signal.signal(signal.SIGTERM, _terminate)
    _end_with(int(sys.argv[1]) if len(sys.argv) > 1 else 0)

    teller = Teller(out)
    tell = teller.tell
    try:
        request = BuildRequest.from_json(json.loads(sys.stdin.readline()))
        teller.quiet = request.quiet
        os.environ.update(_of_the_user(request))
        image = build_image(request, Layout.from_environment(), teller.progress)
        tell({"event": "done", "image": image.id, "reference": image.reference})
        return 0
    except StackupError as error:
        tell({"event": "error", "error": error.to_dict()})
    except KeyboardInterrupt:
        return 130
    except BrokenPipeError:
        return 1
    except Exception as error:  # noqa: BLE001 - the other side must hear of it, whatever it is
        bug = Bug(f"cannot build: {type(error).__name__}: {error}", snippet=traceback.format_exc())
        tell({"event": "error", "error": bug.to_dict()})
    return 1


if __name__ == "__main__":
    sys.exit(main())
