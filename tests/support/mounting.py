"""Taking mounts away in tests."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

from tests.support import residue
from tests.support.waiting import eventually


def unmounted(point: Path | str) -> None:
    """Takes a mount away. A process on its way out is invisible (no command line) before it has closed its files.

    So "busy" is looked at again until the deadline; what is still open then is named.
    """

    def look() -> bool:
        done = subprocess.run(["umount", str(point)], capture_output=True, text=True)
        assert done.returncode == 0, f"{done.stderr.strip()}; held by {holders(str(point))}"
        return True

    eventually(look, f"umount {point}")


def holders(point: str) -> list[str]:
    found = []
    for entry in os.listdir("/proc"):
        if entry.isdigit() and any(residue.is_below(target, point) for target in residue.held_files(int(entry))):
            found.append(f"{entry} {residue.read(f'/proc/{entry}/stat')[:40]}")
    return found
