"""Golden texts: what a user is told for each mistake. ``mistakes.txt`` holds the files and the answers.

A block is a stack file, a line ``---``, and what is said: ``line:column message (hint)``. Blocks are separated by
``===``. After a deliberate change: ``python tests/unit/stackfile/test_mistakes.py`` writes the answers anew; read the
difference as a user would.
"""

from __future__ import annotations

import re
import tempfile
from pathlib import Path

import pytest
from stackfile_support import errors_of, said

from stackup.base.errors import StackFileError
from stackup.stackfile.nodes import Source

GOLDEN = Path(__file__).with_name("mistakes.txt")


def blocks() -> list[tuple[str, str]]:
    pairs = (
        block.partition("---\n")
        for block in re.split(r"^===\n", GOLDEN.read_text(encoding="utf-8"), flags=re.MULTILINE)
    )
    return [(text, answer) for text, _, answer in pairs]


def answer_to(text: str, directory: Path) -> str:
    project = directory / "shop"
    project.mkdir(exist_ok=True)
    return "".join(f"{said(error)}\n" for error in errors_of(project, text)).replace(f"{project}/", "")


@pytest.mark.parametrize(("text", "answer"), blocks())
def test_mistake(tmp_path: Path, text: str, answer: str) -> None:
    assert answer_to(text, tmp_path) == answer


def test_there_are_at_least_sixty() -> None:
    assert sum(answer.count("\n") for _, answer in blocks()) >= 60


def test_nothing_of_the_machinery_shows() -> None:
    text = GOLDEN.read_text(encoding="utf-8")
    assert not [word for word in ("pydantic", "Node(", "<class", "Traceback", "validation error") if word in text]


def test_the_caret_stands_below_the_mistake(tmp_path: Path) -> None:
    errors = errors_of(tmp_path, "services:\n  web:\n    image: a\n    prots: [80]\n")
    assert errors[0].snippet == "    prots: [80]\n    ^^^^^"
    errors = errors_of(tmp_path, "services:\n  web:\n    image: a\n    scale: many\n")
    assert errors[0].snippet == "    scale: many\n           ^^^^"


def test_variables_are_shown_inside_of_the_text(tmp_path: Path) -> None:
    (error,) = errors_of(tmp_path, "services:\n  web:\n    image: 'repo/${IMG:?which one}:1'\n")
    assert error.where is not None
    assert error.snippet.split("\n")[1].index("^") == error.snippet.index("${IMG")


def test_long_lines_are_cut_around_the_caret() -> None:
    source = Source("f", "x" * 300 + "!" + "y" * 300, "/")
    line, caret = source.snippet(1, 301).split("\n")
    assert line[caret.index("^")] == "!"
    assert len(line) <= 120


def test_errors_cross_process_borders(tmp_path: Path) -> None:
    errors = errors_of(tmp_path, "services: {web: {imag: a, port: b}}")
    again = StackFileError.from_dict(StackFileError("x", details=tuple(errors)).to_dict())
    assert [item.message for item in again.details] == [item.message for item in errors]


def main() -> None:
    with tempfile.TemporaryDirectory() as directory:
        written = [f"{text}---\n{answer_to(text, Path(directory))}" for text, _ in blocks()]
    GOLDEN.write_text("===\n".join(written), encoding="utf-8")


if __name__ == "__main__":
    main()
