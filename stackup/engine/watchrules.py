"""From a service of the stack file (and its image) to the rules by which its containers are watched. Pure."""

from __future__ import annotations

from dataclasses import replace

from stackup.engine.supervision import DEFAULT_STOP_GRACE, HealthCheck, RestartPolicy, Supervision
from stackup.model.stack import Service
from stackup.oci.image import Healthcheck as ImageHealthcheck
from stackup.oci.image import ImageConfig

NANOSECONDS = 1e9
DEPLOY_CONDITIONS = {"none": "no", "any": "always", "on-failure": "on-failure"}


def supervision_of(service: Service, image: ImageConfig) -> Supervision:
    grace = service.stop_grace_period
    return Supervision(
        restart=restart_policy(service),
        health=health_check(service, image.healthcheck),
        stop_signal=service.stop_signal or image.stop_signal or "SIGTERM",
        stop_grace=DEFAULT_STOP_GRACE if grace is None else grace,
        restart_unhealthy="unhealthy" in service.stackup.restart_when,
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
            delay=backoff.initial,
            factor=backoff.factor,
            max_delay=backoff.max,
            window=backoff.reset_after,
        )
    return policy


def health_check(service: Service, image: ImageHealthcheck | None) -> HealthCheck | None:
    """What the service does not say comes from the image, then from Docker's defaults; 0 counts as not said."""
    own = service.healthcheck
    test = (own.test if own else None) or (image.test if image else ()) or ()
    if not test or test[0] == "NONE" or (own and own.disable):
        return None
    defaults = HealthCheck(test)

    def pick(said: float | None, from_image: int, default: float) -> float:
        return said or from_image / NANOSECONDS or default

    built_in = image or ImageHealthcheck()
    return HealthCheck(
        test=test,
        interval=pick(own.interval if own else None, built_in.interval, defaults.interval),
        timeout=pick(own.timeout if own else None, built_in.timeout, defaults.timeout),
        retries=(own.retries if own else None) or built_in.retries or defaults.retries,
        start_period=pick(own.start_period if own else None, built_in.start_period, defaults.start_period),
        start_interval=pick(own.start_interval if own else None, built_in.start_interval, defaults.start_interval),
    )
