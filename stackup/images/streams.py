"""Byte streams of layers: recognising, decompressing, hashing. The last two in threads of their own, beside the reader
that unpacks: zlib, ISA-L, zstd and SHA-256 let go of the interpreter lock.
"""

from __future__ import annotations

import hashlib
import queue
import sys
import threading
import zlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from enum import Enum
from typing import Any, Protocol, cast

from stackup.base.errors import HostUnfit, ImageError
from stackup.images import limits
from stackup.images.limits import Limits
from stackup.oci import image as oci

CHUNK = 1 << 20
CUT_OFF = "it is cut off"
_READ_AHEAD = 8  # chunks
_XZ_MEMORY = 512 << 20  # bytes; the largest usual preset wants 65 MiB, an archive may ask for 4 GiB
_INPUT = 128 << 10  # what is left over of it is copied at every step, so not too much
_OUTPUT = 1 << 20  # a quarter of that costs a tenth more: three threads take turns at each chunk


class Readable(Protocol):
    """At most ``size`` bytes, and none only at the end: a file, or what comes from a network."""

    def read(self, size: int, /) -> bytes: ...


class DamagedLayer(ImageError):
    """What comes out of an archive is not what a layer is made of. ``reason`` is said of "it"."""

    kind = "damaged-layer"

    def __init__(self, verb: str, reason: str, **more: Any) -> None:
        super().__init__(f"cannot {verb} the layer: {reason}", **more)
        self.reason = reason


class Compression(Enum):
    """``media_type`` is empty for what the OCI has none for; such layers are stored decompressed."""

    NONE = (b"", oci.LAYER)
    GZIP = (b"\x1f\x8b", oci.LAYER_GZIP)
    ZSTD = (b"\x28\xb5\x2f\xfd", oci.LAYER_ZSTD)
    XZ = (b"\xfd7zXZ\x00", "")
    BZIP2 = (b"BZh", "")

    @property
    def media_type(self) -> str:
        return self.value[1]

    @classmethod
    def of(cls, head: bytes) -> Compression:
        return next((kind for kind in cls if kind.value[0] and head.startswith(kind.value[0])), cls.NONE)


class _Counted:
    """Counts what was read."""

    def __init__(self, file: Readable) -> None:
        self._file = file
        self.count = 0

    def read(self, size: int) -> bytes:
        data = self._file.read(size)
        self.count += len(data)
        return data

    def readinto(self, buffer: bytearray) -> int:
        data = self.read(len(buffer))
        buffer[: len(data)] = data
        return len(data)


def _gunzip(file: _Counted) -> Iterator[bytes]:
    """Several members in a row count as one stream, as for ``gzip -d``. ISA-L takes half the time of zlib."""
    try:
        from isal import igzip, isal_zlib
    except ImportError:  # no wheel for this machine
        yield from _gunzip_by_zlib(file)
        return
    damaged = cast(type[Exception], isal_zlib.IsalError)
    try:
        with igzip.IGzipFile(fileobj=file, mode="rb") as opened:  # type: ignore[no-untyped-call]
            while chunk := opened.read(_OUTPUT):
                yield chunk
    except (damaged, igzip.BadGzipFile) as error:
        raise ValueError(str(error)) from None


def _gunzip_by_zlib(file: Readable) -> Iterator[bytes]:
    worker, started = zlib.decompressobj(zlib.MAX_WBITS | 16), False
    try:
        while data := file.read(_INPUT):
            while data:
                if worker.eof:
                    data = data.lstrip(b"\0")
                    if not data:
                        break
                    worker = zlib.decompressobj(zlib.MAX_WBITS | 16)
                started = True
                yield worker.decompress(data, CHUNK)
                data = worker.unused_data if worker.eof else worker.unconsumed_tail
    except zlib.error as error:
        raise ValueError(str(error).removeprefix("Error -3 while decompressing data: ")) from None
    if started and not worker.eof:
        raise EOFError


def _stream(file: Readable, new: Callable[[], Any]) -> Iterator[bytes]:
    """``new`` makes a decompressor with the interface of those of ``lzma``; several streams in a row count as one."""
    worker = new()
    while data := file.read(_INPUT):
        while data:
            if worker.eof:
                data = data.lstrip(b"\0")
                if not data:
                    break
                worker = new()
            yield worker.decompress(data, CHUNK)
            while not worker.eof and not worker.needs_input:
                yield worker.decompress(b"", CHUNK)
            data = worker.unused_data if worker.eof else b""
    if not worker.eof:
        raise EOFError


def _unzstd(file: Readable) -> Iterator[bytes]:
    try:
        if sys.version_info >= (3, 14):
            from compression import zstd
        else:
            from backports import zstd
    except ImportError:
        raise HostUnfit(
            "cannot decompress the layer: it is zstd-compressed", hint="pip install backports.zstd"
        ) from None
    try:
        yield from _stream(file, zstd.ZstdDecompressor)
    except zstd.ZstdError as error:
        raise ValueError(str(error)) from None


