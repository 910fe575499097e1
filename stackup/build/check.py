"""Every mistake of a Dockerfile that can be seen without building, at once: what each instruction's handler would say.

Lines with variables are left to the build, which knows their values.
"""

from __future__ import annotations

import difflib
from collections.abc import Callable

from stackup.base.errors import StackFileError
from stackup.build.copying import check_copy
from stackup.build.dockerfile import FLAGS, Dockerfile, Instruction
from stackup.build.metadata import HANDLERS, Scope
from stackup.build.mounts import read_mounts
from stackup.build.running import written_network, written_security
from stackup.build.stages import parse_arguments, read_from
from stackup.build.state import State
from stackup.build.words import WordError, is_name


def mistakes(dockerfile: Dockerfile) -> list[StackFileError]:
    """In the order of the lines; at most one a line."""
    found = []
    for item in dockerfile.instructions:
        try:
            _check(item, dockerfile.escape)
        except StackFileError as error:
            found.append(error)
        except (WordError, ValueError) as error:
            found.append(item.error(f"cannot {item.keyword}: {error}"))
    return found


def _check(item: Instruction, escape: str) -> None:
    if item.keyword in _CHECKS:
        _CHECKS[item.keyword](item)
    if item.keyword in HANDLERS and "$" not in item.rest:
        HANDLERS[item.keyword](State(), item, Scope({}, {}, escape))


def _from(item: Instruction) -> None:
    read_from(item)


def _run(item: Instruction) -> None:
    if item.json == ():
        raise item.error("cannot RUN: the list names no command")
    written_network(item)
    written_security(item)
    if not any("$" in value for value in item.flag_values("mount")):
        read_mounts(item, str)


def _arg(item: Instruction) -> None:
    for name, _ in parse_arguments(item):
        if "$" not in name and not is_name(name):
            raise item.error(f"cannot ARG: '{name}' is no name of a variable", word=name)


def _onbuild(item: Instruction) -> None:
    keyword = item.rest.split()[0]
    if keyword.upper() not in FLAGS:
        close = difflib.get_close_matches(keyword.upper(), FLAGS, 1)
        raise item.error(
            f"cannot ONBUILD: unknown instruction {keyword}", f"did you mean {close[0]}?" if close else "", word=keyword
        )


_CHECKS: dict[str, Callable[[Instruction], None]] = {
    "FROM": _from,
    "COPY": check_copy,
    "ADD": check_copy,
    "RUN": _run,
    "ARG": _arg,
    "ONBUILD": _onbuild,
}
