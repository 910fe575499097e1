"""The layers of a pull or push on the screen: a line each while they move, and one line for all of them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from stackup.cli.table import human_size

OVER = ("here", "done", "mounted")
MOVING = ("downloading", "uploading", "unpacking", "compressing")
BAR = 20  # columns
_WORDS = {"downloading": "pulling", "uploading": "pushing"}

Transfer = Mapping[str, Any]  # a progress event of kind "transfer": see images.meter


def summary(transfer: Transfer) -> str:
    """``45.2MB/120MB  10.1MB/s  7s left  2/5 layers``"""
    layers = transfer["layers"]
    over = sum(layer["state"] in OVER for layer in layers)
    done, size = (sum(layer[key] for layer in layers) for key in ("done", "size"))
    parts = [f"{human_size(done)}/{human_size(size)}"]
    if any(layer["state"] in ("downloading", "uploading") for layer in layers):
        if transfer.get("rate"):
            parts.append(f"{human_size(transfer['rate'])}/s")
        if transfer.get("left") is not None:
            parts.append(f"{left(transfer['left'])} left")
    return "  ".join([*parts, f"{over}/{len(layers)} layers"])


def left(seconds: float) -> str:
    """A rough time: ``7s``, ``3m20s``, ``1h05m``."""
    whole = round(seconds)
    if whole < 60:
        return f"{whole}s"
    minutes, rest = divmod(whole, 60)
    return f"{minutes}m{rest:02d}s" if minutes < 60 else f"{minutes // 60}h{minutes % 60:02d}m"


def moving(transfer: Transfer, *, unicode: bool) -> Iterator[str]:
    """A line for each layer that is on its way now."""
    for layer in transfer["layers"]:
        if layer["state"] not in MOVING:
            continue
        share = min(1.0, layer["done"] / layer["size"]) if layer["size"] else 1.0
        word = _WORDS.get(layer["state"], layer["state"])
        parts = [f"{human_size(layer['done']):>7}/{human_size(layer['size'])}"]
        if layer.get("rate") and layer["state"] in _WORDS:
            parts += [f"{human_size(layer['rate'])}/s", f"{left((layer['size'] - layer['done']) / layer['rate'])} left"]
        yield f"{layer['id']}  {word:<11} {bar(share, unicode=unicode)} {'  '.join(parts)}"


def bar(share: float, *, unicode: bool) -> str:
    full = int(share * BAR)
    done, rest = ("━", "╌") if unicode else ("#", ".")
    return done * full + rest * (BAR - full)
