"""The reference pages that are generated: ``docs/attributes.md`` and ``schemas/stack.schema.json``.

``python -m stackup.stackfile.reference`` in a checkout writes them anew; a test fails when they are stale.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

from stackup.stackfile.describe import Attribute, attributes, descriptions
from stackup.stackfile.schema import schema
from stackup.stackfile.support import ENTRIES, Entry, Support, entries_for, entry_for

ROOT = Path(__file__).parents[2]
ATTRIBUTES = ROOT / "docs" / "attributes.md"
SCHEMA = ROOT / "schemas" / "stack.schema.json"
PACKAGED = Path(__file__).with_name("stack.schema.json")
_HEAD = """\
# Attributes

Every attribute of the stack file and what stackup does with it. Generated from the grammar and the registry of support
(`stackup/stackfile/support.py`) by `python -m stackup.stackfile.reference`; do not edit.

- **yes**: carried out, as docker compose does it
- **not yet**: `up` warns once and goes on without it
- **no effect**: it means something elsewhere only (Windows, clusters); `up` warns once
- **refused**: `up` refuses the file, because going on without it would weaken isolation, lose data or run the service
  wrongly; `config` shows it all the same

`*` stands for a name that you choose, or for an item of a list.

"""


def attributes_markdown() -> str:
    """The whole page."""
    parts = [_HEAD, _counts()]
    for owner, items in _groups():
        title = f"`{'.'.join(owner)}`" if owner else "Top level"
        parts.append(f"\n## {title}\n\n| Attribute | What it is for | Default | stackup |\n| --- | --- | --- | --- |\n")
        parts += [_row(item) for item in items]
    return "".join(parts)


def _groups() -> Iterator[tuple[tuple[str, ...], list[Attribute]]]:
    groups: dict[tuple[str, ...], list[Attribute]] = {}
    for item in attributes():
        groups.setdefault(item.path[:-1], []).append(item)
    yield from groups.items()


def _counts() -> str:
    kinds = dict.fromkeys(Support, 0)
    for item in attributes():
        entry = entry_for(item.text)
        kinds[entry.support if entry is not None else Support.DONE] += 1
    total = sum(kinds.values())
    return (
        f"{total} attributes: {kinds[Support.DONE]} carried out, {kinds[Support.NOT_YET]} not yet, "
        f"{kinds[Support.NEVER]} without effect here, {kinds[Support.REFUSED]} refused.\n"
    )


def _row(item: Attribute) -> str:
    about = descriptions()[item.record, item.path[-1]]
    return f"| `{item.path[-1]}` | {_cell(about.summary)} | {_cell(about.default)} | {_cell(status(item.text))} |\n"


def _cell(text: str) -> str:
    return text.replace("|", "\\|").replace("*", "\\*")


def status(path: str) -> str:
    """What stackup does with an attribute, in a line."""
    return "; ".join(map(_status, entries_for(path))) or "yes"


def _status(entry: Entry) -> str:
    words = {
        Support.DONE: "yes",
        Support.NOT_YET: "not yet",
        Support.NEVER: "no effect",
        Support.REFUSED: "refused",
    }[entry.support]
    return f"{_exceptions(entry)}{words}: {entry.reason}"


def _exceptions(entry: Entry) -> str:
    if entry.only:
        return f"{', '.join(sorted(entry.only))}: "
    known = entry.keys - {name for other in ENTRIES if other.path == entry.path for name in other.only}
    kept = entry.but or ", ".join(sorted(known))
    return f"yes for {kept}; otherwise " if kept else ""


def schema_text() -> str:
    return json.dumps(schema(), indent=2, ensure_ascii=False) + "\n"


def main() -> None:
    ATTRIBUTES.write_text(attributes_markdown(), encoding="utf-8")
    SCHEMA.parent.mkdir(exist_ok=True)
    for path in (SCHEMA, PACKAGED):
        path.write_text(schema_text(), encoding="utf-8")


__all__ = ["ATTRIBUTES", "ENTRIES", "PACKAGED", "SCHEMA", "attributes_markdown", "main", "schema_text", "status"]

if __name__ == "__main__":
    main()
