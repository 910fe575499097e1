"""Content of git repositories, by the system's git: what a name means now, and a commit's files into a directory.

git runs without prompts, hooks, templates or submodules, and with the four network protocols only; what a repository
holds is read, never executed. Only ``remotes`` calls this, and imports it only when there is something to fetch.
"""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import tempfile
import time
from collections.abc import Mapping
from pathlib import Path

from stackup.stackfile.gitaddress import AddressError, GitAddress
from stackup.stackfile.problems import did_you_mean

SECONDS = 120.0  # for all repositories of one load together
_ASIDE = ("GIT_SSH", "GIT_SSH_COMMAND", "GIT_SSH_VARIANT", "GIT_ASKPASS", "GIT_PROXY_COMMAND", "GIT_CURL_VERBOSE")
_KEPT = ("GIT_SSL_", "GIT_CONFIG_", "GIT_HTTP_", "GIT_TRACE")
_OPTIONS = (
    *("-c", "core.hooksPath=/dev/null", "-c", "core.fsmonitor=false", "-c", "submodule.recurse=false"),
    *("-c", "fetch.recurseSubmodules=false", "-c", "core.autocrlf=false", "-c", "protocol.ext.allow=never"),
    *("-c", "gc.auto=0", "-c", "maintenance.auto=false", "-c", "http.lowSpeedLimit=1", "-c", "http.lowSpeedTime=30"),
)
_OFFLINE = (
    "Could not resolve host",
    "Temporary failure in name resolution",
    "Network is unreachable",
    "No route to host",
    "Connection refused",
    "Connection timed out",
    "Failed to connect",
    "Couldn't connect to server",
    "unable to connect to",
    "unable to look up",
    "Connection reset",
)
_LOGIN = ("could not read Username", "could not read Password", "Authentication failed", "Permission denied")
_ABSENT = (
    "not found",
    "does not exist",
    "not appear to be a git repository",
    "returned error: 404",
    "no such repository",
)
_FIRST_TIME = "a commit id instead of a branch (#<40 digits>) needs the network only once"


