"""``python -m stackup`` and the ``stackup`` command."""

from __future__ import annotations

import gc
import os
import sys

from stackup.base.late import later


def main() -> int:
    """A project's supervisor goes straight to its module; everything else is a command line."""
    # dataclasses imports the one (with ast, dis and tokenize), pathlib the other: an eighth of what a quick command
    # executes, for functions that nobody calls.
    later("inspect")
    later("ipaddress")
    argv = sys.argv[1:]
    if len(argv) == 2 and argv[0] == "supervisor":
        gc.disable()  # while it imports; it switches it on again
        from stackup.control.supervisor import main as supervise

        return supervise(argv[1])
    from stackup.cli.quick import main as run

    leave(run(argv))
    raise AssertionError("unreachable")


def leave(code: int) -> None:
    """Ends without taking the interpreter apart, which would cost a quick command a sixth of its time."""
    for stream in (sys.stdout, sys.stderr):
        try:
            stream.flush()
        except (OSError, ValueError):
            continue
    os._exit(code)


if __name__ == "__main__":
    sys.exit(main())
