"""What ``--format`` takes: words of a verb's own, or a template as docker has them (``cli/templates.py``)."""

from __future__ import annotations

from collections.abc import Callable

TABLE = "table "


def is_template(text: str) -> bool:
    return "{{" in text or text.startswith(TABLE)


def checked(*words: str) -> Callable[[str], None]:
    """The check of a ``--format``: one of ``words``, or a template."""

    def check(text: str) -> None:
        if text not in words and not is_template(text):
            raise ValueError(f"{text!r} is not one of {', '.join(words)}, nor a template like '{{{{.ID}}}}'")

    return check
