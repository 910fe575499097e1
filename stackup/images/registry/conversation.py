"""Talks to one registry host as it wants to be talked to: challenges, redirects, pauses, and another try.

Bounded in everything: attempts, redirects, the time that a registry may ask to wait, and all of that together.
"""

from __future__ import annotations

import email.utils
import threading
import time
from collections.abc import Callable, Mapping
from typing import Any, Protocol
from urllib.parse import unquote, urljoin, urlsplit

from stackup.base.clock import now_ns
from stackup.base.foreign import shown
from stackup.images.registry.answers import complaint, error_codes
from stackup.images.registry.auth import Authorizer
from stackup.images.registry.credentials import Credential
from stackup.images.registry.errors import (
    BadAnswer,
    Broken,
    Denied,
    NotThere,
    NotTls,
    NoWay,
    RateLimited,
    Refused,
    RegistryError,
    Unreachable,
)
from stackup.images.registry.proxies import is_loopback
from stackup.images.registry.settings import Endpoint
from stackup.images.registry.transport import Answer, Transport

REDIRECTS = 5
DOCUMENT = 8 << 20  # bytes of an error, a token, a list
_AGAIN = (408, 500, 502, 503, 504)
_DAY = 24 * 3600.0
_REDIRECTING = (301, 302, 303, 307, 308)


class Keeper(Protocol):
    """Knows credentials."""

    def find(self, host: str, /) -> Credential | None: ...


class Conversation:
    """All requests to one host, from any thread. ``sleep`` waits for so many seconds."""

    def __init__(
        self,
        transport: Transport,
        keyring: Keeper,
        endpoint: Endpoint,
        sleep: Callable[[float], None] = time.sleep,
        *,
        lax: Callable[[str], bool] = lambda _host: False,
        say: Callable[[str], None] = lambda _text: None,
    ) -> None:
        """``lax``: whether another host (with its port) that this one points to may do without a trusted
        certificate."""
        self._transport = transport
        self._endpoint = endpoint
        self._sleep = sleep
        self._scheme = ""
        self._lock = threading.Lock()
        self._asking = threading.Lock()
        self._authorizer: Authorizer | None = None
        self._keyring = keyring
        self._lax = lax
        self._say = say

    @property
    def host(self) -> str:
        return self._endpoint.address

    @property
    def scheme(self) -> str:
        """https; http only for a registry that may be plain and does not speak TLS."""
        with self._lock:
            if not self._scheme:
                self._scheme = self._found_scheme()
            return self._scheme

    def _found_scheme(self) -> str:
        name = urlsplit(f"//{self.host}").hostname or ""
        if not (self._endpoint.insecure or is_loopback(name)):
            return "https"
        try:  # no secret is sent, so whose certificate it is does not matter yet
            self._transport.open("GET", f"https://{self.host}/v2/", checked=False).drop()
        except (Refused, NotTls):
            return "http"
        except Broken:  # behind a handshake: the request itself will show more
            pass
        return "https"

    @property
    def authorizer(self) -> Authorizer:
        with self._lock:
            if self._authorizer is None:
                self._authorizer = Authorizer(
                    self._endpoint.host,
                    lambda: self._keyring.find(self._endpoint.host),
                    self._fetch,
                    plain=self._scheme == "http",
                )
            return self._authorizer

    def _fetch(self, method: str, url: str, headers: Mapping[str, str], body: bytes | None) -> tuple[int, bytes]:
        answer = self._patiently(lambda: self._open(method, url, headers, body))
        return answer.status, answer.body(DOCUMENT)

    def _open(self, method: str, url: str, headers: Mapping[str, str] | None = None, body: Any = None) -> Answer:
        return self._transport.open(method, url, headers, body, checked=not self._trusted(url))

    def _trusted(self, url: str) -> bool:
        """The registry's own leave to do without certificates does not go for those that it points to."""
        parts = urlsplit(url)
        own = self._endpoint.insecure and parts.hostname == urlsplit(f"//{self.host}").hostname
        return own or self._lax(parts.netloc)

    # Requests

    def request(
        self,
        method: str,
        path: str,
        *,
        headers: Mapping[str, str] | None = None,
        body: Any = None,
        scopes: tuple[str, ...] = (),
        expected: tuple[int, ...] = (200,),
        once: bool = False,
        about: str = "",
    ) -> Answer:
        """The answer with one of the ``expected`` statuses. ``path`` begins with /v2/, or is a whole URL that this
        registry gave. ``once``: the body cannot be sent a second time, so a broken connection is the caller's affair,
        or another attempt is not worth its time. ``about``: what another attempt is told to be for.

        Raises the RegistryError that fits any other answer.
        """
        url = path if "://" in path else f"{self.scheme}://{self.host}{path}"

        def attempt() -> Answer:
            return self._authorized(method, url, dict(headers or {}), body, scopes)

        answer = attempt() if once else self._patiently(attempt, about)
        if answer.status in expected:
            return answer
        raise self._refusal(answer, method, url)

    def _authorized(self, method: str, url: str, headers: dict[str, str], body: Any, scopes: tuple[str, ...]) -> Answer:
        known = self.authorizer.header(scopes) if self._is_ours(url) else ""
        answer = self._followed(method, url, headers, body, known)
        if answer.status != 401 or not self._is_ours(answer.url):
            return answer
        challenge = ", ".join(_all(answer.headers, "WWW-Authenticate"))
        data = answer.explanation()
        with self._asking:  # one thread asks for the token; the others find it
            authorization = self.authorizer.header(scopes)
            if authorization in ("", known):
                authorization = self.authorizer.answer(challenge, scopes)
        if authorization == known:
            raise self.authorizer.denied("denies access", said=complaint(data))
        rewind = getattr(body, "rewind", None)
        if rewind is not None:
            rewind()
        answer = self._followed(method, url, headers, body, authorization)
        if answer.status == 401:
            raise self.authorizer.denied("denies access", said=complaint(answer.explanation()))
        return answer

    def _is_ours(self, url: str) -> bool:
        return _origin(url) == (self.scheme, self.host)

    def _followed(self, method: str, url: str, headers: dict[str, str], body: Any, authorization: str) -> Answer:
        """Redirects are followed for reading only; to another host, credentials are not taken along."""
        for _ in range(REDIRECTS + 1):
            extra = {"Authorization": authorization} if authorization and self._is_ours(url) else {}
            answer = self._open(method, url, {**headers, **extra}, body)
            location = answer.headers.get("Location", "")
            if answer.status not in _REDIRECTING or method not in ("GET", "HEAD") or not location:
                return answer
            answer.drop()
            target = target_of(url, location)
            if urlsplit(target).scheme not in ("http", "https"):
                raise BadAnswer(f"{self.host} redirects to {urlsplit(target).scheme}:, which is no place to fetch from")
            if url.startswith("https:") and target.startswith("http:") and not self._trusted(target):
                raise BadAnswer(f"{self.host} redirects to an unencrypted place, {urlsplit(target).netloc}")
            url = target
        raise BadAnswer(f"{self.host} redirects more than {REDIRECTS} times")

    def _patiently(self, attempt: Callable[[], Answer], about: str = "") -> Answer:
        """Again after a pause, where that may help."""
        pauses, began = self._transport.patience.pauses, time.monotonic()
        for number, pause in enumerate((*pauses, None)):
            wait, last = 0.0, pause is None or time.monotonic() - began > self._transport.patience.together
            try:
                answer = attempt()
            except (Broken, Unreachable) as error:
                once = isinstance(error, Unreachable)  # a name server may hiccup
                if pause is None or last or (once and number) or isinstance(error, NoWay):
                    raise
                why, attempts = error.reason, 2 if once else len(pauses) + 1
            else:
                wait = _retry_after(answer)
                again = answer.status in (*_AGAIN, 429)
                if not again or pause is None or last or wait > self._transport.patience.longest:
                    return answer
                answer.drop()
                why, attempts = f"{self._endpoint.host} answers {answer.status}", len(pauses) + 1
            self._say(f"{about and f'{about}: '}{why}; retrying ({number + 2} of {attempts})")
            self._sleep(max(pause, wait))
        raise AssertionError("unreachable")

    def _refusal(self, answer: Answer, method: str, url: str) -> RegistryError:
        data = answer.explanation() if method != "HEAD" else b""
        said, codes = complaint(data), error_codes(data)
        detail = f" ({said})" if said else ""
        host = self._endpoint.host
        if not self._is_ours(answer.url):  # where it points to: none of its credentials were sent there
            host = f"{answer.host}, where {host} points to,"
        match answer.status:
            case 401:
                return Denied(f"{host} denies access{detail}")
            case 403 if self._is_ours(answer.url):
                return self.authorizer.denied("denies access", said=said)
            case 403:
                return Denied(f"{host} denies access{detail}")
            case 404:
                error = NotThere(f"{host} does not have {_named(url)}{detail}")
                error.codes = tuple(codes)
                return error
            case 429:
                known = self._is_ours(answer.url) and self.authorizer.credential is not None
                return RateLimited(
                    f"{host} has been asked too often{detail}",
                    hint=_rate_hint(answer, "" if known else self._endpoint.host),
                )
            case status if status >= 500:
                return Broken(f"{host} answers with an error of its own: {status}{detail}")
        return BadAnswer(f"{host} answers {answer.status}{detail}")