def _unxz(file: Readable) -> Iterator[bytes]:
    import lzma  # rare, and every supervisor would pay for it

    try:
        yield from _stream(file, lambda: lzma.LZMADecompressor(memlimit=_XZ_MEMORY))
    except lzma.LZMAError as error:
        raise ValueError(str(error)) from None


def _bunzip2(file: Readable) -> Iterator[bytes]:
    import bz2

    try:
        yield from _stream(file, bz2.BZ2Decompressor)
    except OSError as error:
        if error.errno:
            raise
        raise ValueError(str(error)) from None


def _plain(file: Readable) -> Iterator[bytes]:
    while chunk := file.read(CHUNK):
        yield chunk


_READERS: dict[Compression, Callable[[_Counted], Iterator[bytes]]] = {
    Compression.NONE: _plain,
    Compression.GZIP: _gunzip,
    Compression.ZSTD: _unzstd,
    Compression.XZ: _unxz,
    Compression.BZIP2: _bunzip2,
}


def decompressed(file: Readable, compression: Compression, bounds: Limits | None = None) -> Iterator[bytes]:
    """The uncompressed content of ``file`` from its position on, in chunks. ``bounds``: the machine's usual ones.

    Raises DamagedLayer for what cannot be decompressed, ImageError for what becomes too large.
    """
    counted = _Counted(file)
    watch = bounds or limits.from_environment()
    try:
        yield from watch.watched(_READERS[compression](counted), lambda: counted.count)
    except EOFError:
        raise DamagedLayer("decompress", CUT_OFF) from None
    except ValueError as error:
        raise DamagedLayer("decompress", f"its {compression.name.lower()} data is damaged ({error})") from None
    except OSError as error:
        raise DamagedLayer("decompress", error.strerror or str(error)) from None


class Reader:
    """Hands out a sequence of chunks in pieces of any size."""

    def __init__(self, take: Callable[[], bytes]) -> None:
        """``take`` answers the next chunk, and at the end empty ones."""
        self._take = take
        self._chunk = b""
        self._at = 0

    def read(self, size: int) -> bytes:
        """Exactly ``size`` bytes unless the stream ends."""
        end = self._at + size
        data = self._chunk[self._at : end]
        self._at = end
        if len(data) == size:
            return data
        parts = [data]
        missing = size - len(data)
        while missing and self._next():
            parts.append(self._chunk[:missing])
            self._at = len(parts[-1])
            missing -= self._at
        return b"".join(parts)

    def some(self, size: int) -> memoryview:
        """1 to ``size`` bytes without copying them; none at the end."""
        if self._at >= len(self._chunk):
            self._next()
        piece = memoryview(self._chunk)[self._at : self._at + size]
        self._at += len(piece)
        return piece

    def _next(self) -> bool:
        self._chunk, self._at = self._take(), 0
        return bool(self._chunk)


class _Hasher:
    """SHA-256 in a thread of its own: it takes as long as decompressing does."""

    def __init__(self) -> None:
        self._state = hashlib.sha256()
        self._queue: queue.Queue[bytes] = queue.Queue(_READ_AHEAD)
        self._thread = threading.Thread(target=self._run, name="hash", daemon=True)

    def start(self) -> None:
        self._thread.start()

    def _run(self) -> None:
        while chunk := self._queue.get():
            self._state.update(chunk)

    def add(self, chunk: bytes) -> None:
        self._queue.put(chunk)

    def end(self) -> None:
        self._queue.put(b"")

    def digest(self) -> str:
        self._thread.join()
        return f"sha256:{self._state.hexdigest()}"


class Pump:
    """Decompresses and hashes ahead of its reader in threads of its own."""

    def __init__(self, chunks: Iterator[bytes]) -> None:
        self._chunks = chunks
        self._queue: queue.Queue[bytes | BaseException] = queue.Queue(_READ_AHEAD)
        self._stop = threading.Event()
        self._hasher = _Hasher()
        self._thread = threading.Thread(target=self._run, name="decompress", daemon=True)
        self.reader = Reader(self._take)

    def _run(self) -> None:
        end: bytes | BaseException = b""
        try:
            for chunk in self._chunks:
                if chunk:
                    self._hasher.add(chunk)
                    self._put(chunk)
                if self._stop.is_set():
                    return
        except BaseException as error:  # noqa: BLE001 - handed over to the reader, which raises it
            end = error
        finally:
            self._hasher.end()
        self._put(end)

    def _put(self, item: bytes | BaseException) -> None:
        while not self._stop.is_set():
            try:
                self._queue.put(item, timeout=0.2)
                return
            except queue.Full:
                continue

    def _take(self) -> bytes:
        item = self._queue.get()
        if not item or isinstance(item, BaseException):
            self._queue.put(item)  # the end stays the end
        if isinstance(item, BaseException):
            raise item
        return item

    def rest(self) -> str:
        """Reads what follows the archive's end marker, and answers the digest of everything."""
        while self.reader.some(CHUNK):
            pass
        return self._hasher.digest()

    @contextmanager
    def running(self) -> Iterator[Pump]:
        self._hasher.start()
        self._thread.start()
        try:
            yield self
        finally:
            self._stop.set()
            self._thread.join()
            self._hasher.digest()
