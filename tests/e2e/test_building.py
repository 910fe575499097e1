"""Images: imported, built from Dockerfiles, from scratch; the layer cache."""

from __future__ import annotations

import platform
import re
import shutil
from pathlib import Path

import pytest

from tests.support.rootfs import busybox
from tests.support.scenario import Scenario

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


def test_the_instructions_of_a_dockerfile(built: Scenario) -> None:
    built.stackup("up", "-d", "--wait").ok()
    assert built.logs().splitlines() == ["alice", "/srv/tree", "good day from a stage", "blue"]
    assert built.row("web")["Image"] == "shop-web"
    assert built.row("web")["Health"] == "healthy"
    assert built.run_in("web", "ls /www").split() == ["one.txt", "page.html", "two.txt"]
    assert built.run_in("web", "stat -c %U:%g /srv/tree/a/file") == "alice:50"
    assert built.exec("web", "cat", "/etc/group").code != 0
    assert built.exec("web", "sh", "-c", "touch /data/x").code in (0, 1)


def test_the_second_build_takes_everything_from_the_cache(built: Scenario) -> None:
    built.stackup("build").ok()
    first = built.stackup("images", "-a", "-q").ok().out
    again = built.stackup("build").ok()
    assert built.stackup("images", "-a", "-q").ok().out == first
    assert re.search("(?i)cached", again.out + again.err)


def test_an_edit_builds_anew_from_there_on(built: Scenario) -> None:
    built.stackup("up", "-d").ok()
    before = built.container_id("web")
    built.file("image/page.html", "changed\n")
    built.stackup("up", "-d", "--build").ok()
    assert built.container_id("web") != before
    assert built.run_in("web", "cat /www/page.html") == "changed"


def test_up_builds_what_is_missing_only_once(built: Scenario) -> None:
    assert re.search("(?i)buil", built.stackup("up", "-d").ok().err)
    built.stackup("down").ok()
    assert not re.search("image shop-web: buil", built.stackup("up", "-d").ok().err)


def test_a_failing_instruction_is_shown_with_its_line_and_output(built: Scenario) -> None:
    built.replace("rm /etc/group", "echo about to fail; exit 9", "image/Dockerfile")
    before = built.stackup("images", "-a", "-q").ok().out
    built.stackup("up", "-d").refused(r"Dockerfile:12", "about to fail", "9")
    assert built.stackup("images", "-a", "-q").ok().out == before
    assert built.ps("-a") == []


def test_a_mistake_in_the_dockerfile_is_found_before_anything_runs(built: Scenario) -> None:
    built.replace("EXPOSE 80/tcp", "EXPSE 80/tcp", "image/Dockerfile")
    built.stackup("build").refused(r"Dockerfile:16", "EXPSE", "EXPOSE")
