"""YAML text to ``Node`` trees: what kind of text it is, and what is said when it is no YAML. ``composing`` reads it."""

from __future__ import annotations

import yaml

from stackup.stackfile.composing import Composer, Stop
from stackup.stackfile.limits import MAX_BYTES, too_large
from stackup.stackfile.nodes import Node, Source
from stackup.stackfile.problems import Problems
from stackup.stackfile.yamlerrors import report, short


def read_documents(source: Source, problems: Problems) -> list[Node]:
    """All documents of a file that are not empty. What is wrong goes to ``problems``; what can be read is answered."""
    text = source.text
    if len(text) > MAX_BYTES:
        problems.at(source, 1, 1, f"cannot read {short(source, problems)}: {too_large(len(text))}")
        return []
    if "\0" in text:
        before = text[: text.index("\0")]
        place = before.count("\n") + 1, len(before) - before.rfind("\n")
        problems.at(
            source, *place, f"cannot read {short(source, problems)}: it holds a NUL byte, so it is no text file"
        )
        return []
    loader = None
    try:
        loader = yaml.CSafeLoader(text.removeprefix("\ufeff"))
        composer = Composer(source, problems, loader)
        documents = _composed(composer)
    except Stop as stop:
        message = f"cannot read {short(source, problems)}: {stop}"
        problems.at(source, stop.line, stop.column, message, hint=stop.hint)
        documents = []
    except yaml.MarkedYAMLError as error:
        report(source, error, problems)
        return []
    except yaml.reader.ReaderError as error:
        before = text[: error.position]
        line, column = before.count("\n") + 1, error.position - before.rfind("\n")
        what = f"character U+{error.character:04X}" if isinstance(error.character, int) else "a character"
        problems.at(source, line, column, f"cannot read {short(source, problems)} as YAML: {what} is not allowed")
        return []
    finally:
        if loader is not None:
            loader.dispose()
    for say in composer.found if composer.left > 0 else ():
        say()
    return documents


def _composed(composer: Composer) -> list[Node]:
    try:
        return composer.documents()
    except Stop:
        composer.drain()
        raise
