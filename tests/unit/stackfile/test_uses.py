"""What ``explain`` says of variables is what happened to them, however often and wherever they are written."""

from __future__ import annotations

from pathlib import Path

import pytest
from stackfile_support import load_in, load_text, write

from stackup.stackfile.explain import Layer, explain

ENVIRONMENT = "services: {web: {image: i, environment: {E: '1', K: %s}}}"


def told(layer: Layer) -> list[str]:
    return [
        " ".join(filter(None, (item.name, "unset" if item.found is None else f"= {item.found.value}", item.effect)))
        for item in layer.variables
    ]


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        ('"$$X ${E:-d} ${E}"', ["E unset so the default d is used", "E unset so it is an empty text"]),
        ("'x:${X:-a}-${X:-b}'", ["X unset so the default a is used", "X unset so the default b is used"]),
        ("'${T:+yes} ${T:-no} $T'", ["T = t so yes is filled in", "T = t"]),
        ("'${T:-${E}}'", ["T = t"]),
        ("'${E:+yes}'", ["E unset so nothing is filled in"]),
        ("'$${E:-x}'", []),
    ],
)
def test_each_use_is_told_as_it_was(tmp_path: Path, value: str, expected: list[str]) -> None:
    loaded = load_text(tmp_path, ENVIRONMENT % value, environment={"T": "t"})
    (explanation,) = explain(loaded, "services.web.environment.K")
    assert told(explanation.layers[0]) == expected


@pytest.mark.parametrize(
    ("line", "form", "expected"),
    [
        ("A='$T'", "", []),
        ('A="\\$T"', "", []),
        ("A=$T", "raw", []),
        ("A=$T # $E", "", ["T = t"]),
        ("A=${NO:-d}", "", ["NO unset so the default d is used"]),
        ("B=b\nA=$B$E", "", ["B = b", "E = 1"]),
    ],
)
def test_env_files_claim_only_what_was_looked_up(tmp_path: Path, line: str, form: str, expected: list[str]) -> None:
    entry = "{path: a.env, format: raw}" if form else "a.env"
    write(
        tmp_path,
        a__env=f"{line}\n",
        compose__yaml=f"services: {{web: {{image: i, env_file: [{entry}], environment: {{E: '1'}}}}}}",
    )
    (explanation,) = explain(load_in(tmp_path, environment={"T": "t"}), "services.web.environment.A")
    assert told(explanation.layers[0]) == expected


def test_a_variable_of_the_same_env_file_is_shown_with_its_line(tmp_path: Path) -> None:
    write(tmp_path, a__env="B=b\nA=$B\n", compose__yaml="services: {web: {image: i, env_file: a.env}}")
    (explanation,) = explain(load_in(tmp_path), "services.web.environment.A")
    (variable,) = explanation.layers[0].variables
    assert variable.found is not None
    assert variable.found.where is not None
    assert variable.found.where.line == 1
