"""``stackup schema``: the JSON Schema of stack files, for editors."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import stackup
from stackup.base.errors import StackupError
from stackup.cli.options import value
from stackup.cli.session import Session

NEEDS_ROOT = False
SCHEMA = Path(stackup.__file__).parent / "stackfile" / "stack.schema.json"


@dataclass(frozen=True)
class Request:
    """Print the JSON Schema of stack files, for editors."""

    output: str = value("-o", "--output", help="Write to a file.", default="", metavar="PATH")


def run(session: Session, request: Request) -> int:
    text = SCHEMA.read_text(encoding="utf-8")
    if not request.output:
        session.console.out.write(text)
        return 0
    path = Path(session.cwd, request.output)
    try:
        path.write_text(text, encoding="utf-8")
    except OSError as error:
        raise StackupError(f"cannot write {path}: {(error.strerror or str(error)).lower()}") from None
    return 0
