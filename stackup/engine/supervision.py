"""How one container is to be watched: restart policy, health check, stop. Parsed once, recorded with the container.

Numbers are Docker's (moby restartmanager, daemon/health.go, daemon/config); all durations are seconds.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import field
from typing import Any

from stackup.base.values import as_mapping, frozen

DEFAULT_STOP_GRACE = 10.0
CRASH_LOOP = 3  # restarts one after the other, none of which ran as long as the policy's window
LAST_LINE_WIDTH = 160
GAVE_UP = "gave up"
UNHEALTHY = "unhealthy"


@frozen
class RestartPolicy:
    """``condition``: no, always, on-failure, unless-stopped. ``max_attempts`` 0 means without end."""

    condition: str = "no"
    max_attempts: int = 0
    delay: float = 0.1
    factor: float = 2.0
    max_delay: float = 60.0
    window: float = 10.0  # a run at least this long resets delay and attempts
    success_codes: tuple[int, ...] = (0,)


@frozen
class OutsideProbe:
    """A look from outside of the image. ``kind``: tcp, http, log or file; the rest as ``model.extras`` has it."""

    kind: str
    port: int = 0
    path: str = ""
    scheme: str = "http"
    status: tuple[int, ...] = ()
    headers: dict[str, str] = field(default_factory=dict)
    pattern: str = ""
    times: int = 1


@frozen
class HealthCheck:
    """``command`` is what a probe runs inside the container; with ``outside`` nothing is run there."""

    command: tuple[str, ...]
    interval: float = 30.0
    timeout: float = 30.0
    retries: int = 3
    start_period: float = 0.0
    start_interval: float = 5.0
    outside: OutsideProbe | None = None


@frozen
class Hook:
    """A command beside the container's own. ``environment`` holds ``NAME=value``; empty: as the container has it."""

    command: tuple[str, ...]
    user: str = ""
    working_dir: str = ""
    environment: tuple[str, ...] = ()
    privileged: bool = False


@frozen
class Schedule:
    """One of ``cron`` and ``every`` (seconds). ``overlap``: skip, wait or kill; ``history``: runs that are kept."""

    cron: str = ""
    every: float = 0.0
    timezone: str = "UTC"
    overlap: str = "skip"
    history: int = 10


@frozen
class Supervision:
    restart: RestartPolicy = RestartPolicy()
    health: HealthCheck | None = None
    post_start: tuple[Hook, ...] = ()
    pre_stop: tuple[Hook, ...] = ()
    stop_signal: str = "SIGTERM"
    stop_grace: float = DEFAULT_STOP_GRACE
    grace_given: bool = False  # the stack file names the grace period
    restart_unhealthy: bool = False
    schedule: Schedule | None = None

    def to_dict(self) -> dict[str, Any]:
        data = as_mapping(self)
        data["restart"] = as_mapping(self.restart)
        data["health"] = _health_data(self.health) if self.health else None
        data["schedule"] = as_mapping(self.schedule) if self.schedule else None
        for kind in ("post_start", "pre_stop"):
            data[kind] = [as_mapping(hook) for hook in data[kind]]
        return data

    @classmethod
    def from_dict(cls, data: dict[str, Any]) -> Supervision:
        restart = dict(data["restart"], success_codes=tuple(data["restart"]["success_codes"]))
        return cls(
            restart=RestartPolicy(**restart),
            health=_health(data["health"]) if data["health"] else None,
            post_start=_hooks(data.get("post_start", ())),
            pre_stop=_hooks(data.get("pre_stop", ())),
            stop_signal=data["stop_signal"],
            stop_grace=data["stop_grace"],
            grace_given=data["grace_given"],
            restart_unhealthy=data["restart_unhealthy"],
            schedule=Schedule(**data["schedule"]) if data.get("schedule") else None,
        )


def _health_data(check: HealthCheck) -> dict[str, Any]:
    return {**as_mapping(check), "outside": as_mapping(check.outside) if check.outside else None}


def _health(data: dict[str, Any]) -> HealthCheck:
    outside = data.get("outside")
    probe = OutsideProbe(**{**outside, "status": tuple(outside["status"])}) if outside else None
    return HealthCheck(**{**data, "command": tuple(data["command"]), "outside": probe})


