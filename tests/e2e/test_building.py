"""Images: imported, built from Dockerfiles, from scratch; the layer cache."""

from __future__ import annotations

import platform
import re
import shutil
import signal
import socket
import struct
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.mounting import unmounted
from tests.support.rootfs import busybox
from tests.support.scenario import Scenario
from tests.support.waiting import eventually

pytestmark = pytest.mark.root


def test_import_from_a_directory_and_from_standard_input(
    scenario: Scenario, busybox_root: object, busybox_tar: object
) -> None:
    scenario.stackup("import", str(busybox_root), "from-directory:1").ok()
    listed = scenario.stackup("images", "-a").ok().out
    assert re.search(r"from-directory +1 ", listed) and re.search(r"busybox +latest ", listed)
    scenario.compose("services: {web: {image: 'from-directory:1', command: cat /etc/os-release}}")
    scenario.stackup("up", "-d").ok()
    scenario.has_state("web", "exited")
    assert "Toybox" in scenario.logs()


def test_a_dockerfile_from_scratch_with_one_static_binary(empty_scenario: Scenario) -> None:
    shutil.copy(busybox(), empty_scenario.directory / "busybox")
    empty_scenario.file(
        "Dockerfile", 'FROM scratch\nCOPY busybox /busybox\nENTRYPOINT ["/busybox"]\nCMD ["echo", "from scratch"]\n'
    )
    empty_scenario.compose("services: {web: {build: .}}")
    empty_scenario.stackup("up", "-d").ok()
    empty_scenario.has_state("web", "exited")
    assert empty_scenario.logs().strip() == "from scratch"
    image = f"{empty_scenario.project}-web"
    assert f"image {image}: removed" in empty_scenario.stackup("down", "--rmi", "local").ok().err
    assert image not in empty_scenario.stackup("images", "-a").ok().out


def test_images_of_services_go_with_them(scenario: Scenario) -> None:
    scenario.stackup("tag", "busybox", "named:1").ok()
    scenario.compose("services: {a: {image: 'named:1', command: 'true'}, b: {image: busybox, profiles: [never]}}")
    scenario.stackup("up", "-d").ok()
    assert "image" not in scenario.stackup("down", "--rmi", "local").ok().err
    assert "image named:1: removed" in scenario.stackup("down", "--rmi", "all").ok().err, "without containers, too"
    assert "busybox" in scenario.stackup("images", "-a").ok().out


MIPS = b"\x7fELF\x02\x01\x01" + bytes(9) + struct.pack("<HH", 2, 8)  # the head of a program for mips64le


@pytest.fixture
def emulator(tmp_path: Path) -> Iterator[None]:
    """An "emulator" that says which program it should run. Others in this namespace see only that it exists."""
    registered = Path("/proc/sys/fs/binfmt_misc")
    mounted = not (registered / "register").exists()
    if mounted:
        subprocess.run(["mount", "-t", "binfmt_misc", "binfmt_misc", registered], check=True)
    echo = tmp_path / "echo"
    shutil.copy(busybox(), echo)
    magic = "".join(f"\\x{byte:02x}" for byte in MIPS)
    entry = registered / "stackup-test-mips"
    (registered / "register").write_text(f":{entry.name}:M::{magic}::{echo}:F")
    yield
    entry.write_text("-1")
    if mounted:
        unmounted(registered)


def test_commands_for_another_machine_run_where_the_kernel_has_an_emulator(
    empty_scenario: Scenario, emulator: None
) -> None:
    program = empty_scenario.directory / "program"
    program.write_bytes(MIPS + bytes(100))
    program.chmod(0o755)
    empty_scenario.file("Dockerfile", 'FROM scratch\nCOPY program /\nRUN ["/program", "in a build"]\n')
    empty_scenario.compose("services: {web: {image: 'other:1', build: ., platform: linux/mips64le, command: /program}}")
    assert "/program in a build" in empty_scenario.stackup("build").ok().err
    empty_scenario.stackup("up", "-d").ok()
    empty_scenario.has_state("web", "exited")
    assert empty_scenario.logs().strip() == "/program"


def test_another_distributions_root_is_an_image(empty_scenario: Scenario, other_release: Path) -> None:
    """debootstrap's tree of another release: its own userland on this kernel."""
    empty_scenario.stackup("import", str(other_release), "other:1").ok()
    empty_scenario.compose("services: {web: {image: 'other:1', command: sleep 1000, stop_signal: SIGKILL}}")
    empty_scenario.stackup("up", "-d").ok()
    inside = empty_scenario.run_in("web", "cat /etc/os-release")
    assert "VERSION_CODENAME=" in inside and inside != Path("/etc/os-release").read_text().strip()
    assert empty_scenario.run_in("web", "uname -r") == platform.release()
    assert empty_scenario.run_in("web", "dpkg-query -W -f '${Status}' coreutils") == "install ok installed"


