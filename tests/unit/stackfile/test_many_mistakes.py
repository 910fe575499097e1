"""Nothing hides behind something else: every use of what is not there, in order, with circles shown line by line."""

from __future__ import annotations

import time
from pathlib import Path

from stackfile_support import errors_of, load_in, load_text, write

from stackup.base.errors import StackFileError
from stackup.cli.report import text as as_text


def told(errors: list[StackFileError]) -> list[str]:
    return [f"{error.where.line}:{error.where.column} {error.message}" for error in errors if error.where]


def test_every_use_of_a_service_that_is_not_there(tmp_path: Path) -> None:
    text = """\
services:
  a:
    image: x
    depends_on: [no]
    links: [no, "no:alias", gone]
    volumes_from: [no, "container:c", gone:ro]
    ipc: service:no
    pid: service:no
    build: {context: ., additional_contexts: {q: service:no}}
  b:
    image: x
    network_mode: service:no
"""
    nothing = "there is no service"
    assert told(errors_of(tmp_path, text)) == [
        f"4:18 cannot use services.a.depends_on: {nothing} 'no'",
        f"5:13 cannot use services.a.links[0]: {nothing} 'no'",
        f"5:17 cannot use services.a.links[1]: {nothing} 'no'",
        f"5:29 cannot use services.a.links[2]: {nothing} 'gone'",
        f"6:20 cannot use services.a.volumes_from[0]: {nothing} 'no'",
        f"6:39 cannot use services.a.volumes_from[2]: {nothing} 'gone'",
        f"7:10 cannot use services.a.ipc: {nothing} 'no'",
        f"8:10 cannot use services.a.pid: {nothing} 'no'",
        f"9:50 cannot use services.a.build.additional_contexts.q: {nothing} 'no'",
        f"12:19 cannot use services.b.network_mode: {nothing} 'no'",
    ]


def test_every_use_of_a_resource_that_is_not_there(tmp_path: Path) -> None:
    text = """\
services:
  a: &a
    image: x
    networks: [n]
    volumes: ["v:/a", "v:/b"]
    secrets: [s, {source: s, target: t}]
    configs: [c]
  b: {image: x, networks: [n], volumes: ["v:/a"], secrets: [s], configs: [c]}
  d: {extends: a, networks: [n]}
"""
    found = [line.split(" ", 1)[0] for line in told(errors_of(tmp_path, text))]
    assert found == ["4:16", "5:15", "5:23", "6:15", "6:27", "7:15", *(f"8:{n}" for n in (28, 42, 61, 75)), "9:30"]


def test_a_service_of_a_profile_that_is_not_active_is_said_at_each_use(tmp_path: Path) -> None:
    text = "services:\n  a: {image: x, links: [b], pid: service:b}\n  b: {image: x, profiles: [p]}\n"
    assert [line.split(" ", 1)[0] for line in told(errors_of(tmp_path, text))] == ["2:25", "2:34"]
    assert load_text(
        tmp_path,
        text.replace(
            "image: x, links", "image: x, depends_on: {b: {condition: service_started, required: false}}, links", 1
        ),
    )


def test_a_name_for_several_containers(tmp_path: Path) -> None:
    first = "services:\n  a: {image: x, container_name: nn, scale: 2}\n"
    text = f"{first}  b: {{image: x, container_name: nn, deploy: {{replicas: 3}}}}\n"
    assert told(errors_of(tmp_path, text)) == [
        "2:44 cannot use services.a.scale: 2 containers cannot all have the container_name 'nn'",
        "3:33 cannot use services.b.container_name: 'nn' is taken by the service 'a'",
        "3:56 cannot use services.b.deploy.replicas: 3 containers cannot all have the container_name 'nn'",
    ]


def test_thousands_of_undefined_services_are_said_at_once(tmp_path: Path) -> None:
    lines = "".join(f"  s{n}: {{image: x, depends_on: [t{n}], links: [u{n}], networks: [n{n}]}}\n" for n in range(4000))
    before = time.process_time()
    errors = errors_of(tmp_path, f"services:\n{lines}")
    assert time.process_time() - before < 6  # on a busy machine; it was 55
    assert errors[-1].message == "cannot show 11900 more errors: there are too many"


def test_warnings_are_in_the_order_of_files_and_lines(tmp_path: Path) -> None:
    write(
        tmp_path,
        compose__yaml="include: [inc.yaml]\nservices:\n  a: {image: 'x$A', cpu_percent: 5}\n  b: {image: 'x$B'}\n",
        override__yaml="services:\n  a: {hostname: '${C}'}\n",
        inc__yaml="services:\n  c: {image: 'x$D'}\n",
        __env="E=$F\n",
    )
    notices = load_in(tmp_path, "compose.yaml", "override.yaml", run=False, outlook=True).warnings
    places = [(Path(item.where.file).name, item.where.line) for item in notices if item.where]
    assert places == [
        (".env", 1),
        ("compose.yaml", 3),
        ("compose.yaml", 3),
        ("compose.yaml", 4),
        ("override.yaml", 2),
        ("inc.yaml", 2),
    ]


