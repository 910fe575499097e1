"""The service that a step of pre_start is run as."""

from __future__ import annotations

from typing import Any

from stackup.engine.prestart import step_service
from stackup.model.stack import Service


def service(**attributes: Any) -> Service:
    return Service.model_validate({"name": "web", "image": "app", "pre_start": ({},), **attributes})


def step(of: Service, **hook: Any) -> Service:
    hook_model = Service.model_validate({"name": "x", "pre_start": (hook,)}).pre_start[0]
    return step_service(of, hook_model, "app")


def test_it_has_the_networks_and_environment_but_no_place_in_the_world() -> None:
    whole = service(
        ports=({"target": 80, "published": "80"},),
        networks={"front": {"ipv4_address": "10.0.0.9", "aliases": ("www",)}},
        environment={"A": "1", "B": "2"},
        restart="always",
        user="app",
        healthcheck={"test": ("CMD", "true")},
        entrypoint=("/entry",),
        command=("serve",),
    )
    found = step(whole, command=("migrate",), environment={"B": "3"})
    assert (found.command, found.entrypoint, found.user) == (("migrate",), (), "app")
    assert found.networks == {"front": None}
    assert found.environment == {"A": "1", "B": "3"}
    assert (found.ports, found.restart, found.pre_start) == ((), None, ())
    assert found.healthcheck is not None and found.healthcheck.disable


def test_an_image_of_its_own_brings_its_own_command_and_user() -> None:
    found = step(service(user="app", entrypoint=("/entry",), working_dir="/srv"), image="tools")
    assert (found.image, found.entrypoint, found.command, found.user, found.working_dir) == (
        "tools", None, None, None, None,
    )  # fmt: skip
