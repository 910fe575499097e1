"""Which platforms a build is for, and what of it can be done here: RUN needs a kernel that runs their programs, by
itself or through an emulator of the host's; everything else needs nothing.

Compilers that make code for another machine run in a stage of this one (``FROM --platform=$BUILDPLATFORM``).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from stackup.base.errors import ImageError, StackFileError
from stackup.build.dockerfile import Instruction
from stackup.build.request import BuildRequest
from stackup.build.stages import BuildPlan, Stage
from stackup.images.store import host_platform
from stackup.linux import binfmt
from stackup.oci import platforms
from stackup.oci.image import Platform

_HINT = (
    "install an emulator (Debian: qemu-user-static), or run what works for all of them in a stage of this machine's, "
    "FROM --platform=$BUILDPLATFORM ..., and take its files with COPY --from"
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


def is_here(platform: Platform) -> bool:
    """Whether it is this machine's. The variant is not looked at: a compiler for a newer one runs on an older one."""
    here, wanted = host_platform(), platforms.normal(platform)
    return (wanted.os, wanted.architecture) == (here.os, here.architecture)


def why_not_run(platform: Platform) -> str:
    """Why no program for it can be run, as what follows "this machine is ..."; empty when the kernel runs them."""
    wanted = platforms.normal(platform)
    if is_here(wanted):
        return ""
    if (host_platform().architecture, wanted.architecture) == ("amd64", "386") and binfmt.runs_32_bit():
        return ""
    handler = binfmt.handler(wanted.architecture)
    if handler is None:
        return "and no emulator is registered (binfmt_misc)"
    if not handler.fixed:
        return f"and its emulator {handler.interpreter} is registered without flag F, which hides it from containers"
    return ""


def refuse_runs(plans: Mapping[Platform, BuildPlan]) -> None:
    """Before anything is built. What ONBUILD brings is seen later. Raises StackFileError at the first such RUN."""
    found: dict[int, tuple[Instruction, list[Platform]]] = {}
    for target, plan in plans.items():
        for stage in (plan.stages[number] for number in plan.needed):
            platform = _of_stage(stage, plan, target)
            for item in stage.instructions if why_not_run(platform) else ():
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
    names, reason = ", ".join(map(str, wanted)), why_not_run(wanted[0])
    return item.error(f"cannot RUN for {names}: this machine is {host_platform()}, {reason}", _HINT)
