"""Golden texts: what a user sees on the terminal for each mistake in a stack file.

``mistakes.txt`` holds blocks: a title after ``### ``, files (the first is compose.yaml, the others begin with
``--- NAME``), a line ``>>>`` and what ``stackup up`` would print of them. After a deliberate change:
``PYTHONPATH=. python tests/unit/cli/test_cli_mistakes.py`` writes the answers anew; read the difference as a user
would.
"""

from __future__ import annotations

import io
import os
import tempfile
from pathlib import Path

import pytest

from stackup.base.errors import StackupError
from stackup.cli import report
from stackup.cli.terminal import Console
from stackup.stackfile import LoadRequest, load

GOLDEN = Path(__file__).with_name("mistakes.txt")
MACHINERY = ("pydantic", "Node(", "<class", "Traceback", "validation error", "NoneType", "KeyError", "dict")


def blocks() -> dict[str, tuple[str, str]]:
    """Title -> (files, answer)."""
    parts = GOLDEN.read_text(encoding="utf-8").split("### ")[1:]
    found = {}
    for part in parts:
        title, _, rest = part.partition("\n")
        files, _, answer = rest.partition(">>>\n")
        found[title] = (files, answer.rstrip("\n") + "\n")
    return found


def write(directory: Path, files: str) -> None:
    name, lines = "compose.yaml", []
    for line in [*files.splitlines(), "--- "]:
        if line.startswith("--- "):
            path = directory / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text("".join(f"{item}\n" for item in lines))
            name, lines = line.removeprefix("--- "), []
        else:
            lines.append(line)


def answer_to(files: str, directory: Path, *, colour: bool = False) -> str:
    """What is printed, with the directory's path left out. The working directory must be ``directory``."""
    write(directory, files)
    out = io.StringIO()
    console = Console(io.StringIO(), out, False, colour, "plain")
    try:
        loaded = load(LoadRequest(directory, environment={"HOME": "/home/u"}))
        if loaded.warnings:
            report.warn(loaded.warnings, console)
    except StackupError as error:
        if notices := getattr(error, "notices", ()):
            report.warn(notices, console)
        report.show(error, console)
    return out.getvalue().replace(f"{directory}/", "").replace(str(directory), ".").rstrip("\n") + "\n"


@pytest.mark.parametrize("title", blocks())
def test_mistake(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, title: str) -> None:
    directory = tmp_path / "shop"
    directory.mkdir()
    monkeypatch.chdir(directory)
    files, answer = blocks()[title]
    assert answer_to(files, directory) == answer


def test_there_are_at_least_sixty() -> None:
    assert len(blocks()) >= 60


def test_every_error_has_its_place_and_a_caret() -> None:
    for title, (_, answer) in blocks().items():
        lines = answer.splitlines()
        places = sum(" --> " in line for line in lines)
        carets = sum(line.strip(" |^") == "" and "^" in line for line in lines)
        assert places, title
        assert carets == places or title == "an empty file"


def test_nothing_of_the_machinery_shows() -> None:
    text = "".join(answer for _, answer in blocks().values())
    assert [word for word in MACHINERY if word in text] == []


def test_colours_on_a_terminal(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    files, answer = blocks()["a misspelt attribute"]
    coloured = answer_to(files, tmp_path, colour=True)
    assert "\033[31merror\033[0m" in coloured
    assert "\033" not in answer


def main() -> None:
    written = []
    for title, (files, _) in blocks().items():
        with tempfile.TemporaryDirectory() as scratch:
            directory = Path(scratch).resolve() / "shop"
            directory.mkdir()
            os.chdir(directory)
            written.append(f"### {title}\n{files}>>>\n{answer_to(files, directory)}")
            os.chdir("/")
    GOLDEN.write_text("\n".join(written), encoding="utf-8")


if __name__ == "__main__":
    main()
