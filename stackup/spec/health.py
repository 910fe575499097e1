"""Health checks: what the file and the image say together, and the command of a probe."""

from __future__ import annotations

from collections.abc import Sequence

from stackup.base.values import frozen
from stackup.model.stack import Healthcheck, Service
from stackup.oci.image import Healthcheck as ImageHealthcheck
from stackup.oci.image import ImageConfig

SHELL = ("/bin/sh", "-c")
NANOSECONDS = 1_000_000_000


@frozen
class HealthSettings:
    """``test`` is ("CMD", ...) or ("CMD-SHELL", text); seconds; defaults from moby daemon/health.go."""

    test: tuple[str, ...]
    interval: float = 30.0
    timeout: float = 30.0
    retries: int = 3
    start_period: float = 0.0
    start_interval: float = 5.0


def health_settings(service: Service, image: ImageConfig) -> HealthSettings | None:
    """None when nothing is checked. What the file leaves open is the image's, then the default."""
    written = service.healthcheck or Healthcheck()
    built_in = image.healthcheck or ImageHealthcheck()
    test = written.test if written.test else built_in.test
    if written.disable or not test or test[0] == "NONE" or len(test) < 2:
        return None
    default = HealthSettings(test)
    return HealthSettings(
        test,
        _seconds(written.interval, built_in.interval, default.interval),
        _seconds(written.timeout, built_in.timeout, default.timeout),
        written.retries or built_in.retries or default.retries,
        _seconds(written.start_period, built_in.start_period, default.start_period),
        _seconds(written.start_interval, built_in.start_interval, default.start_interval),
    )


def probe_command(test: Sequence[str], shell: Sequence[str] = ()) -> tuple[str, ...]:
    """``shell``: the image's SHELL, for CMD-SHELL."""
    kind, *words = test
    if kind == "CMD":
        return tuple(words)
    return (*(shell or SHELL), *words) if kind == "CMD-SHELL" else tuple(test)


def _seconds(written: float | None, nanoseconds: int, default: float) -> float:
    if written:
        return written
    return nanoseconds / NANOSECONDS if nanoseconds else default
