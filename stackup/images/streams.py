"""Byte streams of layers: recognising, decompressing (in a thread: zlib lets go of the interpreter lock), hashing."""

from __future__ import annotations

import bz2
import hashlib
import io
import lzma
import os
import queue
import shutil
import subprocess
import threading
import zlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from enum import Enum
from typing import Any, BinaryIO

from stackup.base.errors import HostUnfit, ImageError
from stackup.oci import image as oci

CHUNK = 1 << 20
CUT_OFF = "it is cut off"
_READ_AHEAD = 8  # chunks
_GZIP_INPUT = 128 << 10  # what is left over of it is copied at every step, so not too much


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


def _gunzip(file: BinaryIO) -> Iterator[bytes]:
    """Several members in a row count as one stream, as for ``gzip -d``; output comes in bounded steps."""
    worker, started = zlib.decompressobj(zlib.MAX_WBITS | 16), False
    while data := file.read(_GZIP_INPUT):
        while data:
            if worker.eof:
                data = data.lstrip(b"\0")
                if not data:
                    break
                worker = zlib.decompressobj(zlib.MAX_WBITS | 16)
            started = True
            yield worker.decompress(data, CHUNK)
            data = worker.unused_data if worker.eof else worker.unconsumed_tail
    if started and not worker.eof:
        raise EOFError(CUT_OFF)


def _zstd(file: BinaryIO) -> Iterator[bytes]:
    """``file`` must be a real file: the host's zstd reads it directly."""
    program = shutil.which("zstd")
    if program is None:
        raise HostUnfit("cannot decompress the layer: it is zstd-compressed", hint="Install the package zstd.")
    os.lseek(file.fileno(), file.tell(), os.SEEK_SET)  # the child knows nothing of Python's buffer
    with subprocess.Popen([program, "-dcq"], stdin=file, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as process:
        assert process.stdout and process.stderr
        try:
            while chunk := process.stdout.read(CHUNK):
                yield chunk
        except GeneratorExit:
            process.kill()
            raise
        if process.wait():
            reason = process.stderr.read(200).decode(errors="replace").strip()
            damaged = f"its zstd data is damaged ({reason.rpartition(' : ')[2]})"
            raise DamagedLayer("decompress", CUT_OFF if "premature end" in reason else damaged)


def decompressed(file: BinaryIO, compression: Compression) -> Iterator[bytes]:
    """The uncompressed content of ``file`` from its position on, in chunks."""
    try:
        if compression is Compression.NONE:
            while chunk := file.read(CHUNK):
                yield chunk
        elif compression is Compression.GZIP:
            yield from _gunzip(file)
        elif compression is Compression.ZSTD:
            yield from _zstd(file)
        elif compression is Compression.XZ:
            with lzma.LZMAFile(file) as opened:
                yield from iter(lambda: opened.read(CHUNK), b"")
        else:
            with bz2.BZ2File(file) as opened:
                yield from iter(lambda: opened.read(CHUNK), b"")
    except EOFError:
        raise DamagedLayer("decompress", CUT_OFF) from None
    except (zlib.error, lzma.LZMAError, OSError) as error:
        if isinstance(error, OSError) and error.errno:
            raise DamagedLayer("decompress", error.strerror or str(error)) from None
        why = str(error).removeprefix("Error -3 while decompressing data: ")
        raise DamagedLayer("decompress", f"its {compression.name.lower()} data is damaged ({why})") from None


class _QueueReader(io.RawIOBase):
    def __init__(self, take: Callable[[], bytes]) -> None:
        self._take = take
        self._rest = memoryview(b"")

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: bytearray | memoryview, /) -> int:  # type: ignore[override]
        if not self._rest:
            self._rest = memoryview(self._take())
        count = min(len(buffer), len(self._rest))
        buffer[:count] = self._rest[:count]
        self._rest = self._rest[count:]
        return count


class Pump:
    """Decompresses and hashes ahead of its reader in a thread of its own. ``digest`` is right once all was read."""

    def __init__(self, chunks: Iterator[bytes]) -> None:
        self._chunks = chunks
        self._queue: queue.Queue[bytes | BaseException] = queue.Queue(_READ_AHEAD)
        self._stop = threading.Event()
        self._hash = hashlib.sha256()
        self._thread = threading.Thread(target=self._run, name="decompress", daemon=True)
        self.reader = io.BufferedReader(_QueueReader(self._take), CHUNK)

    def _run(self) -> None:
        end: bytes | BaseException = b""
        try:
            for chunk in self._chunks:
                if chunk:
                    self._hash.update(chunk)
                    self._put(chunk)
                if self._stop.is_set():
                    return
        except BaseException as error:  # noqa: BLE001 - handed over to the reader, which raises it
            end = error
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
        if isinstance(item, BaseException):
            raise item
        if not item:
            self._queue.put(b"")  # the end stays the end
        return item

    def rest(self) -> str:
        """Reads what follows the archive's end marker, and answers the digest of everything."""
        while self.reader.read(CHUNK):
            pass
        return f"sha256:{self._hash.hexdigest()}"

    @contextmanager
    def running(self) -> Iterator[Pump]:
        self._thread.start()
        try:
            yield self
        finally:
            self._stop.set()
            self._thread.join()
