"""One HTTP request at a time: connections, TLS, proxies, time limits. No policy: ``conversation`` has that.

The only module that knows urllib3. Pools are kept per host and shared by all threads of a transfer.
"""

from __future__ import annotations

import http.client
import ssl
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import suppress
from typing import Any
from urllib.parse import urlsplit
from weakref import WeakSet

import urllib3
from urllib3 import exceptions
from urllib3.util import Timeout, make_headers

from stackup.base.values import frozen
from stackup.base.version import VERSION
from stackup.images.registry.caller import Caller
from stackup.images.registry.errors import BadAnswer, Broken, Ended, RegistryError, Unreachable
from stackup.images.registry.proxies import proxy_for
from stackup.images.registry.trust import tls_context

AGENT = f"stackup/{VERSION}"
_TOGETHER = 0.05  # seconds
CHUNK = 1 << 18  # bytes that are taken from a connection at a time
_SPEAKS_TLS = ("ALERT", "UNSUPPORTED_PROTOCOL", "NO_SHARED_CIPHER", "DH_KEY_TOO_SMALL", "EE_KEY_TOO_SMALL")
_POOL = 8  # connections to one host that are kept


@frozen
class Patience:
    """Seconds. ``connect`` to a host, ``read`` between two bytes; ``pauses`` before each further attempt;
    ``longest`` wait that a registry may ask for."""

    connect: float = 10.0
    read: float = 30.0
    pauses: tuple[float, ...] = (0.5, 1.0, 2.0, 4.0)
    longest: float = 30.0
    slowest: float = 1000.0  # bytes a second; a connection that brings less over ``window`` seconds is broken off
    window: float = 60.0


QUICK = Patience(connect=3.0, read=8.0, pauses=())  # where there is something else to be content with


class Answer:
    """A response whose body has not been read. Close it, or read it to its end."""

    def __init__(self, response: urllib3.BaseHTTPResponse, url: str, transport: Transport) -> None:
        self._response = response
        self._transport = transport
        self.url = url
        self.status = response.status
        self.headers: Mapping[str, str] = response.headers

    @property
    def host(self) -> str:
        return urlsplit(self.url).netloc

    def body(self, limit: int) -> bytes:
        """All of it. Raises BadAnswer for more than ``limit`` bytes, Broken when the connection breaks."""
        parts, size = [], 0
        for chunk in self.chunks():
            parts.append(chunk)
            size += len(chunk)
            if size > limit:
                self.close()
                raise BadAnswer(f"{self.host} answers more than {limit >> 20} MiB where a document was asked for")
        return b"".join(parts)

    def chunks(self) -> Iterator[bytes]:
        """The body as it comes. Raises Broken when it ends before its announced length, or falls silent."""
        try:
            yield from self._paced()
        except (exceptions.HTTPError, OSError) as error:
            self._transport.check()
            if isinstance(error, exceptions.ReadTimeoutError):
                raise Broken(f"{self.host} has fallen silent in the middle of an answer") from None
            raise Broken(f"the connection to {self.host} broke ({_short(error)})") from None
        finally:
            self._response.close()

    def _paced(self) -> Iterator[bytes]:
        patience, began, moved = self._transport.patience, time.monotonic(), 0
        for chunk in self._gathered():
            yield chunk
            self._transport.check()
            moved += len(chunk)
            span = time.monotonic() - began
            if span >= patience.window:
                if moved < patience.slowest * span:
                    raise Broken(f"{self.host} sends less than {patience.slowest / 1000:g} kB/s")
                began, moved = time.monotonic(), 0

    def _gathered(self) -> Iterator[bytes]:
        """What comes within a moment in one piece; what comes slowly, as it comes."""
        over = False
        while not over:
            parts, size, until = [], 0, time.monotonic() + _TOGETHER
            fault: Exception | None = None
            while size < CHUNK and time.monotonic() < until:
                try:
                    data = self._response.read1(CHUNK - size)
                except (exceptions.HTTPError, OSError) as error:
                    fault = error
                    break
                if not data:
                    over = True
                    break
                parts.append(data)
                size += len(data)
            if parts:
                yield b"".join(parts)
            if fault is not None:
                raise fault

    def end(self) -> None:
        """From another thread: who reads it hears of its end at once."""
        with suppress(ValueError, RuntimeError, OSError, AttributeError):
            self._response.shutdown()

    def close(self) -> None:
        self._response.close()

    def drop(self) -> None:
        """Of a body that nobody wants: read if it is small, so that the connection can be used again."""
        try:
            self._response.drain_conn()
        except (exceptions.HTTPError, OSError):
            self._response.close()


