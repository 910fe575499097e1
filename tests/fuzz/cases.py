"""Hypothesis strategies for cases: files of the corpus with edits in their trees or in their text, and plain noise."""

from __future__ import annotations

from typing import Any

import yaml
from hypothesis import strategies as st

from stackup.stackfile.grammar_service import SERVICE_FIELDS
from tests.fuzz.loading import NAMES, STACK, corpus, joined, split

Path = tuple[Any, ...]

TOKENS = [
    *(
        "\t",
        "\n",
        "\r\n",
        "\0",
        "\ufeff",
        " ",
        "  ",
        "\\",
        "'",
        '"',
        "#",
        " #",
        ": ",
        "- ",
        "? ",
        "|\n",
        ">-\n",
        "---\n",
    ),
    *(
        "...\n",
        "&a ",
        "*a",
        "<<: *a",
        "<<: [*a, *a]",
        "{",
        "}",
        "[",
        "]",
        ",",
        "!reset ",
        "!override ",
        "!!str ",
        "!x ",
    ),
    *("$", "$$", "${", "}", "${X}", "${X:-", "${X:?", "${TAG", "${EMPTY:+x}", "${X:-${Y:-${Z}}}", "${LINES}", "$TAG"),
    *("~", "null", "yes", "0o17", "017", "0x1F", "1_000", "1e400", ".inf", ".nan", "2024-01-02", "-0", "9" * 30),
    *(
        "x-a",
        "extends",
        "include",
        "env_file",
        "\x85",
        "\u2028",
        "\ud7ff",
        "é",
        "😀",
        "/",
        "..",
        ":",
        "=",
        "@",
        "0",
        "-1",
    ),
]
PLAIN = [
    *(None, True, False, 0, -1, 80, 65536, 1 << 70, 0.5, -0.0, 1e300, "", "x", "a", "b", "n", "v", "./d", "/d", "~/d"),
    *(
        "80:80",
        "8000-8010:80-90/udp",
        "127.0.0.1::80",
        "[::1]:80:80",
        "a:/b:ro,z",
        "C:\\d:/b",
        "1m",
        "1g",
        "1.5h",
        "0s",
    ),
    *("service:a", "service:b", "container:x", "a=b", "a:1.2.3.4", "host", "none", "no", "always", "on-failure:3"),
    *("${X:-y}", "${X", "${TAG}", "$$", "$EMPTY", "base.yaml", "sub/compose.yaml", "a.env", "a.labels", "none.env"),
]
KEYS = ["source", "target", "type", "name", "path", "required", "external", "driver", "a", "b", "x-a", "", "file", "<<"]


def _subtrees(tree: Any) -> list[Any]:
    children = tree.values() if isinstance(tree, dict) else tree if isinstance(tree, list) else ()
    return [tree, *(found for child in children for found in _subtrees(child))]


def _parsed(data: bytes) -> dict[str, Any] | None:
    """The YAML files of a case as trees; None for a case whose point is its text."""
    try:
        return {name: yaml.safe_load(text) for name, text in split(data).items() if name.endswith(".yaml")}
    except yaml.YAMLError:
        return None


SEEDS = corpus()
TREES = [(data, trees) for data in SEEDS if (trees := _parsed(data))]
GRAFTS = [subtree for _, trees in TREES for tree in trees.values() for subtree in _subtrees(tree)]

scalars = st.sampled_from(PLAIN) | st.text(max_size=8) | st.integers() | st.floats()
values = st.recursive(
    scalars | st.sampled_from(GRAFTS),
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(KEYS) | st.text(max_size=4), inner, max_size=3)
    ),
    max_leaves=6,
)


def _paths(tree: Any, path: Path = ()) -> list[Path]:
    found = [path]
    pairs = tree.items() if isinstance(tree, dict) else enumerate(tree) if isinstance(tree, list) else ()
    for key, child in pairs:
        found.extend(_paths(child, (*path, key)))
    return found


