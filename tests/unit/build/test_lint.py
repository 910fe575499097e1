"""The rules of ``--check``: what they find and where, and what they leave alone."""

from __future__ import annotations

import pytest

from stackup.base.errors import Position, StackFileError
from stackup.build.dockerfile import parse_dockerfile
from stackup.build.ignore import IgnoreRules
from stackup.build.lint import findings, unused_arguments
from stackup.build.request import BuildRequest
from stackup.images.store import host_platform

BASES = {"known": frozenset({"PATH", "BROUGHT"})}


def found(text: str, *, ignore: str = "", **arguments: str) -> list[str]:
    request = BuildRequest(args=arguments)
    items = findings(parse_dockerfile(text, "D"), request, IgnoreRules(ignore), BASES.get)
    return [f"{item.rule}:{item.where.line}" for item in items]


F = "FROM known\n"


@pytest.mark.parametrize(
    ("text", "wanted"),
    [
        ("FROM known AS One\n", ["StageNameCasing:1"]), ("FROM known AS one\n", []),
        ("FROM known as one\n", ["FromAsCasing:1"]), ("from known as one\nuser x\n", []),
        ("from known AS one\nuser x\n", ["FromAsCasing:1"]),
        ("FROM known\nUSER x\nuser y\n", ["ConsistentInstructionCasing:3"]),
        ("from known\nuser x\nUSER y\n", ["ConsistentInstructionCasing:3"]),
        ("FROM known\nUser y\n", ["ConsistentInstructionCasing:2"]),
        (F + "LABEL a=1 \\\n\n b=2\n", ["NoEmptyContinuation:3"]), (F + "LABEL a=1 \\\n# c\n b=2\n", []),
        (F + "MAINTAINER x\n", ["MaintainerDeprecated:2"]),
        ("FROM known AS scratch\n", ["ReservedStageName:1"]), ("FROM known AS context\n", ["ReservedStageName:1"]),
        ("FROM known AS a\nFROM known AS a\n", ["DuplicateStageName:2"]),
        ("FROM known AS a\nFROM known AS A\n", ["DuplicateStageName:2", "StageNameCasing:2"]),
        (F + "CMD run it\n", ["JSONArgsRecommended:2"]), (F + 'CMD ["run"]\n', []), (F + "CMD\n", []),
        (F + "ENTRYPOINT run\n", ["JSONArgsRecommended:2"]), (F + 'SHELL ["sh"]\nCMD run\n', []),
        (F + "CMD ['run']\n", ["JSONArgsRecommended:2"]), (F + "RUN ['run']\n", ["JSONArgsRecommended:2"]),
        (F + "RUN [[ -e x ]]\n", []),
        (F + 'CMD ["a"]\nCMD ["b"]\n', ["MultipleInstructionsDisallowed:2"]),
        (F + 'CMD ["a"]\nFROM known\nCMD ["b"]\n', []),
        (F + "HEALTHCHECK NONE\nHEALTHCHECK CMD a\n", ["MultipleInstructionsDisallowed:2"]),
        (F + "ENV A b\n", ["LegacyKeyValueFormat:2"]), (F + "LABEL A b\n", ["LegacyKeyValueFormat:2"]),
        (F + "ENV A=b\n", []),
        (F + "ENV API_KEY=x\n", ["SecretsUsedInArgOrEnv:2"]), (F + "ARG TOKEN\n", ["SecretsUsedInArgOrEnv:2"]),
        (F + "ARG A my_password=x\n", ["SecretsUsedInArgOrEnv:2"]), (F + "ENV PUBLIC_KEY=x\n", []),
        (F + "ENV MONKEY=x KEYBOARD=y\n", []),
        (F + "WORKDIR a\n", ["WorkdirRelativePath:2"]), (F + "WORKDIR /a\nWORKDIR b\n", []),
        ("FROM known AS a\nWORKDIR /x\nFROM a\nWORKDIR y\n", []),
        ("FROM known AS a\nWORKDIR /x\nFROM known\nWORKDIR y\n", ["WorkdirRelativePath:4"]),
        ("FROM --platform=$TARGETPLATFORM known\n", ["RedundantTargetPlatform:1"]),
        ("FROM --platform=${TARGETPLATFORM} known\n", ["RedundantTargetPlatform:1"]),
        ("FROM --platform=$BUILDPLATFORM known\n", []),
        ("FROM --platform=linux/amd64 known\n", ["FromPlatformFlagConstDisallowed:1"]),
        ("FROM --platform=linux/amd64 known AS build_amd64\n", []),
        ("FROM known:$V\n", ["InvalidDefaultArgInFrom:1", "UndefinedArgInFrom:1"]),
        ("ARG V\nFROM known:$V\n", ["InvalidDefaultArgInFrom:2"]), ("ARG V=1\nFROM known:$V\n", []),
        ("ARG V\nFROM known:${V:-1}\n", []), ("FROM --platform=$PLATFROM known\n", ["UndefinedArgInFrom:1"]),
        (F + "COPY $NO /\n", ["UndefinedVar:2"]), (F + "ARG NO\nCOPY $NO /\n", []), (F + "WORKDIR $BROUGHT/x\n", []),
        (F + "ENV A=${NO:-x}\n", []), (F + "ENV A='$NO' B=\\$NO\n", []), (F + "ENV PATH=/x:$PATH\n", []),
        (F + "ENV NAME=x\nENV B=$NAEM\n", ["UndefinedVar:3"]), ("FROM other\nENV A=$ITS_OWN\n", []),
        ("FROM other\nENV NAME=x\nLABEL b=$NAEM\n", ["UndefinedVar:3"]), (F + "RUN echo $HOME\n", []),
        ("FROM scratch\nENV A=$B\n", ["UndefinedVar:2"]), ("FROM known AS a\nARG X\nFROM a\nENV B=$X\n", []),
        (F + "COPY <<E /x\n$NO\nE\n", []),
        (F + "EXPOSE 80/TCP\n", ["ExposeProtoCasing:2"]), (F + "EXPOSE 1:80\n", ["ExposeInvalidFormat:2"]),
        (F + "EXPOSE 80/udp 9\n", []),
        (F + "COPY secret /\n", ["CopyIgnoredFile:2"]), (F + "ADD ./secret/x /\n", ["CopyIgnoredFile:2"]),
        (F + "COPY <<'secret of' secret /d/\nx\nsecret of\n", ["CopyIgnoredFile:2"]),
        (F + "COPY --from=known secret /\n", []), (F + "COPY . /\n", []), (F + "ADD https://x.org/secret /\n", []),
        ("# check=skip=MaintainerDeprecated\n" + F + "MAINTAINER x\n", []),
        ("# syntax=docker/dockerfile:1.7-labs\n" + F, []),
        ("# syntax=mirror.org/docker/dockerfile@sha256:12\n" + F, []),
        ("# escape=`\n# syntax=tonistiigi/mockerfile:latest\n" + F, ["SyntaxIgnored:2"]),
        ("# check=skip=all\n" + F + "MAINTAINER x\nCMD y\n", []),
    ],
)  # fmt: skip
def test_rules(text: str, wanted: list[str]) -> None:
    assert sorted(found(text, ignore="secret\n")) == wanted