class Git:
    """git on behalf of one load."""

    def __init__(self, environment: Mapping[str, str]) -> None:
        self.environment = environment
        self._end = 0.0

    def resolve(self, address: GitAddress) -> str:
        """The commit that a branch, a tag or nothing (the default branch) means now. Raises AddressError."""
        name = address.ref or "HEAD"
        said = self._git(address, "ls-remote", "--", address.remote, name, f"{name}^{{}}")
        found = {ref: commit for commit, _, ref in (line.partition("\t") for line in said.splitlines())}
        for candidate in (name, f"refs/{name}", f"refs/tags/{name}", f"refs/heads/{name}"):
            commit = found.get(f"{candidate}^{{}}") or found.get(candidate)
            if commit:
                return commit
        if not address.ref:
            raise AddressError(f"the repository {address.shown} is empty")
        known = [line.partition("\t")[2] for line in self._git(address, "ls-remote", "--", address.remote).splitlines()]
        names = [ref.split("/", 2)[2] for ref in known if ref.startswith(("refs/heads/", "refs/tags/"))]
        hint = did_you_mean(address.ref, names[:1000])
        if not hint and len(address.ref) >= 7 and not address.ref.strip("0123456789abcdef"):
            hint = "a commit is named by all 40 digits of its id"
        raise AddressError(f"{address.shown} has no branch or tag {address.ref!r}", hint)

    def fetch(self, address: GitAddress, commit: str, root: Path) -> None:
        """Puts the content of a commit at ``root``, whole or not at all. Raises AddressError."""
        try:
            root.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
            work = Path(tempfile.mkdtemp(prefix=".new-", dir=root.parent))
        except OSError as error:
            raise AddressError(f"the cache {root.parent} cannot be written: {error.strerror}") from None
        try:
            tree, store = work / "tree", f"--git-dir={work / 'git'}"
            tree.mkdir(mode=0o700)
            self._git(address, "init", "--quiet", "--bare", "--template=", str(work / "git"))
            fetch = (store, "fetch", "--quiet", "--no-tags", "--no-recurse-submodules", "--no-write-fetch-head")
            try:
                self._git(address, *fetch, "--depth=1", "--", address.remote, commit)
            except _Whole:
                branches = ("+refs/heads/*:refs/heads/*", "+refs/tags/*:refs/tags/*")
                self._git(address, *fetch, "--", address.remote, *branches)
            self._git(address, store, f"--work-tree={tree}", "checkout", "--quiet", "--force", "--detach", commit)
            try:
                os.rename(tree, root)
            except OSError:
                if not root.is_dir():  # somebody else was quicker: the same commit, the same content
                    raise
        finally:
            shutil.rmtree(work, ignore_errors=True)

    def _git(self, address: GitAddress, *words: str) -> str:
        """What git prints. Raises AddressError in a user's words."""
        now = time.monotonic()
        self._end = self._end or now + SECONDS
        try:
            process = subprocess.Popen(
                ("git", *_OPTIONS, *words),
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
                env=self._variables(),
                cwd="/",
                start_new_session=True,
            )
        except FileNotFoundError:
            raise AddressError("git is not installed, and the file is in a git repository", "install git") from None
        except OSError as error:
            raise AddressError(f"git cannot be started: {error.strerror}") from None
        with process:
            try:
                out, said = process.communicate(timeout=max(1.0, self._end - now))
            except subprocess.TimeoutExpired:
                raise AddressError(f"{address.host} did not answer in {SECONDS:.0f} seconds", _FIRST_TIME) from None
            finally:
                if process.returncode is None:
                    os.killpg(process.pid, signal.SIGKILL)
        if process.returncode:
            raise _explained(address, said.decode(errors="replace"))
        return out.decode(errors="replace")

    def _variables(self) -> dict[str, str]:
        """The caller's: proxies, agents, credentials. But not what ties git to a repository that it stands in."""
        kept = {
            name: value
            for name, value in self.environment.items()
            if not name.startswith("GIT_") or name in _ASIDE or name.startswith(_KEPT)
        }
        if "GIT_SSH" not in kept and "GIT_SSH_COMMAND" not in kept:
            kept["GIT_SSH_COMMAND"] = "ssh -o ControlMaster=no -o BatchMode=yes -o ConnectTimeout=20"
        fixed = {"GIT_TERMINAL_PROMPT": "0", "GIT_ALLOW_PROTOCOL": "https:http:ssh:git", "GIT_LFS_SKIP_SMUDGE": "1"}
        return kept | fixed | {"GIT_PROTOCOL_FROM_USER": "0", "LC_ALL": "C", "PATH": kept.get("PATH", os.defpath)}


class _Whole(AddressError):
    """The server gives away whole branches only, or knows no depth."""


def _explained(address: GitAddress, said: str) -> AddressError:
    if any(words in said for words in _OFFLINE):
        cause = "its name cannot be resolved" if "resol" in said or "look up" in said else "it does not answer"
        return AddressError(f"{address.host} cannot be reached: {cause}", f"check the network; {_FIRST_TIME}")
    if any(words in said for words in _LOGIN):
        return AddressError(
            f"there is no repository {address.shown}, or it wants a login",
            "a credential helper of git or an ssh agent can log in; nobody is asked for a password here",
        )
    if any(words in said for words in _ABSENT):
        return AddressError(f"there is no git repository {address.shown}")
    if "dumb http" in said or "unadvertised object" in said:
        return _Whole(f"{address.shown} gives away whole branches only")
    if "not our ref" in said or "reference is not a tree" in said or "unable to read tree" in said:
        return AddressError(f"{address.shown} has no commit {address.ref}")
    return AddressError(f"git cannot read {address.shown}: {_last(said)}")


def _last(said: str) -> str:
    lines = [line.strip() for line in said.splitlines() if line.strip()]
    telling = [line for line in lines if line.startswith(("fatal:", "error:"))] or lines or ["it says nothing"]
    return telling[0].removeprefix("fatal: ").removeprefix("error: ")[:300]
