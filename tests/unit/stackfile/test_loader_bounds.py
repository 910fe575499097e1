"""Files made to hurt: each is answered within a second or two and within bounded memory.

Every case is loaded in a process of its own whose address space is limited, so that one that swells ends in an error.
"""

from __future__ import annotations

import os
import resource
import subprocess
import sys
from pathlib import Path

import pytest

MEMORY = 1 << 30  # of address space, interpreter and libraries included
SECONDS = 15.0  # of processor time: ends what does not end; how quick it is, tests/bench measures
CHILD = """
import resource, sys, time
from pathlib import Path
from stackup.base.errors import StackFileError
from stackup.stackfile import LoadRequest, canonical, load
resource.setrlimit(resource.RLIMIT_AS, (int(sys.argv[2]),) * 2)
before = time.process_time()
try:
    stack = load(LoadRequest(Path(sys.argv[1]), environment={"HOME": "/home/u"}, profiles=("*",), run=False)).stack
    print("taken", len(stack.services), len(str(canonical(stack))))
except StackFileError as error:
    print("refused", error.message.replace("\\n", " ")[:300])
print(time.process_time() - before)
"""


def answer(directory: Path, *, code: str = CHILD) -> str:
    ran = subprocess.run(
        [sys.executable, "-c", code, str(directory), str(MEMORY)],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
        env={**os.environ, "PYTHONPATH": os.getcwd()},
        preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_CPU, (20, 20)),
    )
    assert ran.returncode == 0, ran.stderr[-3000:]
    said, spent = ran.stdout.strip().split("\n")
    assert float(spent) < SECONDS, f"{spent} s for: {said}"
    return said


def nested(depth: int, begin: str, inside: str, end: str) -> str:
    return begin * depth + inside + end * depth


def bomb(levels: int, width: int = 9) -> str:
    lines = ["x-0: &a0 [lol]"]
    lines += [f"x-{n}: &a{n} [{', '.join([f'*a{n - 1}'] * width)}]" for n in range(1, levels)]
    return "\n".join(lines) + "\nservices: {a: {image: x}}\n"


def merge_bomb(levels: int) -> str:
    lines = ["x-0: &a0 {k0: v}"]
    lines += [f"x-{n}: &a{n} {{<<: [*a{n - 1}, *a{n - 1}], k{n}: v, l{n}: *a{n - 1}}}" for n in range(1, levels)]
    return "\n".join(lines) + "\nservices: {a: {image: x}}\n"


def services(number: int, attributes: str = "image: i") -> str:
    return "services:\n" + "".join(f"  s{n}: {{{attributes}}}\n" for n in range(number))


