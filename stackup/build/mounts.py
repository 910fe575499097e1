"""``RUN --mount``: caches that outlive the build, temporary file systems, the context read-only.

A mount is never part of the layer. Secrets that are not required count as absent, as in BuildKit; ssh is not there.
"""

from __future__ import annotations

import difflib
import os
import posixpath
from dataclasses import dataclass
from pathlib import Path

from stackup.base.names import short_hash
from stackup.base.paths import Layout
from stackup.build import arguments
from stackup.build.dockerfile import Instruction

_KEYS = ("type", "target", "dst", "destination", "ro", "readonly", "rw", "readwrite")
_OWN_KEYS = {  # BuildKit, instructions/commands_runmount.go
    "bind": ("source", "src", "from"),
    "cache": ("source", "src", "from", "id", "sharing", "uid", "gid", "mode"),
    "tmpfs": ("size",),
    "secret": ("id", "source", "src", "required", "uid", "gid", "mode", "env"),
    "ssh": ("id", "required", "uid", "gid", "mode"),
}


@dataclass(frozen=True, slots=True)
class RunMount:
    """``kind``, ``source`` and ``options`` as mount(8) writes them. ``directory``: to be made before, with ``owner``
    and ``mode``, unless empty."""

    target: str
    kind: str
    source: str
    options: tuple[str, ...]
    directory: str = ""
    owner: tuple[int, int] = (0, 0)
    mode: int = 0o755

    def make(self) -> None:
        path = Path(self.directory)
        if self.directory and not path.is_dir():
            path.mkdir(parents=True)
            os.chown(path, *self.owner)
            os.chmod(path, self.mode)


def read_mounts(item: Instruction, layout: Layout, context: Path) -> list[RunMount]:
    """Raises StackFileError for kinds and options that are not known."""
    found = []
    for name, value in item.flags:
        if name == "mount":
            options = dict(part.partition("=")[::2] for part in value.split(","))
            try:
                mount = _read(options, layout, context)
            except ValueError as error:
                raise item.error(f"cannot use --mount={value}: {error}", word="--mount") from None
            if mount:
                found.append(mount)
        elif name == "security" and value != "sandbox":
            raise item.error(f"cannot use --security={value}: only sandbox is supported", word="--security")
    return found


def _check(options: dict[str, str], kind: str) -> None:
    """Keys that BuildKit would not know for this type, and values that are no numbers."""
    allowed = (*_KEYS, *_OWN_KEYS.get(kind, ()))
    for key, value in options.items():
        if key not in allowed:
            close = difflib.get_close_matches(key, allowed, 1)
            raise ValueError(f"type={kind} has no option '{key}'{f', did you mean {close[0]}?' if close else ''}")
        if key in ("uid", "gid") and not value.isdecimal():
            raise ValueError(f"{key}={value} is not a number")
    if options.get("sharing", "shared") not in ("shared", "private", "locked"):
        raise ValueError(f"sharing={options['sharing']} is none of shared, private, locked")


def _read(options: dict[str, str], layout: Layout, context: Path) -> RunMount | None:
    kind = options.get("type", "bind")
    if kind in _OWN_KEYS:
        _check(options, kind)
    target = options.get("target") or options.get("dst") or options.get("destination") or ""
    if kind in ("secret", "ssh"):
        if options.get("required", "false") in ("true", ""):
            raise ValueError(f"there is no {kind} for this build")
        return None
    if not target.startswith("/"):
        raise ValueError("target must be an absolute path")
    target = posixpath.normpath(target)
    if kind == "tmpfs":
        size = (f"size={options['size']}",) if options.get("size") else ()
        return RunMount(target, "tmpfs", "tmpfs", ("nosuid", "nodev", *size))
    if kind == "cache":
        if "from" in options:
            raise ValueError("a cache that begins with another stage's files (from=) is not supported")
        directory = str(layout.build_cache / "mounts" / short_hash(options.get("id") or target, digits=24))
        owner = int(options.get("uid", "0")), int(options.get("gid", "0"))
        read_only = "ro" in options or "readonly" in options
        flags = ("rbind", "rprivate", "ro" if read_only else "rw")
        return RunMount(target, "bind", directory, flags, directory, owner, arguments.mode(options.get("mode", "755")))
    if kind == "bind":
        if "from" in options:
            raise ValueError("binding from a stage is not supported; use COPY --from")
        source = os.path.realpath(context / options.get("source", options.get("src", "")).lstrip("/"))
        if not Path(source).is_relative_to(os.path.realpath(context)):
            raise ValueError("source leads out of the context")
        return RunMount(target, "bind", source, ("rbind", "rprivate", "ro"))
    raise ValueError(f"the type '{kind}' is unknown")
