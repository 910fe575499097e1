"""A failed step, kept for a shell: its file system as the command left it, its environment, user and directory.

``python -m stackup.build.failed NAME`` opens the shell on the caller's terminal. What is kept is deleted afterwards;
what nobody opened, after a day.
"""

from __future__ import annotations

import json
import os
import select
import shutil
import sys
import termios
import time
import tty
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from stackup.base.errors import StackupError, UsageError
from stackup.base.paths import Layout
from stackup.base.workroom import Workroom, delete
from stackup.build.command import Command
from stackup.linux.overlay import Overlay

_DAY = 86400.0
_SHELLS = ("/bin/bash", "/bin/sh")
_CHUNK = 1 << 16
_LOOK_SECONDS = 0.3  # at the size of the terminal


def _root(layout: Layout) -> Path:
    return layout.build_cache / "failed"


def keep(layout: Layout, name: str, overlays: tuple[Overlay, ...], writable: Path, command: Command) -> None:
    """Moves what the step wrote away from its room. Secrets, caches and other mounts are not kept."""
    root = _root(layout)
    root.mkdir(parents=True, exist_ok=True)
    for path in root.iterdir():
        with suppress(FileNotFoundError):
            if path.stat().st_mtime < time.time() - _DAY:
                delete(path)
    place = root / Path(name).name
    if place.exists():
        return  # the first failure counts
    place.mkdir(mode=0o700)
    os.rename(writable, place / "writable")
    writable.mkdir()
    own = str(writable)

    def moved(path: str) -> str:
        return path.replace(own, f"{place}/writable", 1) if path.startswith(own) else path

    public = {key: value for key, value in command.environment.items() if key not in command.secret}
    record = {
        "overlays": [[item.target, list(item.lowers), moved(item.upper), moved(item.work)] for item in overlays],
        "environment": public, "user": command.user, "working_dir": command.working_dir,
        "network": command.network, "privileged": command.privileged,
        "extra_hosts": {name: list(all_) for name, all_ in command.extra_hosts.items()},
    }  # fmt: skip
    (place / "step.json").write_text(json.dumps(record), encoding="utf-8", errors="surrogateescape")


def is_kept(layout: Layout, name: str) -> bool:
    return (_root(layout) / name / "step.json").is_file()


def open_shell(layout: Layout, name: str) -> int:
    """The shell's exit code. Standard input and output must be a terminal. Raises UsageError, ImageError, ..."""
    from stackup.build.sandbox import Sandbox

    place = _root(layout) / name
    if not is_kept(layout, name):
        raise UsageError(f"cannot open a shell: there is no failed step {name}")
    record = json.loads((place / "step.json").read_text(encoding="utf-8", errors="surrogateescape"))
    overlays = tuple(Overlay(target, tuple(lowers), upper, work) for target, lowers, upper, work in record["overlays"])
    command = Command(
        (_shell_of(overlays),), {**record["environment"], "TERM": os.environ.get("TERM", "xterm")}, record["user"],
        record["working_dir"], record["network"], {name: tuple(all_) for name, all_ in record["extra_hosts"].items()},
        privileged=record["privileged"],
    )  # fmt: skip
    try:
        with Workroom(layout.build_cache / ".work").directory() as room:
            sandbox = Sandbox(layout, room, f"build.{room.name}")
            try:
                return sandbox.run(overlays, command, lambda _stream, _line: None, _talk)
            finally:
                sandbox.close()
    finally:
        delete(place)


def _shell_of(overlays: tuple[Overlay, ...]) -> str:
    from stackup.images.lookup import Stack

    view = Stack(overlays)
    return next((path for path in _SHELLS if view.find(path).paths), _SHELLS[-1])


def _talk(console: int) -> None:
    """Between the caller's terminal and the command's, until the command's has gone."""
    from stackup.linux.terminal import set_size

    try:
        with _raw():
            size = None
            readable = [console, 0]
            while True:
                if (now := shutil.get_terminal_size()) != size:  # signals reach the main thread only, which waits
                    size = now
                    set_size(console, size.lines, size.columns)
                ready, _, _ = select.select(readable, [], [], _LOOK_SECONDS)
                if console in ready and not _pass_on(console, 1):
                    return
                if 0 in ready and not _pass_on(0, console):
                    readable.remove(0)
    finally:
        os.close(console)


def _pass_on(source: int, target: int) -> bool:
    try:
        data = os.read(source, _CHUNK)
    except OSError:  # EIO: the last process at the other end has gone
        return False
    if not data:
        return False
    while data:
        data = data[os.write(target, data) :]
    return True


@contextmanager
def _raw() -> Iterator[None]:
    if not os.isatty(0):
        yield
        return
    before = termios.tcgetattr(0)
    tty.setraw(0)
    try:
        yield
    finally:
        termios.tcsetattr(0, termios.TCSADRAIN, before)


def main() -> int:
    try:
        return open_shell(Layout.from_environment(), sys.argv[1])
    except StackupError as error:
        print(f"stackup: {error.message}", file=sys.stderr)
        return 1


if __name__ == "__main__":
    sys.exit(main())
