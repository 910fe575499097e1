"""Says what a step is waiting for, once that takes longer than somebody who watches likes to see nothing."""

from __future__ import annotations

import stat
import time
from collections.abc import Callable, Sequence

from stackup.build.sources import Item, Watch

_SECONDS = 1.0
_UNITS = ("bytes", "kB", "MB", "GB", "TB")


class Patience:
    """Of one step. Each thing is said once."""

    def __init__(self, say: Callable[[str], None]) -> None:
        self._say = say
        self._begun: dict[str, float] = {}
        self._said: set[str] = set()

    def tell(self, what: str, text: Callable[[], str]) -> None:
        """``what`` begins, or still goes on; ``text`` says more, when it is asked for."""
        begun = self._begun.setdefault(what, time.monotonic())
        if what not in self._said and time.monotonic() - begun > _SECONDS:
            self._said.add(what)
            self._say(text())

    def reading(self, origin: str) -> Watch:
        """For files of ``origin``: as --from names it, "" for the context."""
        what = f"reading {origin or 'the context'}"
        return lambda items: self.tell(what, lambda: f"{what}: {_amount(items)}")


def _amount(items: Sequence[Item]) -> str:
    """``12,345 files, 6.7 MB``."""
    sizes = [item.info.st_size for item in items if stat.S_ISREG(item.info.st_mode)]
    files = "1 file" if len(sizes) == 1 else f"{len(sizes):,} files"
    return f"{files}, {_size(sum(sizes))}"


def _size(count: int) -> str:
    if count == 1:
        return "1 byte"
    unit = 0
    size = float(count)
    while size >= 1000 and unit < len(_UNITS) - 1:
        size, unit = size / 1000, unit + 1
    return f"{size:.0f} {_UNITS[unit]}" if size >= 10 or not unit else f"{size:.1f} {_UNITS[unit]}"
