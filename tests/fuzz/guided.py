"""``python -m tests.fuzz.guided``: Atheris over the loader, with libFuzzer's options. It ends the whole process."""

from __future__ import annotations

import os
import sys
import tempfile
from pathlib import Path

import atheris  # type: ignore[import-not-found,import-untyped,unused-ignore]

with atheris.instrument_imports(include=["stackup.stackfile", "yaml"]):
    from tests.fuzz.loading import try_case

from tests.fuzz.hunting import memory_directory


def main() -> None:
    with tempfile.TemporaryDirectory(prefix="stackup-fuzz-", dir=memory_directory()) as name:
        directory = Path(name)
        atheris.Setup(sys.argv, lambda data: try_case(directory, data))
        atheris.Fuzz()


if __name__ == "__main__":
    os.environ.setdefault("PYTHONHASHSEED", "0")
    main()
