"""Stages: names, arguments before the first FROM, what a target needs."""

from __future__ import annotations

import pytest

from stackup.base.errors import StackFileError
from stackup.build.dockerfile import parse_dockerfile
from stackup.build.stages import BuildPlan, plan_stages

TEXT = """\
ARG BASE=host
ARG TAG=${BASE}-x
FROM $BASE AS Build
COPY a b
FROM scratch AS unused
COPY --from=build /a /b
FROM build AS tests
FROM other:$TAG
COPY --from=0 /a /b
COPY --from=some/image:1 /a /b
"""


def plan(text: str, target: str = "", **arguments: str) -> BuildPlan:
    return plan_stages(
        parse_dockerfile(text, "D"), target=target, arguments=arguments, predefined={"TARGETARCH": "amd64"}
    )


def test_bases_and_names() -> None:
    stages = plan(TEXT).stages
    assert [(stage.base, stage.name, stage.base_stage) for stage in stages] == [
        ("host", "build", None),
        ("scratch", "unused", None),
        ("build", "tests", 0),
        ("other:host-x", "", None),
    ]
    assert stages[3].label == "stage-3"


def test_only_what_the_target_needs() -> None:
    assert plan(TEXT).needed == (0, 3)
    assert plan(TEXT, "tests").needed == (0, 2)
    assert plan(TEXT, "BUILD").needed == (0,)
    assert plan(TEXT, "1").needed == (0, 1)


def test_a_stage_that_stands_further_down() -> None:
    text = "FROM host AS final\nCOPY --from=later /x /x\nFROM host AS unused\nFROM host AS later\nRUN x\n"
    assert plan(text, "final").needed == (2, 0)
    assert plan("FROM host\nRUN --mount=from=1,target=/x y\nFROM host\n", "0").needed == (1, 0)


def test_given_arguments_win() -> None:
    assert plan(TEXT, BASE="mine").stages[0].base == "mine"
    assert plan(TEXT, BASE="mine").stages[3].base == "other:mine-x"


def test_platform_arguments() -> None:
    assert plan("FROM app-$TARGETARCH\n").stages[0].base == "app-amd64"


@pytest.mark.parametrize(
    ("text", "target", "reason"),
    [
        ("RUN x\nFROM host\n", "", "RUN stands before the first FROM"),
        ("ARG A\n", "", "no FROM"),
        ("FROM a b\n", "", "FROM image"),
        ("ARG A\nFROM $A\n", "", "base name is empty"),
        ("FROM host AS one\nFROM host\n", "two", "no such stage"),
        ("FROM host AS one\nCOPY --from=one a b\n", "", "cannot build stage one: it takes files from itself"),
        (
            "FROM host\nRUN --mount=from=b,target=/b x\nFROM stage AS b\nCOPY --from=0 a b\n",
            "",
            "stage-0 -> b -> stage-0",
        ),
    ],
)
def test_problems(text: str, target: str, reason: str) -> None:
    with pytest.raises(StackFileError, match=reason):
        plan(text, target)