DOCKERFILE = """
    ARG BASE=busybox
    FROM $BASE AS made
    ARG GREETING=hello
    WORKDIR /work
    RUN echo "$GREETING from a stage" > made && mkdir -p /tree/a && echo deep > /tree/a/file

    FROM busybox
    ENV COLOUR=blue PLACE=/srv
    COPY --from=made /work/made /made
    COPY --from=made --chown=alice:staff /tree $PLACE/tree
    COPY page.html *.txt /www/
    RUN ["/bin/sh", "-c", "rm /etc/group && echo $COLOUR > /colour"]
    WORKDIR /srv/tree
    USER alice
    VOLUME /data
    EXPOSE 80/tcp
    HEALTHCHECK --interval=100ms --retries=3 CMD test -e /made
    ENTRYPOINT ["sh", "-c"]
    CMD ["id -un; pwd; cat /made /colour; exec sleep 1000"]
    """


@pytest.fixture
def built(scenario: Scenario) -> Scenario:
    scenario.file("image/Dockerfile", DOCKERFILE)
    for name in ("page.html", "one.txt", "two.txt", "three.md"):
        scenario.file(f"image/{name}", f"{name}\n")
    scenario.compose("""
        services:
          web:
            build: {context: ./image, args: {GREETING: good day}}
            stop_signal: SIGKILL
        """)
    return scenario


def test_from_a_dockerfile_to_a_container_and_again(built: Scenario) -> None:
    """Built once, where it is missing; out of the cache, when asked again; anew from there on where a file changed."""
    assert re.search("(?i)buil", built.stackup("up", "-d", "--wait").ok().err)
    assert built.logs().splitlines() == ["alice", "/srv/tree", "good day from a stage", "blue"]
    row = built.row("web")
    assert (row["Image"], row["Health"]) == ("shop-web", "healthy")
    looks = "ls /www; stat -c %U:%g /srv/tree/a/file; test -e /etc/group || echo gone"
    assert built.run_in("web", looks).split() == ["one.txt", "page.html", "two.txt", "alice:50", "gone"]

    first = built.stackup("images", "-a", "-q").ok().out
    again = built.stackup("build").ok()
    assert built.stackup("images", "-a", "-q").ok().out == first
    said = again.out + again.err
    assert re.search("(?i)cached", said) and said.count(": building") == 1

    before = built.container_id("web")
    assert not re.search("image shop-web: buil", built.stackup("up", "-d").ok().err)
    assert built.container_id("web") == before
    built.file("image/page.html", "changed\n")
    built.stackup("up", "-d", "--build").ok()
    assert built.container_id("web") != before
    assert built.run_in("web", "cat /www/page.html") == "changed"


def test_mistakes_and_failures(built: Scenario) -> None:
    """What the Dockerfile itself shows is found before anything runs; an instruction that fails is shown with its line
    and output."""
    before = built.stackup("images", "-a", "-q").ok().out
    built.replace("EXPOSE 80/tcp", "EXPSE 80/tcp", "image/Dockerfile")
    built.stackup("build").refused(r"Dockerfile:16", "EXPSE", "EXPOSE")
    built.replace("EXPSE 80/tcp", "EXPOSE 80/tcp", "image/Dockerfile")
    built.replace("rm /etc/group", "echo about to fail; exit 9", "image/Dockerfile")
    built.stackup("up", "-d").refused(r"Dockerfile:12", "about to fail", "9")
    assert built.stackup("images", "-a", "-q").ok().out == before
    assert built.ps("-a") == []


BUILD_KEYS = """
    services:
      base:
        build:
          context: .
          dockerfile_inline: |
            FROM busybox
            RUN echo made by a service > /base
      app:
        build:
          context: .
          dockerfile: app.Dockerfile
          target: wanted
          args: {COLOUR: blue, FROM_ENV: }
          additional_contexts: {below: "service:base", files: ./more}
          secrets: [from_file, {source: from_env, target: token}]
          ssh: [default, key=./agent.sock]
          labels: {a.b: c}
          tags: ["other:1"]
          extra_hosts: ["db.test=10.9.8.7"]
          ulimits: {nofile: 4321}
          shm_size: 8m
          network: none
          entitlements: [security.insecure]
          cache_to: ["type=local,dest=./cache,mode=max"]
          platforms: ["linux/PLATFORM"]
          no_cache_filter: [never]
          provenance: true
    secrets:
      from_file: {file: ./secret.txt}
      from_env: {environment: TOKEN}
    """
