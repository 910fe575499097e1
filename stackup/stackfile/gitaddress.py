"""Addresses of files on other machines, as ``include``, ``extends`` and ``-f`` take them; nothing is fetched here.

The forms are those of docker compose, which takes them from BuildKit: ``https://HOST/PATH.git#REF:SUBDIR`` (also
http, ssh and git) and ``user@host:path``; in place of the fragment a query, ``?branch=REF&subdir=SUBDIR``.
``git+https://`` and the like, pip's spelling, say the same.
"""

from __future__ import annotations

import re
from urllib.parse import parse_qsl, quote, unquote

from stackup.base.values import frozen

_URL = re.compile(r"(?:git\+)?([a-zA-Z][a-zA-Z0-9.-]*)://([^/#?]*)([^#]*)(?:#(.*))?\Z", re.DOTALL)
_SCHEME = re.compile(r"[a-zA-Z][a-zA-Z0-9+.-]*://")
_SCP = re.compile(r"([a-zA-Z0-9_-]+)@([a-zA-Z0-9.-]+):([^#]*)(?:#(.*))?\Z", re.DOTALL)
_SCHEMES = ("https", "http", "ssh", "git")
_BAD_REF = re.compile(r"[\x00-\x20\x7f~^:?*\[\\]|\.\.|@\{|//|\A[-/.]|(?:\.lock|[/.])\Z")  # git check-ref-format
_COMMIT = re.compile(r"[0-9a-f]{40}\Z")
_PAGE = re.compile(
    r"https?://(?:www\.)?(github\.com|gitlab\.com)/([^/]+/[^/#?]+?)(?:/-)?/(?:blob|raw|tree)/([^/]+)/(.+)\Z"
)
_RAW = re.compile(r"https?://raw\.githubusercontent\.com/([^/]+/[^/]+)/([^/]+)/(.+)\Z")
_FORM = "a repository is written https://HOST/PATH.git#REF:DIRECTORY"


class AddressError(Exception):
    """A text that is meant as an address, and is none that can be read. Reads on after ``cannot use include.0:``."""

    def __init__(self, message: str, hint: str = "") -> None:
        super().__init__(message)
        self.hint = hint


@frozen
class GitAddress:
    """``remote`` is what git is given. ``ref`` is empty for the default branch, ``subdir`` for the top directory."""

    remote: str
    host: str
    ref: str = ""
    subdir: str = ""

    @property
    def is_commit(self) -> bool:
        """True for a whole commit id: its content never changes."""
        return bool(_COMMIT.match(self.ref))

    @property
    def shown(self) -> str:
        """The repository as messages may show it: without the password."""
        return re.sub(r"(://[^/@:]*):[^/@]*@", r"\1:***@", self.remote)


def is_remote(text: str) -> bool:
    """True for what names a file on another machine, well or badly; else it is a path."""
    return bool(_SCHEME.match(text) or _SCP.match(text)) or text.startswith(("git::", "oci:"))


def parse(text: str) -> GitAddress:
    """Raises AddressError. Whatever reaches git has been looked at: nothing in it can pass for an option."""
    if any(ord(char) < 33 or ord(char) == 127 for char in text):
        raise AddressError("the address holds a space or a control character")
    if match := _SCP.match(text):
        user, host, path, fragment = match.groups()
        remote, scheme = f"{user}@{host}:{path}", "ssh"
        if path.startswith("-") or not path:
            raise AddressError(
                "the address names no repository", "a repository is written git@HOST:PATH.git#REF:DIRECTORY"
            )
    else:
        match = _URL.match(text.removeprefix("git::"))
        if match is None or text.startswith("git::"):
            better = text.removeprefix("git::")
            raise AddressError("git:: is no part of an address here", f"write {better}" if match else _FORM)
        scheme, host, path, fragment = match.groups()
        scheme = scheme.lower()
        path, asks, query = path.partition("?")
        _check(text, scheme, path)
        if asks:
            fragment = _of_query(query, fragment)
        remote = f"{scheme}://{host}{path}"
        host = host.rpartition("@")[2]
    if host.startswith("-") or not host.strip(":"):
        raise AddressError("the address names no host", _FORM)
    ref, _, subdir = unquote(fragment or "").partition(":")
    if ref and _BAD_REF.search(ref):
        raise AddressError(f"{ref!r} can be no branch, tag or commit of a git repository")
    return GitAddress(remote, host, ref, _below(subdir))


def _check(text: str, scheme: str, path: str) -> None:
    if scheme == "file":
        raise AddressError(
            "repositories are read from other machines only, not from file://", "write the path of the file"
        )
    if scheme not in _SCHEMES:
        raise AddressError(f"addresses that begin with {scheme}:// cannot be read", _FORM)
    if scheme in ("http", "https") and not path.endswith(".git") and not text.startswith("git+"):
        raise AddressError(
            "a URL must be that of a git repository and end in .git; single files are not fetched",
            _better(text) or _FORM,
        )


_REFS = ("ref", "branch", "tag", "commit", "checksum")  # from the least to the most exact


def _of_query(query: str, fragment: str | None) -> str:
    """The fragment that says the same as a query (docs.docker.com/build/concepts/context, "URL queries")."""
    if fragment:
        raise AddressError("'?' and '#' exclude each other", "write everything behind the '?'")
    given = dict(parse_qsl(query, keep_blank_values=True))
    known = (*_REFS, "subdir", "submodules", "keep-git-dir", "fetch-by-commit")
    for name in given:
        if name not in known:
            raise AddressError(f"there is no {name!r} in an address", f"behind the '?' stand {', '.join(known[:6])}")
    commit = given.get("commit") or given.get("checksum") or ""
    if commit and not _COMMIT.match(commit):
        raise AddressError(f"the commit {commit!r} is no whole commit id", "40 letters and digits")
    named = [name for name in _REFS[:3] if given.get(name)]
    if len(named) > 1:
        raise AddressError(f"{' and '.join(named)} exclude each other", "keep one")
    ref = commit or (given[named[0]] if named else "")
    return f"{quote(ref, safe='/')}:{quote(given.get('subdir', '').strip('/'), safe='/')}"


def _better(text: str) -> str:
    """What the address of a page or raw file on a well-known host should have been."""
    if match := _PAGE.match(text):
        return f"write https://{match[1]}/{match[2]}.git#{match[3]}:{match[4]}"
    if match := _RAW.match(text):
        return f"write https://github.com/{match[1]}.git#{match[2]}:{match[3]}"
    return ""


def _below(subdir: str) -> str:
    parts = [part for part in subdir.split("/") if part not in ("", ".")]
    if subdir.startswith("/") or ".." in parts or "\0" in subdir:
        raise AddressError(f"the directory {subdir!r} leads out of the repository")
    return "/".join(parts)
