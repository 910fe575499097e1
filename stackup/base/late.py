"""A module of the standard library that is only read when something of it is asked for."""

from __future__ import annotations

import sys
from types import ModuleType

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any


class _Later(ModuleType):
    def __getattr__(self, name: str) -> Any:
        from importlib import import_module

        if sys.modules.get(self.__name__) is self:
            del sys.modules[self.__name__]
        found = import_module(self.__name__)
        self.__dict__.update(found.__dict__)  # whoever has this one in hand asks no second time
        return getattr(found, name)


def later(name: str) -> None:
    """From now on ``import NAME`` costs nothing, and the first attribute that somebody wants of it everything."""
    if name not in sys.modules:
        sys.modules[name] = _Later(name)
