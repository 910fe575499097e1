"""Ctrl-C while a service prints more than anybody can read: its last words are shown, and no flood."""

from __future__ import annotations

from stackup.cli.lastwords import BACKLOG, FRESH, LAST, LastWords
from stackup.cli.loglines import LogPrinter
from tests.unit.cli.cli_support import Capture, console, exited, log

CTRL_C = 1_000


def text(stream: object) -> str:
    assert isinstance(stream, Capture)
    return stream.text()


def words(count: int, word: str) -> str:
    return "\n".join(f"{word} {number}" for number in range(count))


def test_what_was_printed_before_is_cut_short_and_what_comes_is_shown() -> None:
    of = console()
    last = LastWords(LogPrinter(of, "shop", prefix=False), CTRL_C)
    last.log(log("web-1", words(BACKLOG - 1, "old"), time_ns=CTRL_C - 5))
    last.log(log("web-1", words(9_000, "older"), time_ns=CTRL_C - 4))
    last.log(log("web-1", words(3, "closing"), time_ns=CTRL_C + 1))
    last.exited(exited("web-1", 0))
    shown = text(of.out).splitlines()
    assert shown[BACKLOG - 2 :] == [
        "old 18",
        "older 0",
        "closing 0",
        "closing 1",
        "closing 2",
        "web-1 exited with code 0",
    ]
    assert "of web-1's output left out: see stackup logs" in text(of.err)


def test_one_that_goes_on_printing_has_its_first_and_last_words() -> None:
    of = console()
    last = LastWords(LogPrinter(of, "shop", prefix=False), CTRL_C)
    for number in range(FRESH + 500):
        last.log(log("web-1", f"line {number}", time_ns=CTRL_C + number))
    last.log(log("db-1", "bye", time_ns=CTRL_C + 1))
    last.passed_over({"event": "passed over", "name": "web-1", "bytes": 5_000_000})
    last.close()
    shown = text(of.out).splitlines()
    numbers = [*range(FRESH), *range(FRESH + 500 - LAST, FRESH + 500)]
    assert [line for line in shown if line != "bye"] == [f"line {number}" for number in numbers]
    assert shown.count("bye") == 1
    assert "(5" in text(of.err) and "db-1" not in text(of.err)
