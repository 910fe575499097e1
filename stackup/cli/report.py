"""One clear block for an error: what, where, the offending text, what to do next. And its exit code."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator, Sequence
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

from stackup.base.errors import Bug, Position, StackupError
from stackup.base.foreign import lines as visible
from stackup.base.version import VERSION
from stackup.cli.terminal import Console, paint

if TYPE_CHECKING:
    from stackup.stackfile import Notice

REPORT_HINT = f"this is a bug in stackup {VERSION}; please report it with the command and the lines above"
MAX_SHOWN = 50


def show(error: StackupError, console: Console, *, as_json: bool = False) -> None:
    """Prints ``error`` and everything that was found beside it to standard error."""
    console.out.flush()
    if as_json:
        data = {"errors": [_flat(item) for item in every(error)]}
        warned = [as_data(item) for item in getattr(error, "notices", ())]
        console.err.write(json.dumps(data | ({"warnings": warned} if warned else {})) + "\n")
    else:
        console.err.write(text(error, colour=console.colour_err))
    console.err.flush()


def warn(notices: Sequence[Notice], console: Console, *, as_json: bool = False) -> None:
    """Prints warnings about stack files, each with its line as errors have it, or all as data."""
    console.out.flush()
    if as_json:
        console.err.write(json.dumps({"errors": [], "warnings": [as_data(item) for item in notices]}) + "\n")
    else:
        blocks = (
            StackupError(item.message, hint=item.hint, where=item.where, snippet=item.snippet) for item in notices
        )
        console.err.write("\n".join(_block(item, console.colour_err, "warning", "yellow") for item in blocks) + "\n")
    console.err.flush()


def as_data(notice: Notice) -> dict[str, Any]:
    where = asdict(notice.where) if notice.where else None
    return {"message": notice.message, "hint": notice.hint, "where": where, "snippet": notice.snippet}


def _flat(error: StackupError) -> dict[str, Any]:
    return {key: item for key, item in error.to_dict().items() if key != "details"}


def text(error: StackupError, *, colour: bool = False) -> str:
    found = list(every(error))
    hidden = sum(getattr(item, "hidden", 0) for item in found)  # some stand for many that nobody kept
    found = [item for item in found if not getattr(item, "hidden", 0)]
    blocks = [_block(item, colour) for item in found[:MAX_SHOWN]]
    if len(found) + hidden > len(blocks):
        blocks.append(f"... and {len(found) + hidden - len(blocks)} more\n")
    elif len(found) > 1:
        blocks.append(f"{len(found)} errors\n")
    return "\n".join(blocks) if any("\n" in block.rstrip("\n") for block in blocks) else "".join(blocks)


def every(error: StackupError) -> Iterator[StackupError]:
    """The error and its details in order, each once."""
    seen: set[tuple[str, str]] = set()
    queue = [error]
    while queue:
        item = queue.pop(0)
        key = (item.message, str(item.where or ""))
        if key not in seen:
            seen.add(key)
            yield item
        queue[:0] = item.details


def _block(error: StackupError, colour: bool, word: str = "error", shade: str = "red") -> str:
    if isinstance(error, Bug):
        return _bug(error, colour)
    tint = paint if colour else _plain
    lines = [f"{tint(word, shade)}: {tint(_message(error), 'bold')}"]
    gutter = ""
    if error.where:
        number = str(error.where.line or "")
        gutter = " " * len(number)
        lines.append(f"{gutter} {tint('-->', 'blue')} {place(error.where)}")
        if error.snippet:
            lines += _snippet(error.snippet, number, gutter, colour)
    elif error.snippet:
        lines += _snippet(error.snippet, "", "", colour)
    if error.hint:
        for index, line in enumerate(visible(error.hint).split("\n")):
            lead = tint("hint: ", "cyan") if index == 0 else "      "
            lines.append(f"{gutter} {tint('=', 'blue')} {lead}{line}" if error.where else f"  {lead}{line}")
    return "\n".join(lines) + "\n"


def _message(error: StackupError) -> str:
    """Somebody else's words may be in it: no line of theirs stands where an error of ours would begin."""
    return visible(error.message).replace("\n", "\n  ")


def place(where: Position) -> str:
    """A file below the working directory by its short name, as an editor's terminal can open it."""
    try:
        inside = os.path.relpath(where.file)
    except (OSError, ValueError):
        return str(where)
    return str(where) if inside.startswith("..") else str(Position(inside, where.line, where.column))


def _bug(error: Bug, colour: bool) -> str:
    """The traceback first, so that the sentence stands next to the prompt."""
    tint = paint if colour else _plain
    trace = f"{error.snippet.rstrip()}\n\n" if error.snippet else ""
    hint = f"  {tint('hint', 'cyan')}: {error.hint or REPORT_HINT}\n"
    return f"{trace}{tint('bug', 'red')}: {tint(_message(error), 'bold')}\n{hint}"


def _snippet(snippet: str, number: str, gutter: str, colour: bool) -> Iterator[str]:
    """The source line with its number, then the caret line."""
    tint = paint if colour else _plain
    for index, line in enumerate(snippet.rstrip("\n").split("\n")):
        margin = number if index == 0 else gutter
        body = tint(line, "red") if line.strip(" ^~") == "" and index else line
        yield f"{tint(f'{margin} |', 'blue')} {body}".rstrip()


def _plain(text: str, colour: str) -> str:
    return text
