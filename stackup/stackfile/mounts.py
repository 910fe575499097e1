"""``volumes`` of a service, and paths on the host: short syntax, ``~``, paths relative to the file they stand in."""

from __future__ import annotations

import os

from stackup.stackfile.forms import Form
from stackup.stackfile.nodes import Node
from stackup.stackfile.reader import Reader

_PROPAGATIONS = ("rprivate", "private", "rshared", "shared", "rslave", "slave")
_VOLUME = "[SOURCE:]TARGET[:OPTIONS], such as ./data:/data:ro, db:/var/lib/db or /cache"


def expand_volume(node: Node, path: str, reader: Reader) -> Node | None:
    if reader.open_text(node):
        return node
    try:
        parts = parse_volume(node.value)
    except ValueError as error:
        reader.misused(node, path, str(error), f"a volume is written {_VOLUME}")
        return None
    _warn_of_options(node, path, reader)
    fields = {
        name: node.under({key: node.under(item) for key, item in value.items()} if type(value) is dict else value)
        for name, value in parts.items()
    }
    return finish_volume(node.with_value(fields), path, reader)


_OPTIONS = ("ro", "rw", "z", "Z", "nocopy", "cached", "delegated", "consistent", *_PROPAGATIONS)


def _warn_of_options(node: Node, path: str, reader: Reader) -> None:
    """Compose skips options that it does not know; their author meant something by them."""
    parts = node.value.split(":")
    if len(parts) < 3 or (len(parts) == 3 and parts[2] in ("ro", "rw")):
        return
    parts = _volume_parts(node.value)
    for option in parts[2].split(",") if len(parts) == 3 else ():
        if option not in _OPTIONS:
            hint = "did you mean 'ro'?" if option in ("readonly", "read_only", "r") else f"one of {', '.join(_OPTIONS)}"
            reader.problems.warn(node, f"{path}: the option {option!r} is unknown and ignored", hint=hint)


def parse_volume(text: str) -> dict[str, object]:
    """The long form of a short volume, paths as written. Raises ValueError with a sentence."""
    if not text:
        raise ValueError("it is empty")
    if len(text) <= 2:
        return {"type": "volume", "target": text}
    fields: dict[str, object] = {}
    parts = _volume_parts(text)
    if "" in parts:
        raise ValueError("there is nothing between two colons" if text.strip(":") else "there are only colons")
    if len(parts) > 3:
        raise ValueError("there are too many colons")
    bind: dict[str, object] = {}
    volume: dict[str, object] = {}
    for option in parts[2].split(",") if len(parts) == 3 else ():
        if option in ("ro", "rw"):
            fields["read_only"] = option == "ro"
        elif option == "nocopy":
            volume["nocopy"] = True
        elif option in _PROPAGATIONS:
            bind["propagation"] = option
        elif option in ("z", "Z"):
            bind["selinux"] = option
    source = parts[0] if len(parts) > 1 else ""
    fields["target"] = parts[1] if len(parts) > 1 else parts[0]
    if source:
        fields["source"] = source
    if _is_path(source):
        fields |= {"type": "bind", "bind": {**bind, "create_host_path": True}}
        if volume:
            fields["volume"] = volume
    else:
        fields |= {"type": "volume", "volume": volume}
        if bind:
            fields["bind"] = bind
    return fields


def _volume_parts(text: str) -> list[str]:
    """Splits at colons, but not at that of a Windows drive, nor inside ``${...}``."""
    parts = text.split(":")
    if "${" not in text:
        for part in parts:
            if len(part) == 1 and part.isalpha():
                break
        else:
            return parts
    parts = []
    start = level = 0
    for index, char in enumerate(text):
        if text.startswith("${", index):
            level += 1
        elif char == "}" and level:
            level -= 1
        elif char == ":" and not level and not (index - start == 1 and text[start].isalpha()):
            parts.append(text[start:index])
            start = index + 1
    return [*parts, text[start:]]


def _is_path(source: str) -> bool:
    if not source:
        return False
    return source[0] in "./~" or source.startswith("\\\\") or _is_drive(source)


def _is_drive(source: str) -> bool:
    return len(source) > 1 and source[0].isalpha() and source[1] == ":"


def finish_volume(node: Node, path: str, reader: Reader) -> Node | None:
    """Absolute sources for binds, clean targets."""
    fields: dict[str, Node] = dict(node.value)
    kind, source, target = node.text("type"), fields.get("source"), fields.get("target")
    if kind == "bind" and not node.text("source"):
        reader.refuse(source or node, path, "a bind needs a source, the path on the host")
        return None
    if kind == "bind" and source is not None and not reader.open_text(source):
        fields["source"] = source.with_value(absolute(source, reader))
    if target is not None and target.value and not reader.open_text(target):
        cleaned = clean(target.value)
        if cleaned != target.value:
            fields["target"] = target.with_value(cleaned)
    return node.with_value(fields)


def clean(path: str) -> str:
    """Go's path.Clean: like normpath, and one slash only at the beginning."""
    normal = os.path.normpath(path) if path else "."
    return normal[1:] if normal.startswith("//") else normal


def absolute(node: Node, reader: Reader) -> str:
    """A path of the host: ``~`` is the caller's home, relative ones start at the directory of the file they are in."""
    path: str = node.value
    base = node.source.directory if reader.resolve_paths else node.source.base
    if base is None:
        return path
    if path.startswith("~"):
        return clean(os.path.join(reader.home, path[1:].lstrip("/"))) if reader.home else path
    if path.startswith("/"):
        return path
    if _is_drive(path) or path.startswith("\\\\"):
        return path
    return clean(os.path.join(base, path))


class HostPath(Form):
    """A path on the host, made absolute.

    ``url``: texts that name something else than a path stay as they are. ``blank``: an empty text is the directory of
    the file (elsewhere it stays empty). ``real``: symbolic links are followed.
    """

    expected = "a path"

    def __init__(self, *, url: bool = False, real: bool = False, blank: bool = False) -> None:
        self.url = url
        self.blank = blank
        self.real = real

    def read(self, node: Node, path: str, reader: Reader) -> Node | None:
        value = node.value
        if type(value) is not str:
            reader.wrong(node, path, self.expected)
            return None
        if (not value and not self.blank) or reader.open_text(node) or (self.url and is_remote(value)):
            return node
        result = absolute(node, reader)
        if self.real and reader.resolve_paths:
            result = os.path.realpath(result)
        return node.with_value(result)


def is_remote(context: str) -> bool:
    """Build contexts that are no local path: URLs, git addresses, ``service:NAME``, ``docker-image://``."""
    return "://" in context or context.startswith(("service:", "git@", "github.com/"))
