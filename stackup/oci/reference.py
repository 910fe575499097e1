"""Image references in the forms that people write: ``redis``, ``redis:7``, ``ghcr.io/a/b@sha256:...``.

Grammar and defaults: distribution/reference (``normalize.go``, ``regexp.go``).
"""

from __future__ import annotations

import re
from dataclasses import replace

from stackup.base.values import frozen

DEFAULT_DOMAIN = "docker.io"
OFFICIAL = "library"
DEFAULT_TAG = "latest"

_COMPONENT = r"[a-z0-9]+(?:(?:\.|_|__|-+)[a-z0-9]+)*"
_PATH = re.compile(rf"{_COMPONENT}(?:/{_COMPONENT})*\Z")
_DOMAIN_PART = r"(?:[a-zA-Z0-9]|[a-zA-Z0-9][a-zA-Z0-9-]*[a-zA-Z0-9])"
_DOMAIN = re.compile(rf"(?:{_DOMAIN_PART}(?:\.{_DOMAIN_PART})*|\[[0-9a-fA-F:]+\])(?::[0-9]+)?\Z")
_TAG = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.-]{0,127}\Z")
_DIGEST = re.compile(r"sha256:[0-9a-f]{64}\Z")


@frozen
class Reference:
    """``path`` without the domain. ``tag`` and ``digest`` may both be there; then the digest decides."""

    domain: str
    path: str
    tag: str = ""
    digest: str = ""

    @property
    def name(self) -> str:
        return f"{self.domain}/{self.path}"

    def __str__(self) -> str:
        """Canonical form: ``docker.io/library/redis:7``."""
        return self.name + (f":{self.tag}" if self.tag else "") + (f"@{self.digest}" if self.digest else "")

    @property
    def familiar(self) -> str:
        """As Docker shows it: ``redis:7``."""
        path = str(self)
        if self.domain == DEFAULT_DOMAIN:
            path = path.removeprefix(DEFAULT_DOMAIN + "/")
            if self.path.count("/") == 1:
                path = path.removeprefix(OFFICIAL + "/")
        return path

    def without_digest(self) -> Reference:
        return replace(self, digest="")


def is_host(text: str) -> bool:
    """The built-in image: this machine's own userland."""
    return text in ("host", "host:latest")


def is_tag(text: str) -> bool:
    return _TAG.match(text) is not None


def is_digest(text: str) -> bool:
    return bool(_DIGEST.match(text))


def parse(text: str) -> Reference:
    """Raises ValueError with a reason that can stand behind "cannot use image '...': "."""
    rest, _, digest = text.partition("@")
    if digest and not is_digest(digest):
        raise ValueError("its digest is not sha256: and 64 hexadecimal digits")
    head, slash, tail = rest.partition("/")
    # A first part is a host only when it looks like one; otherwise it is a user name on the default registry.
    if slash and ("." in head or ":" in head or head == "localhost" or head != head.lower()):
        domain, path = head, tail
    else:
        domain, path = DEFAULT_DOMAIN, rest
    if domain == "index.docker.io":
        domain = DEFAULT_DOMAIN
    path, colon, tag = path.partition(":")
    if colon and not _TAG.match(tag):
        raise ValueError(f"its tag '{tag}' is not valid")
    if not _DOMAIN.match(domain):
        raise ValueError(f"'{domain}' is not a host name")
    if not _PATH.match(path):
        lower = " (repository names are lower case)" if path != path.lower() else ""
        raise ValueError(f"'{path}' is not a repository name{lower}")
    if domain == DEFAULT_DOMAIN and "/" not in path:
        path = f"{OFFICIAL}/{path}"
    return Reference(domain, path, tag or ("" if digest else DEFAULT_TAG), digest)
