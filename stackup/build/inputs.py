"""What a build reads before it begins: the context, the Dockerfile, .dockerignore, the platform's arguments."""

from __future__ import annotations

import difflib
from pathlib import Path

from stackup.base.errors import Position, StackFileError
from stackup.build.ignore import IgnoreError, IgnoreRules
from stackup.build.request import BuildRequest
from stackup.images.store import host_platform

_INLINE = "dockerfile_inline"


def context_of(request: BuildRequest) -> Path:
    if "://" in request.context or request.context.startswith("git@"):
        raise StackFileError(
            f"cannot build from {request.context}: only directories are supported as context", about=".build.context"
        )
    path = Path(request.context).absolute()
    if not path.is_dir():
        reason = "it is not a directory" if path.exists() else "no such directory"
        raise StackFileError(
            f"cannot build from {path}: {reason}",
            hint="the `context` of `build` names a directory",
            about=".build.context",
        )
    return path


def dockerfile_text(request: BuildRequest, context: Path) -> tuple[str, str]:
    if request.inline:
        return request.inline, _INLINE
    path = context / (request.dockerfile or "Dockerfile")
    try:
        text = path.read_text(encoding="utf-8", errors="surrogateescape")
    except FileNotFoundError:
        raise StackFileError(
            f"cannot build: there is no {path}", hint=_other_dockerfile(path), about=".build.dockerfile"
        ) from None
    except OSError as error:
        raise StackFileError(f"cannot read {path}: {error.strerror}", about=".build.dockerfile") from None
    if "\0" in text:
        raise StackFileError(f"cannot build from {path}: it is not a text file", about=".build.dockerfile")
    return text, str(path)


def _other_dockerfile(path: Path) -> str:
    """One in the same directory that may be meant."""
    names = [item.name for item in path.parent.iterdir() if item.is_file()] if path.parent.is_dir() else []
    likely = [name for name in names if "dockerfile" in name.lower() or "containerfile" in name.lower()]
    close = difflib.get_close_matches(path.name, names, 1) or sorted(likely)[:1]
    return f"did you mean {close[0]}? name it with `dockerfile:`" if close else "name it with `dockerfile:`"


def ignore_rules(request: BuildRequest, context: Path) -> IgnoreRules:
    """``NAME.dockerignore`` beside the Dockerfile wins over ``.dockerignore`` in the context."""
    candidates = [context / ".dockerignore"]
    if not request.inline:
        own = context / (request.dockerfile or "Dockerfile")
        candidates.insert(0, own.with_name(own.name + ".dockerignore"))
    for path in candidates:
        if path.is_file():
            try:
                return IgnoreRules(path.read_text(encoding="utf-8", errors="surrogateescape"))
            except IgnoreError as error:
                where, lines = Position(str(path), error.line), path.read_text(errors="replace").splitlines()
                snippet = lines[error.line - 1] if error.line else ""
                raise StackFileError(f"cannot use .dockerignore: {error}", where=where, snippet=snippet) from None
    return IgnoreRules()


def platform_arguments() -> dict[str, str]:
    here = host_platform()
    found = {}
    for prefix in ("TARGET", "BUILD"):
        found[f"{prefix}PLATFORM"] = str(here)
        found[f"{prefix}OS"] = here.os
        found[f"{prefix}ARCH"] = here.architecture
        found[f"{prefix}VARIANT"] = here.variant
    return found
