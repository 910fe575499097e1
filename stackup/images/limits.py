"""How large a layer may become. A few kilobytes of zstd can unpack to terabytes: no archive may fill the disk.

The ratio counts only beyond ``FREE`` bytes, so that an honest file of zeros does not trip it. Both can be changed by
environment variables, for whoever has such images: ``STACKUP_MAX_LAYER`` (bytes, or with k, m, g, t behind it) and
``STACKUP_MAX_LAYER_RATIO``.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Iterator, Mapping

from stackup.base.errors import ImageError, UsageError
from stackup.base.values import frozen

BYTES_VARIABLE = "STACKUP_MAX_LAYER"
RATIO_VARIABLE = "STACKUP_MAX_LAYER_RATIO"
FREE = 1 << 30
_UNITS = {"k": 1 << 10, "m": 1 << 20, "g": 1 << 30, "t": 1 << 40}


@frozen
class Limits:
    """``size``: bytes of a layer's uncompressed archive. ``ratio``: how many times its compressed size that may be."""

    size: int = 256 << 30
    ratio: int = 250
    free: int = FREE

    def watched(self, chunks: Iterable[bytes], consumed: Callable[[], int]) -> Iterator[bytes]:
        """``chunks``, until they are too many. ``consumed`` tells how many compressed bytes went in so far."""
        total = 0
        for chunk in chunks:
            total += len(chunk)
            if total > self.size:
                raise _bomb(f"it is larger than {self.size} bytes", BYTES_VARIABLE)
            if total > self.free and total > self.ratio * consumed():
                raise _bomb(f"it is more than {self.ratio} times as large as its compressed form", RATIO_VARIABLE)
            yield chunk


def _bomb(reason: str, variable: str) -> ImageError:
    return ImageError(
        f"cannot unpack the layer: {reason}",
        hint=f"It may be made to fill the disk; nothing of it was kept. If you trust it, {variable} raises the limit.",
    )


def from_environment(environment: Mapping[str, str] | None = None) -> Limits:
    """Raises UsageError for a variable that is no number."""
    env = os.environ if environment is None else environment
    usual = Limits()
    return Limits(_number(env, BYTES_VARIABLE, usual.size), _number(env, RATIO_VARIABLE, usual.ratio))


def _number(env: Mapping[str, str], name: str, usual: int) -> int:
    text = env.get(name, "").strip().lower().removesuffix("b")
    if not text:
        return usual
    unit = _UNITS.get(text[-1], 1)
    digits = text[:-1] if unit > 1 else text
    if not (digits.isascii() and digits.isdigit() and int(digits)):
        raise UsageError(f"cannot use {name}={env[name]}: it is not a number of at least 1")
    return int(digits) * unit
