"""From a service of the stack file (and its image) to the rules by which its containers are watched. Pure."""

from __future__ import annotations

from dataclasses import replace

from stackup.engine.supervision import (
    DEFAULT_STOP_GRACE,
    HealthCheck,
    Hook,
    OutsideProbe,
    RestartPolicy,
    Schedule,
    Supervision,
)
from stackup.model.build import Hook as HookModel
from stackup.model.extras import Ready
from stackup.model.stack import Service
from stackup.oci.image import ImageConfig
from stackup.spec import health_settings, probe_command

DEPLOY_CONDITIONS = {"none": "no", "any": "always", "on-failure": "on-failure"}


def supervision_of(service: Service, image: ImageConfig) -> Supervision:
    grace = service.stop_grace_period
    return Supervision(
        restart=restart_policy(service),
        health=health_check(service, image),
        post_start=tuple(map(hook, service.post_start)),
        pre_stop=tuple(map(hook, service.pre_stop)),
        stop_signal=service.stop_signal or image.stop_signal or "SIGTERM",
        stop_grace=DEFAULT_STOP_GRACE if grace is None else grace,
        grace_given=grace is not None,
        restart_unhealthy="unhealthy" in service.stackup.restart_when,
        schedule=schedule_of(service),
    )


def schedule_of(service: Service) -> Schedule | None:
    written = service.stackup.schedule
    if written is None:
        return None
    return Schedule(written.cron or "", written.every or 0.0, written.timezone, written.overlap, written.history)


def hook(model: HookModel) -> Hook:
    """A variable without a value is one that the user's environment does not have: it is left out."""
    return Hook(
        model.command or (),
        model.user or "",
        model.working_dir or "",
        tuple(f"{name}={value}" for name, value in model.environment.items() if value is not None),
        model.privileged,
    )


def restart_policy(service: Service) -> RestartPolicy:
    """``deploy.restart_policy`` beats ``restart``, as in docker compose; ``x-stackup.backoff`` sets the delays."""
    condition, _, attempts = (service.restart or "no").partition(":")
    policy = RestartPolicy(condition, int(attempts) if attempts else 0)
    deploy = service.deploy.restart_policy if service.deploy else None
    if deploy is not None:
        policy = RestartPolicy(DEPLOY_CONDITIONS.get(deploy.condition or "any", "always"), deploy.max_attempts or 0)
        if deploy.delay is not None:
            policy = replace(policy, delay=deploy.delay, factor=1.0, max_delay=max(deploy.delay, policy.max_delay))
        if deploy.window is not None:
            policy = replace(policy, window=deploy.window)
    backoff = service.stackup.backoff
    if backoff is not None:
        policy = replace(
            policy,
            delay=backoff.delay,
            factor=backoff.factor,
            max_delay=max(backoff.delay, backoff.maximum),
            window=backoff.window,
        )
    if service.stackup.success_exit_codes:
        policy = replace(policy, success_codes=tuple(sorted({0, *service.stackup.success_exit_codes})))
    return policy


def health_check(service: Service, image: ImageConfig) -> HealthCheck | None:
    """``x-stackup.ready`` takes the place of ``healthcheck``, the image's included."""
    if service.stackup.ready is not None:
        return ready_check(service.stackup.ready)
    settings = health_settings(service, image)
    if settings is None:
        return None
    command = probe_command(settings.test, image.shell)
    return HealthCheck(
        command,
        settings.interval,
        settings.timeout,
        settings.retries,
        settings.start_period,
        settings.start_interval,
    )


def ready_check(ready: Ready) -> HealthCheck:
    return HealthCheck(
        ready.exec or (),
        ready.interval,
        ready.timeout,
        ready.retries,
        ready.start_period,
        ready.interval,
        outside=_outside(ready),
    )


def _outside(ready: Ready) -> OutsideProbe | None:
    """None for ``exec``, which runs inside."""
    if ready.tcp is not None:
        return OutsideProbe("tcp", port=ready.tcp.port)
    if ready.http is not None:
        http = ready.http
        headers = dict(http.headers)
        return OutsideProbe("http", http.port, http.path, http.scheme, tuple(http.status), headers)
    if ready.log is not None:
        return OutsideProbe("log", pattern=ready.log.pattern, times=ready.log.times)
    return OutsideProbe("file", path=ready.file.path) if ready.file is not None else None
