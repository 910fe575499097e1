"""Records made by ``@frozen`` behave like frozen, slotted dataclasses."""

from __future__ import annotations

import copy
import inspect
import pickle
from collections.abc import Callable
from dataclasses import FrozenInstanceError, asdict, field, fields, replace
from typing import Any, ClassVar

import pytest

from stackup.base.values import as_mapping, changed, frozen


@frozen
class Point:
    x: int
    y: int = 0
    tags: dict[str, str] = field(default_factory=dict)
    kind: ClassVar[str] = "point"


@frozen
class Named(Point):
    name: str = "?"


@frozen(kw_only=True)
class Options:
    quiet: bool
    level: int = 3


@frozen(order=True)
class Version:
    major: int
    minor: int


@frozen
class Counted:
    given: int
    twice: int = field(init=False, default=2)
    noted: list[int] = field(default_factory=list, compare=False, repr=False)

    def __post_init__(self) -> None:
        self.noted.append(self.given)


@frozen
class Empty:
    pass


def test_construction() -> None:
    assert (Point(1).x, Point(1).y, Point(1, y=2).y, Point(1).tags) == (1, 0, 2, {})
    assert Point(1).tags is not Point(1).tags
    assert Named(1, 2, {}, "n").name == "n"
    assert Options(quiet=True).level == 3
    assert (Counted(3).noted, Counted(3).twice) == ([3], 2)
    assert Empty() == Empty()


@pytest.mark.parametrize(
    ("cls", "positional", "named"),
    [(Point, (), {}), (Point, (1,), {"z": 2}), (Options, (True,), {}), (Counted, (1,), {"twice": 3})],
)
def test_wrong_arguments(cls: Callable[..., Any], positional: tuple[Any, ...], named: dict[str, Any]) -> None:
    with pytest.raises(TypeError):
        cls(*positional, **named)


def test_nothing_can_be_changed() -> None:
    point: Any = Point(1)
    for name in ("x", "new"):
        with pytest.raises(FrozenInstanceError):
            setattr(point, name, 2)
    with pytest.raises(FrozenInstanceError):
        del point.x
    assert not hasattr(point, "__dict__")


def test_equality_and_hash_go_by_class_and_fields() -> None:
    assert Version(1, 2) == Version(1, 2)
    assert Version(1, 2) != Version(1, 3)
    assert hash(Version(1, 2)) == hash(Version(1, 2))
    assert Point(1) != Named(1)
    assert Counted(1) == Counted(1)
    with pytest.raises(TypeError):
        hash(Point(1))  # a dictionary inside
    assert sorted([Version(2, 0), Version(1, 9), Version(1, 2)]) == [Version(1, 2), Version(1, 9), Version(2, 0)]


def test_it_prints_like_a_dataclass() -> None:
    assert repr(Point(1)) == "Point(x=1, y=0, tags={})"
    assert repr(Counted(1)) == "Counted(given=1, twice=2)"


def test_the_standard_tools_know_it() -> None:
    assert [item.name for item in fields(Named)] == ["x", "y", "tags", "name"]
    assert replace(Version(1, 2), minor=5) == Version(1, 5)
    assert asdict(Point(1)) == as_mapping(Point(1)) == {"x": 1, "y": 0, "tags": {}}
    assert copy.deepcopy(Named(1)) == Named(1) == pickle.loads(pickle.dumps(Named(1)))
    match Point(4, 5):
        case Point(x, y):
            assert (x, y) == (4, 5)
    Version(0, 0)
    assert list(inspect.signature(Version).parameters) == ["major", "minor"]


def test_a_changed_copy() -> None:
    assert changed(Version(1, 2), minor=5) == Version(1, 5)
    assert changed(Options(quiet=True), level=1) == Options(quiet=True, level=1)
    with pytest.raises(TypeError):
        changed(Version(1, 2), patch=1)
