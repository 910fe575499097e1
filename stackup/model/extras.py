"""``x-stackup``: what stackup adds to the Compose language, typed as strictly as the rest.

Files that use it stay valid for every other compose tool, which skips ``x-`` keys.
"""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from stackup.model.strict import Map, Seconds, Strict


class TcpProbe(Strict):
    """Ready when the port accepts a connection inside the container's network."""

    port: int = Field(ge=1, le=65535)


class HttpProbe(Strict):
    """Ready when the answer's status is one of ``status`` (empty: any of 200 to 399)."""

    port: int = Field(default=80, ge=1, le=65535)
    path: str = "/"
    scheme: Literal["http", "https"] = "http"
    status: tuple[int, ...] = ()
    headers: Map[str] = Field(default_factory=dict)


class LogProbe(Strict):
    """Ready when a line of output matches the regular expression, ``times`` times."""

    pattern: str
    times: int = Field(default=1, ge=1)


class Ready(Strict):
    """Readiness without a probe program in the image. Exactly one of tcp, http, log, exec."""

    tcp: TcpProbe | None = None
    http: HttpProbe | None = None
    log: LogProbe | None = None
    exec: tuple[str, ...] | None = Field(default=None, description="Runs in the container; exit code 0 is ready")
    interval: Seconds = Field(default=1.0, gt=0)
    timeout: Seconds = Field(default=5.0, gt=0)
    start_period: Seconds = Field(default=0.0, ge=0)
    retries: int = Field(default=30, ge=1, description="Failures in a row, after start_period, that make it unhealthy")


class Backoff(Strict):
    """Delays between restarts, seconds: initial, times factor each time, at most max; reset after that long a run."""

    initial: Seconds = Field(default=0.1, gt=0)
    factor: float = Field(default=2.0, ge=1)
    max: Seconds = Field(default=60.0, gt=0)
    reset_after: Seconds = Field(default=10.0, ge=0)


class Schedule(Strict):
    """Runs the service at times instead of always."""

    cron: str | None = Field(default=None, description="Five fields, or @hourly, @daily, @weekly, @monthly, @yearly")
    every: Seconds | None = Field(default=None, gt=0)
    timezone: str = "UTC"
    overlap: Literal["skip", "wait", "kill"] = "skip"


class ServiceExtras(Strict):
    """``x-stackup`` of a service."""

    ready: Ready | None = None
    restart_when: tuple[Literal["unhealthy"], ...] = Field(
        default=(), description="Restart a running container also in these states"
    )
    backoff: Backoff | None = None
    schedule: Schedule | None = None


class StackExtras(Strict):
    """``x-stackup`` at the top of a file."""

    allow: tuple[str, ...] = Field(default=(), description="Attributes to go on without although refused by default")