# --- circles


def test_a_circle_of_dependencies_is_shown_line_by_line(tmp_path: Path) -> None:
    text = """\
services:
  a:
    image: x
    depends_on: [b]
  b:
    image: x
    depends_on:
      c: {condition: service_started}
  c: {image: x, links: [a]}
"""
    (error,) = errors_of(tmp_path, text)
    assert error.hint.split("\n") == [
        "a needs b: compose.yaml:4:18: depends_on: [b]",
        "b needs c: compose.yaml:8:7: c: {condition: service_started}",
        "c needs a: compose.yaml:9:25: c: {image: x, links: [a]}",
    ]
    assert str(tmp_path) not in error.message + error.hint
    assert "a needs b: compose.yaml:4:18: depends_on: [b]\n" in as_text(error)


def test_a_circle_of_includes_is_shown_line_by_line(tmp_path: Path) -> None:
    write(
        tmp_path,
        compose__yaml="include:\n  - sub/a.yaml\n",
        sub___a__yaml="include: [b.yaml]\n",
        sub___b__yaml="include:\n  - path: ../sub/a.yaml\n",
    )
    (error,) = errors_of(tmp_path, (tmp_path / "compose.yaml").read_text())
    assert error.message == (
        "cannot use include[0]: files include each other in a circle, sub/a.yaml -> sub/b.yaml -> sub/a.yaml"
    )
    assert error.hint.split("\n") == [
        "sub/a.yaml includes sub/b.yaml: sub/a.yaml:1:11: include: [b.yaml]",
        "sub/b.yaml includes sub/a.yaml: sub/b.yaml:2:5: - path: ../sub/a.yaml",
    ]


def test_a_circle_of_extends_across_files_is_shown_line_by_line(tmp_path: Path) -> None:
    write(tmp_path, other__yaml="services:\n  b: {extends: {file: compose.yaml, service: a}}\n")
    (error,) = errors_of(tmp_path, "services:\n  a:\n    extends: {file: other.yaml, service: b}\n")
    assert error.hint.split("\n") == [
        "a extends b: compose.yaml:3:14: extends: {file: other.yaml, service: b}",
        "b extends a: other.yaml:2:16: b: {extends: {file: compose.yaml, service: a}}",
    ]


# --- limits are named


def test_a_chain_of_doubled_includes_names_the_limit(tmp_path: Path) -> None:
    for number in range(22):
        write(tmp_path, **{f"f{number}__yaml": f"include: [f{number + 1}.yaml, {{path: f{number + 1}.yaml}}]\n"})
    write(tmp_path, f22__yaml="services: {a: {image: x}}\n")
    (error,) = errors_of(tmp_path, "include: [f0.yaml]\n")
    assert error.message.endswith("more than 500 files would be read")
    assert error.hint == "a file counts each time that it is included"


def test_a_long_chain_of_includes_names_the_limit(tmp_path: Path) -> None:
    for number in range(50):
        write(tmp_path, **{f"f{number}__yaml": f"include: [f{number + 1}.yaml]\n"})
    (error,) = errors_of(tmp_path, "include: [f0.yaml]\n")
    assert error.message.endswith("more than 40 files include one another in a row")


def test_nesting_and_bytes_have_their_place(tmp_path: Path) -> None:
    (error,) = errors_of(tmp_path, "services: {a: {image: x}}\nx-a:\n  - " + "[" * 300 + "]" * 300)
    assert error.message.endswith("it is nested deeper than 200 levels")
    assert error.where is not None
    assert (error.where.line, error.where.column) == (3, 204)
    (tmp_path / "compose.yaml").write_bytes("a: 1\nä: \0".encode())
    (tmp_path / "other.yaml").write_bytes("a: 1\nä: ".encode() + b"\xff # x")
    (tmp_path / "bom.yaml").write_bytes("\ufeffa: 1\nä: ".encode() + b"\xff # x")
    for name in ("compose.yaml", "bom.yaml", "other.yaml"):
        try:
            load_in(tmp_path, name)
        except StackFileError as found:
            error = found
        assert error.where is not None
        assert (error.where.line, error.where.column) == (2, 4)
    assert error.snippet == "ä: \N{REPLACEMENT CHARACTER} # x\n   ^"


def test_whole_numbers_are_not_rounded(tmp_path: Path) -> None:
    (error,) = errors_of(tmp_path, "services: {a: {image: x, scale: 99999999999999999999}}\n")
    assert error.message == (
        "cannot use 99999999999999999999 for services.a.scale: expected a whole number of at most 64 bits"
    )
    text = "services: {a: {image: x, pids_limit: 9007199254740993, environment: {A: 9007199254740993}}}\n"
    service = load_text(tmp_path, text).stack.services["a"]
    assert (service.pids_limit, service.environment["A"]) == (9007199254740993, "9007199254740993")
