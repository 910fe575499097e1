"""Answers a registry's challenge: basic credentials, or a token fetched from the realm that it names.

Sources: distribution ``docs/spec/auth/token.md`` and ``oauth.md``; RFC 7235 for the header.
"""

from __future__ import annotations

import re
import time
from collections.abc import Callable, Iterator, Mapping
from typing import Any
from urllib.parse import urlencode, urlsplit

from stackup.base.errors import ImageError
from stackup.base.jsontext import parse_json
from stackup.base.values import frozen
from stackup.images.registry.credentials import Credential
from stackup.images.registry.errors import BadAnswer, Denied

CLIENT_ID = "stackup"
_SCHEME = re.compile(r"\s*(?:,\s*)?([A-Za-z]+)\s+(?=[A-Za-z_]+\s*=)")
_PARAMETER = re.compile(r'\s*(?:,\s*)?([A-Za-z_]+)\s*=\s*(?:"((?:[^"\\]|\\.)*)"|([^\s,"]+))')
_LIFETIME = 60  # seconds, where a token does not tell
_MARGIN = 5  # seconds before its end at which a token is not used any more


@frozen
class Challenge:
    """One challenge of a WWW-Authenticate header; ``scheme`` in lower case."""

    scheme: str
    parameters: Mapping[str, str]


def challenges(header: str) -> Iterator[Challenge]:
    """All of a header; what cannot be read is passed over."""
    at = 0
    while found := _SCHEME.match(header, at):
        at, parameters = found.end(), {}
        while (item := _PARAMETER.match(header, at)) and not _SCHEME.match(header, at):
            parameters[item[1].lower()] = re.sub(r"\\(.)", r"\1", item[2]) if item[2] is not None else item[3]
            at = item.end()
        yield Challenge(found[1].lower(), parameters)
    if header.strip().lower() == "basic":
        yield Challenge("basic", {})


# method, URL, headers, body -> status, body
Fetch = Callable[[str, str, Mapping[str, str], bytes | None], tuple[int, bytes]]


class Authorizer:
    """Tokens of one registry host, each for the scopes that it was asked for."""

    def __init__(
        self,
        host: str,
        find: Callable[[], Credential | None],
        fetch: Fetch,
        *,
        plain: bool = False,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """``find`` is asked once, and only when the registry wants something. ``plain``: the registry itself is spoken
        to without TLS, so its realm may be, too."""
        self._host = host
        self._find = find
        self._fetch = fetch
        self._clock = clock
        self._plain = plain
        self._asked = False
        self._credential: Credential | None = None
        self._trouble = self._remedy = ""  # why credentials could not be looked up: most images need none
        self._headers: dict[tuple[str, ...], tuple[str, float]] = {}
        self._basic = False

    @property
    def credential(self) -> Credential | None:
        if not self._asked:
            self._asked = True
            try:
                self._credential = self._find()
            except ImageError as error:
                self._trouble, self._remedy = error.message, error.hint
        return self._credential

    def header(self, scopes: tuple[str, ...]) -> str:
        """What is known already to let a request with these scopes pass, or ""."""
        if self._basic and self._credential:
            return self._credential.basic
        value, end = self._headers.get(scopes, ("", 0.0))
        return value if self._clock() < end else ""

    def answer(self, header: str, scopes: tuple[str, ...]) -> str:
        """The Authorization that a WWW-Authenticate ``header`` asks for. Raises Denied."""
        given = list(challenges(header))
        bearer = next((item for item in given if item.scheme == "bearer"), None)
        if bearer is not None:
            return self._bearer(bearer, scopes)
        if any(item.scheme == "basic" for item in given):
            if self.credential is None:
                raise self.denied("wants a user and a password")
            if not self.credential.username:
                raise self.denied("wants a user and a password instead of a token")
            self._basic = True
            return self.credential.basic
        raise Denied(f"{self._host} wants a kind of login that is not known here: {header or 'it does not say'}")

    def denied(self, what: str, *, said: str = "") -> Denied:
        """With the credentials that were used, and what to do."""
        detail = f" ({said})" if said else ""
        if self._trouble:
            return Denied(f"{self._host} {what}, and stackup {self._trouble}{detail}", hint=self._remedy)
        if self.credential is None:
            error = Denied(f"{self._host} {what}, and no credentials are known for it{detail}")
        else:
            error = Denied(f"{self._host} {what}, with the credentials of {self.credential}{detail}")
        error.login, error.known = self._host, self.credential is not None
        return error

    def _bearer(self, challenge: Challenge, scopes: tuple[str, ...]) -> str:
        if self.credential is not None and self.credential.bearer:
            return f"Bearer {self.credential.bearer}"
        realm = challenge.parameters.get("realm", "")
        if urlsplit(realm).scheme not in ("http", "https"):
            raise BadAnswer(f"{self._host} names no place to get a token from")
        if urlsplit(realm).scheme == "http" and not self._plain and self.credential is not None:
            raise BadAnswer(f"{self._host} wants the credentials to be sent in the clear, to {realm}")
        wanted = scopes or tuple(filter(None, challenge.parameters.get("scope", "").split(" ")))
        token = self._token(realm, challenge.parameters.get("service", ""), wanted)
        value = f"Bearer {token[0]}"
        self._headers[scopes] = (value, self._clock() + token[1] - _MARGIN)
        return value

    def _token(self, realm: str, service: str, scopes: tuple[str, ...]) -> tuple[str, float]:
        credential = self.credential
        if credential is not None and credential.identity:
            form = {"grant_type": "refresh_token", "service": service, "client_id": CLIENT_ID}
            body = urlencode({**form, "scope": " ".join(scopes), "refresh_token": credential.identity}).encode()
            headers = {"Content-Type": "application/x-www-form-urlencoded"}
            status, data = self._fetch("POST", realm, headers, body)
        else:
            query: list[tuple[str, str]] = [("service", service)] if service else []
            query += [("scope", scope) for scope in scopes]
            if credential is not None:
                query.append(("account", credential.username))
            url = f"{realm}{'&' if '?' in realm else '?'}{urlencode(query)}"
            status, data = self._fetch("GET", url, {"Authorization": credential.basic} if credential else {}, None)
        if status in (400, 401, 403):
            raise self.denied("gives no token", said=_message(data))
        if status != 200:
            raise BadAnswer(f"{urlsplit(realm).netloc} gives no token: it answers {status}")
        return _parsed(data, realm)


def _parsed(data: bytes, realm: str) -> tuple[str, float]:
    try:
        document: Any = parse_json(data)
        token = document.get("token") or document["access_token"]
        seconds = float(document.get("expires_in") or _LIFETIME)
        if not (isinstance(token, str) and token.isascii() and token.isprintable()):
            raise ValueError("it would break out of its header")
    except (ValueError, KeyError, TypeError, AttributeError, OverflowError):
        raise BadAnswer(f"{urlsplit(realm).netloc} gives no token: its answer is not one") from None
    return token, max(seconds, _LIFETIME)


def _message(data: bytes) -> str:
    from stackup.images.registry.answers import complaint

    return complaint(data)
