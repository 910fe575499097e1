"""The base of every value in a ``Stack``: frozen, strict about keys, extensible through ``x-*`` only.

Units in the whole model: durations are seconds (float), sizes are bytes (int), both already converted by ``stackfile``.
Sequences are tuples; mappings are plain dictionaries behind a read-only type and must never be changed.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, TypeVar

from pydantic import BaseModel, ConfigDict, Field, model_validator

T = TypeVar("T")

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
        extra = [key for key in data if isinstance(key, str) and key.startswith("x-")]
        if not extra:
            return data
        rest = {key: value for key, value in data.items() if key not in extra}
        rest["extensions"] = {**rest.get("extensions", {}), **{key: data[key] for key in extra}}
        return rest