IMAGE = "services: {a: {image: x, %s}}\n"
TOO_LARGE = "more than the 16 MiB"
TOO_MANY = "more than 100,000 values"
DEEP = "nested deeper than 200 levels"
REFUSED: dict[str, tuple[str | bytes, str]] = {
    "aliases of aliases": (bomb(12), "its aliases expand to more than 400,000 values"),
    "aliases in a service": (bomb(8) + IMAGE.replace("services", "x-s") % "labels: *a7", "its aliases expand"),
    "merges of merges": (merge_bomb(40), "its aliases expand to more than 400,000 values"),
    "an alias inside its own anchor": ("services: &a {b: *a}", "a"),
    "10 MB of comment": ("#" * (10 << 20), "empty"),
    "10 MB of services": (services(500_000), TOO_MANY),
    "10 MB of blocks": (
        "services:\n" + "".join(f"  s{n}:\n    image: i\n    init: true\n" for n in range(300_000)),
        TOO_MANY,
    ),
    "10 MB of items": ("x-a:\n" + "- a\n" * 2_600_000, TOO_MANY),
    "10 MB of nothing": ("\n" * (10 << 20), "empty"),
    "10 MB of a name": (IMAGE % f"{'h' * (10 << 20)}: 1", "cannot read"),
    "10 MB of mistakes": ("services:\n" + "  a: {x: 1}\n" * 900_000, TOO_MANY),
    "20 MB in one text": (IMAGE % f"hostname: '{'h' * (20 << 20)}'", TOO_LARGE),
    "a deep list": ("x-a: " + nested(100_000, "[", "", "]"), DEEP),
    "a deep list left open": ("x-a: " + "[" * 500_000, "cannot read"),
    "a deep mapping": ("x-a: " + nested(50_000, "{a: ", "b", "}"), DEEP),
    "a deep block": ("".join(f"{' ' * n}a:\n" for n in range(2_000)), DEEP),
    "deep lists in blocks": ("x-a:\n" + "- " * 300_000 + "a\n", DEEP),
    "deep questions": ("? " * 300_000 + "a\n", "cannot read"),
    "deep variables": (IMAGE % f"hostname: '{nested(10_000, '${A:-', 'x', '}')}'", "nested deeper than 50 levels"),
    "variables left open": (IMAGE % f"hostname: '{'${A:-' * 100_000}'", "cannot"),
    "many bad variables": (IMAGE % f"command: [{', '.join(['${'] * 100_000)}]", "cannot"),
    "many documents": ("---\n" * 100_000, "empty"),
    "many anchors": ("x-a: [" + ", ".join(f"&a{n} b" for n in range(150_000)) + ", *b]", "b"),
    "the same key many times": ("services:\n" + "  a: {image: x}\n" * 20_000, "written twice"),
    "many unknown attributes": (IMAGE % ", ".join(f"k{n}: v" for n in range(50_000)), "k0"),
    "many wrong ports": (IMAGE % f"ports: [{', '.join(['x:y'] * 100_000)}]", "ports"),
    "many tags": ("!x " * 300_000 + "a", "cannot read"),
    "a range of ports with no end": (IMAGE % "ports: ['1-65535:1-65535/udp', '1-99999999999999:1']", "ports"),
    "every port there is": (IMAGE % "ports: ['1-65535:1-65535', '1-65535:1-65535/udp']", "more than 50,000 ports"),
    "every port of many addresses": (
        IMAGE % f"ports: [{', '.join(f'127.0.0.{n}:1-65535:1-65535' for n in range(1, 60))}]",
        "services.a.ports[0]: together with those before it these are more than 50,000 ports",
    ),
    "services that extend one with many ports": (
        "services:\n  a: {image: i, ports: ['1-9999:1-9999']}\n"
        + "".join(f"  s{n}: {{extends: a}}\n" for n in range(2_000)),
        "more than 50,000 ports",
    ),
    "numbers beyond all numbers": (IMAGE % f"scale: {'9' * 5_000}", "scale"),
    "a float beyond all floats": (IMAGE % "cpus: 1e999999999", "cpus"),
    "a size beyond all sizes": (IMAGE % f"mem_limit: {'9' * 5_000}g", "mem_limit"),
    "a duration beyond all durations": (IMAGE % f"stop_grace_period: {'9' * 5_000}h", "stop_grace_period"),
    "a circle of services": (services(3_000, "image: i, depends_on: [s0]"), "circle"),
    "many names of services that are not there": (
        services(6_000, "image: i, depends_on: [nobody]"),
        "there is no service 'nobody'",
    ),
    "many variables without a value": (IMAGE % f"command: [{', '.join(f'$V{n}' for n in range(50_000))}], x: y", "x"),
    "a file that includes itself": ("include: [compose.yaml]\n" + services(1), "compose.yaml"),
    "a service that extends itself": ("services: {a: {extends: a}}", "in a circle"),
    "a chain of extends": (
        "services:\n" + "".join(f"  s{n}: {{extends: s{n + 1}}}\n" for n in range(20_000)) + "  s20000: {image: i}\n",
        "more than 100 services extend one another",
    ),
    "a NUL byte": (b"services: {a: {image: 'x\x00'}}", "a NUL byte"),
    "no UTF-8": (b"services: {a: {image: \xff\xfe}}", "is not UTF-8"),
    "UTF-16": ("services: {a: {image: x}}".encode("utf-16"), "is written in UTF-16"),
    "a lone surrogate": (b"services: {a: {image: \xed\xa0\x80}}", "is not UTF-8"),
    "tabs": ("services:\n\ta:\n\t\timage: x\n", "tab"),
    "nothing": ("", "empty"),
    "a text": ("services", "cannot"),
    "a list": ("- a\n- b\n", "cannot"),
}
TAKEN: dict[str, str | bytes] = {
    "one service many times": services(1_000),
    "CRLF": b"services:\r\n  a:\r\n    image: x\r\n    command: |\r\n      a\r\n      b\r\n",
    "CR": b"services:\r  a:\r    image: x\r",
    "BOM": b"\xef\xbb\xbfservices: {a: {image: x}}\n",
    "tabs inside": "services:\n  a:\n    image:\tx\t# y\n    labels: {a:\tb}\n",
    "a text of 10 MB": IMAGE % f"command: '{'h' * (10 << 20)}'",
    "10 MB of blocks of text": IMAGE % "init: true"
    + "configs:\n  c:\n    content: |\n"
    + "      some text $$x\n" * 500_000,
    "10 MB of comments": IMAGE % "init: true" + "# some words\n" * 800_000,
    "4,000 services": services(4_000, "image: i, environment: {A: b, C: d}, ports: ['80'], restart: always"),
    "a variable that is nested": IMAGE % f"hostname: '{nested(40, '${A:-', 'x', '}')}'",
    "dollars": IMAGE % f"command: '{'$$' * 400_000}'",
    "many ports": IMAGE % "ports: ['1-30000:1-30000/udp']",
    "many ports of several services": (
        "services: {a: &a {image: i, ports: ['10000-20000:10000-20000', '10000-20000:10000-20000/udp']}, b: *a}"
    ),
    "many short volumes": IMAGE % f"volumes: [{', '.join(f'./v:/d{n}' for n in range(20_000))}]",
    "many labels": IMAGE % ("labels: {" + ", ".join(f"k{n}: v" for n in range(10_000)) + "}"),
    "many flags in a command": IMAGE % f"command: {'-x ' * 50_000}",
}


