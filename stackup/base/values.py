"""Immutable records that cost little to define: ``@frozen`` is ``@dataclass(frozen=True, slots=True)``, made late.

The standard decorator writes and compiles six functions for every class, about a millisecond each time; with two
hundred classes that was a third of what a cold start took. Here the standard library only collects the fields; one set
of functions serves all classes, and ``__init__`` is compiled when a class is instantiated for the first time.
``dataclasses.field``, ``fields``, ``replace``, ``asdict``, ``__post_init__`` and ``match`` work as usual.
"""

from __future__ import annotations

import operator
from collections.abc import Callable
from dataclasses import MISSING, Field, FrozenInstanceError, dataclass, field, fields
from typing import Any, TypeVar, dataclass_transform, overload

T = TypeVar("T")


@overload
def frozen(cls: type[T], /) -> type[T]: ...
@overload
def frozen(*, kw_only: bool = False, order: bool = False) -> Callable[[type[T]], type[T]]: ...
@dataclass_transform(frozen_default=True, field_specifiers=(field,))
def frozen(cls: type[T] | None = None, /, *, kw_only: bool = False, order: bool = False) -> Any:
    """Like ``dataclass(frozen=True, slots=True)``; equal when of one class and equal in every field, hashable when all
    of them are."""
    if cls is None:
        return lambda decorated: _made(decorated, kw_only, order)
    return _made(cls, kw_only, order)


def as_mapping(record: Any) -> dict[str, Any]:
    """The fields of a ``frozen`` record by name, not copied and not going deeper, unlike ``dataclasses.asdict``."""
    return {name: getattr(record, name) for name in record._field_names}


def changed(record: T, **changes: Any) -> T:
    """``dataclasses.replace`` for a ``frozen`` record all of whose fields are arguments of its constructor; several
    times quicker."""
    return type(record)(**{**as_mapping(record), **changes})


def _made(cls: type[T], kw_only: bool, order: bool) -> type[T]:
    own_repr = "__repr__" in cls.__dict__
    if cls.__doc__ is None:
        cls.__doc__ = cls.__name__  # else dataclass would spell out the signature, which is dearer than all the rest
    made: Any = dataclass(init=False, repr=False, eq=False, slots=True, kw_only=kw_only)(cls)
    made.__init__ = _late_init(made)
    made._field_names = tuple(item.name for item in fields(made))
    made._field_values = staticmethod(_reader(tuple(item.name for item in fields(made) if item.compare)))
    made.__eq__ = _eq
    made.__hash__ = _hash
    if order:
        made.__lt__ = _lt
    if not own_repr:
        made.__repr__ = _repr
    made.__setattr__ = made.__delattr__ = _refuse
    made.__getstate__ = _state
    made.__setstate__ = _restore
    return made  # type: ignore[no-any-return]


def _late_init(cls: Any) -> Callable[..., None]:
    def __init__(self: Any, *args: Any, **kwargs: Any) -> None:
        if cls.__init__ is __init__:
            cls.__init__ = _compiled_init(cls)
        cls.__init__(self, *args, **kwargs)

    return __init__


def _compiled_init(cls: Any) -> Callable[..., None]:
    """Sets each field through its slot's descriptor, which is what passes by ``__setattr__``."""
    names: dict[str, Any] = {"MISSING": MISSING}
    positional: list[str] = []
    keywords: list[str] = []
    body: list[str] = []
    for item in fields(cls):
        names[f"set_{item.name}"] = getattr(cls, item.name).__set__
        source = item.name
        if item.init:
            (keywords if item.kw_only else positional).append(item.name + _default(item, names))
            if item.default_factory is not MISSING:
                source = f"make_{item.name}() if {item.name} is MISSING else {item.name}"
        else:
            _default(item, names)
            source = f"make_{item.name}()" if item.default_factory is not MISSING else f"default_{item.name}"
        body.append(f"    set_{item.name}(self, {source})\n")
    if hasattr(cls, "__post_init__"):
        body.append("    self.__post_init__()\n")
    parameters = ", ".join(["self", *positional, *(["*"] if keywords else []), *keywords])
    exec(f"def __init__({parameters}):\n{''.join(body) or '    pass'}", names)
    made: Callable[..., None] = names["__init__"]
    made.__qualname__ = f"{cls.__qualname__}.__init__"
    return made


def _default(item: Field[Any], names: dict[str, Any]) -> str:
    if item.default_factory is not MISSING:
        names[f"make_{item.name}"] = item.default_factory
        return "=MISSING"
    if item.default is not MISSING:
        names[f"default_{item.name}"] = item.default
        return f"=default_{item.name}"
    return ""


def _reader(names: tuple[str, ...]) -> Callable[[Any], Any]:
    return operator.attrgetter(*names) if names else lambda self: ()


def _eq(self: Any, other: Any) -> Any:
    if other.__class__ is not self.__class__:
        return NotImplemented
    return self is other or self._field_values(self) == self._field_values(other)


def _lt(self: Any, other: Any) -> Any:
    if other.__class__ is not self.__class__:
        return NotImplemented
    return self._field_values(self) < self._field_values(other)


def _hash(self: Any) -> int:
    return hash((self.__class__, self._field_values(self)))


def _repr(self: Any) -> str:
    inside = ", ".join(f"{item.name}={getattr(self, item.name)!r}" for item in fields(self) if item.repr)
    return f"{self.__class__.__qualname__}({inside})"


def _refuse(self: Any, name: str, *_: object) -> None:
    raise FrozenInstanceError(f"cannot change {name!r} of a {self.__class__.__name__}")


def _state(self: Any) -> list[Any]:
    return [getattr(self, item.name) for item in fields(self)]


def _restore(self: Any, state: list[Any]) -> None:
    for item, saved in zip(fields(self), state, strict=True):
        object.__setattr__(self, item.name, saved)
