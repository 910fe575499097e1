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


class FileProbe(Strict):
    """Ready when the path exists in the container's root."""

    path: str


class Ready(Strict):
    """Readiness without a probe program in the image. Exactly one of tcp, http, log, file, exec."""

    tcp: TcpProbe | None = None
    http: HttpProbe | None = None
    log: LogProbe | None = None
    file: FileProbe | None = None
    exec: tuple[str, ...] | None = Field(default=None, description="Runs in the container; exit code 0 is ready")
    interval: Seconds = Field(default=1.0, gt=0)
    timeout: Seconds = Field(default=5.0, gt=0)
    start_period: Seconds = Field(default=0.0, ge=0)
    retries: int = Field(default=30, ge=1, description="Failures in a row, after start_period, that make it unhealthy")


class Backoff(Strict):
    """Pauses between restarts: delay, times factor each time, at most maximum; anew after a run as long as window."""

    delay: Seconds = Field(default=0.1, ge=0)
    factor: float = Field(default=2.0, ge=1)
    maximum: Seconds = Field(default=60.0, ge=0)
    window: Seconds = Field(default=10.0, ge=0)


class Schedule(Strict):
    """Runs the service at times instead of always. Exactly one of cron and every."""

    cron: str | None = Field(default=None, description="Five fields, or @hourly, @daily, @weekly, @monthly, @yearly")
    every: Seconds | None = Field(default=None, gt=0)
    timezone: str = "UTC"
    overlap: Literal["skip", "wait", "kill"] = "skip"
    history: int = Field(default=10, ge=0, description="Finished runs to keep")


class ServiceExtras(Strict):
    """``x-stackup`` of a service."""

    ready: Ready | None = None
    restart_when: tuple[Literal["unhealthy"], ...] = Field(
        default=(), description="Restart a running container also in these states"
    )
    backoff: Backoff | None = None
    success_exit_codes: tuple[int, ...] = Field(default=(), description="Success beside 0")
    schedule: Schedule | None = None


class StackExtras(Strict):
    """``x-stackup`` at the top of a file."""

    allow: tuple[str, ...] = Field(default=(), description="What stackup refuses unless it is allowed here")