def _replaced(tree: Any, path: Path, value: Any, *, key: Any = None, drop: bool = False) -> Any:
    """A copy of the tree with another value at ``path``, or under another ``key`` there, or without it."""
    if not path:
        return value
    head, rest = path[0], path[1:]
    if isinstance(tree, list):
        new = list(tree)
        if drop and not rest:
            del new[head]
        else:
            new[head] = _replaced(tree[head], rest, value, key=key, drop=drop)
        return new
    copy: dict[Any, Any] = {}
    for name, child in tree.items():
        if name != head:
            copy[name] = child
        elif rest or not drop:
            copy[name if rest or key is None else key] = _replaced(child, rest, value, key=key, drop=drop)
    return copy


def _at(tree: Any, path: Path) -> Any:
    for key in path:
        tree = tree[key]
    return tree


def _edited(tree: Any, draw: st.DrawFn) -> Any:
    path = draw(st.sampled_from(_paths(tree)))
    kind = draw(st.sampled_from(["replace", "drop", "rename", "add", "wrap", "text"]))
    here = _at(tree, path)
    if kind == "drop":
        return _replaced(tree, path, here, drop=True)
    if kind == "rename":
        return _replaced(tree, path, here, key=draw(st.sampled_from([*KEYS, *SERVICE_FIELDS]) | st.text(max_size=4)))
    if kind == "add" and isinstance(here, dict):
        return _replaced(tree, path, {**here, draw(st.sampled_from([*KEYS, *SERVICE_FIELDS])): draw(values)})
    if kind == "add" and isinstance(here, list):
        return _replaced(tree, path, [*here, draw(values)])
    if kind == "wrap":
        return _replaced(tree, path, draw(st.sampled_from([[here], {"a": here}, {"name": here}, [here, here]])))
    if kind == "text" and isinstance(here, str):
        at = draw(st.integers(0, len(here)))
        return _replaced(tree, path, here[:at] + draw(st.sampled_from(TOKENS)) + here[at:])
    return _replaced(tree, path, draw(values))


def _dumped(tree: Any) -> bytes:
    return yaml.safe_dump(tree, allow_unicode=True, sort_keys=False).encode("utf-8", "surrogatepass")


@st.composite
def edited_trees(draw: st.DrawFn) -> bytes:
    data, trees = draw(st.sampled_from(TREES))
    new = dict(trees)
    for _ in range(draw(st.integers(1, 4))):
        name = draw(st.sampled_from(sorted(new)))
        new[name] = _edited(new[name], draw)
    return joined({**split(data), **{name: _dumped(tree) for name, tree in new.items()}})


@st.composite
def edited_texts(draw: st.DrawFn) -> bytes:
    text = draw(st.sampled_from(SEEDS))
    for _ in range(draw(st.integers(1, 5))):
        start = draw(st.integers(0, len(text)))
        end = min(len(text), start + draw(st.sampled_from([0, 0, 1, 2, 8, 40])))
        new = draw(
            st.sampled_from(TOKENS).map(lambda token: token.encode("utf-8", "surrogatepass"))
            | st.binary(max_size=4)
            | st.just(text[start:end] * 2)
        )
        text = text[:start] + new + text[end:]
    return text


@st.composite
def services(draw: st.DrawFn) -> bytes:
    """Attributes of a service with values that belong to anything."""
    attributes = st.dictionaries(st.sampled_from(sorted(SERVICE_FIELDS)), values, max_size=4)
    stack = {"services": {"a": {"image": "i", **draw(attributes)}, "b": {"image": "i"}}}
    over = {"services": {"a": draw(attributes)}}
    return joined({STACK: _dumped(stack), **({"over.yaml": _dumped(over)} if draw(st.booleans()) else {})})


noise = st.dictionaries(st.sampled_from(NAMES), st.binary(max_size=120), max_size=3).map(joined)
cases = edited_trees() | edited_trees() | edited_texts() | edited_texts() | services() | noise
