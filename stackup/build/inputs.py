"""What a build reads before it begins: the context, the Dockerfile, .dockerignore, the platform's arguments."""

from __future__ import annotations

import difflib
import os
from pathlib import Path

from stackup.base.errors import Position, StackFileError
from stackup.build import download, gitsource, remote
from stackup.build.ignore import IgnoreError, IgnoreRules
from stackup.build.request import BuildRequest
from stackup.images.store import host_platform
from stackup.oci import image as oci

_INLINE = "dockerfile_inline"
_KEEP_GIT = "BUILDKIT_CONTEXT_KEEP_GIT_DIR"


def context_of(
    request: BuildRequest, root: Path, downloads: download.Downloads, checkouts: gitsource.GitCheckouts
) -> remote.Remote:
    """``root``: where fetched contexts are kept."""
    if remote.is_remote(request.context):
        found = remote.fetch_context(request.context, root, downloads, checkouts, about=".build.context")
        return remote.Remote(found.path) if request.args.get(_KEEP_GIT) == "1" else found
    path = Path(request.context).absolute()
    if not path.is_dir():
        reason = "it is not a directory" if path.exists() else "no such directory"
        raise StackFileError(
            f"cannot build from {path}: {reason}",
            hint="the `context` of `build` names a directory",
            about=".build.context",
        )
    return remote.Remote(path)


def dockerfile_text(request: BuildRequest, context: remote.Remote) -> tuple[str, str]:
    if request.inline:
        return request.inline, _INLINE
    path = context.dockerfile or dockerfile_path(request, context.path)
    if remote.is_remote(request.context) and not _inside(path, context.path):
        raise StackFileError(f"cannot build: {path.name} leads out of {request.context}", about=".build.dockerfile")
    try:
        text = _text_of(path)
    except FileNotFoundError:
        raise StackFileError(
            f"cannot build: there is no {path}", hint=_other_dockerfile(path), about=".build.dockerfile"
        ) from None
    except OSError as error:
        raise StackFileError(f"cannot read {path}: {error.strerror}", about=".build.dockerfile") from None
    if "\0" in text:
        raise StackFileError(f"cannot build from {path}: it is not a text file", about=".build.dockerfile")
    return text, str(path)


def _text_of(path: Path) -> str:
    """With its line ends as they are; bytes that are no UTF-8 go on to what the build makes of them."""
    return path.read_bytes().decode("utf-8", "surrogateescape")


def _inside(path: Path, directory: Path) -> bool:
    """Of somebody else's files only those in their own directory are read, whatever links there are."""
    return Path(os.path.realpath(path)).is_relative_to(os.path.realpath(directory))


def dockerfile_path(request: BuildRequest, context: Path) -> Path:
    """``Dockerfile``, or ``dockerfile`` where only that is there (as in buildx)."""
    if request.dockerfile:
        return context / request.dockerfile
    small = context / "dockerfile"
    return small if not (context / "Dockerfile").exists() and small.is_file() else context / "Dockerfile"


def _other_dockerfile(path: Path) -> str:
    """One in the same directory that may be meant."""
    names = [item.name for item in path.parent.iterdir() if item.is_file()] if path.parent.is_dir() else []
    likely = [name for name in names if "dockerfile" in name.lower() or "containerfile" in name.lower()]
    close = difflib.get_close_matches(path.name, names, 1) or sorted(likely)[:1]
    return f"did you mean {close[0]}? name it with `dockerfile:`" if close else "name it with `dockerfile:`"


def ignore_rules(request: BuildRequest, context: remote.Remote) -> IgnoreRules:
    """``NAME.dockerignore`` beside the Dockerfile wins over ``.dockerignore`` in the context."""
    candidates = [context.path / ".dockerignore"]
    if not request.inline:
        own = dockerfile_path(request, context.path)
        candidates.insert(0, own.with_name(own.name + ".dockerignore"))
    return read_rules(candidates, context.hidden)


def read_rules(candidates: list[Path], hidden: str = "") -> IgnoreRules:
    """Of the first file that is there; ``hidden``: a further line."""
    for path in candidates:
        if path.is_file():
            text = _text_of(path)
            try:
                return IgnoreRules(f"{text}\n{hidden}", path.name)
            except IgnoreError as error:
                where = Position(str(path), error.line)
                snippet = text.split("\n")[error.line - 1].rstrip("\r") if error.line else ""
                raise StackFileError(f"cannot use {path.name}: {error}", where=where, snippet=snippet) from None
    return IgnoreRules(hidden)


def platform_arguments(target: str = "", platform: oci.Platform | None = None) -> dict[str, str]:
    """What a Dockerfile knows of itself; ``target``: the stage that is asked for; ``platform``: what it is built for,
    where that is not this machine's."""
    here = host_platform()
    found = {"TARGETSTAGE": target or "default"}
    for prefix, item in (("TARGET", platform or here), ("BUILD", here)):
        found[f"{prefix}PLATFORM"] = str(item)
        found[f"{prefix}OS"] = item.os
        found[f"{prefix}ARCH"] = item.architecture
        found[f"{prefix}VARIANT"] = item.variant
    return found


def same_platform(first: str, second: str) -> bool:
    """The same system and processor; the variant is not looked at. An architecture alone is one of Linux."""

    def parts(text: str) -> list[str]:
        names = text.lower().split("/")
        names = ["linux", *names] if len(names) == 1 else names
        aliases = {"x86_64": "amd64", "x86-64": "amd64", "aarch64": "arm64"}
        return [aliases.get(name, name) for name in names[:2]]

    return parts(first) == parts(second)
