"""What a failed plan takes away again, and what it says of it."""

from __future__ import annotations

from types import SimpleNamespace

from stackup.engine.withdrawal import stands_beside, superseded_text, withdrawn_text


def made(id: str, name: str) -> SimpleNamespace:
    return SimpleNamespace(id=id, name=name)


def test_what_replaces_stands_beside_what_it_replaces_until_that_has_gone() -> None:
    new, old, other = made("new", "shop-web-1"), made("old", "shop-web-1"), made("o", "shop-db-1")
    assert stands_beside(new, [new, old, other], {"new": "old"})
    assert not stands_beside(new, [new, other], {"new": "old"})


def test_also_under_another_name() -> None:
    assert stands_beside(made("new", "front"), [made("old", "shop-web-1")], {"new": "old"})


def test_what_replaces_nothing_stands_beside_nothing() -> None:
    new = made("new", "shop-web-1")
    assert not stands_beside(new, [new, made("o", "shop-db-1")], {"new": ""})


def test_what_is_said() -> None:
    one, two = made("1", "shop-web-1"), made("2", "shop-db-1")
    assert withdrawn_text([]) == ""
    assert withdrawn_text([one]) == "shop-web-1 was removed again: nothing of the project runs"
    assert withdrawn_text([one, two]) == "shop-web-1 and shop-db-1 were removed again: nothing of the project runs"
    assert "shop-web-1 was not replaced" in superseded_text(one)