@pytest.mark.parametrize("name", REFUSED)
def test_refused(tmp_path: Path, name: str) -> None:
    content, part = REFUSED[name]
    (tmp_path / "compose.yaml").write_bytes(content if isinstance(content, bytes) else content.encode())
    said = answer(tmp_path)
    assert said.startswith("refused ")
    assert part in said


@pytest.mark.parametrize("name", TAKEN)
def test_taken(tmp_path: Path, name: str) -> None:
    content = TAKEN[name]
    (tmp_path / "compose.yaml").write_bytes(content if isinstance(content, bytes) else content.encode())
    assert answer(tmp_path).startswith("taken ")


def test_files_that_include_each_other(tmp_path: Path) -> None:
    (tmp_path / "compose.yaml").write_text("include: [a.yaml]\nservices: {x: {image: i}}")
    (tmp_path / "a.yaml").write_text("include: [b.yaml]\nservices: {y: {image: i}}")
    (tmp_path / "b.yaml").write_text("include: [a.yaml]\nservices: {z: {image: i}}")
    assert "a.yaml" in answer(tmp_path)


def test_includes_that_double_at_every_step(tmp_path: Path) -> None:
    """30 files, each of which includes the next one twice, would be a billion."""
    for number in range(30):
        name = f"{number}.yaml" if number else "compose.yaml"
        entry = f"{number + 1}.yaml"
        text = f"include: [{entry}, {{path: {entry}}}]\nservices: {{s{number}: {{image: i}}}}\n"
        (tmp_path / name).write_text(text)
    (tmp_path / "30.yaml").write_text("services: {last: {image: i}}")
    answer(tmp_path)


def test_extends_that_doubles_at_every_step(tmp_path: Path) -> None:
    """Services that extend services of other files, in a circle of files."""
    (tmp_path / "compose.yaml").write_text("services: {a: {extends: {file: other.yaml, service: a}}}")
    (tmp_path / "other.yaml").write_text("services: {a: {extends: {file: compose.yaml, service: a}}}")
    assert answer(tmp_path).startswith("refused ")


@pytest.mark.parametrize("path", ["/dev/zero", "/dev/full", "/proc/self/mem", "/dev/urandom"])
@pytest.mark.parametrize("attribute", ["env_file", "label_file"])
def test_devices_without_an_end(tmp_path: Path, attribute: str, path: str) -> None:
    (tmp_path / "compose.yaml").write_text(IMAGE % f"{attribute}: {path}")
    assert answer(tmp_path).startswith("refused cannot read")


@pytest.mark.parametrize(
    "content",
    [
        b"A=" + b"x" * (10 << 20),
        b"A=\n" * (2 << 20),
        b"a b=\n" * (2 << 20),
        b"A=$B\n" * (1 << 20),
        b'A="' + b"$B\\n" * (1 << 20) + b'"',
        b"A=" + b"${A}" * 500_000,
        b"A=x\n" + b"A=${A}${A}\n" * 60,
        b"A='" + b"x\n" * 500_000,
        b"\n" * (3 << 20),
        b"A=" + b"${B:-" * 100_000,
        b"".join(b"K%d=v\n" % number for number in range(100_000)),
        b"A=\x00",
        b"A=\xff",
        b'A="' + b"\\" * 1_000_000,
        b"export " * 300_000,
    ],
    ids=lambda content: str(content[:12]),
)
@pytest.mark.parametrize("name", [".env", "a.env"])
def test_env_files(tmp_path: Path, name: str, content: bytes) -> None:
    (tmp_path / "compose.yaml").write_text(IMAGE % ("env_file: a.env" if name == "a.env" else "init: true"))
    (tmp_path / name).write_bytes(content)
    answer(tmp_path)
