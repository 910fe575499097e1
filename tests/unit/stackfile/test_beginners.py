"""What a word processor, another editor or a merge leaves in a file; the golden texts hold the other mistakes."""

from __future__ import annotations

from pathlib import Path

import pytest
from stackfile_support import errors_of, load_in, load_text, write

from stackup.base.errors import StackFileError

TEXT = "services:\n  web:\n    image: nginx\n"


@pytest.mark.parametrize("encoding", ["utf-16", "utf-16-le", "utf-16-be"])
def test_utf_16_is_recognised(tmp_path: Path, encoding: str) -> None:
    (tmp_path / "compose.yaml").write_bytes(TEXT.encode(encoding))
    with pytest.raises(StackFileError) as caught:
        load_in(tmp_path)
    assert caught.value.message.endswith("it is written in UTF-16")
    assert caught.value.hint == "save the file as UTF-8"


def test_a_typographic_quote_that_yaml_takes_for_text_is_warned_of(tmp_path: Path) -> None:
    loaded = load_text(tmp_path, "services:\n  web:\n    image: x\n    environment: {A: \u201cb\u201d, C: '\u201cd'}\n")
    (notice,) = loaded.warnings
    assert notice.message == "the quote \u201c is part of the text: YAML does not know it"
    assert notice.hint.startswith('type " in place of')


def test_a_quote_is_told_once(tmp_path: Path) -> None:
    (error,) = errors_of(tmp_path, "services: {web: {image: x, privileged: \u2018true\u2019}}\n")
    assert "U+2018" in error.hint
    assert error.notices == ()


def test_templates_that_a_service_fills_in_itself_are_no_mistake(tmp_path: Path) -> None:
    assert load_text(tmp_path, f"{TEXT}    command: ps --format '{{{{json .}}}}'\n")


def test_a_service_may_be_called_like_a_section(tmp_path: Path) -> None:
    assert load_text(tmp_path, "services: {volumes: {image: x}, secrets: {build: .}}\n")


def test_files_are_named_by_their_short_name(tmp_path: Path) -> None:
    write(
        tmp_path,
        a__yaml="services: {a: {image: x, security_opt: [label=disable]}}\n",
        b__yaml="services: {a: {security_opt: [label=disable]}}\n",
        c__yaml="services: {a: {image: x\n",
    )
    for files in (("a.yaml", "b.yaml"), ("c.yaml",)):
        with pytest.raises(StackFileError) as caught:
            load_in(tmp_path, *files)
        assert str(tmp_path) not in caught.value.message
    assert "a.yaml:1:41" in str(errors_in(tmp_path, "a.yaml", "b.yaml"))


def errors_in(directory: Path, *files: str) -> StackFileError:
    try:
        load_in(directory, *files)
    except StackFileError as error:
        return error
    raise AssertionError
