"""Every mistake of a Dockerfile that can be seen without building, at once: what each instruction's handler would say.

Lines with variables are left to the build, which knows their values.
"""

from __future__ import annotations

import difflib
from collections.abc import Callable
from pathlib import Path

from stackup.base.errors import StackFileError
from stackup.base.paths import Layout
from stackup.build import arguments
from stackup.build.dockerfile import FLAGS, Dockerfile, Instruction
from stackup.build.metadata import HANDLERS, Scope
from stackup.build.mounts import read_mounts
from stackup.build.stages import parse_arguments, read_from
from stackup.build.state import State
from stackup.build.words import WordError, is_name

_NETWORKS = ("default", "host", "none")
_NOWHERE = Path("/")


def mistakes(dockerfile: Dockerfile, layout: Layout) -> list[StackFileError]:
    """In the order of the lines; at most one a line."""
    found = []
    for item in dockerfile.instructions:
        try:
            _check(item, dockerfile.escape, layout)
        except StackFileError as error:
            found.append(error)
        except (WordError, ValueError) as error:
            found.append(item.error(f"cannot {item.keyword}: {error}"))
    return found


def _check(item: Instruction, escape: str, layout: Layout) -> None:
    if item.keyword in _CHECKS:
        _CHECKS[item.keyword](item, layout)
    if item.keyword in HANDLERS and "$" not in item.rest:
        HANDLERS[item.keyword](State(), item, Scope({}, {}, escape))


def _from(item: Instruction, _layout: Layout) -> None:
    read_from(item)


def _copy(item: Instruction, _layout: Layout) -> None:
    if len(item.words) < 2:
        raise item.error(f"cannot {item.keyword}: {item.keyword} needs at least one source and a destination")
    mode = item.flag("chmod")
    if mode and "$" not in mode:
        arguments.mode(mode)


def _run(item: Instruction, layout: Layout) -> None:
    network = item.flag("network")
    if network and "$" not in network and network not in _NETWORKS:
        raise item.error(
            f"cannot use network '{network}' in a build: it must be one of {', '.join(_NETWORKS)}", word="--network"
        )
    if not any("$" in value for name, value in item.flags if name == "mount"):
        read_mounts(item, layout, _NOWHERE)


def _arg(item: Instruction, _layout: Layout) -> None:
    for name, _ in parse_arguments(item):
        if not is_name(name):
            raise item.error(f"cannot ARG: '{name}' is no name of a variable", word=name)


def _onbuild(item: Instruction, _layout: Layout) -> None:
    keyword = item.rest.split()[0]
    if keyword.upper() not in FLAGS:
        close = difflib.get_close_matches(keyword.upper(), FLAGS, 1)
        raise item.error(
            f"cannot ONBUILD: unknown instruction {keyword}", f"did you mean {close[0]}?" if close else "", word=keyword
        )


_CHECKS: dict[str, Callable[[Instruction, Layout], None]] = {
    "FROM": _from,
    "COPY": _copy,
    "ADD": _copy,
    "RUN": _run,
    "ARG": _arg,
    "ONBUILD": _onbuild,
}
