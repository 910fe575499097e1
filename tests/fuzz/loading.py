"""One case, a few files beside each other, and what must hold when they are loaded.

A case is kept as one text: the stack file, then ``=== NAME`` lines, each followed by the file of that name.
"""

from __future__ import annotations

import json
import re
import time
from pathlib import Path

from stackup.base.errors import StackupError
from stackup.stackfile import LoadRequest, canonical, load

CORPUS = Path(__file__).parent / "corpus"
STACK = "compose.yaml"
OVERRIDE = "over.yaml"
NAMES = (STACK, OVERRIDE, "base.yaml", ".env", "a.env", "a.labels", "sub/compose.yaml", "sub/a.env", "sub/.env")
ENVIRONMENT = {"HOME": "/home/u", "TAG": "1.2", "EMPTY": "", "LINES": "a\nb: c\n"}
SECONDS = 2.0  # of processor time for one load

_SEPARATOR = re.compile(rb"^=== ([a-z./]+)\n", re.MULTILINE)


class TooSlowError(AssertionError):
    """A load that took longer than anyone wants to wait for an error."""


def split(data: bytes) -> dict[str, bytes]:
    parts = _SEPARATOR.split(data)
    files = {STACK: parts[0]}
    for name, content in zip(parts[1::2], parts[2::2], strict=True):
        if name.decode() in NAMES:
            files[name.decode()] = content
    return files


def joined(files: dict[str, bytes]) -> bytes:
    others = [b"\n=== %s\n%s" % (name.encode(), content) for name, content in files.items() if name != STACK]
    return b"".join([files.get(STACK, b""), *others])


def corpus() -> list[bytes]:
    return [path.read_bytes() for path in sorted(CORPUS.iterdir())]


def try_case(directory: Path, data: bytes) -> bool:
    """Loads the case in an otherwise empty ``directory``; True for a stack, False for an error that is one of ours."""
    files = split(data)
    for name in NAMES:
        path = directory / name
        if name in files:
            path.parent.mkdir(exist_ok=True)
            path.write_bytes(files[name])
        else:
            path.unlink(missing_ok=True)
    given = (STACK, OVERRIDE) if OVERRIDE in files else ()
    before = time.process_time()
    taken = _loads(LoadRequest(directory, given, environment=ENVIRONMENT, profiles=("*",), run=False))
    if (spent := time.process_time() - before) > SECONDS:
        raise TooSlowError(f"{spent:.1f} s")
    if len(data) % 4 == 0:  # now and then also as up does it, and as config --no-interpolate and its like
        _loads(LoadRequest(directory, given, environment=ENVIRONMENT))
        _loads(LoadRequest(directory, given, interpolate=False, normalize=False, resolve_environment=False, run=False))
    return taken


def _loads(request: LoadRequest) -> bool:
    try:
        loaded = load(request)
    except StackupError as error:
        for item in (error, *error.details):
            assert item.message, "an error that says nothing"
        str(error)
        return False
    if request.interpolate:
        json.dumps(canonical(loaded.stack), allow_nan=False)
    return True
