"""The short form of ``./dev fuzz``: every case of the corpus, then a minute of new ones."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from tests.fuzz.hunting import hunt
from tests.fuzz.loading import CORPUS, joined, split, try_case

SECONDS = float(os.environ.get("STACKUP_FUZZ_SECONDS", "60"))


@pytest.mark.parametrize("path", sorted(CORPUS.iterdir()), ids=lambda path: path.stem)
def test_corpus(tmp_path: Path, path: Path) -> None:
    data = path.read_bytes()
    assert try_case(tmp_path, data) == (not path.name.startswith("refused-"))
    assert split(joined(split(data))).keys() == split(data).keys()


@pytest.mark.timeout(SECONDS + 120)
def test_new_cases() -> None:
    result = hunt(SECONDS, first_seed=1)
    assert result.failure is None, f"{result.trace}\nthe case:\n{result.failure!r}"
    assert result.loads > 100
    assert result.stacks > result.loads / 50  # else the cases are too broken to reach what comes after reading
