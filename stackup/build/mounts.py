"""``RUN --mount=...``: what is written, as values. ``mounting`` makes it so. Keys and rules are BuildKit's
(instructions/commands_runmount.go); values may contain variables, but for ``from``.
"""

from __future__ import annotations

import csv
import difflib
import posixpath
import re
from collections.abc import Callable

from stackup.base.values import frozen
from stackup.build.dockerfile import Instruction

_COMMON = ("type", "target", "dst", "destination", "ro", "readonly", "rw", "readwrite")
_OWN = {
    "bind": ("source", "src", "from"),
    "cache": ("source", "src", "from", "id", "sharing", "uid", "gid", "mode"),
    "tmpfs": ("size",),
    "secret": ("id", "source", "src", "required", "uid", "gid", "mode", "env"),
    "ssh": ("id", "required", "uid", "gid", "mode"),
}
_ALIASES = {
    "dst": "target", "destination": "target", "src": "source", "readonly": "ro", "readwrite": "rw",
}  # fmt: skip
_SIZE = re.compile(r"(\d+(?:\.\d+)?)\s*([kmgt]?)i?b?\Z", re.IGNORECASE)
_TRUE, _FALSE = ("1", "t", "true"), ("0", "f", "false")
_MODES = {"cache": 0o755, "secret": 0o400, "ssh": 0o600}
SECRETS = "/run/secrets"


@frozen
class MountRequest:
    """``target`` is absolute; empty for ssh: a place of its own is given, and for secrets that go into ``env`` only.
    ``source`` and ``origin`` (a stage, image or context; "" is the build context) for bind and cache. ``size`` in
    bytes, 0: no limit."""

    kind: str
    target: str
    source: str = "/"
    origin: str = ""
    id: str = ""
    read_only: bool = False
    required: bool = False
    sharing: str = "shared"
    mode: int = 0
    owner: tuple[int, int] = (0, 0)
    size: int = 0
    env: str = ""

    @property
    def identity(self) -> list[object]:
        """For the key of a step: it must not change with names in the code."""
        return [
            self.kind, self.target, self.source, self.origin, self.id, self.read_only, self.required, self.sharing,
            self.mode, *self.owner, self.size, self.env,
        ]  # fmt: skip

    @property
    def takes_files(self) -> bool:
        """Whether it begins with files of ``origin``."""
        return self.kind == "bind" or (self.kind == "cache" and bool(self.origin))


def origins(item: Instruction) -> list[str]:
    """What ``from=`` names in a RUN, as it is written."""
    fields = [field for value in item.flag_values("mount") for field in _fields(value)]
    return [value for key, _, value in (field.partition("=") for field in fields) if key.lower() == "from"]


def read_mounts(item: Instruction, expand: Callable[[str], str], working_dir: str = "") -> tuple[MountRequest, ...]:
    """``working_dir``: what relative targets begin at; they stay as they are where that is not known. Raises
    StackFileError at the instruction's place."""
    found = []
    for value in item.flag_values("mount"):
        try:
            found.append(_read(value, expand, working_dir))
        except ValueError as error:
            raise item.error(f"cannot use --mount={value}: {error}", word="--mount") from None
    return tuple(found)


def _fields(value: str) -> list[str]:
    return next(csv.reader([value]), [])


def _read(value: str, expand: Callable[[str], str], working_dir: str) -> MountRequest:
    options: dict[str, str] = {}
    for field in _fields(value):
        key, sign, text = field.partition("=")
        key = key.strip().lower()
        if key == "from" and "$" in text:
            raise ValueError("from= knows no variables; name a stage of its own: FROM $NAME AS other")
        options[key] = (expand(text) if key != "from" else text) if sign else _alone(key)
    kind = options.get("type", "bind").lower()
    if kind not in _OWN:
        close = difflib.get_close_matches(kind, _OWN, 1)
        raise ValueError(f"the type '{kind}' is unknown{f', did you mean {close[0]}?' if close else ''}")
    allowed = (*_COMMON, *_OWN[kind])
    for key in options:
        if key not in allowed:
            close = difflib.get_close_matches(key, allowed, 1)
            raise ValueError(f"type={kind} has no option '{key}'{f', did you mean {close[0]}?' if close else ''}")
    return _request(kind, {_ALIASES.get(key, key): text for key, text in options.items()}, working_dir)


def _alone(key: str) -> str:
    if _ALIASES.get(key, key) not in ("ro", "rw", "required"):
        raise ValueError(f"{key} needs a value")
    return "true"


def _request(kind: str, options: dict[str, str], working_dir: str) -> MountRequest:
    read_only = kind in ("bind", "secret", "ssh")
    if "ro" in options:
        read_only = _switch("ro", options["ro"])
    if "rw" in options:
        read_only = not _switch("rw", options["rw"])
    sharing = options.get("sharing", "shared").lower()
    if sharing not in ("shared", "private", "locked"):
        raise ValueError(f"sharing={sharing} is none of shared, private, locked")
    name = options.get("id", "")
    if kind == "secret":
        if name and options.get("source"):
            raise ValueError("id and source mean the same; write one of them")
        name = name or options.get("source", "") or posixpath.basename(options.get("target", ""))
        if not name:
            raise ValueError("it needs an id")
    return MountRequest(
        kind,
        _target(kind, options, name, working_dir),
        source="/" + options.get("source", "").strip("/") if kind in ("bind", "cache") else "/",
        origin=options.get("from", ""),
        id=name or ("default" if kind == "ssh" else ""),
        read_only=read_only,
        required=_switch("required", options.get("required", "false")),
        sharing=sharing,
        mode=_mode(options["mode"]) if "mode" in options else _MODES.get(kind, 0),
        owner=(_number("uid", options), _number("gid", options)),
        size=_size(options["size"]) if "size" in options else 0,
        env=options.get("env", ""),
    )


def _target(kind: str, options: dict[str, str], name: str, working_dir: str) -> str:
    target = options.get("target", "")
    if kind == "secret" and not target:
        return "" if options.get("env") else f"{SECRETS}/{posixpath.basename(name)}"
    if kind == "ssh" and not target:
        return ""
    if not target:
        raise ValueError("it needs a target")
    if not working_dir and not target.startswith("/"):
        return target
    path = posixpath.normpath("/" + posixpath.join(working_dir, target).lstrip("/"))
    if path == "/":
        raise ValueError("target cannot be the root itself")
    return path


def _switch(key: str, text: str) -> bool:
    if text.lower() not in (*_TRUE, *_FALSE):
        raise ValueError(f"{key}={text} is neither true nor false")
    return text.lower() in _TRUE


def _number(key: str, options: dict[str, str]) -> int:
    text = options.get(key, "0")
    if not text.isdecimal():
        raise ValueError(f"{key}={text} is not a number")
    return int(text)


def _mode(text: str) -> int:
    if not re.fullmatch(r"[0-7]{1,5}", text):
        raise ValueError(f"mode={text} is not an octal mode such as 0755")
    return int(text, 8)


def _size(text: str) -> int:
    found = _SIZE.match(text)
    if found is None:
        raise ValueError(f"size={text} is not a size such as 64m")
    return int(float(found[1]) * 1024 ** " kmgt".index(found[2].lower() or " "))
