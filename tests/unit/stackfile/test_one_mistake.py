"""One mistake, one message: what only follows from it is not said, and what stands beside it is."""

from __future__ import annotations

from pathlib import Path

import pytest
from stackfile_support import errors_of, load_in, write

from stackup.base.errors import UsageError
from stackup.stackfile.explain import explain
from stackup.stackfile.modelerrors import _expected

WEB = "services: {web: {image: a, %s}}\n"


def messages(directory: Path, text: str) -> list[str]:
    return [error.message for error in errors_of(directory, text)]


@pytest.mark.parametrize(
    "text",
    [
        WEB % "secrets: [{source: }]",
        WEB % "secrets: [s]" + "secrets: {s: }\n",
        WEB % "configs: [c]" + "configs: {c: 5}\n",
        WEB % "networks: [front]" + "networks: [front]\n",
        WEB % "ports: ['${A:-1}:${B:?missing}']",
        WEB % "container_name: '${B:?missing}'",
        WEB % "networks: ['${B:?missing}']",
        WEB % "depends_on: {web2: {condtion: service_started}}" + "networks: {}\n",
        WEB % "post_start: [{comand: x}]",
        "services: {web: {image: '${B:?missing}'}}\n",
        "services: {web: {extends: {service: '${B:?missing}'}}}\n",
        "include: [gone.yaml]\nservices: {web: {image: a, networks: [theirs], depends_on: [theirs]}}\n",
    ],
)
def test_nothing_follows_from_a_mistake(tmp_path: Path, text: str) -> None:
    text = text.replace("web2", "db").replace("networks: {}", "x-db: 1")
    if "condtion" in text:
        text = text.replace("services: {", "services: {db: {image: b}, ")
    assert len(messages(tmp_path, text)) == 1


def test_missing_keys_are_told_beside_other_mistakes(tmp_path: Path) -> None:
    text = WEB % "post_start: [{user: root}], develop: {watch: [{action: sync, target: /x}]}, port: 1"
    assert messages(tmp_path, text) == [
        "cannot use services.web.post_start[0]: command must be given for a hook",
        "cannot use services.web.develop.watch[0]: path must be given for a watch rule",
        "cannot use services.web.port: a service has no such attribute",
    ]


def test_numbers_in_names_stay_as_they_are(tmp_path: Path) -> None:
    text = "services: {web.0: {port: 1}, a: {image: x, environment: {'0': []}, labels: {v1.2.3: []}, ports: [80, x]}}\n"
    assert [message.partition(": ")[0] for message in messages(tmp_path, text)] == [
        "cannot use services.web.0.port",
        "cannot use a list for services.a.environment.0",
        "cannot use a list for services.a.labels.v1.2.3",
        "cannot use 'x' for services.a.ports[1]",
    ]


def test_a_service_that_reads_well_is_judged_beside_one_that_does_not(tmp_path: Path) -> None:
    text = "services: {a: {imagee: x}, b: {init: true}}\nvolumes: {v: 1}\n"
    assert [message.partition(": ")[0] for message in messages(tmp_path, text)] == [
        "cannot use services.a.imagee",
        "cannot use services.b",
        "cannot use 1 for volumes.v",
    ]


def test_words_about_a_service_do_not_make_it_unsure(tmp_path: Path) -> None:
    """A text that looks like a path is no path."""
    write(tmp_path, compose__yaml="")
    text = "services: {a: {image: x, scale: 'x for services.b.c'}, b: {init: true}}\n"
    assert len(messages(tmp_path, text)) == 2


@pytest.mark.parametrize(
    ("other", "hint"),
    [
        ("bd", "did you mean 'db'?"),
        ("cache", "there are: db, api"),
        ("apii", "did you mean 'api'?"),
    ],
)
def test_a_service_that_is_not_there(tmp_path: Path, other: str, hint: str) -> None:
    (error,) = errors_of(
        tmp_path, f"services: {{web: {{image: a, depends_on: [{other}]}}, db: {{image: b}}, api: {{image: c}}}}"
    )
    assert error.hint == hint


def test_a_bad_project_name_says_where_it_is_from(tmp_path: Path) -> None:
    write(tmp_path, compose__yaml="services: {a: {image: x}}")
    for more, where in (
        ({"project_name": "A B"}, "'A B' given with -p:"),
        ({"environment": {"COMPOSE_PROJECT_NAME": "A B"}}, "'A B' of COMPOSE_PROJECT_NAME in the environment:"),
    ):
        with pytest.raises(UsageError, match=where):
            load_in(tmp_path, **more)  # type: ignore[arg-type]
    write(tmp_path, __env="COMPOSE_PROJECT_NAME=A B\n")
    with pytest.raises(UsageError, match=r"of COMPOSE_PROJECT_NAME in .*\.env:"):
        load_in(tmp_path)


def test_an_env_file_that_is_not_there_says_who_named_it(tmp_path: Path) -> None:
    write(tmp_path, compose__yaml="services: {a: {image: x}}")
    with pytest.raises(UsageError, match="cannot use the env file gone of --env-file"):
        load_in(tmp_path, env_files=("gone",))
    with pytest.raises(UsageError, match="cannot use the env file gone of COMPOSE_ENV_FILES"):
        load_in(tmp_path, environment={"COMPOSE_ENV_FILES": "gone"})


def test_what_nobody_uses_is_explained_all_the_same(tmp_path: Path) -> None:
    write(tmp_path, compose__yaml="services: {a: {image: x}}\nvolumes: {v: {name: mine}}\n")
    (explanation,) = explain(load_in(tmp_path), "volumes.v.name")
    assert explanation.value == "mine"
    assert explanation.layers[0].reason == "(nothing uses it)"


def test_what_only_the_model_refuses_is_said_in_own_words() -> None:
    assert _expected("int_parsing") == "expected a whole number"
    assert "valid" not in _expected("value_error")
