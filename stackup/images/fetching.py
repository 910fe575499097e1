"""Brings blobs of a registry into the store: streamed, verified, continued where they broke, unpacked on the way."""

from __future__ import annotations

import re
import threading
from collections.abc import Callable, Iterator, Sequence
from typing import TYPE_CHECKING

from stackup.base.diskroom import is_full
from stackup.base.errors import ImageError
from stackup.images.meter import DONE, DOWNLOADING, HERE, SHORT, UNPACKING, Meter
from stackup.images.partial import Abandoned, Part, Parts
from stackup.images.pushed import repacked
from stackup.images.registry.client import Repository
from stackup.images.registry.errors import BadAnswer, Broken, RegistryError
from stackup.images.registry.missing import joined
from stackup.images.registry.transport import Answer
from stackup.images.streams import Compression, Pump, decompressed
from stackup.oci import image as oci

if TYPE_CHECKING:
    from stackup.images.registry.access import Registries
    from stackup.images.store import ImageStore

_RANGE = re.compile(r"bytes ([0-9]{1,18})-([0-9]{1,18})/([0-9]{1,18}|\*)\Z")
_NUMBER = re.compile(r"[0-9]{1,18}\Z")
_REASON = re.compile(r"cannot (unpack|decompress) the layer: |cannot unpack (?=')")
_EACH = 3  # breaks of a blob that are told, before only every second, fourth, eighth ... is
_WORTH = 64 << 10  # bytes after which another attempt does not count; towards the end a quarter of what is left


