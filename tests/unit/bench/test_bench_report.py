"""The bench's arithmetic: medians, the price of one more container, promised ratios."""

from __future__ import annotations

from pathlib import Path

import pytest

from stackup.stackfile import LoadRequest, load
from tests.bench import loader
from tests.bench.__main__ import compose_file
from tests.bench.report import Bound, Results, bounds, shown, table


@pytest.fixture
def results() -> Results:
    results = Results()
    for ten, fifty in ((0.5, 0.9), (0.4, 0.8), (9.0, 9.0)):
        results.add("stackup", "10", "up", ten)
        results.add("stackup", "50", "up", fifty)
    for engine, ten, fifty in (("kernel floor", 0.04, 0.2), ("docker compose", 4.0, 20.0)):
        results.add(engine, "10", "up", ten)
        results.add(engine, "50", "up", fifty)
    return results


def test_the_median_counts(results: Results) -> None:
    assert results.value("stackup", "10", "up") == 0.5
    assert results.value("stackup", "10", "ps") is None


def test_one_more_container(results: Results) -> None:
    assert results.marginal("stackup") == pytest.approx(0.01)
    assert results.marginal("podman") is None


def test_bounds_hold_or_say_that_they_were_not_measured(results: Results) -> None:
    first, second, third = bounds(results, "docker compose")
    assert first.value == pytest.approx(2.5) and first.holds
    assert second.value == pytest.approx(0.045) and second.holds
    assert not third.holds and str(third).startswith("not measured")
    assert str(Bound("x", 4.0, 3.0)) == "DOES NOT HOLD: x: 4.00 (at most 3)"


def test_the_table_has_a_row_for_each_stack_and_verb(results: Results) -> None:
    lines = list(table(results, ["10", "50"], ["docker compose"]))
    assert len(lines) == 2 + 2 * 5 + 1
    assert "| 50 | up | 900 ms | 200 ms | 4.50 | 20.00 s | 0.04 |" in lines
    assert len({line.count("|") for line in lines}) == 1


def test_times_are_shown_for_people() -> None:
    assert (shown(0.0123), shown(1.5), shown(None)) == ("12 ms", "1.50 s", "")


def test_a_chain_depends_one_on_the_other() -> None:
    text = compose_file("chain")
    assert text.count("image:") == 10 and "depends_on: [s08]" in text
    assert "depends_on" not in compose_file("10")


def test_the_loaders_line_has_the_width_of_the_table(results: Results) -> None:
    head, *_ = table(results, ["10"], ["docker compose"])
    assert loader.row([0.15, 0.1, 0.2], 4).count("|") == head.count("|")
    assert "| 150 ms |" in loader.row([0.15, 0.1, 0.2], 4)
    assert str(loader.bound([0.15])).startswith("holds: milliseconds to read")
    assert not loader.bound([0.3]).holds


def test_the_loaders_file_is_as_large_as_promised(tmp_path: Path) -> None:
    assert 4_500 <= loader.stack_file().count("\n") <= 5_500
    (tmp_path / "compose.yaml").write_text(loader.stack_file(3))
    assert len(load(LoadRequest(tmp_path, environment={})).stack.services) == 3