class Transport:
    """``caller`` says which certificates and proxies count."""

    def __init__(self, caller: Caller, patience: Patience | None = None) -> None:
        self.caller = caller
        self.patience = patience or Patience()
        self._pools: dict[tuple[str, str, bool], urllib3.PoolManager] = {}
        self._lock = threading.Lock()
        self._ended = threading.Event()
        self._answers: WeakSet[Answer] = WeakSet()
        urllib3.disable_warnings(exceptions.InsecureRequestWarning)

    def open(
        self,
        method: str,
        url: str,
        headers: Mapping[str, str] | None = None,
        body: Any = None,
        *,
        checked: bool = True,
    ) -> Answer:
        """Any status is an answer. Raises Unreachable where no connection came about, Broken where it broke."""
        self.check()
        pool = self._pool(url, checked)
        try:
            response = pool.urlopen(
                method,
                url,
                body=body,
                headers={"User-Agent": AGENT, "Accept-Encoding": "identity", **(headers or {})},
                redirect=False,
                retries=False,
                preload_content=False,
                decode_content=False,
                timeout=Timeout(connect=self.patience.connect, read=self.patience.read),
            )
        except (exceptions.HTTPError, OSError) as error:
            self.check()
            raise self._fault(error, url) from None
        answer = Answer(response, url, self)
        with self._lock:
            self._answers.add(answer)
        self.check()
        return answer

    # Giving up

    def end(self) -> None:
        """Whatever is under way in other threads ends with Ended, and so does what they begin."""
        self._ended.set()
        with self._lock:
            answers = list(self._answers)
        for answer in answers:
            answer.end()

    def check(self) -> None:
        """Raises Ended."""
        if self._ended.is_set():
            raise Ended("the transfer has been given up")

    def pause(self, seconds: float) -> None:
        """Sleeps, unless all is over."""
        self._ended.wait(seconds)

    def _pool(self, url: str, checked: bool) -> urllib3.PoolManager:
        host = urlsplit(url).netloc
        proxy = proxy_for(url, self.caller.environment)
        with self._lock:
            key = (host, proxy, checked)
            if key not in self._pools:
                self._pools[key] = self._make_pool(url, host, proxy, checked)
            return self._pools[key]

    def _make_pool(self, url: str, host: str, proxy: str, checked: bool) -> urllib3.PoolManager:
        options: dict[str, Any] = {"maxsize": _POOL, "num_pools": 1}
        if url.startswith("https:"):
            options["ssl_context"] = tls_context(self.caller, host, checked=checked)
            if not checked:
                options |= {"cert_reqs": ssl.CERT_NONE, "assert_hostname": False}
        if not proxy:
            return urllib3.PoolManager(**options)
        parts = urlsplit(proxy)
        if parts.scheme not in ("http", "https"):
            raise Unreachable(f"the proxy {parts.scheme}://{parts.hostname} is of a kind that is not known here")
        if parts.username:
            secret = f"{parts.username}:{parts.password or ''}"
            options["proxy_headers"] = make_headers(proxy_basic_auth=secret)
            proxy = parts._replace(netloc=parts.netloc.rpartition("@")[2]).geturl()
        return urllib3.ProxyManager(proxy, **options)

    def _fault(self, error: Exception, url: str) -> RegistryError:
        host = urlsplit(url).netloc
        match error:
            case exceptions.ProxyError():
                proxy = urlsplit(proxy_for(url, self.caller.environment)).netloc.rpartition("@")[2]
                return Unreachable(
                    f"the proxy {proxy} cannot be used ({_short(error.original_error)})",
                    hint="it comes from HTTPS_PROXY or HTTP_PROXY; NO_PROXY names hosts that need none",
                )
            case exceptions.SSLError():
                return _tls_fault(error, host)
            case exceptions.NameResolutionError():
                hint = "is this machine offline? Then images can be brought in with `stackup load`"
                return Refused(f"the name {host.rpartition(':')[0] or host} cannot be resolved", hint=hint)
            case exceptions.NewConnectionError():  # counts as the next one, too
                kind = Refused if "refused" in _short(error).lower() else Unreachable
                return kind(f"{host} cannot be reached ({_short(error)})")
            case exceptions.ConnectTimeoutError():
                return Unreachable(f"{host} does not answer within {self.patience.connect:g} s")
            case exceptions.ReadTimeoutError():
                return Broken(f"{host} gives no answer within {self.patience.read:g} s")
            case exceptions.LocationParseError():
                return BadAnswer(f"{host} is not an address")
        return Broken(f"the connection to {host} broke ({_short(error)})")

    def close(self) -> None:
        with self._lock:
            for pool in self._pools.values():
                pool.clear()
            self._pools.clear()


class Refused(Unreachable):
    """Nobody is there at all: nothing listens, or the name stands for nothing."""


class TlsFault(Unreachable):
    """A connection came about, and no trust."""

    kind = "registry-tls"


class NotTls(TlsFault):
    """Who answers does not speak TLS."""


def _tls_fault(error: Exception, host: str) -> TlsFault:
    text = str(error)
    cause = error.args[0] if error.args else None
    if isinstance(cause, ssl.SSLCertVerificationError) or "CERTIFICATE_VERIFY_FAILED" in text:
        why = getattr(cause, "verify_message", "") or "it is signed by nobody that this machine trusts"
        return TlsFault(
            f"the certificate of {host} is not trusted ({why})",
            hint=f"put the certificate of the authority that signed it into /etc/docker/certs.d/{host}/ca.crt "
            "(or /etc/containers/certs.d), or name the registry in registries.conf with insecure = true",
        )
    kind = TlsFault if any(sign in text for sign in _SPEAKS_TLS) else NotTls
    return kind(
        f"no encrypted connection to {host} is possible ({_short(error)})",
        hint="where it is meant to be plain HTTP, name it in registries.conf with insecure = true",
    )


def _short(error: BaseException | None) -> str:
    """The innermost reason, in one line."""
    while isinstance(error, exceptions.HTTPError) and error.args and isinstance(error.args[-1], BaseException):
        error = error.args[-1]
    match error:
        case exceptions.IncompleteRead():
            return f"it ended {error.expected} bytes too early"
        case exceptions.InvalidChunkLength() | http.client.HTTPException() if not isinstance(error, ConnectionError):
            return "the answer is garbled"
    cause = getattr(error, "__cause__", None) or getattr(error, "__context__", None)
    if isinstance(error, exceptions.NewConnectionError) and isinstance(cause, OSError):
        error = cause
    if isinstance(error, OSError) and error.strerror:
        return error.strerror
    text = str(error).splitlines()[0] if error is not None and str(error) else type(error).__name__
    return text.rpartition(": ")[2].strip("()' ") or text


Sleep = Callable[[float], None]
