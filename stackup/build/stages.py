"""From instructions to stages: bases, names, global arguments, and which stages the target needs. Pure."""

from __future__ import annotations

import difflib
import re
from collections.abc import Collection, Iterator, Mapping

from stackup.base.errors import StackFileError
from stackup.base.values import frozen
from stackup.build.dockerfile import Dockerfile, Instruction
from stackup.build.mounts import origins
from stackup.build.words import WordError, expand

SCRATCH = "scratch"
_STAGE_NAME = re.compile(r"[a-z][a-z0-9_.-]*\Z")  # BuildKit, instructions/parse.go: validStageName


@frozen
class Stage:
    """``base`` is an image reference, "scratch", or with ``base_stage`` the number of an earlier stage."""

    number: int
    name: str
    base: str
    base_stage: int | None
    platform: str
    source: Instruction  # its FROM
    instructions: tuple[Instruction, ...]
    replaced: bool = False  # a named context of its name is taken in its place

    @property
    def label(self) -> str:
        return self.name or f"stage-{self.number}"


@frozen
class BuildPlan:
    """``needed``: numbers of the stages to build, in order, the target last. ``arguments``: what ARG before the first
    FROM made, which a stage can take over by naming it."""

    stages: tuple[Stage, ...]
    needed: tuple[int, ...]
    arguments: Mapping[str, str]


def plan_stages(
    dockerfile: Dockerfile,
    *,
    target: str,
    arguments: Mapping[str, str],
    predefined: Mapping[str, str],
    named: Collection[str] = (),
) -> BuildPlan:
    """``arguments`` are the user's (``--build-arg``), ``predefined`` the platform's (TARGETARCH ...). ``named``: names
    of further contexts.

    Raises StackFileError: no FROM, unknown target, stages that need each other.
    """
    given = {**predefined, **{name: value for name, value in arguments.items() if name in predefined}}
    first = next((at for at, item in enumerate(dockerfile.instructions) if item.keyword == "FROM"), None)
    if first is None:
        raise dockerfile.instructions[0].error("cannot build: the Dockerfile has no FROM", "begin it with FROM host")
    for item in dockerfile.instructions[:first]:
        if item.keyword != "ARG":
            raise item.error(f"cannot build: {item.keyword} stands before the first FROM", "only ARG may")
        for name, default in parse_arguments(item):
            if name in arguments:
                given[name] = arguments[name]
            elif default is not None:
                given[name] = _expanded(default, given, item, dockerfile.escape)
    stages: list[Stage] = []
    for at, item in enumerate(dockerfile.instructions):
        if item.keyword == "FROM":
            following = dockerfile.instructions[at + 1 :]
            end = next((index for index, other in enumerate(following) if other.keyword == "FROM"), len(following))
            stages.append(_stage(item, following[:end], stages, given, dockerfile.escape, named))
    _refuse_circles(stages)
    wanted = _find_target(stages, target)
    return BuildPlan(tuple(stages), _needed(stages, wanted), given)


def parse_arguments(item: Instruction) -> list[tuple[str, str | None]]:
    """``ARG A B=default``: names with their unexpanded defaults."""
    found: list[tuple[str, str | None]] = []
    for word in item.pieces:
        name, sign, value = word.partition("=")
        found.append((name, value if sign else None))
    return found


def _expanded(text: str, variables: Mapping[str, str], item: Instruction, escape: str) -> str:
    try:
        return expand(text, variables, escape)
    except WordError as error:
        raise item.error(f"cannot read {item.keyword}: {error}") from None


def _stage(
    item: Instruction,
    instructions: tuple[Instruction, ...],
    earlier: list[Stage],
    arguments: Mapping[str, str],
    escape: str,
    named: Collection[str],
) -> Stage:
    written, name = read_from(item)
    base = _expanded(written, arguments, item, escape)
    if not base:
        raise item.error(
            f"cannot build FROM {written}: the base name is empty",
            "give the ARG before the first FROM a default, or pass it with --build-arg",
            word=written,
        )
    if name and name in named:
        return Stage(len(earlier), name, name, None, "", item, (), replaced=True)
    same = [stage.number for stage in earlier if stage.name and stage.name == base.lower()]
    base_stage = same[-1] if same and base not in named else None
    platform = _expanded(item.flag("platform"), arguments, item, escape)
    return Stage(len(earlier), name, base, base_stage, platform, item, instructions)


