"""A build's events as JSON lines."""

from __future__ import annotations

import io
import json
from typing import Any

import pytest

from stackup.base.errors import StackFileError
from stackup.build import telling
from stackup.build.progress import Noted, Output
from stackup.build.shown import Tail
from stackup.build.telling import Teller
from tests.support.waiting import eventually


class Pipe(io.StringIO):
    @property
    def events(self) -> list[dict[str, Any]]:
        return [json.loads(line) for line in self.getvalue().splitlines()]


def test_output_goes_in_batches_and_keeps_its_order(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(telling, "_DELAY", 1000.0)
    out = Pipe()
    teller = Teller(out)
    for number in range(1000):
        teller.progress(Output("stdout", (str(number),)))
    teller.progress(Output("stderr", ("a", "b"), "stage"))
    teller.progress(Output("stdout", ("last",)))
    teller.progress(Noted("a note"))
    assert [(event.get("stream"), event.get("lines")) for event in out.events] == [
        ("stdout", [str(number) for number in range(1000)]), ("stderr", ["[stage] a", "[stage] b"]),
        ("stdout", ["last"]), (None, None),
    ]  # fmt: skip
    assert out.events[-1]["text"] == "a note"


def test_what_is_held_back_comes_by_itself() -> None:
    out = Pipe()
    Teller(out).progress(Output("stdout", ("alone",)))
    eventually(lambda: [event["lines"] for event in out.events] == [["alone"]])


def test_much_is_not_held_back() -> None:
    out = Pipe()
    teller = Teller(out)
    for _ in range(100):
        teller.progress(Output("stdout", ("x" * 10_000,)))
    assert len(out.getvalue()) > 800_000


def test_quiet() -> None:
    out = Pipe()
    teller = Teller(out, quiet=True)
    teller.progress(Output("stdout", ("a",)))
    teller.tell({"event": "done"})
    assert out.events == [{"event": "done"}]


def test_bytes_that_are_no_utf8_and_control_sequences() -> None:
    out = Pipe()
    teller = Teller(out)
    teller.progress(Output("stdout", ("\x1b[31mred", "\x1b[2J\x1b]0;title\x07plain\x08")))
    teller.tell({"event": "error", "error": StackFileError("cannot read \udce9").to_dict()})
    assert out.events[0]["lines"] == ["\x1b[31mred\x1b[0m", "plain"]
    assert out.events[1]["error"]["message"] == "cannot read \ufffd"


def test_the_tail_is_short_whatever_was_printed() -> None:
    tail = Tail()
    tail.add([str(number) for number in range(1000)])
    assert tail.lines == [str(number) for number in range(980, 1000)]
    tail.add(["\x1b[31mred\x1b[0m \x1b[2J", *["x" * 300_000] * 18, "end"])
    assert tail.lines[0] == "red " and tail.lines[-1] == "end"
    assert len("".join(tail.lines)) < 12_000
