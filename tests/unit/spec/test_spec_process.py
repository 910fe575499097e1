"""Command and environment as Docker combines them; processes started beside a container's own; health checks."""

from __future__ import annotations

from typing import Any

import pytest

from stackup.base.capabilities import ALL_CAPABILITIES
from stackup.base.errors import ContainerFault, UsageError
from stackup.model.stack import Service
from stackup.oci.image import Healthcheck, ImageConfig
from stackup.oci.runtime import Capabilities, Process, Spec, User
from stackup.spec import HealthSettings, RenderContext, health_settings, probe_command, render, render_exec
from stackup.spec.defaults import DEFAULT_CAPABILITIES


class Ids:
    def __init__(self, uid: int = 0, gid: int = 0, groups: tuple[int, ...] = (), home: str = "/root") -> None:
        self.uid, self.gid, self.groups, self.home = uid, gid, groups, home


def process(image: ImageConfig, user: Ids | None = None, **service: Any) -> Process:
    return whole(image, user, **service).process


def whole(image: ImageConfig, user: Ids | None = None, **service: Any) -> Spec:
    context = RenderContext("c1", image, user or Ids(), "box", "/stackup/p/c1")
    return render(Service.model_validate({"name": "web", "command": ["x"], **service}), context)


BOTH = ImageConfig(entrypoint=("/entry",), cmd=("a", "b"))


@pytest.mark.parametrize(
    ("image", "service", "args"),
    [
        (BOTH, {"command": None}, ("/entry", "a", "b")),
        (BOTH, {"command": ["c"]}, ("/entry", "c")),
        (BOTH, {"command": None, "entrypoint": ["/mine"]}, ("/mine",)),
        (BOTH, {"command": ["c"], "entrypoint": ["/mine", "-v"]}, ("/mine", "-v", "c")),
        (BOTH, {"command": None, "entrypoint": []}, ("a", "b")),
        (BOTH, {"command": ["c"], "entrypoint": [""]}, ("c",)),
        (BOTH, {"command": []}, ("/entry", "a", "b")),
        (ImageConfig(cmd=("a",)), {"command": None}, ("a",)),
        (ImageConfig(), {"command": ["sh", "-c", "true"]}, ("sh", "-c", "true")),
    ],
)
def test_command(image: ImageConfig, service: dict[str, Any], args: tuple[str, ...]) -> None:
    assert process(image, **service).args == args


@pytest.mark.parametrize("service", [{"command": None}, {"command": None, "entrypoint": [""]}])
def test_nothing_to_run(service: dict[str, Any]) -> None:
    with pytest.raises(ContainerFault, match="neither the file nor the image says what to run"):
        process(ImageConfig(), **service)


def env(image: ImageConfig | None = None, user: Ids | None = None, **service: Any) -> dict[str, str]:
    found = process(image or ImageConfig(), user, **service).env
    variables = dict(item.partition("=")[::2] for item in found)
    assert len(variables) == len(found)
    return variables


def test_default_environment() -> None:
    assert env() == {
        "PATH": "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin",
        "HOSTNAME": "box",
        "HOME": "/root",
    }


def test_file_beats_image() -> None:
    image = ImageConfig(env=("PATH=/opt/bin", "A=image", "B=image", "C=image"))
    found = env(image, environment={"A": "file", "B": None, "D": ""})
    assert found == {"PATH": "/opt/bin", "A": "file", "C": "image", "D": "", "HOSTNAME": "box", "HOME": "/root"}


def test_terminal_sets_term() -> None:
    assert env(tty=True)["TERM"] == "xterm"
    assert env(tty=True, environment={"TERM": "vt100"})["TERM"] == "vt100"
    assert process(ImageConfig(), tty=True).terminal


def test_home_is_the_users() -> None:
    assert env(user=Ids(home=""))["HOME"] == "/"
    assert env(environment={"HOME": "/custom"})["HOME"] == "/custom"


def test_working_directory() -> None:
    image = ImageConfig(working_dir="/srv/app/")
    assert process(ImageConfig()).cwd == "/"
    assert process(image).cwd == "/srv/app"
    assert process(image, working_dir="/other/../here").cwd == "/here"


def test_primary_group_is_a_supplementary_one() -> None:
    found = process(ImageConfig(), Ids(1000, 100, (100, 44, 5)))
    assert found.user == User(1000, 100, additional_gids=(100, 44, 5))