APP = """
    FROM below AS wanted
    ARG COLOUR FROM_ENV
    COPY --from=files f /f
    RUN echo "$COLOUR $FROM_ENV $(cat /base)"; grep db.test /etc/hosts; ulimit -n; df -k /dev/shm | tail -n 1
    RUN --mount=type=secret,id=from_file --mount=type=secret,id=token,env=T cat /run/secrets/from_file; echo $T
    RUN --mount=type=ssh --mount=type=ssh,id=key ls /run/buildkit
    RUN --security=insecure grep CapEff /proc/self/status
    FROM never
    """


def test_every_key_of_build(scenario: Scenario) -> None:
    scenario.compose(BUILD_KEYS.replace("PLATFORM", {"x86_64": "amd64", "aarch64": "arm64"}[platform.machine()]))
    scenario.file("app.Dockerfile", APP)
    scenario.file("more/f", "f\n")
    scenario.file("secret.txt", "out of a file\n")
    environment = {"TOKEN": "out of the environment", "FROM_ENV": "passed on"}
    with socket.socket(socket.AF_UNIX) as agent:
        agent.bind(str(scenario.directory / "agent.sock"))
        environment["SSH_AUTH_SOCK"] = str(scenario.directory / "agent.sock")
        done = scenario.stackup("build", "app", env=environment).ok()
    shown = done.out + done.err
    for text in (
        "blue passed on made by a service", "10.9.8.7", "4321", "out of a file", "out of the environment",
        "ssh_agent.0", "ssh_agent.1",
    ):  # fmt: skip
        assert text in shown, shown
    assert "00000000a80425fb" not in shown
    assert "8192" in shown and (scenario.directory / "cache/index.json").exists()
    assert re.search(r"other +1 ", scenario.stackup("images", "-a").ok().out)


def test_check_builds_nothing(scenario: Scenario) -> None:
    scenario.file("Dockerfile", "FROM busybox as x\nMAINTAINER me\nCMD run it\n")
    scenario.compose("services: {web: {build: .}}")
    done = scenario.stackup("build", "--check")
    assert done.code == 1
    for rule, line in (("FromAsCasing", 1), ("MaintainerDeprecated", 2), ("JSONArgsRecommended", 3)):
        assert rule in done.err and f"Dockerfile:{line}" in done.err
    assert "shop-web" not in scenario.stackup("images", "-a").ok().out
    scenario.file("Dockerfile", 'FROM busybox\nCMD ["run"]\n')
    assert scenario.stackup("build", "--check").ok().err == "Dockerfile: no warnings\n"
    scenario.file("Dockerfile", "FROM busybox\nRNU x\n")
    scenario.stackup("build", "--check").refused("Dockerfile:2", "RNU")


def test_a_shell_in_the_step_that_failed(scenario: Scenario) -> None:
    scenario.file("Dockerfile", "FROM busybox\nENV WHERE=there\nWORKDIR /work\nRUN echo half > made; exit 7\n")
    scenario.compose("services: {web: {build: .}}")
    scenario.stackup("build", "--shell-on-failure").refused("are no terminal")
    live = scenario.start("build", "--shell-on-failure", terminal=True)
    live.shows("a shell in the step that failed")
    live.shows("/work #")
    live.type("echo $WHERE $(pwd) $(cat made)-made; exit\n")
    live.shows("there /work half-made")
    assert live.ends() == 1
    assert not list((scenario.root / "lib/build/failed").iterdir())


def test_a_build_that_hangs_ends_with_whoever_asked_for_it(scenario: Scenario) -> None:
    """The command killed, or the supervisor: nobody is left who could stop it, so nothing may be left of it."""
    scenario.file("Dockerfile", "FROM busybox\nRUN echo it hangs; sleep 77321\n")
    scenario.compose("services: {web: {build: .}}")

    def hanging() -> list[str]:
        commands = [process.command for process in scenario.processes()]
        return [command for command in commands if "sleep 77321" in command or "build.worker" in command]

    live = scenario.start("--progress", "plain", "build")
    live.shows("it hangs")
    live.send(signal.SIGKILL)
    live.ends()
    eventually(lambda: not hanging(), "the build ends with its command")
    scenario.stackup("down", timeout=20).ok()
    live = scenario.start("--progress", "plain", "up", "-d")
    live.shows("it hangs")
    scenario.kill_daemon("supervisor")
    eventually(lambda: not hanging(), "the build ends with its supervisor")
    live.kill()
