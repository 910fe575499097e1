"""``python -m stackup`` and the ``stackup`` command."""

from __future__ import annotations

import sys

INTERNAL = {"supervisor": "stackup.control.supervisor"}


def main() -> int:
    """Internal processes go straight to their module; everything else is a command line."""
    argv = sys.argv[1:]
    if argv and argv[0] in INTERNAL:
        import importlib

        return int(importlib.import_module(INTERNAL[argv[0]]).main(argv[1:]) or 0)
    from stackup.cli.quick import main as run

    return run(argv)


if __name__ == "__main__":
    sys.exit(main())
