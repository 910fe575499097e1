"""What the READMEs show is understood by the program that they come with."""

from __future__ import annotations

from pathlib import Path

import pytest

from stackup.cli import quick
from stackup.cli.registry import GROUPS, VERBS
from stackup.stackfile import LoadRequest, load
from tests.support.documents import DOCUMENTS, TREE, block_after, command_lines, stack_files, typed

IDS = [str(path.relative_to(TREE)) for path in DOCUMENTS]
STACK_FILES = [(path.parent, fence) for path in DOCUMENTS for fence in stack_files(path.read_text())]


def test_a_document_is_read_as_its_reader_would() -> None:
    text = "\n".join(
        [
            "Type `stackup ps`, or:",
            "",
            "    sudo stackup up -d   # a remark",
            "    echo hello",
            "",
            "```yaml",
            "services: {}",
            "```",
            "",
            "    sudo stackup down -v",
            "    stackup (CLI) ──> supervisor",
            "",
            "after",
        ]
    )
    assert typed(text)[:2] == ["sudo stackup up -d", "echo hello"]
    assert list(command_lines(text)) == [["up", "-d"], ["down", "-v"], ["ps"]]
    assert stack_files(text) == ["services: {}\n"]
    assert block_after(text, "services: {}\n")[0] == "sudo stackup down -v"


@pytest.mark.parametrize(("place", "fence"), STACK_FILES)
def test_stack_files_load_without_a_warning(place: Path, fence: str, tmp_path: Path) -> None:
    (tmp_path / "compose.yaml").write_text(fence)
    loaded = load(LoadRequest(cwd=tmp_path))
    assert loaded.stack.services
    assert not loaded.warnings


@pytest.mark.parametrize("path", DOCUMENTS, ids=IDS)
def test_commands_are_commands(path: Path) -> None:
    found = [words for words in command_lines(path.read_text()) if words]
    assert found
    for words in found:
        try:
            quick.parse([word for word in words if word != "..."])
        except quick.NotQuickError:
            pytest.fail(f"{path.name}: no such command line: stackup {' '.join(words)}")


@pytest.mark.parametrize("path", DOCUMENTS, ids=IDS)
def test_dev_verbs_are_there(path: Path) -> None:
    verbs = {
        line.split()[0] for line in (TREE / "dev").read_text().splitlines() if line.startswith("  ") and ")" in line
    }
    known = {name for verb in verbs for name in verb.rstrip(")").split("|")}
    for line in typed(path.read_text()):
        if "/dev " in line:
            assert line.partition("/dev ")[2].split()[0] in known, line


def test_the_readme_names_every_verb() -> None:
    text = (TREE / "README.md").read_text()
    named = set(text.partition("The commands are docker compose's")[2].partition("\n\n")[0].replace("`", " ").split())
    assert {*VERBS, *GROUPS} <= {word.strip(",.") for word in named}
