"""Git repositories as sources: ``ADD``, build contexts. How they are written, and checked out with the host's git.

A checkout stays below ``build_cache/git``, named after the commit, so that only the question which commit a branch is
at goes over the network again.
"""

from __future__ import annotations

import hashlib
import os
import re
import shutil
import subprocess
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from urllib.parse import parse_qs, urlsplit, urlunsplit

from stackup.base.errors import HostUnfit, ImageError
from stackup.base.files import locked
from stackup.base.values import frozen
from stackup.base.workroom import Workroom

_SCP = re.compile(r"(?:[a-zA-Z0-9_.-]+@)[a-zA-Z0-9_.-]+:(?!//)(?P<path>.+)")
_COMMIT = re.compile(r"[0-9a-f]{40}(?:[0-9a-f]{24})?\Z")
_SECONDS = 600
_ALWAYS = ("-c", "protocol.file.allow=user", "-c", "advice.detachedHead=false", "-c", "core.hooksPath=/dev/null")
# What would lead git to another repository than the one that is meant.
_DROPPED = ("GIT_DIR", "GIT_WORK_TREE", "GIT_INDEX_FILE", "GIT_OBJECT_DIRECTORY")


@frozen
class GitReference:
    """``ref``: branch, tag or commit, empty: the default branch. ``subdir`` without slashes at its ends."""

    remote: str
    ref: str = ""
    subdir: str = ""
    checksum: str = ""
    keep_git: bool | None = None
    submodules: bool = True


def parse_git(text: str, *, context: bool = False) -> GitReference | None:
    """``https://host/path.git#ref:subdir``, ``...?branch=x&subdir=y``, ``git@host:path``, ``git://``, ``ssh://``; as a
    build context also ``github.com/...``. None: it is not git (after BuildKit, dfgitutil.ParseGitRef). Raises
    ValueError."""
    if context and text.startswith("github.com/"):
        text = f"https://{text}"
    elif text.startswith(("git://", "ssh://")):
        pass
    elif text.startswith(("http://", "https://")):
        if not urlsplit(text).path.endswith(".git"):
            return None
    elif not _SCP.match(text):
        return None
    remote, _, fragment = text.partition("#")
    ref, _, subdir = fragment.partition(":")
    found = GitReference(remote, ref, subdir.strip("/"))
    if "?" in remote and "://" in remote:
        parts = urlsplit(remote)
        found = _with_query(replace(found, remote=urlunsplit(parts._replace(query=""))), parts.query)
    return found


def _with_query(found: GitReference, query: str) -> GitReference:
    values = parse_qs(query, keep_blank_values=True)
    for key, given in values.items():
        value = given[-1]
        match key:
            case "ref" | "branch" | "tag":
                prefix = {"ref": "", "branch": "refs/heads/", "tag": "refs/tags/"}[key]
                wanted = value if value.startswith(prefix) else prefix + value
                if found.ref and found.ref != wanted:
                    raise ValueError(f"it names two references, {found.ref} and {wanted}")
                found = replace(found, ref=wanted)
            case "subdir":
                found = replace(found, subdir=value.strip("/"))
            case "checksum" | "commit":
                found = replace(found, checksum=value)
            case "keep-git-dir":
                found = replace(found, keep_git=value in ("", "1", "true"))
            case "submodules":
                found = replace(found, submodules=value in ("", "1", "true"))
            case _:
                raise ValueError(f"git URLs have no option '{key}'")
    return replace(found, ref=found.ref or found.checksum)


class GitCheckouts:
    """``root``: where checkouts are kept. ``environment``: the user's, for credentials and the ssh agent."""

    def __init__(self, root: Path, environment: Mapping[str, str] | None = None) -> None:
        self._root = root
        own = {key: value for key, value in (environment or os.environ).items() if key not in _DROPPED}
        self._environment = {
            **own, "GIT_TERMINAL_PROMPT": "0", "GIT_SSH_COMMAND": own.get("GIT_SSH_COMMAND", "ssh -o BatchMode=yes"),
        }  # fmt: skip

    def checkout(self, wanted: GitReference) -> tuple[Path, str]:
        """The directory of the repository at its reference, and the commit. Raises ImageError."""
        commit = self._commit(wanted)
        if wanted.checksum and not commit.startswith(wanted.checksum):
            raise ImageError(f"cannot use {wanted.remote}: it is at commit {commit}, not at {wanted.checksum}")
        name = hashlib.sha256(f"{wanted.remote}\0{commit}\0{wanted.submodules}".encode()).hexdigest()[:32]
        target = self._root / name
        with locked(self._root / ".locks" / name):
            if not target.is_dir():
                self._fetch(wanted, commit, target)
            os.utime(target)
        return target, commit

    def _commit(self, wanted: GitReference) -> str:
        if _COMMIT.match(wanted.ref):
            return wanted.ref
        lines = self._git("ls-remote", "--", wanted.remote).splitlines()
        known = {name: commit for commit, _, name in (line.partition("\t") for line in lines)}
        if not wanted.ref:
            candidates = ["HEAD"]
        else:  # what an annotated tag points at comes before the tag itself
            ref = wanted.ref
            forms = (ref, f"refs/tags/{ref}", f"refs/heads/{ref}")
            candidates = [name for form in forms for name in (f"{form}^{{}}", form)]
        for name in candidates:
            if name in known:
                return known[name]
        shortened = next((commit for commit in known.values() if wanted.ref and commit.startswith(wanted.ref)), "")
        if shortened and len(wanted.ref) >= 7:
            return shortened
        raise ImageError(f"cannot use {wanted.remote}: it has no branch, tag or commit {wanted.ref or 'HEAD'}")

    def _fetch(self, wanted: GitReference, commit: str, target: Path) -> None:
        with _room(self._root) as room:
            tree = room / "tree"
            self._git("init", "--quiet", "--", str(tree))
            self._git("remote", "add", "origin", wanted.remote, at=tree)
            try:
                self._git("fetch", "--quiet", "--depth=1", "--no-tags", "origin", commit, at=tree)
            except ImageError:  # servers that do not give out single commits, and those that know no depth
                self._git("fetch", "--quiet", "--tags", "origin", "+refs/heads/*:refs/remotes/origin/*", at=tree)
            self._git("checkout", "--quiet", "--detach", commit, at=tree)
            if wanted.submodules and (tree / ".gitmodules").exists():
                self._git("submodule", "update", "--quiet", "--init", "--recursive", "--depth=1", at=tree)
            os.rename(tree, target)

    def _git(self, *arguments: str, at: Path | None = None) -> str:
        program = shutil.which("git")
        if program is None:
            raise HostUnfit(f"cannot git {arguments[0]}: git is not installed", hint="Install the package git.")
        place = ("-C", str(at)) if at else ()
        try:
            done = subprocess.run(
                [program, *_ALWAYS, *place, *arguments],
                env=self._environment, stdin=subprocess.DEVNULL, capture_output=True, timeout=_SECONDS, check=False,
            )  # fmt: skip
        except subprocess.TimeoutExpired:
            raise ImageError(f"cannot git {arguments[0]}: no answer within {_SECONDS} s") from None
        if done.returncode:
            last = done.stderr.decode(errors="replace").strip().splitlines()
            reason = next((line for line in last if line.startswith(("fatal:", "error:"))), last[-1] if last else "")
            raise ImageError(f"cannot git {arguments[0]}: {reason.partition(': ')[2] or reason}")
        return done.stdout.decode(errors="replace")


@contextmanager
def _room(root: Path) -> Iterator[Path]:
    root.mkdir(parents=True, exist_ok=True)
    with Workroom(root / ".work").directory() as room:
        yield room
