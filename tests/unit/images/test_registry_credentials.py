"""~/.docker/config.json and the helper programs."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import pytest

from stackup.base.errors import ImageError
from stackup.images.registry.auth import challenges
from stackup.images.registry.caller import Caller
from stackup.images.registry.credentials import Credential, Keyring
from stackup.images.registry.errors import Denied
from stackup.images.registry.login import check_login
from tests.support.fakeregistry import FakeRegistry

BOB = "Ym9iOnNlY3JldA=="  # bob:secret
HELPER = """#!/bin/sh
# Keeps one credential in a file beside itself.
here=$(dirname "$0")
case $1 in
get)
    read -r server
    test -s "$here/kept" || { echo "credentials not found in native keychain"; exit 1; }
    cat "$here/kept" ;;
store) cat >"$here/kept" ;;
erase) cat >"$here/erased"; rm -f "$here/kept" ;;
esac
"""


@pytest.fixture
def caller(tmp_path: Path) -> Caller:
    return Caller({"HOME": str(tmp_path), "PATH": f"{tmp_path}/bin:/usr/bin:/bin"}, tmp_path)


@pytest.fixture
def helper(tmp_path: Path) -> Path:
    program = tmp_path / "bin/docker-credential-test"
    program.parent.mkdir()
    program.write_text(HELPER)
    program.chmod(0o755)
    return program


def configured(caller: Caller, document: Any) -> Keyring:
    caller.docker_config.parent.mkdir(exist_ok=True)
    caller.docker_config.write_text(document if isinstance(document, str) else json.dumps(document))
    return Keyring(caller)


@pytest.mark.parametrize(
    "key", ["https://index.docker.io/v1/", "index.docker.io", "docker.io", "https://registry-1.docker.io/v2/"]
)
def test_docker_hub_has_many_names(caller: Caller, key: str) -> None:
    found = configured(caller, {"auths": {key: {"auth": BOB}}}).find("docker.io")
    assert found is not None and (found.username, found.password) == ("bob", "secret")


@pytest.mark.parametrize("key", ["a.example:5000", "https://a.example:5000", "http://a.example:5000/v1/"])
def test_keys_may_be_urls(caller: Caller, key: str) -> None:
    keyring = configured(caller, {"auths": {key: {"auth": BOB}, "b.example": {}}})
    found = keyring.find("a.example:5000")
    assert found is not None and str(found) == f"user bob from {caller.docker_config}"
    assert keyring.find("a.example") is None
    assert keyring.find("b.example") is None


def test_no_file_no_credentials(caller: Caller) -> None:
    assert Keyring(caller).find("a.example") is None


def test_another_directory(caller: Caller, tmp_path: Path) -> None:
    (tmp_path / "other").mkdir()
    (tmp_path / "other/config.json").write_text(json.dumps({"auths": {"a.example": {"auth": BOB}}}))
    assert Keyring(Caller({"DOCKER_CONFIG": str(tmp_path / "other")})).find("a.example") is not None


@pytest.mark.parametrize(
    ("document", "message"),
    [("{", "it is not JSON"), ("[]", "not a JSON object"), ({"auths": {"a.example": {"auth": "?"}}}, "not base64")],
)
def test_a_damaged_file(caller: Caller, document: Any, message: str) -> None:
    with pytest.raises(ImageError, match=message):
        configured(caller, document).find("a.example")


@pytest.mark.parametrize("which", [{"credsStore": "test"}, {"credHelpers": {"a.example": "test"}}])
def test_helpers(caller: Caller, helper: Path, which: dict[str, Any]) -> None:
    keyring = configured(caller, which)
    assert keyring.find("a.example") is None
    assert keyring.store("a.example", Credential("bob", "secret")) == "docker-credential-test"
    found = keyring.find("a.example")
    assert found is not None
    assert (found.username, found.password, found.source) == ("bob", "secret", "docker-credential-test")
    document = json.loads(caller.docker_config.read_text())
    assert document["auths"] == {"a.example": {}}
    assert "secret" not in caller.docker_config.read_text()
    assert keyring.erase("a.example")
    assert helper.with_name("erased").read_text() == "a.example"
    assert keyring.find("a.example") is None


def test_a_helper_with_an_identity_token(caller: Caller, helper: Path) -> None:
    keyring = configured(caller, {"credsStore": "test"})
    keyring.store("a.example", Credential(identity="refresh"))
    found = keyring.find("a.example")
    assert found is not None and (found.identity, found.username) == ("refresh", "")


def test_a_helper_that_is_not_there(caller: Caller) -> None:
    with pytest.raises(ImageError, match="cannot ask docker-credential-gone: there is no such program"):
        configured(caller, {"credsStore": "gone"}).find("a.example")


def test_a_helper_that_fails(caller: Caller, helper: Path) -> None:
    helper.write_text("#!/bin/sh\necho 'the key ring is locked' >&2\nexit 3\n")
    with pytest.raises(ImageError, match=r"docker-credential-test for a\.example: the key ring is locked"):
        configured(caller, {"credsStore": "test"}).find("a.example")


def test_login_and_logout_leave_the_rest_alone(caller: Caller) -> None:
    keyring = configured(caller, {"HttpHeaders": {"X": "1"}, "auths": {"b.example": {"auth": BOB}}})
    keyring.store("a.example", Credential("eve", "pass:word"))
    document = json.loads(caller.docker_config.read_text())
    assert document["HttpHeaders"] == {"X": "1"}
    assert set(document["auths"]) == {"a.example", "b.example"}
    assert caller.docker_config.stat().st_mode & 0o777 == 0o600
    found = keyring.find("a.example")
    assert found is not None and (found.username, found.password) == ("eve", "pass:word")
    assert keyring.erase("a.example")
    assert not keyring.erase("a.example")
    assert set(json.loads(caller.docker_config.read_text())["auths"]) == {"b.example"}
    assert os.listdir(caller.docker_config.parent) == ["config.json"]


def test_docker_hub_is_kept_under_dockers_name(caller: Caller) -> None:
    Keyring(caller).store("docker.io", Credential("bob", "secret"))
    assert json.loads(caller.docker_config.read_text())["auths"] == {"https://index.docker.io/v1/": {"auth": BOB}}


@pytest.mark.parametrize("auth", ["basic", "token"])
def test_login_asks_the_registry(caller: Caller, auth: str) -> None:
    with FakeRegistry().serving() as registry:
        registry.auth, registry.users = auth, {"bob": "secret"}
        check_login(caller, registry.host, Credential("bob", "secret", source="what was typed"))
        with pytest.raises(Denied, match=r"denies access|gives no token") as caught:
            check_login(caller, registry.host, Credential("bob", "wrong", source="what was typed"))
    assert "what was typed" not in caught.value.message
    assert caught.value.hint.startswith("check the user name and the password")


@pytest.mark.parametrize(
    ("header", "found"),
    [
        ('Basic realm="a"', [("basic", {"realm": "a"})]),
        ("Basic", [("basic", {})]),
        (
            'Bearer realm="https://t/token?a=b",service="s",scope="repository:a/b:pull,push"',
            [("bearer", {"realm": "https://t/token?a=b", "service": "s", "scope": "repository:a/b:pull,push"})],
        ),
        (
            'Basic realm="x, Bearer y=1", Bearer realm="t", service=plain',
            [("basic", {"realm": "x, Bearer y=1"}), ("bearer", {"realm": "t", "service": "plain"})],
        ),
        ('Bearer realm="a\\"b"', [("bearer", {"realm": 'a"b'})]),
        ("", []),
    ],
)
def test_challenges(header: str, found: list[tuple[str, dict[str, str]]]) -> None:
    assert [(item.scheme, dict(item.parameters)) for item in challenges(header)] == found
