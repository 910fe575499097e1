"""``--no-path-resolution``: the user's own files keep their paths, those of other directories say where they start."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from stackfile_support import load_in, write

from stackup.stackfile import canonical


def services(directory: Path, **more: Any) -> Any:
    return canonical(load_in(directory, resolve_paths=False, **more).stack)["services"]


OWN = "image: x, build: ./b, volumes: ['./d:/d', '~/e:/e', '/f:/f']"


def test_the_users_own_files_stay_as_they_are_written(tmp_path: Path) -> None:
    write(
        tmp_path,
        compose__yaml=f"services: {{a: {{{OWN}}}}}\n",
        compose__override__yaml="services: {a: {volumes: ['../g:/g']}}",
    )
    a = services(tmp_path)["a"]
    assert a["build"]["context"] == "./b"
    assert [item["source"] for item in a["volumes"]] == ["./d", "~/e", "/f", "../g"]


def test_included_files_start_at_their_own_directory(tmp_path: Path) -> None:
    write(
        tmp_path,
        compose__yaml="include: [sub/compose.yaml, {path: sub/one.yaml, project_directory: other}]\n",
        sub___compose__yaml=f"include: [deep/x.yaml]\nservices: {{a: {{{OWN}, env_file: e.env}}}}\n",
        sub___deep___x__yaml=f"services: {{b: {{{OWN}}}, c: {{build: {{dockerfile_inline: FROM x}}}}}}",
        sub___one__yaml=f"services: {{d: {{{OWN}}}}}",
        sub___e__env="A=1\n",
    )
    (tmp_path / "other").mkdir()
    found = services(tmp_path)
    assert found["a"]["build"]["context"] == "sub/b"
    assert [item["source"] for item in found["a"]["volumes"]] == ["sub/d", "/home/u/e", "/f"]
    assert found["a"]["environment"] == {"A": "1"}
    assert found["b"]["build"]["context"] == "sub/deep/b"
    assert [item["source"] for item in found["b"]["volumes"]] == ["sub/deep/d", "/home/u/e", "/f"]
    assert found["c"]["build"]["context"] == "sub/deep"
    assert found["d"]["build"]["context"] == "other/b"


def test_files_that_are_extended_start_at_their_own_directory(tmp_path: Path) -> None:
    write(
        tmp_path,
        compose__yaml="services: {a: {extends: {file: sub/base.yaml, service: a}, volumes: ['./own:/own']}}",
        sub___base__yaml=f"services: {{a: {{{OWN}, env_file: e.env, extends: {{file: ../up/base.yaml, service: a}}}}}}",
        up___base__yaml="services: {a: {image: x, volumes: ['./h:/h'], label_file: l.env}}",
        sub___e__env="A=1\n",
        up___l__env="L=1\n",
    )
    a = services(tmp_path)["a"]
    assert a["build"]["context"] == "sub/b"
    assert [item["source"] for item in a["volumes"]] == ["up/h", "sub/d", "/home/u/e", "/f", "./own"]
    assert (a["environment"], a["labels"]) == ({"A": "1"}, {"L": "1"})


def test_env_files_are_found_from_anywhere(tmp_path: Path) -> None:
    write(tmp_path, p___compose__yaml="services: {a: {image: x, env_file: e.env}}", p___e__env="A=1\n")
    (tmp_path / "q").mkdir()
    loaded = load_in(tmp_path / "q", "../p/compose.yaml", resolve_paths=False)
    assert loaded.stack.services["a"].environment == {"A": "1"}


def test_the_default_context_of_an_included_file_is_its_directory(tmp_path: Path) -> None:
    write(
        tmp_path,
        compose__yaml="include: [sub/x.yaml]\nservices: {b: {build: {dockerfile_inline: FROM x}}}\n",
        sub___x__yaml="services: {a: {build: {dockerfile_inline: FROM x}}}\n",
    )
    found = load_in(tmp_path).stack.services
    assert found["a"].build is not None and found["b"].build is not None
    assert (found["a"].build.context, found["b"].build.context) == (f"{tmp_path}/sub", str(tmp_path))
