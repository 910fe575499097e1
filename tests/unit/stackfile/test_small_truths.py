"""Warnings and reasons that were not quite true: items that are reset, mounts, routes of ``--explain``, old texts."""

from __future__ import annotations

from pathlib import Path

from stackfile_support import errors_of, load_in, load_text, write

from stackup.stackfile.explain import explain


def test_reset_of_an_item_takes_nothing_away_and_says_so(tmp_path: Path) -> None:
    text = "services: {a: {image: x, ports: [!reset '80', '81'], networks: [!reset n]}}\nnetworks: {n: }\n"
    loaded = load_text(tmp_path, text)
    assert [item.message for item in loaded.warnings] == [
        "services.a.ports[0] is left out, and takes no item of another file away",
        "services.a.networks[0] is left out, and takes no item of another file away",
    ]
    assert len(loaded.stack.services["a"].ports) == 1


def test_a_text_with_a_wrong_variable_is_no_reset(tmp_path: Path) -> None:
    (error,) = errors_of(tmp_path, "services: {a: {image: x, expose: ['${A:?a}']}}\n")
    assert error.message.endswith("the required variable A is not set: a")
    assert not errors_of(tmp_path, "services: {a: {image: x, expose: ['80']}}\n")


def test_secrets_and_configs_have_directories_of_their_own(tmp_path: Path) -> None:
    head = "secrets: {s: {environment: HOME}}\nconfigs: {c: {content: x}}\n"
    grants = "services: {a: {image: x, secrets: [{source: s, target: %s}], configs: [{source: c, target: %s}]}}\n"
    assert not errors_of(tmp_path, head + grants % ("x", "x"))
    assert (
        "/run/secrets/x is mounted already" in errors_of(tmp_path, head + grants % ("x", "/run/secrets/x"))[0].message
    )


def test_the_route_of_a_file_that_is_both_extended_and_included(tmp_path: Path) -> None:
    write(tmp_path, base__yaml="services: {base: {image: x}}\n")
    text = "include: [base.yaml]\nservices:\n  web: {extends: {file: base.yaml, service: base}}\n"
    loaded = load_text(tmp_path, text)
    (own,), (theirs,) = (explain(loaded, f"services.{name}.image") for name in ("web", "base"))
    assert [step.text for step in own.layers[0].steps] == ["services.web extends services.base"]
    assert [step.text for step in theirs.layers[0].steps] == ["the file is included"]


def test_an_env_file_that_has_changed_is_read_again(tmp_path: Path) -> None:
    write(tmp_path, compose__yaml="services: {a: {image: '$A'}}\n", __env="A=1\n")
    explain(load_in(tmp_path), "services.a.image")
    (tmp_path / ".env").write_text("# one more line\nA=22\n")
    (explanation,) = explain(load_in(tmp_path), "services.a.image")
    found = explanation.layers[0].variables[0].found
    assert found is not None and found.where is not None
    assert (found.value, found.where.line) == ("22", 2)
