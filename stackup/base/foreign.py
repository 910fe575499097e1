"""Names and texts that somebody else has made (entries of archives, fields of manifests) on their way to a terminal.

Raw they could set its title, hide or fake lines, or fill the screen: whatever is shown of them goes through ``shown``.
"""

from __future__ import annotations

LONGEST = 200  # characters, of one that stands in a sentence
PATH_MAX = 4096  # of one that is the answer itself


def shown(text: str | bytes, longest: int | None = LONGEST) -> str:
    """In one line: control characters, marks that turn the direction of writing and bytes that are no UTF-8 as escapes
    (``\\x1b``), and of what is too long the beginning and the end."""
    whole = text.decode("utf-8", "surrogateescape") if isinstance(text, bytes) else text
    if longest is not None and len(whole) > longest:
        end = longest // 2
        whole = f"{whole[: longest - end - 1]}…{whole[-end:]}"
    return whole if whole.isprintable() else "".join(map(_visible, whole))


def lines(text: str) -> str:
    """The same for a text that may have lines and tabs, and be long: its control characters."""
    kept = text.replace("\n", "").replace("\t", "")
    return text if kept.isprintable() else "".join(char if char in "\n\t" else _visible(char) for char in text)


def _visible(char: str) -> str:
    if char.isprintable():
        return char
    if "\udc80" <= char <= "\udcff":  # a byte, smuggled through by surrogateescape
        return f"\\x{ord(char) - 0xDC00:02x}"
    return char.encode("unicode_escape", "surrogatepass").decode("ascii")
