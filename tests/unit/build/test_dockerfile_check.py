"""Mistakes that are seen without building: all of them at once, each at its place."""

from __future__ import annotations

import pytest

from stackup.base.errors import StackFileError
from stackup.build.check import mistakes
from stackup.build.dockerfile import parse_dockerfile, raise_all, read_dockerfile


def found(text: str) -> list[StackFileError]:
    dockerfile, errors = read_dockerfile(text, "Dockerfile")
    return [*errors, *mistakes(dockerfile)]


def test_relative_targets_are_for_the_build_to_judge() -> None:
    for target in (".", "..", "x"):
        assert found(f"FROM host\nWORKDIR /src\nRUN --mount=type=bind,target={target} ls\n") == []


@pytest.mark.parametrize(
    ("line", "reason", "column"),
    [
        ("FROM a b", "FROM image [AS name]", 8), ("FROM a AS 1x", "cannot name a stage '1x'", 11),
        ("EXPOSE http", "'http' is not a port", 1), ("EXPOSE 70000", "between 1 and 65535", 1),
        ("ENV A", "A has no value", 1), ("ENV =x", "no name before", 1), ("LABEL a=b c", "c has no value", 1),
        ("COPY a", "needs at least one source", 1), ("COPY --chmod=9 a b", "not an octal mode", 6),
        ("HEALTHCHECK CURL x", "HEALTHCHECK must be", 1), ("HEALTHCHECK --interval=x CMD y", "not a duration", 1),
        ("SHELL bash", "JSON list", 1), ("RUN --network=moon x", "cannot use network 'moon'", 5),
        ("RUN --mount=type=tmp,target=/x y", "the type 'tmp' is unknown", 5),
        ("RUN --mount=type=cache,targt=/x y", "no option 'targt', did you mean target?", 5),
        ("RUN --mount=type=tmpfs,target=/x,id=y z", "type=tmpfs has no option 'id'", 5),
        ("RUN --mount=type=cache,target=/x,sharing=some y", "none of shared, private, locked", 5),
        ("RUN --mount=type=cache,target=/x,uid=me y", "uid=me is not a number", 5),
        ("EXPOSE 8000-7000", "'8000-7000' runs backwards: write 7000-8000", 1),
        ("HEALTHCHECK CMD", "HEALTHCHECK CMD needs a command", 1),
        ("RUN --security=$X y", "--security=$X: it is sandbox or insecure", 5),
        ("ARG 1a=x", "no name of a variable", 5),
        ("ONBUILD RNU x", "unknown instruction RNU", 9), ("ONBUILD FROM x", "not allowed behind ONBUILD", 1),
        ("WORKDIR 'a", "single-quote", 1), ("VOLUME ['", "single-quote", 1),
    ],
)  # fmt: skip
def test_each(line: str, reason: str, column: int) -> None:
    (error,) = found(f"FROM host\n{line}\n")
    assert reason in error.message
    assert error.where and (error.where.line, error.where.column) == (2, column)
    assert error.snippet.startswith(f"{line}\n") and "^" in error.snippet


def test_mistakes_of_all_kinds_in_the_order_of_the_lines() -> None:
    errors = found("FROM host\nEXPOSE x\nRNU y\nENV z\nCOPY --form=x a b\n")
    with pytest.raises(StackFileError) as caught:
        raise_all(errors)
    everything = [caught.value, *caught.value.details]
    assert [error.where.line for error in everything if error.where] == [2, 3, 4, 5]


def test_what_only_the_build_can_know() -> None:
    text = "ARG V\nFROM host\nEXPOSE $PORT\nCOPY --chmod=$M a b\nENV A=${B:?x}\nRUN --mount=type=$T,target=/x y\n"
    assert found(text) == []


def test_nothing_wrong() -> None:
    text = "FROM host AS Base\nENV a b c\nCMD\nHEALTHCHECK NONE\nONBUILD COPY a b\nSTOPSIGNAL 9\nVOLUME /a /b\nUSER x\n"
    parse_dockerfile(text, "D")
    assert found(text) == []


def test_control_sequences_of_a_dockerfile_do_not_act() -> None:
    (error,) = found("FROM host\nEXPOSE \x1b[2Jhttp\udce9\n")
    assert error.snippet.startswith("EXPOSE http\ufffd\n")