def test_findings_as_errors() -> None:
    with pytest.raises(StackFileError, match="MaintainerDeprecated") as caught:
        found("# check=error=true\nFROM known\nMAINTAINER x\nCMD y\n")
    assert caught.value.where and caught.value.where.line == 3
    assert [error.where.line for error in caught.value.details if error.where] == [4]


def test_the_build_argument_goes_before_the_directive() -> None:
    text = "# check=error=true\nFROM known\nMAINTAINER x\n"
    assert found(text, BUILDKIT_DOCKERFILE_CHECK="skip=MaintainerDeprecated,Other") == []


def test_a_frontend_that_is_an_argument() -> None:
    assert found(F, BUILDKIT_SYNTAX="some/frontend") == ["SyntaxIgnored:1"]
    assert found("# syntax=other\n" + F, BUILDKIT_SYNTAX="docker/dockerfile:1") == []


def test_the_slip_is_named() -> None:
    items = findings(
        parse_dockerfile("FROM known\nARG VERSION\nLABEL v=$VERSON\n", "D"), BuildRequest(), IgnoreRules(), BASES.get
    )
    assert "did you mean $VERSION?" in items[0].message
    assert (items[0].rule, items[0].where) == ("UndefinedVar", Position("D", 3))


@pytest.mark.parametrize(
    ("text", "wanted"),
    [
        ("FROM foreign\n", 1), ("FROM known\n", 0), ("FROM own\n", 0), ("FROM own AS foreign\nFROM foreign\n", 0),
        ("FROM --platform=$BUILDPLATFORM foreign\n", 0), ("ARG B=x\nFROM $B\n", 0),
    ],
)  # fmt: skip
def test_an_image_for_another_platform(text: str, wanted: int) -> None:
    here = {"foreign": "linux/riscv64", "own": str(host_platform())}
    items = findings(
        parse_dockerfile(text, "D"), BuildRequest(), IgnoreRules(), BASES.get, lambda base: here.get(base, "")
    )
    assert [item.rule for item in items] == ["InvalidBaseImagePlatform"] * wanted


@pytest.mark.parametrize(
    ("platforms", "wanted"), [(("linux/riscv64",), 0), (("linux/s390x",), 1), (("linux/s390x", "linux/riscv64"), 0)]
)
def test_an_image_for_the_platform_that_is_built_for(platforms: tuple[str, ...], wanted: int) -> None:
    request = BuildRequest(platforms=platforms)
    items = findings(
        parse_dockerfile("FROM foreign\n", "D"), request, IgnoreRules(), BASES.get, lambda _base: "linux/riscv64"
    )
    assert [item.rule for item in items] == ["InvalidBaseImagePlatform"] * wanted


def test_arguments_that_nothing_takes() -> None:
    def unused(text: str, **arguments: str) -> dict[str, str]:
        return unused_arguments(parse_dockerfile(text, "D"), BuildRequest(args=arguments))

    assert unused("ARG A\nFROM x\nARG B=1 C\n", A="", B="", C="", http_proxy="", TARGETARCH="", BUILDKIT_X="") == {}
    assert unused("FROM x\nARG VERSION\n", VERSON="1", OTHER="2") == {"VERSON": "VERSION", "OTHER": ""}
    assert unused("FROM x\nONBUILD ARG A\n", A="1") == {}, "who knows what its triggers take"
