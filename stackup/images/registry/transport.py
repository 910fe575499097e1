"""One HTTP request at a time: connections, TLS, proxies, time limits. No policy: ``conversation`` has that.

The only module that knows urllib3. Pools are kept per host and shared by all threads of a transfer.
"""

from __future__ import annotations

import http.client
import socket
import ssl
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import suppress
from typing import Any, TypeVar
from urllib.parse import unquote, urlsplit

import urllib3
from urllib3 import exceptions
from urllib3.connection import HTTPConnection, HTTPSConnection
from urllib3.connectionpool import HTTPConnectionPool, HTTPSConnectionPool
from urllib3.util import Timeout, make_headers

from stackup.base.values import frozen
from stackup.base.version import VERSION
from stackup.images.registry.caller import Caller
from stackup.images.registry.errors import (
    BadAnswer,
    Broken,
    Ended,
    Nameless,
    NotTls,
    NoWay,
    Refused,
    RegistryError,
    TlsFault,
    Unreachable,
)
from stackup.images.registry.proxies import proxy_for
from stackup.images.registry.trust import tls_context
from stackup.images.registry.watching import NEVER, Watch, Watched, now

AGENT = f"stackup/{VERSION}"
_TOGETHER = 0.05  # seconds
CHUNK = 1 << 18  # bytes that are taken from a connection at a time
_SPEAKS_TLS = ("ALERT", "UNSUPPORTED_PROTOCOL", "NO_SHARED_CIPHER", "DH_KEY_TOO_SMALL", "EE_KEY_TOO_SMALL")
_POOL = 8  # connections to one host that are kept
_PROXIES = "it comes from HTTPS_PROXY, HTTP_PROXY or ALL_PROXY; NO_PROXY names hosts that need none"
_WORTH = 64 << 10, 1.0  # bytes and seconds that are spent on a body nobody wants, to keep its connection
_EXPLAINING = 64 << 10, 5.0  # the same for what an answer says of itself


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
    document: float = 90.0  # for all of a manifest, a token, a list
    together: float = 120.0  # of one request, after which it is not tried again


QUICK = Patience(
    connect=3.0, read=8.0, pauses=(), document=15.0, together=15.0
)  # where there is something else to be content with


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
        """All of it. Raises BadAnswer for more than ``limit`` bytes, Broken when the connection breaks, or the whole
        takes too long."""
        due = now() + self._transport.patience.document
        parts: list[bytes] = []
        size = 0
        for chunk in self.chunks():
            parts.append(chunk)
            size += len(chunk)
            if size > limit:
                self.close()
                raise BadAnswer(f"{self.host} answers more than {limit >> 20} MiB where a document was asked for")
            if now() > due:
                self.close()
                raise Broken(f"{self.host} takes more than {self._transport.patience.document:g} s for a document")
        return b"".join(parts)

    def explanation(self) -> bytes:
        """The beginning of a body that only says what the status means; whatever is wrong with it does not matter."""
        found = self._beginning(*_EXPLAINING)
        self.close()
        return found

    def chunks(self) -> Iterator[bytes]:
        """The body as it comes. Raises Broken when it ends before its announced length, falls silent, or crawls."""
        with self._transport.watch.over(self.end) as watched:
            try:
                yield from self._paced(watched)
            except (exceptions.HTTPError, OSError, ValueError, AttributeError) as error:
                self._transport.check()
                if watched.late or isinstance(error, exceptions.ReadTimeoutError):
                    raise Broken(f"{self.host} has fallen silent in the middle of an answer") from None
                raise Broken(f"the connection to {self.host} broke ({_short(error)})") from None
            finally:
                self._response.close()

    def _paced(self, watched: Watched) -> Iterator[bytes]:
        patience, began, moved = self._transport.patience, time.monotonic(), 0
        for chunk in self._gathered(watched):
            yield chunk
            self._transport.check()
            moved += len(chunk)
            span = time.monotonic() - began
            if span >= patience.window:
                if moved < patience.slowest * span:
                    raise Broken(f"{self.host} sends less than {patience.slowest / 1000:g} kB/s")
                began, moved = time.monotonic(), 0

    def _gathered(self, watched: Watched) -> Iterator[bytes]:
        """What comes within a moment in one piece; what comes slowly, as it comes."""
        over = False
        while not over:
            parts, size, until = [], 0, time.monotonic() + _TOGETHER
            fault: Exception | None = None
            while size < CHUNK and time.monotonic() < until:
                watched.due = now() + self._transport.patience.read
                try:
                    data = self._response.read1(CHUNK - size)
                except (exceptions.HTTPError, OSError) as error:
                    fault = error
                    break
                finally:
                    watched.due = NEVER
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
        """Of a body that nobody wants: read if it is small and quick, so that the connection can be used again."""
        self._beginning(*_WORTH)

    def _beginning(self, limit: int, seconds: float) -> bytes:
        """What arrives of the body within so many bytes and seconds. The connection is closed unless that is all."""
        seconds = min(seconds, self._transport.patience.read)
        due = now() + seconds
        parts: list[bytes] = []
        size = 0
        with self._transport.watch.over(self.end, seconds):
            try:
                while size < limit and now() < due:
                    data = self._response.read1(limit - size)
                    if not data:
                        return b"".join(parts)
                    parts.append(data)
                    size += len(data)
            except (exceptions.HTTPError, OSError, ValueError, AttributeError):
                pass
        self._response.close()
        return b"".join(parts)