def read_from(item: Instruction) -> tuple[str, str]:
    """The base as it is written, and the stage's name in lower case. Raises StackFileError."""
    words = item.words
    if len(words) not in (1, 3) or (len(words) == 3 and words[1].upper() != "AS"):
        raise item.error("cannot read FROM: it must be FROM image [AS name]", word=words[1] if words[1:] else "")
    name = words[2].lower() if len(words) == 3 else ""
    if name and not _STAGE_NAME.match(name):
        raise item.error(
            f"cannot name a stage '{words[2]}': a name begins with a letter and has letters, digits, - _ and . only",
            word=words[2],
        )
    return words[0], name


def last_name(dockerfile: Dockerfile) -> str:
    """The name of the last stage, as far as it can be told."""
    words = next((item.words for item in reversed(dockerfile.instructions) if item.keyword == "FROM"), [])
    return words[2].lower() if len(words) == 3 else ""


def find_stage(stages: list[Stage] | tuple[Stage, ...], reference: str) -> Stage | None:
    """The stage that ``--from=reference`` means, by name or number, wherever it stands."""
    for stage in reversed(stages):
        if stage.name and stage.name == reference.lower():
            return stage
    if reference.isdigit() and int(reference) < len(stages):
        return stages[int(reference)]
    return None


def _find_target(stages: list[Stage], target: str) -> Stage:
    if not target:
        return stages[-1]
    found = find_stage(stages, target)
    if found:
        return found
    names = [stage.name for stage in stages if stage.name]
    close = difflib.get_close_matches(target.lower(), names, 1)
    raise StackFileError(
        f"cannot build target '{target}': the Dockerfile has no such stage",
        hint=f"did you mean {close[0]}?" if close else f"its stages are {', '.join(names) or 'without names'}",
        about=".build.target",
    )


def _needed(stages: list[Stage], target: Stage) -> tuple[int, ...]:
    """In an order in which each finds what it needs."""
    order: list[int] = []

    def visit(stage: Stage) -> None:
        if stage.number in order:
            return
        for source, _ in _sources(stages, stage):
            visit(source)
        order.append(stage.number)

    visit(target)
    return tuple(order)


def _references(item: Instruction) -> list[str]:
    """What an instruction takes files from, where that may be a stage."""
    return origins(item) if item.keyword == "RUN" else [reference for reference in (item.flag("from"),) if reference]


def _sources(stages: list[Stage], stage: Stage) -> Iterator[tuple[Stage, Instruction]]:
    """The stages that one needs, wherever they stand, and what needs them."""
    if stage.base_stage is not None:
        yield stages[stage.base_stage], stage.source
    for item in stage.instructions:
        for reference in _references(item):
            source = find_stage(stages, reference)
            if source is not None:
                yield source, item
            elif reference.isdigit():
                text = f"cannot copy from {reference}: the stages have the numbers 0 to {len(stages) - 1}"
                raise item.error(text, word="--from")


def _refuse_circles(stages: list[Stage]) -> None:
    """Also those of stages that nobody asks for (BuildKit, dockerfile2llb: validateCircularDependency)."""
    done: set[int] = set()
    way: list[tuple[Stage, Instruction]] = []

    def visit(stage: Stage) -> None:
        if stage.number in done:
            return
        for source, item in _sources(stages, stage):
            way.append((stage, item))
            behind = [other.number for other, _ in way]
            if source.number in behind:
                raise _circle(way[behind.index(source.number) :])
            visit(source)
            way.pop()
        done.add(stage.number)

    for stage in stages:
        visit(stage)


def _circle(way: list[tuple[Stage, Instruction]]) -> StackFileError:
    """``way``: stages and what in them needs the next one, the last of them the first."""
    (first, _), (last, item) = way[0], way[-1]
    if len(way) == 1:
        return item.error(f"cannot build stage {last.label}: it takes files from itself", word="--from")
    names = " -> ".join([*(stage.label for stage, _ in way), first.label])
    return item.error(f"cannot build stage {first.label}: the stages need each other ({names})", word="--from")
