"""Which configuration a rollback leads to: the one before the last change, or, where that was taken back, before it."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from types import SimpleNamespace

import pytest

from stackup.base.errors import PlanRefused
from stackup.engine.records import Definition, Records
from stackup.engine.rolling import desired_back, remember
from stackup.model.stack import Service, Stack


def version(number: int) -> Definition:
    config = {"image": "busybox", "environment": {"V": str(number)}}
    return Definition("c" * 64, "shop-web-1", "web", 1, 0, f"hash{number}", config, "busybox", "id")


class Past:
    def __init__(self, directory: Path) -> None:
        self.records = Records(directory / "records.db")

    def changes(self, old: int, new: int) -> None:
        for _ in range(3):  # once for each container
            remember(SimpleNamespace(records=self.records), version(old), version(new))  # type: ignore[arg-type]

    def back(self, *present: int, automatic: bool = False) -> str | None:
        stack = Stack(name="shop", services={"web": Service(name="web", image="busybox")})
        desired = desired_back(
            stack,
            {"services": ["web"]},
            meta=self.records.meta,
            image_id=lambda _: "id",
            present=[version(number) for number in present],
            automatic=automatic,
        )
        assert desired.stack is not None
        assert desired.scale == {"web": 1}
        return desired.stack.services["web"].environment["V"]


@pytest.fixture
def past(tmp_path: Path) -> Past:
    return Past(tmp_path)


def test_nothing_is_known_before_the_first_change(past: Past) -> None:
    with pytest.raises(PlanRefused, match="no configuration before the present one is known"):
        past.back(1)


def test_back_and_forth(past: Past) -> None:
    past.changes(1, 2)
    assert past.back(2) == "1"
    past.changes(2, 1)
    assert past.back(1) == "2"


@pytest.mark.parametrize("left", [(3,), (2, 3), (2,)])
def test_an_update_that_has_failed_leads_back_to_what_was_before_it(past: Past, left: Sequence[int]) -> None:
    past.changes(1, 2)
    past.changes(2, 3)
    assert past.back(*left, automatic=True) == "2"


def test_once_it_was_taken_back_the_way_leads_to_what_was_before_the_last_good_change(past: Past) -> None:
    past.changes(1, 2)
    for bad in (3, 4, 3):
        past.changes(2, bad)
        assert past.back(2) == "1"
    past.changes(2, 1)
    assert past.back(1) == "2"


def test_while_some_are_left_of_what_failed_it_leads_to_what_the_others_are(past: Past) -> None:
    past.changes(1, 2)
    past.changes(2, 3)
    assert past.back(2, 3) == "2"


def test_the_first_change_of_all_has_failed(past: Past) -> None:
    past.changes(1, 2)
    with pytest.raises(PlanRefused):
        past.back(1)
