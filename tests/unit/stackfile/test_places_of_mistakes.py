"""Where a mistake is shown, and in which words: at what is wrong itself, not beside it."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from stackfile_support import errors_of, load_in, said, write

from stackup.base.errors import StackFileError
from stackup.stackfile import Loaded


@pytest.mark.parametrize(
    ("text", "answers"),
    [
        (
            'version: "3"\n',
            ["1:1 cannot use compose.yaml: it has no services (a stack file has services: or include:)"],
        ),
        (
            "x-l: &l [a]\nservices:\n  a:\n    <<: *l\n    image: x\n",
            ["4:5 cannot read compose.yaml: a merge key (<<) takes a mapping or a list of mappings"],
        ),
        (
            "services: {a: {image: x, extra_hosts: {a: [1.1.1.1, 5]}}}\n",
            ["1:53 cannot use 5 for services.a.extra_hosts.a[1]: expected an address"],
        ),
        (
            "services: {a: {image: x, dns: {a: b}, tmpfs: {a: b}}}\n",
            [
                "1:31 cannot use a mapping for services.a.dns: expected an address or a list of addresses",
                "1:46 cannot use a mapping for services.a.tmpfs: expected a text or a list of texts",
            ],
        ),
        (
            'services: {a: {image: "x\\q"}}\n',
            [
                "1:25 cannot read compose.yaml as YAML: in double quotes a backslash begins an escape sequence, "
                "and this is none (write \\\\ for a backslash, or put the text in single quotes)"
            ],
        ),
        (
            "services: {a: {image: 'x${A/b/c}'}}\n",
            [
                "1:28 cannot use services.a.image: '/' may not follow the name in '${A/b/c}' "
                "(after the name come :- - :+ + :? ? or })"
            ],
        ),
    ],
)
def test_mistake(tmp_path: Path, text: str, answers: list[str]) -> None:
    project = tmp_path / "shop"
    project.mkdir()
    assert [said(error).replace(f"{project}/", "") for error in errors_of(project, text)] == answers


def test_a_number_that_is_too_long_is_one(tmp_path: Path) -> None:
    (error,) = errors_of(tmp_path, f"services: {{a: {{image: x, scale: {'9' * 5000}}}}}\n")
    assert error.message.endswith("expected a whole number of at most 64 bits")


def test_a_circle_through_the_second_file_of_an_entry(tmp_path: Path) -> None:
    write(tmp_path, one__yaml="services: {a: {image: x}}\n", two__yaml="include: [{path: [one.yaml, two.yaml]}]\n")
    (error,) = errors_of(tmp_path, "include:\n  - path: [one.yaml, two.yaml]\n")
    assert error.message == "cannot use include[0]: files include each other in a circle, two.yaml -> two.yaml"
    assert error.hint == ("two.yaml includes two.yaml: two.yaml:1:11: include: [{path: [one.yaml, two.yaml]}]")


# --- what is no file


def load(directory: Path, **more: str) -> Loaded:
    write(directory, compose__yaml=more.pop("text", "services: {a: {image: x}}\n"))
    return load_in(directory, *more.values())


@pytest.mark.parametrize("entry", ["env_file: pipe", "label_file: pipe"])
def test_a_pipe_is_no_env_file(tmp_path: Path, entry: str) -> None:
    os.mkfifo(tmp_path / "pipe")
    with pytest.raises(StackFileError, match="pipe: it is no regular file"):
        load(tmp_path, text=f"services: {{a: {{image: x, {entry}}}}}\n")


def test_a_pipe_is_no_stack_file(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    for text in ("include: [pipe]\n", "services: {a: {extends: {file: pipe, service: a}}}\n"):
        with pytest.raises(StackFileError, match="pipe: it is no regular file"):
            load(tmp_path, text=text)
    with pytest.raises(StackFileError, match="pipe: it is no regular file"):
        load_in(tmp_path, "pipe")


def test_what_the_shell_hands_in_is_read(tmp_path: Path) -> None:
    reading, writing = os.pipe()
    os.write(writing, b"services: {a: {image: x}}\n")
    os.close(writing)
    try:
        assert load_in(tmp_path, f"/dev/fd/{reading}", project_name="p").stack.services
    finally:
        os.close(reading)
    assert load(tmp_path, text="services: {a: {image: x, env_file: /dev/null}}\n")
