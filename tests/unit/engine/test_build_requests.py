"""From a service's build section to what the builder is asked for."""

from __future__ import annotations

import pytest

from stackup.base.errors import StackFileError
from stackup.build import BuildRequest
from stackup.engine.build_requests import build_request
from stackup.engine.wishes import with_build_options, with_needed_builds
from stackup.model.build import Build, FileGrant, SshKey, Ulimit
from stackup.model.resources import Secret
from stackup.model.service import Dependency
from stackup.model.stack import Service, Stack


def asked(environment: dict[str, str] | None = None, **keys: object) -> BuildRequest:
    services = {
        "web": Service(name="web", build=Build(**{"context": "/src", **keys})),  # type: ignore[arg-type]
        "base": Service(name="base", image="some/base:1"),
    }
    secrets = {
        "file": Secret(file="/etc/key"), "text": Secret(content="inline"), "variable": Secret(environment="TOKEN"),
    }  # fmt: skip
    stack = Stack(name="shop", services=services, secrets=secrets)
    return BuildRequest.from_json(build_request(stack, "web", environment or {}))


def test_names_and_arguments() -> None:
    request = asked(
        {"GIVEN": "g", "HOME": "/h", "OTHER": "o"}, args={"A": "1", "GIVEN": None, "ABSENT": None}, tags=("x:1",)
    )
    assert (request.tags, dict(request.args)) == (("shop-web", "x:1"), {"A": "1", "GIVEN": "g"})
    assert (request.service, dict(request.environment)) == ("web", {"HOME": "/h"})


def test_attestations_that_are_wanted() -> None:
    assert asked(provenance="false").attestations == ()
    assert asked(provenance="mode=max", sbom="true").attestations == ("provenance", "sbom")


def test_attestations_of_the_command_line_win() -> None:
    stack = Stack(name="shop", services={"web": Service(name="web", build=Build(context="/src", sbom="true"))})
    found = with_build_options(stack, {"sbom": "false", "provenance": None}).services["web"].build
    assert found and (found.sbom, found.provenance) == ("false", None)


def test_the_time_that_the_caller_wants() -> None:
    name = "SOURCE_DATE_EPOCH"
    assert dict(asked({name: "17"}).args) == {name: "17"}
    assert dict(asked({name: "17"}, args={name: "18"}).args) == {name: "18"}
    assert dict(asked({name: ""}).args) == {}


def test_contexts_that_are_services() -> None:
    contexts = {"a": "service:base", "b": "service:web", "c": "./dir", "d": "docker-image://x"}
    assert dict(asked(additional_contexts=contexts).additional_contexts) == {
        "a": "docker-image://some/base:1", "b": "docker-image://shop-web", "c": "./dir", "d": "docker-image://x",
    }  # fmt: skip
    with pytest.raises(StackFileError, match="no such service") as caught:
        asked(additional_contexts={"a": "service:none"})
    assert caught.value.about == ".build.additional_contexts"


def test_secrets() -> None:
    grants = (
        FileGrant(source="file"), FileGrant(source="text", target="renamed"), FileGrant(source="variable"),
    )  # fmt: skip
    found = asked({"TOKEN": "t"}, secrets=grants).secrets
    assert {name: (secret.file, secret.content) for name, secret in found.items()} == {
        "file": ("/etc/key", None), "renamed": ("", "inline"), "variable": ("", "t"),
    }  # fmt: skip
    assert set(asked(secrets=grants).secrets) == {"file", "renamed"}


def test_agents_and_keys() -> None:
    keys = (SshKey(id="default"), SshKey(id="deploy", path="/k1,/k2"))
    assert dict(asked({"SSH_AUTH_SOCK": "/agent"}, ssh=keys).ssh) == {"default": ("/agent",), "deploy": ("/k1", "/k2")}
    with pytest.raises(StackFileError, match="SSH_AUTH_SOCK is not set"):
        asked(ssh=keys)


def test_limits_and_entitlements() -> None:
    request = asked(ulimits={"nofile": Ulimit(soft=1, hard=2)}, privileged=True, entitlements=("network.host",))
    assert (dict(request.ulimits), request.insecure, request.host_network) == ({"nofile": (1, 2)}, True, True)
    assert not asked().insecure and not asked().host_network and asked(network="host").host_network


def test_the_command_line_over_the_file() -> None:
    build = Build(context="/src", ssh=(SshKey(id="default", path="/one"), SshKey(id="deploy", path="/k")))
    stack = Stack(name="shop", services={"web": Service(name="web", build=build)})
    options = {"ssh": ("default", "other=/two"), "build_arg": ("A=b=c",), "no_cache": True}
    made = with_build_options(stack, options).services["web"].build
    assert made is not None
    assert [(key.id, key.path) for key in made.ssh] == [("deploy", "/k"), ("default", None), ("other", "/two")]
    assert (dict(made.args), made.no_cache, made.pull) == ({"A": "b=c"}, True, False)


def test_what_a_service_needs_is_built_too() -> None:
    def service(name: str, *needs: str, built: bool = True) -> Service:
        build = Build(context="/src") if built else None
        return Service(name=name, build=build, image=name, depends_on={need: Dependency() for need in needs})

    services = [service("a", "b", "c"), service("b", "d", built=False), service("c"), service("d", "a"), service("e")]
    stack = Stack(name="shop", services={item.name: item for item in services})
    assert with_needed_builds(stack, ("a",)) == ("a", "c", "d")
    assert with_needed_builds(stack, ("none", "b")) == ("none", "b", "d", "a", "c")
