"""Killing stackup's own processes at instants that a test names; see ``stackup.engine.faults``."""

from __future__ import annotations

import json
import os
import random
from collections.abc import Mapping
from pathlib import Path

from tests.support.scenario import Scenario

KILLS = {"supervisor": ["supervisor"], "launcher": ["launcher"], "all": ["launcher", "supervisor"]}


class Faults:
    """Make one before the scenario's first command: stackup's processes learn of it by their environment."""

    def __init__(self, scenario: Scenario) -> None:
        self._file = Path(f"{scenario.root}.faults")
        self._seen = Path(f"{scenario.root}.faults.seen")
        scenario.stackup.environment["STACKUP_FAULTS"] = str(self._file)

    def watch(self) -> None:
        """Notes instants from now on, and kills nobody."""
        self._seen.unlink(missing_ok=True)
        self._write({})

    def instants(self) -> list[str]:
        """Those since ``watch``, each once, in order; it is over now."""
        self._file.unlink(missing_ok=True)
        return list(dict.fromkeys(self._seen.read_text().splitlines()))

    def arm(self, whom: str, at: str) -> None:
        """``whom``: supervisor, launcher or all."""
        self.arm_all({at: whom})

    def arm_all(self, whom: Mapping[str, str]) -> None:
        """Who dies (supervisor, launcher or all) at which instant, one after the other."""
        self._write({at: KILLS[kind] for at, kind in whom.items()})

    def armed(self) -> list[str]:
        """The instants that have not come yet."""
        try:
            return list(json.loads(self._file.read_text()))
        except FileNotFoundError:
            return []

    def _write(self, victims: Mapping[str, list[str]]) -> None:
        part = self._file.with_suffix(".part")
        part.write_text(json.dumps(victims))
        part.rename(self._file)

    def struck(self) -> bool:
        """Whether all of them came; nothing is armed any more."""
        came = not self._file.exists()
        self._file.unlink(missing_ok=True)
        return came


def seed() -> int:
    """Printed, and shown when the test fails; STACKUP_TEST_SEED repeats a run."""
    chosen = int(os.environ.get("STACKUP_TEST_SEED", random.randrange(1 << 32)))
    print(f"seed {chosen} (repeat it with STACKUP_TEST_SEED={chosen})")
    return chosen
