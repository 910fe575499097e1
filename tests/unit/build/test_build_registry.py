"""Builds and registries: bases that are pulled, caches that are kept there."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest
from build_support import Bench, View, no_registry

from stackup.build.progress import Warned
from tests.support.archives import Archive
from tests.support.fakeregistry import FakeRegistry

pytestmark = pytest.mark.skipif(os.geteuid() != 0, reason="owners of files in layers need root")

TEXT = "FROM base\nCOPY a /a\nWORKDIR /w\nCOPY a /b\n"


@pytest.fixture
def registry() -> Iterator[FakeRegistry]:
    with FakeRegistry().serving() as fake:
        yield fake


@pytest.fixture
def bench(tmp_path: Path) -> Bench:
    found = Bench(tmp_path)
    found.file("a", "A")
    return found


def test_bases_are_pulled_where_they_are_missing(
    bench: Bench, registry: FakeRegistry, monkeypatch: pytest.MonkeyPatch
) -> None:
    name = f"{registry.host}/team/app:1"
    registry.image("team/app", "1", [Archive().add("pulled", b"1").data()])
    environment = {"HOME": str(bench.context)}
    text = f"FROM {name} AS one\nCOPY a /a\nFROM {name}\nCOPY --from=one /a /b\n"
    view = View(bench, bench.build(text, environment=environment))
    assert (view.text("/pulled"), view.text("/b")) == ("1", "A")
    before = len(registry.seen)
    bench.build(text, environment=environment)
    assert len(registry.seen) == before, "what is here is not asked for"
    registry.image("team/app", "1", [Archive().add("pulled", b"2").data()])
    assert View(bench, bench.build(text, environment=environment, pull=True)).text("/pulled") == "2"
    bench.refused(f"FROM {registry.host}/none:1\n", "cannot build FROM .*none:1: no such image here, and it cannot", 1)
    text = f"FROM scratch AS builder\nFROM scratch\nCOPY --from={registry.host}/builder /x /\n"
    bench.refused(text, rf"cannot take files from {registry.host}/builder: .* it cannot be pulled: (?!cannot)", 3)
    no_registry(monkeypatch)
    error = bench.refused("FROM scratch AS builder\nFROM scratch\nCOPY --from=bulder /x /\n", "cannot take files", 3)
    assert error.hint == "did you mean the stage builder?"


def test_a_cache_in_a_registry(bench: Bench, registry: FakeRegistry, tmp_path: Path) -> None:
    name = f"{registry.host}/cache/app:main"
    bench.build(TEXT, cache_to=(f"type=registry,ref={name},mode=max",))
    (tmp_path / "other").mkdir()
    other = Bench(tmp_path / "other")
    other.file("a", "A")
    view = View(other, other.build(TEXT, cache_from=(name,)))
    assert (other.cached, view.text("/b")) == (3, "A")
    bench.build(TEXT, cache_to=(f"type=registry,ref={name}",))
    registry.image("cache/app", "image", [Archive().add("f", b"1").data()])
    other.build(TEXT, cache_from=(f"{registry.host}/cache/app:image", f"{registry.host}/cache/none:1"))
    notes = [event.message for event in other.events if isinstance(event, Warned)]
    assert len(notes) == 2 and "no build cache" in notes[0] and "goes on without" in notes[1]
