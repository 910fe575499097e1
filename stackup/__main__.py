"""``python -m stackup`` and the ``stackup`` command."""

from __future__ import annotations

import sys


def main() -> int:
    """A project's supervisor goes straight to its module; everything else is a command line."""
    argv = sys.argv[1:]
    if len(argv) == 2 and argv[0] == "supervisor":
        from stackup.control.supervisor import main as supervise

        return supervise(argv[1])
    from stackup.cli.quick import main as run

    return run(argv)


if __name__ == "__main__":
    sys.exit(main())