# exec


def test_exec_is_like_the_container() -> None:
    spec = whole(ImageConfig(working_dir="/srv"), environment={"A": "1"}, ulimits={"nofile": {"soft": 5, "hard": 5}})
    found = render_exec(spec, ["ls", "-l"])
    assert found.args == ("ls", "-l")
    assert (found.cwd, found.env, found.user, found.rlimits) == (
        "/srv",
        spec.process.env,
        spec.process.user,
        spec.process.rlimits,
    )
    assert found.capabilities == spec.process.capabilities
    assert not found.terminal


def test_exec_environment() -> None:
    spec = whole(ImageConfig(), environment={"A": "1", "B": "2"})
    found = dict(item.partition("=")[::2] for item in render_exec(spec, ["x"], env=["B=3", "C=4"], tty=True).env)
    assert (found["A"], found["B"], found["C"], found["TERM"]) == ("1", "3", "4", "xterm")


def test_exec_as_another_user() -> None:
    spec = whole(ImageConfig())
    found = render_exec(spec, ["x"], user=Ids(33, 33, (5,), "/var/www"))
    assert found.user == User(33, 33, additional_gids=(33, 5))
    assert "HOME=/var/www" in found.env
    assert found.capabilities == Capabilities(bounding=DEFAULT_CAPABILITIES)


def test_exec_keeps_a_home_that_was_chosen() -> None:
    spec = whole(ImageConfig(), environment={"HOME": "/chosen"})
    assert "HOME=/chosen" in render_exec(spec, ["x"], user=Ids(33, 33, (), "/var/www")).env


def test_exec_as_root_in_a_container_of_somebody() -> None:
    spec = whole(ImageConfig(), Ids(1000, 1000))
    found = render_exec(spec, ["x"], user=Ids())
    assert found.capabilities == Capabilities(DEFAULT_CAPABILITIES, DEFAULT_CAPABILITIES, (), DEFAULT_CAPABILITIES)


def test_privileged_exec() -> None:
    spec = whole(ImageConfig(), Ids(1000, 1000))
    found = render_exec(spec, ["x"], privileged=True).capabilities
    assert found == Capabilities(ALL_CAPABILITIES, ALL_CAPABILITIES, (), ALL_CAPABILITIES)


@pytest.mark.parametrize(("given", "cwd"), [("", "/srv"), ("sub", "/srv/sub"), ("/abs", "/abs"), ("..", "/")])
def test_exec_directory(given: str, cwd: str) -> None:
    assert render_exec(whole(ImageConfig(working_dir="/srv")), ["x"], cwd=given).cwd == cwd


def test_exec_needs_a_command() -> None:
    with pytest.raises(UsageError, match="no command given"):
        render_exec(whole(ImageConfig()), [])


# health


def health(image: ImageConfig | None = None, **check: Any) -> HealthSettings | None:
    service = {"name": "web", **({"healthcheck": check} if check else {})}
    return health_settings(Service.model_validate(service), image or ImageConfig())


def test_no_check() -> None:
    assert health() is None
    assert health(interval=1) is None
    assert health(test=["NONE"]) is None
    checked = ImageConfig(healthcheck=Healthcheck(("CMD", "true")))
    assert health(checked, disable=True) is None
    assert health(checked, test=["NONE"]) is None


def test_default_numbers() -> None:
    assert health(test=["CMD", "true"]) == HealthSettings(("CMD", "true"), 30, 30, 3, 0, 5)


def test_file_over_image() -> None:
    image = ImageConfig(healthcheck=Healthcheck(("CMD-SHELL", "ok"), interval=7_000_000_000, retries=9))
    assert health(image) == HealthSettings(("CMD-SHELL", "ok"), interval=7.0, retries=9)
    assert health(image, interval=2, start_period=1.5) == HealthSettings(
        ("CMD-SHELL", "ok"), interval=2, retries=9, start_period=1.5
    )


def test_probe_commands() -> None:
    assert probe_command(("CMD", "pg_isready", "-q")) == ("pg_isready", "-q")
    assert probe_command(("CMD-SHELL", "curl -f localhost || exit 1")) == (
        "/bin/sh",
        "-c",
        "curl -f localhost || exit 1",
    )
    assert probe_command(("CMD-SHELL", "true"), ("/bin/bash", "-ec")) == ("/bin/bash", "-ec", "true")