def _hooks(items: Iterable[dict[str, Any]]) -> tuple[Hook, ...]:
    lists = ("command", "environment")
    return tuple(Hook(**{**item, **{name: tuple(item[name]) for name in lists}}) for item in items)


@frozen
class RestartState:
    """What the policy remembers between two ends of one container."""

    attempts: int = 0
    delay: float = 0.0


@frozen
class RestartDecision:
    """``due_ns``: the time that a schedule names (ns since the epoch), instead of a delay."""

    restart: bool
    delay: float = 0.0
    state: RestartState = RestartState()
    reason: str = ""
    due_ns: int = 0


def decide_restart(
    policy: RestartPolicy,
    state: RestartState,
    *,
    exit_code: int | None,
    ran_for: float,
    stopped_by_user: bool,
) -> RestartDecision:
    """Whether a container that just ended is started again, and after how many seconds.

    ``exit_code`` None: nobody could observe the exit; on-failure counts it as a failure. moby restartmanager.go:12-77.
    """
    if stopped_by_user:
        return RestartDecision(False, reason="stopped by user")
    if policy.condition == "no":
        return RestartDecision(False, reason="no restart policy")
    if policy.condition == "on-failure" and exit_code is not None and exit_code in policy.success_codes:
        return RestartDecision(False, reason="ended with success")
    fresh = ran_for >= policy.window
    attempts = 1 if fresh else state.attempts + 1
    if policy.max_attempts and attempts > policy.max_attempts:
        return RestartDecision(False, state=state, reason=f"{GAVE_UP} after {policy.max_attempts} restarts")
    delay = policy.delay if fresh or not state.delay else min(state.delay * policy.factor, policy.max_delay)
    return RestartDecision(True, delay, RestartState(attempts, delay), reason=f"restart policy {policy.condition}")


def crash_text(decision: RestartDecision, ended: str, last_line: str) -> str:
    """What to say of a container that ends again and again, in one line; "" while there is nothing unusual.

    ``ended``: how, in words; ``last_line``: of its output.
    """
    attempts = decision.state.attempts
    if not decision.restart:
        if not decision.reason.startswith(GAVE_UP):
            return ""
        what = f"{decision.reason}: it {ended}"
    elif attempts >= CRASH_LOOP:
        what = f"crash loop: it {ended}, restart {attempts} in {decision.delay:g} s"
    else:
        return ""
    return f"{what}; last output: {_shortened(last_line)}" if last_line else what


def _shortened(line: str) -> str:
    return line if len(line) <= LAST_LINE_WIDTH else f"{line[: LAST_LINE_WIDTH - 3]}..."


def restart_sick(policy: RestartPolicy, state: RestartState, *, well_for: float) -> RestartDecision:
    """It ran but was unhealthy, and starts anew whatever the policy says: at once, and with the policy's back-off when
    that does not help. ``well_for``: seconds that its probes had succeeded before; a probe takes its time to fail, so
    its age says nothing."""
    if well_for >= policy.window or not state.attempts:
        return RestartDecision(True, 0.0, RestartState(1, 0.0), UNHEALTHY)
    delay = min(state.delay * policy.factor, policy.max_delay) if state.delay else policy.delay
    return RestartDecision(True, delay, RestartState(state.attempts + 1, delay), UNHEALTHY)


def sick_text(probe: str) -> str:
    """How a container ended that was unhealthy; ``probe`` is the output of its last probe."""
    lines = probe.strip().splitlines()
    return f"was unhealthy (its last probe said: {_shortened(lines[-1])})" if lines else "was unhealthy"


def probe_text(code: int | None, output: str) -> str:
    """Why it is unhealthy, in one line. ``code`` negative: the probe did not come to an end of its own."""
    lines = output.strip().splitlines()
    code_text = f" (exit code {code})" if code is not None and code > 0 else ""
    said = f"said: {_shortened(lines[-1])}" if lines else "said nothing"
    return f"unhealthy: its last probe{code_text} {said}"


def restart_at_once(state: RestartState) -> RestartDecision:
    """Ended because stackup itself wanted it to start anew, whatever the policy says."""
    return RestartDecision(True, 0.0, state, "to be started anew")
