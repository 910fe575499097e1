"""The base of every value in a ``Stack``: frozen, strict about keys, extensible through ``x-*`` only.

Units in the whole model: durations are seconds (float), sizes are bytes (int), both already converted by ``stackfile``.
Sequences are tuples; mappings are plain dictionaries behind a read-only type and must never be changed.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import lru_cache
from typing import TYPE_CHECKING, Any, TypeVar

from pydantic import BaseModel, ConfigDict, Field, model_validator

T = TypeVar("T")
M = TypeVar("M", bound=BaseModel)

if TYPE_CHECKING:
    Map = Mapping[str, T]  # what callers see: no item assignment
else:
    Map = dict[str, T]  # what pydantic validates: its dict path is several times faster than its Mapping path

Seconds = float
Bytes = int


class Strict(BaseModel):
    """Frozen; unknown keys are errors; keys that begin with ``x-`` are kept, unread, in ``extensions``."""

    model_config = ConfigDict(
        frozen=True, extra="forbid", defer_build=True, protected_namespaces=(), populate_by_name=True
    )

    extensions: Map[Any] = Field(default_factory=dict, description="Keys beginning with x-, kept as they were written")

    @model_validator(mode="before")
    @classmethod
    def _gather_extensions(cls, data: Any) -> Any:
        if not isinstance(data, dict):
            return data
        try:
            if "x-" not in "".join(data):  # a large stack has thousands of models, and few of them have extensions
                return data
        except TypeError:  # a key that is no text: said below
            pass
        extra = [key for key in data if isinstance(key, str) and key.startswith("x-")]
        rest = {key: value for key, value in data.items() if key not in extra}
        rest["extensions"] = {**rest.get("extensions", {}), **{key: data[key] for key in extra}}
        return rest


def blank(model: type[M]) -> Callable[[], M]:
    """A default factory: one value without anything for all, as it is frozen. Its validator is never built for it."""
    return lru_cache(maxsize=1)(model.model_construct)