def target_of(url: str, location: str) -> str:
    """Where an answer from ``url`` points to. Raises BadAnswer."""
    try:
        target = urljoin(url, location)
        urlsplit(target).port  # noqa: B018 - looks at it
        return target
    except ValueError:
        raise BadAnswer(f"{urlsplit(url).netloc} points to {shown(location)}, which is no address") from None


def _all(headers: Mapping[str, str], name: str) -> list[str]:
    getlist = getattr(headers, "getlist", None)
    return list(getlist(name)) if getlist else [headers.get(name, "")]


def _origin(url: str) -> tuple[str, str]:
    parts = urlsplit(url)
    return parts.scheme, parts.netloc


def _named(url: str) -> str:
    """What a URL of the distribution API stands for, for people."""
    path = urlsplit(url).path
    for part, word in (("/manifests/", "manifest"), ("/blobs/uploads/", ""), ("/blobs/", "blob"), ("/tags/", "")):
        repository, found, name = path.partition(part)
        if found:
            repository = repository.removeprefix("/v2/")
            what = f"{word} {unquote(name)}" if word else {"/tags/": "a list of tags"}.get(part, "the upload")
            return f"{what} of {repository}"
    return path


def _retry_after(answer: Answer) -> float:
    """Seconds that the registry wants to be left alone; 0 when it does not say."""
    text = answer.headers.get("Retry-After", "")
    if text.isdecimal():
        return float(text)
    try:
        return max(0.0, email.utils.parsedate_to_datetime(text).timestamp() - now_ns() / 1e9)
    except (ValueError, OverflowError):
        return 0.0


def _rate_hint(answer: Answer, login: str) -> str:
    """``login``: the registry, where nobody is logged in."""
    wait = _retry_after(answer)
    lines = ["a mirror in registries.conf saves requests"]
    if login:
        lines.insert(0, f"many registries allow more after `stackup login {login}`")
    if 0 < wait < _DAY:
        lines.insert(0, f"it may be asked again in {f'{wait / 60:.0f} min' if wait >= 90 else f'{wait:.0f} s'}")
    return "\n".join(lines)
