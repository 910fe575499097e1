"""How far a transfer is."""

from __future__ import annotations

from typing import Any

from stackup.images.meter import DONE, DOWNLOADING, HERE, Meter

A, B = "sha256:" + "a" * 64, "sha256:" + "b" * 64


def test_rates_and_what_is_left() -> None:
    now, told = [100.0], list[dict[str, Any]]()
    meter = Meter(told.append, lambda: now[0])
    meter.add(A, 1000)
    meter.add(B, 500)
    meter.state(B, HERE, "already here")
    assert told[-1]["text"] == f"{'b' * 12}: already here"
    meter.state(A, DOWNLOADING)
    assert "text" not in told[-1]
    for done in (100, 200, 300):
        now[0] += 1
        meter.arrived(A, done, 100)
    assert (told[-1]["rate"], told[-1]["left"]) == (100, 7.0)
    assert told[-1]["layers"] == [
        {"id": "a" * 12, "state": "downloading", "done": 300, "size": 1000, "rate": 150},
        {"id": "b" * 12, "state": "here", "done": 500, "size": 500, "rate": 0},
    ]
    count = len(told)
    now[0] += 0.01
    meter.arrived(A, 310, 10)
    assert len(told) == count, "not every byte is told"
    meter.state(A, DONE, "pulled")
    assert told[-1]["layers"][0]["done"] == 1000
    assert told[-1]["left"] is None
