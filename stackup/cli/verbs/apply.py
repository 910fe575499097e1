"""``stackup apply``: a saved plan, exactly that one, or nothing."""

from __future__ import annotations

import json
import os
import sys
from dataclasses import dataclass
from typing import Any

from stackup.base.errors import HostUnfit, PlanRefused, UsageError
from stackup.cli.globals import Globals
from stackup.cli.options import argument
from stackup.cli.session import Session


@dataclass(frozen=True)
class Request:
    """Carry out a plan that `plan --out` has saved, unless anything has changed since."""

    plan: str = argument("The file; - is standard input.", metavar="FILE", required=True)


def run(session: Session, request: Request) -> int:
    from stackup.cli.follow import Follower

    saved = _read(request.plan)
    where = saved["request"]
    files = where["files"]
    if files.get("stdin") is not None:
        raise PlanRefused(
            f"cannot apply {request.plan}: its stack file was piped in, and cannot be read again",
            hint="pipe it into `stackup -f - up`, or name it as a file",
        )
    try:
        os.chdir(where["cwd"])
    except OSError as error:
        raise HostUnfit(f"cannot apply {request.plan}: {where['cwd']}: {error.strerror}") from error
    options = Globals(
        file=tuple(files["files"]),
        project_name=saved["project"],
        project_directory=files["project_directory"],
        env_file=tuple(files["env_files"]),
        profile=tuple(files["profiles"]),
    )
    made = Session(options, session.layout, session.console, session.environment, where["cwd"], session.connector)
    name = "the plan" if request.plan == "-" else request.plan
    return Follower(made, None, "apply").run("apply", {"plan": saved, "name": name}).exit_code


def _read(path: str) -> dict[str, Any]:
    """Raises UsageError for what `plan --out` has not written."""
    from stackup.model.plan import Plan

    try:
        if path == "-":
            text = sys.stdin.read()
        else:
            with open(path, encoding="utf-8") as file:
                text = file.read()
        saved: dict[str, Any] = json.loads(text)
        Plan.from_dict(saved)
        saved["request"]["files"], saved["fingerprint"]
    except OSError as error:
        raise UsageError(f"cannot apply {path}: {error.strerror}") from error
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise UsageError(
            f"cannot apply {path}: it is no saved plan ({error})", hint=f"make one: stackup plan --out {path}"
        ) from None
    return saved