class Transport:
    """``caller`` says which certificates and proxies count."""

    def __init__(self, caller: Caller, patience: Patience | None = None) -> None:
        self.caller = caller
        self.patience = patience or Patience()
        self._pools: dict[tuple[str, str, bool], urllib3.PoolManager] = {}
        self._lock = threading.Lock()
        self._ended = threading.Event()
        self.watch = Watch()
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
        except (exceptions.HTTPError, OSError, ValueError) as error:
            self.check()
            raise self._fault(error, url) from None
        self.check()
        return Answer(response, url, self)

    # Giving up

    def end(self) -> None:
        """Whatever is under way in other threads ends with Ended, and so does what they begin."""
        self._ended.set()
        self.watch.end()

    def check(self) -> None:
        """Raises Ended."""
        if self._ended.is_set():
            raise Ended("the transfer has been given up")

    def pause(self, seconds: float) -> None:
        """Sleeps, unless all is over."""
        self._ended.wait(seconds)

    def _pool(self, url: str, checked: bool) -> urllib3.PoolManager:
        try:
            host, proxy = urlsplit(url).netloc, proxy_for(url, self.caller.environment)
        except ValueError:
            raise BadAnswer(f"{url} is not an address") from None
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
        manager = self._proxied(proxy, options) if proxy else urllib3.PoolManager(**options)
        manager.pool_classes_by_scheme = _pool_classes(self)
        return manager

    def _proxied(self, proxy: str, options: dict[str, Any]) -> urllib3.PoolManager:
        try:
            parts = urlsplit(proxy)
            where, _ = parts.netloc.rpartition("@")[2], parts.port
        except ValueError:
            raise NoWay("the proxy that is set is not an address", hint=_PROXIES) from None
        if parts.scheme not in ("http", "https"):
            kind = f"{parts.scheme}://{where}"
            raise NoWay(f"the proxy {kind} is not supported: only those that speak HTTP are", hint=_PROXIES)
        if parts.username:
            secret = f"{unquote(parts.username)}:{unquote(parts.password or '')}"
            options["proxy_headers"] = make_headers(proxy_basic_auth=secret)
            proxy = parts._replace(netloc=where).geturl()
        return urllib3.ProxyManager(proxy, **options)

    def _fault(self, error: Exception, url: str) -> RegistryError:
        host = urlsplit(url).netloc
        match error:
            case exceptions.ProxyError():
                proxy = urlsplit(proxy_for(url, self.caller.environment)).netloc.rpartition("@")[2]
                return Unreachable(
                    f"the proxy {proxy} cannot be used ({_short(error.original_error)})",
                    hint=_PROXIES,
                )
            case exceptions.SSLError():
                return _tls_fault(error, host)
            case exceptions.NameResolutionError():
                return Nameless(f"the name {host.rpartition(':')[0] or host} cannot be resolved")
            case exceptions.NewConnectionError():  # counts as the next one, too
                kind = Refused if "refused" in _short(error).lower() else Unreachable
                return kind(f"{host} cannot be reached ({_short(error)})")
            case exceptions.ConnectTimeoutError():
                return Unreachable(f"{host} does not answer within {self.patience.connect:g} s")
            case exceptions.ReadTimeoutError():
                return Broken(f"{host} gives no answer within {self.patience.read:g} s")
            case exceptions.LocationParseError() | ValueError():
                return BadAnswer(f"{host} is not an address")
        return Broken(f"the connection to {host} broke ({_short(error)})")

    def close(self) -> None:
        with self._lock:
            for pool in self._pools.values():
                pool.clear()
            self._pools.clear()


T = TypeVar("T")


def _pool_classes(transport: Transport) -> dict[str, type[HTTPConnectionPool]]:
    """Of connections on which neither the way through a proxy nor an answer's head takes longer than it may."""

    def limited(connection: HTTPConnection, read: Callable[[], T]) -> T:
        def end() -> None:
            found = connection.sock
            if isinstance(found, socket.socket):
                with suppress(OSError):  # of the socket itself: that of TLS forgets its state, which is still in use
                    socket.socket.shutdown(found, socket.SHUT_RDWR)

        with transport.watch.over(end, transport.patience.read) as watched:
            try:
                found = read()
            except (OSError, http.client.HTTPException):
                if watched.late:
                    raise TimeoutError from None
                raise
            if watched.late:
                raise TimeoutError
            return found

    class Plain(HTTPConnection):
        def connect(self) -> None:
            limited(self, super().connect)

        def getresponse(self) -> urllib3.HTTPResponse:  # type: ignore[override]
            return limited(self, super().getresponse)

    class Encrypted(HTTPSConnection):
        def connect(self) -> None:
            limited(self, super().connect)

        def getresponse(self) -> urllib3.HTTPResponse:  # type: ignore[override]
            return limited(self, super().getresponse)

    class PlainPool(HTTPConnectionPool):
        ConnectionCls = Plain

    class EncryptedPool(HTTPSConnectionPool):
        ConnectionCls = Encrypted

    return {"http": PlainPool, "https": EncryptedPool}


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
