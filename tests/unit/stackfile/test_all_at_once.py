"""What is wrong is told in one go: all mistakes of a text, those of running beside those of reading, and how many."""

from __future__ import annotations

from pathlib import Path

import pytest
from stackfile_support import errors_of, load_in, load_text, write

from stackup.base.errors import StackFileError
from stackup.cli.report import text as as_text


def places(errors: list[StackFileError]) -> list[str]:
    return [f"{error.where.line}:{error.where.column}" for error in errors if error.where]


def failure(directory: Path, text: str, **more: object) -> StackFileError:
    with pytest.raises(StackFileError) as caught:
        load_text(directory, text, **more)
    return caught.value


def test_every_variable_of_a_text(tmp_path: Path) -> None:
    errors = errors_of(tmp_path, "services: {a: {image: '${A:?a} and ${B:?b} and ${C'}}\n")
    assert places(errors) == ["1:24", "1:36", "1:48"]


def test_every_variable_of_a_block(tmp_path: Path) -> None:
    text = "services:\n  a:\n    image: x\n    command: |\n      echo ${A:?a}\n      b ${B\n      c ${C/x}\n"
    errors = errors_of(tmp_path, text)
    assert places(errors) == ["5:12", "6:9", "7:12"]


def test_the_expression_without_a_brace_of_its_own(tmp_path: Path) -> None:
    (error,) = errors_of(tmp_path, "services: {a: {image: 'x${A:-${B}'}}\n")
    assert error.snippet.split("\n")[1] == " " * 24 + "^^^^^^"


def test_thousands_of_mistakes_in_one_text(tmp_path: Path) -> None:
    errors = errors_of(tmp_path, f"services: {{a: {{image: '{'${} ' * 5000}'}}}}\n")
    assert errors[-1].message == "cannot show 4900 more errors: there are too many"


def test_config_tells_what_up_refuses_beside_mistakes(tmp_path: Path) -> None:
    text = "services: {a: {image: x, imagee: y, restart: alwys, isolation: hyperv}}\n"
    error = failure(tmp_path, text, run=False, outlook=True)
    assert [notice.message.partition(":")[0] for notice in error.notices] == [
        "up refuses this",
        "services.a.isolation has no effect here",
    ]
    assert not failure(tmp_path, text, run=False).notices


def test_config_of_a_service_warns_of_it_and_of_what_it_needs(tmp_path: Path) -> None:
    text = (
        "services:\n  a: {image: x, depends_on: [b], restart: alwys}\n"
        "  b: {image: x, restart: alwys}\n  c: {image: x, restart: alwys}\n"
    )
    write(tmp_path, compose__yaml=text)
    warnings = load_in(tmp_path, run=False, outlook=True, named=("a",)).warnings
    assert [item.where.line for item in warnings if item.where] == [2, 3]


def test_what_is_said_of_other_services_and_of_the_rest(tmp_path: Path) -> None:
    text = (
        "version: '3'\nservices:\n  a: {image: 'x$A'}\n  b: {image: x, command: 'a && b'}\n  c: {image: 'x$C'}\n"
        "networks:\n  default: {name: 'n$N'}\n"
    )
    write(tmp_path, compose__yaml=text)
    warnings = load_in(tmp_path, run=False, outlook=True, named=("a",)).warnings
    assert [item.where.line for item in warnings if item.where] == [1, 3, 7]


def test_what_can_be_read_but_not_run_is_given_along(tmp_path: Path) -> None:
    error = failure(tmp_path, "services: {a: {image: x, restart: always:3}}\n")
    assert list(error.loaded.stack.services) == ["a"]
    assert failure(tmp_path, "services: {a: {image: x, restart: always:3, imagee: y}}\n").loaded is None


def test_the_number_of_errors_that_are_not_shown(tmp_path: Path) -> None:
    lines = "".join(f"  s{number}: {{imagee: x}}\n" for number in range(5000))
    error = failure(tmp_path, f"services:\n{lines}")
    last = error.details[-1]
    assert (last.message, last.to_dict()["hidden"]) == ("cannot show 4900 more errors: there are too many", 4900)
    again = StackFileError.from_dict(error.to_dict())
    assert as_text(again).endswith("\n... and 4950 more\n")


def test_a_warning_about_an_anchor_is_said_once(tmp_path: Path) -> None:
    text = "x-a: &a {image: x, command: 'a && b'}\nservices: {a: *a, b: *a}\n"
    assert len(load_text(tmp_path, text).warnings) == 1
