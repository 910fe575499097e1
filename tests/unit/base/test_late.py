"""Modules that are only read when something of them is asked for."""

from __future__ import annotations

import json
import subprocess
import sys

from tests.support.cli import TREE

PROGRAM = """
import json, sys
from stackup.base.late import later
later("inspect")
import dataclasses

@dataclasses.dataclass(frozen=True)
class Thing:
    "A thing."
    number: int = 1

Thing()
before = "ast" in sys.modules
import inspect
from inspect import isclass
after = "ast" in sys.modules
later("inspect")
print(json.dumps([before, after, isclass(Thing), str(inspect.signature(Thing)), sys.modules["inspect"].__file__ or ""]))
"""


def test_it_is_read_at_the_first_question() -> None:
    done = subprocess.run([sys.executable, "-c", PROGRAM], cwd=TREE, capture_output=True, text=True, check=True)
    before, after, answer, signature, file = json.loads(done.stdout)
    assert (before, after, answer) == (False, True, True)
    assert signature.startswith("(number") and file.endswith("inspect.py")
