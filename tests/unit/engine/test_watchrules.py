"""Stack file and image together say how a container is watched."""

from __future__ import annotations

from typing import Any

import pytest

from stackup.engine.watchrules import health_check, restart_policy, supervision_of
from stackup.model.stack import Service
from stackup.oci.image import ImageConfig


def service(**attributes: Any) -> Service:
    return Service.model_validate({"name": "web", **attributes})


@pytest.mark.parametrize(
    ("restart", "condition", "attempts"),
    [
        (None, "no", 0),
        ("always", "always", 0),
        ("on-failure:3", "on-failure", 3),
        ("unless-stopped", "unless-stopped", 0),
    ],
)
def test_restart(restart: str | None, condition: str, attempts: int) -> None:
    policy = restart_policy(service(restart=restart))
    assert (policy.condition, policy.max_attempts) == (condition, attempts)


def test_deploy_beats_restart_and_its_delay_is_constant() -> None:
    deploy = {"restart_policy": {"condition": "on-failure", "max_attempts": 5, "delay": 2.0, "window": 60.0}}
    policy = restart_policy(service(restart="always", deploy=deploy))
    assert (policy.condition, policy.max_attempts, policy.delay, policy.factor, policy.window) == (
        "on-failure", 5, 2.0, 1.0, 60.0,
    )  # fmt: skip


def test_backoff_of_our_own() -> None:
    extras = {"backoff": {"delay": 1.0, "factor": 3.0, "maximum": 9.0, "window": 5.0}, "success_exit_codes": (143,)}
    policy = restart_policy(service(restart="always", stackup=extras))
    assert (policy.delay, policy.factor, policy.max_delay, policy.window) == (1.0, 3.0, 9.0, 5.0)
    assert policy.success_codes == (0, 143)


def test_the_probe_is_a_command() -> None:
    check = health_check(service(healthcheck={"test": ("CMD-SHELL", "redis-cli ping")}), ImageConfig())
    assert check is not None
    assert (check.command, check.interval, check.retries) == (("/bin/sh", "-c", "redis-cli ping"), 30.0, 3)
    assert health_check(service(), ImageConfig()) is None


def test_stop() -> None:
    assert supervision_of(service(), ImageConfig(stop_signal="SIGQUIT")).stop_signal == "SIGQUIT"
    own = supervision_of(service(stop_signal="SIGINT", stop_grace_period=0.0), ImageConfig(stop_signal="SIGQUIT"))
    assert (own.stop_signal, own.stop_grace) == ("SIGINT", 0.0)


def test_hooks_leave_out_what_the_environment_does_not_have() -> None:
    item = {"command": ("true",), "environment": {"A": "1", "B": None}, "user": "root"}
    (hook,) = supervision_of(service(post_start=(item,)), ImageConfig()).post_start
    assert (hook.command, hook.environment, hook.user) == (("true",), ("A=1",), "root")


@pytest.mark.parametrize(
    ("ready", "kind"),
    [
        ({"tcp": {"port": 80}}, "tcp"),
        ({"http": {"port": 80}}, "http"),
        ({"log": {"pattern": "up"}}, "log"),
        ({"file": {"path": "/x"}}, "file"),
    ],
)
def test_readiness_takes_the_place_of_the_health_check(ready: dict[str, Any], kind: str) -> None:
    extras = {"ready": {**ready, "interval": 2.0, "retries": 4}}
    check = health_check(service(healthcheck={"test": ("CMD", "false")}, stackup=extras), ImageConfig())
    assert check is not None and check.outside is not None
    assert (check.command, check.outside.kind, check.interval, check.retries) == ((), kind, 2.0, 4)


def test_a_command_for_readiness_is_run_inside() -> None:
    check = health_check(service(stackup={"ready": {"exec": ("pg_isready",)}}), ImageConfig())
    assert check is not None and check.outside is None
    assert check.command == ("pg_isready",)
