"""Which platforms a build is for, and what of it can be done here: everything but RUN, which needs the machine's own.

Compilers that make code for another machine run in a stage of this one (``FROM --platform=$BUILDPLATFORM``).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from stackup.base.errors import ImageError, StackFileError
from stackup.build.dockerfile import Instruction
from stackup.build.request import BuildRequest
from stackup.build.stages import BuildPlan, Stage
from stackup.images.store import host_platform
from stackup.oci import platforms
from stackup.oci.image import Platform

_HINT = (
    "what works for all of them can run in a stage of this machine's, FROM --platform=$BUILDPLATFORM ...; "
    "take its files with COPY --from"
)


def targets(request: BuildRequest) -> tuple[Platform, ...]:
    """In the order in which they are written, each once. Raises StackFileError."""
    try:
        wanted = [platform_of(text) for text in request.platforms]
    except ImageError as error:
        raise StackFileError(error.message, about=".build.platforms") from None
    return tuple(dict.fromkeys(wanted)) or (host_platform(),)


def platform_of(text: str) -> Platform:
    """``linux`` alone means this machine's architecture. Raises ImageError."""
    found = platforms.parse_platform(text)
    if (not found.architecture and found.os == "linux") or found == platforms.normal(host_platform()):
        return host_platform()
    if found.os != "linux" or not found.architecture:
        raise ImageError(f"cannot build for {text}: only images of Linux are built here")
    return found


def runs_here(platform: Platform) -> bool:
    """The variant is not looked at: a compiler for a newer one runs on an older one, too."""
    here, wanted = host_platform(), platforms.normal(platform)
    return (wanted.os, wanted.architecture) == (here.os, here.architecture)


def refuse_runs(plans: Mapping[Platform, BuildPlan]) -> None:
    """Before anything is built. What ONBUILD brings is seen later. Raises StackFileError at the first such RUN."""
    found: dict[int, tuple[Instruction, list[Platform]]] = {}
    for target, plan in plans.items():
        for stage in (plan.stages[number] for number in plan.needed):
            platform = _of_stage(stage, plan, target)
            for item in stage.instructions if not runs_here(platform) else ():
                if item.keyword == "RUN":
                    asked = found.setdefault(item.position.line, (item, []))[1]
                    asked += [platform] if platform not in asked else []
    if found:
        raise refusal(*found[min(found)])


def _of_stage(stage: Stage, plan: BuildPlan, target: Platform) -> Platform:
    if stage.base_stage is not None:
        return _of_stage(plan.stages[stage.base_stage], plan, target)
    try:
        return platform_of(stage.platform) if stage.platform else target
    except ImageError:
        return target  # told where the stage is built


def refusal(item: Instruction, wanted: Sequence[Platform]) -> StackFileError:
    """``item`` is a RUN."""
    names = ", ".join(map(str, wanted))
    return item.error(f"cannot RUN for {names}: this machine is {host_platform()}, and there is no emulation", _HINT)