class Fetcher:
    """``sources`` all have the same image, the best first. Methods may be called from several threads."""

    def __init__(self, store: ImageStore, registries: Registries, sources: Sequence[Repository], meter: Meter) -> None:
        self._store = store
        self._registries = registries
        self._sources = sources
        self._meter = meter
        self._parts = Parts(store.blobs)

    def blob(self, descriptor: oci.Descriptor) -> None:
        """A small one into the store, unless it is there; somebody else who is at it is waited for."""
        with self._parts.turn(descriptor.digest):
            if self._store.blobs.intact(descriptor.digest):
                return
            part = self._parts.open(descriptor.digest, descriptor.size)
            try:
                self._download(part)
                part.commit()
            finally:
                part.close()

    def layer(self, descriptor: oci.Descriptor, diff_id: str) -> None:
        """The same, and unpacked."""
        digest = descriptor.digest
        with self._parts.turn(digest):
            if self._store.blobs.sound(descriptor) and self._unpacks(descriptor, diff_id):
                self._meter.state(digest, HERE, "already here")
                return
            if self._repacked(descriptor) and self._unpacks(descriptor, diff_id):
                self._meter.state(digest, HERE, "already here")
                return
            part = self._parts.open(digest, descriptor.size)
            unpacking = Unpacking(self._store, part, diff_id)
            try:
                self._meter.state(digest, DOWNLOADING)
                self._download(part)
                part.commit()
                self._meter.state(digest, UNPACKING)
            except BaseException:
                part.give_up()
                unpacking.join()
                raise
            else:
                unpacking.join()
                unpacking.check()
            finally:
                part.close()
            self._meter.state(digest, DONE, "pulled")

    def _repacked(self, descriptor: oci.Descriptor) -> bool:
        """What this machine has pushed need not come back: of a layer that is here uncompressed."""
        if self._store.blobs.has(descriptor.digest):  # a damaged one
            return False
        return repacked(self._store, descriptor.digest, descriptor.media_type)

    def _unpacks(self, descriptor: oci.Descriptor, diff_id: str) -> bool:
        """Makes an unpacked layer of the blob that is here, unless there is one; False for a blob that is damaged.
        Raises BadAnswer where it is another one than the image says."""
        if self._store.layers.has(descriptor.digest, diff_id):
            return True
        self._meter.state(descriptor.digest, UNPACKING)
        try:
            self._store.layers.ensure(descriptor, diff_id, self._store.blobs)
        except ImageError as error:
            if isinstance(error.__cause__, OSError):  # a full disk, say
                raise
            if self._store.blobs.intact(descriptor.digest):
                raise _unfit(_short(descriptor.digest), error) from None
            self._meter.say(f"{_short(descriptor.digest)}: damaged on the disk; fetched once more")
            return False
        return True

    # Downloading

    def _download(self, part: Part) -> None:
        """From the first source that gives all of it. Raises the last one's error, with the others in its hint."""
        failed: list[tuple[Repository, RegistryError]] = []
        for source in self._sources:
            try:
                self._from(source, part)
                return
            except RegistryError as error:
                failed.append((source, error))
        raise joined(failed)

    def _from(self, source: Repository, part: Part) -> None:
        """Wrong bytes are asked for once more, from their beginning."""
        again = True
        while True:
            self._patiently(source, part)
            if part.genuine:
                return
            actual, continued = part.actual, part.continued
            part.restart()
            if not continued:  # else what an earlier transfer has left may be at fault
                if not again:
                    raise BadAnswer(f"blob {part.digest} arrives damaged from {source.endpoint.host}: it is {actual}")
                again = False
                self._meter.say(f"{_name(part)}: damaged on its way; fetched once more")

    def _patiently(self, source: Repository, part: Part) -> None:
        """Again and again as long as more arrives than ever before; else as often as patience has pauses."""
        number, pauses = 0, self._registries.patience.pauses
        breaks, farthest = Breaks(_name(part), self._meter.say, len(pauses) + 1), part.arrived
        while not part.complete:
            try:
                self._stream(source, part)
            except _Interrupted as broken:
                moved = part.arrived - farthest >= min(_WORTH, (part.size - farthest) // 4 + 1)
                if moved:
                    number, farthest = 0, part.arrived
                if number == len(pauses):
                    raise broken.error from None
                breaks.told(str(broken), part.arrived if moved else None, number)
                self._registries.sleep(pauses[number])
                number += 1

    def _stream(self, source: Repository, part: Part) -> None:
        answer, known = self._opened(source, part)
        digest = part.digest
        length = _number(answer.headers.get("Content-Length", ""))
        missing = part.size - part.arrived + known
        if length not in (None, missing):
            answer.close()
            raise BadAnswer(f"{source.endpoint.host} sends {length} bytes of blob {digest} where {missing} are missing")
        part.origin = (source.endpoint.host, answer.headers.get("ETag", ""))
        try:
            for data in answer.chunks():
                chunk, known = data[known:], max(0, known - len(data))
                if len(chunk) > part.size - part.arrived:
                    answer.close()
                    raise BadAnswer(f"{source.endpoint.host} sends more than the {part.size} bytes of blob {digest}")
                if chunk:
                    part.write(chunk)
                    self._meter.arrived(digest, part.arrived, len(chunk))
        except Broken as error:
            raise _Interrupted(error) from None
        if not part.complete:
            raise _Interrupted(Broken(f"{source.endpoint.host} ends blob {digest} after {part.arrived} bytes"))

    def _opened(self, source: Repository, part: Part) -> tuple[Answer, int]:
        """What is missing, or all of it; and how many bytes at its beginning are here already. What has arrived is
        kept, unless the registry says that its own is another thing now: should it be wrong, the digest shows it."""
        offset, host = part.arrived, source.endpoint.host
        answer = source.blob(part.digest, offset)
        same = _same(answer, part, host)
        if offset and answer.status == 206 and same and _continues(answer, offset, part):
            return answer, 0
        if offset and not same:
            part.restart()
        known = part.arrived
        if answer.status != 200 and offset:
            answer.close()
            answer = source.blob(part.digest)
        if answer.status != 200:
            answer.close()
            raise BadAnswer(f"{host} sends a part of blob {part.digest} where all was asked for")
        return answer, known


class Breaks:
    """What people hear of a blob that does not come in one go: of each break at first, then ever more seldom."""

    def __init__(self, name: str, say: Callable[[str], None], attempts: int) -> None:
        self._name = name
        self._say = say
        self._attempts = attempts
        self._count = 0

    def told(self, why: str, arrived: int | None, number: int) -> None:
        """``arrived``: bytes, where it goes on from there; None where ``number`` attempts before have brought nothing
        more."""
        self._count += 1
        if self._count > _EACH and self._count & (self._count - 1):
            return
        onward = f"retrying ({number + 2} of {self._attempts})"
        if arrived is not None:
            onward = f"going on at {arrived / 1e6:.1f} MB"
        often = f", for the {self._count}th time" if self._count > _EACH else ""
        self._say(f"{self._name}: {why}{often}; {onward}")


class _Interrupted(Exception):
    """It broke in the middle: what has arrived stays, and the rest may be asked for."""

    def __init__(self, error: Broken) -> None:
        super().__init__(error.reason)
        self.error = error


def _name(part: Part) -> str:
    return _short(part.digest)


def _unfit(name: str, error: ImageError) -> BadAnswer:
    reason = _REASON.sub("", error.message, count=1)
    return BadAnswer(f"layer {name} cannot be unpacked: {reason}", hint=error.hint)


def _short(digest: str) -> str:
    return digest.removeprefix("sha256:")[:SHORT]


def _number(text: str) -> int | None:
    return int(text) if _NUMBER.match(text) else None


def _continues(answer: Answer, offset: int, part: Part) -> bool:
    found = _RANGE.match(answer.headers.get("Content-Range", ""))
    if found is None or int(found[1]) != offset or int(found[2]) != part.size - 1:
        return False
    return found[3] in ("*", str(part.size))


def _same(answer: Answer, part: Part, host: str) -> bool:
    """What has arrived is of the same thing, as far as the registry tells."""
    before, tag = part.origin
    now = answer.headers.get("ETag", "")
    return before != host or not tag or not now or tag == now


class AgreedPump(Pump):
    """Comes to its end only when the content is ``diff_id``, and ``agreed`` returns: then the layer may be seen."""

    def __init__(self, chunks: Iterator[bytes], diff_id: str, agreed: Callable[[], None]) -> None:
        super().__init__(chunks)
        self._diff_id = diff_id
        self._agreed = agreed

    def rest(self) -> str:
        actual = super().rest()
        if actual != self._diff_id:
            raise ImageError(f"its content is {actual}, not {self._diff_id}")
        self._agreed()
        return actual


class Unpacking:
    """Unpacks a blob in a thread of its own while it arrives; anew when the transfer begins anew."""

    def __init__(self, store: ImageStore, part: Part, diff_id: str) -> None:
        self._store = store
        self._part = part
        self._diff_id = diff_id
        self._error: BaseException | None = None
        self._thread = threading.Thread(target=self._run, name="unpack", daemon=True)
        self._thread.start()

    def _run(self) -> None:
        while True:
            generation = self._part.generation
            error: BaseException | None = None
            try:
                self._attempt(generation)
            except Abandoned:
                pass
            except BaseException as caught:  # noqa: BLE001 - told once it is known that the blob itself is right
                error = caught
            try:
                self._part.agreed(generation)
                self._error = error
                return
            except Abandoned:
                if self._part.generation == generation:
                    return

    def _attempt(self, generation: int) -> None:
        layers = self._store.layers
        if layers.has(self._part.digest, self._diff_id):
            return
        behind = self._part.follow()
        chunks = decompressed(behind, Compression.of(behind.head(6)))
        pump = AgreedPump(chunks, self._diff_id, lambda: self._part.agreed(generation))
        if layers.path(self._diff_id).is_dir():  # of another blob: is this one the same?
            with pump.running():
                pump.rest()
        else:
            layers.unpack_new(pump)
        layers.note(self._part.digest, self._diff_id)

    def join(self) -> None:
        self._thread.join()

    def check(self) -> None:
        """Raises what went wrong."""
        cause = self._error.__cause__ if self._error is not None else None
        if isinstance(cause, OSError) and is_full(cause):
            raise cause
        if isinstance(self._error, ImageError):
            raise _unfit(_name(self._part), self._error) from None
        if self._error is not None:
            raise self._error
