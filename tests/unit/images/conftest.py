"""A registry that misbehaves on demand, and somebody who pulls from it."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from registry_support import Client

from tests.support.fakeregistry import FakeRegistry


@pytest.fixture
def registry() -> Iterator[FakeRegistry]:
    with FakeRegistry().serving() as fake:
        yield fake


@pytest.fixture
def client(tmp_path: Path) -> Client:
    return Client(tmp_path)
