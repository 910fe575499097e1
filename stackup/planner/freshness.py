"""How old an image may be before its registry is asked again: ``pull_policy`` and ``pull_refresh_after``."""

from __future__ import annotations

import re

from stackup.model.stack import Service

_NAMED = {"daily": 24 * 3600.0, "weekly": 7 * 24 * 3600.0}
_UNITS = {"w": 7 * 24 * 3600.0, "d": 24 * 3600.0, "h": 3600.0, "m": 60.0, "s": 1.0}
_STEP = re.compile(r"(\d+(?:\.\d+)?)([wdhms])")


def refreshes(service: Service) -> bool:
    """Whether the service's images grow too old."""
    return oldest(service) is not None


def oldest(service: Service) -> float | None:
    """Seconds since its registry was asked after which it is asked again; None for policies that know no age."""
    policy = service.pull_policy or ""
    if policy == "refresh":
        return _seconds(service.pull_refresh_after or "24h")
    if policy.startswith("every_"):
        return _seconds(policy.removeprefix("every_"))
    return _NAMED.get(policy)


def _seconds(text: str) -> float:
    return sum(float(number) * _UNITS[unit] for number, unit in _STEP.findall(text))
