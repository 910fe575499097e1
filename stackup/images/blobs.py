"""The content-addressed part of an OCI image layout: ``blobs/sha256/<hex>``, written whole or not at all."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path
from typing import Any

from stackup.base.errors import ImageError
from stackup.base.files import sync_directory, write_atomic
from stackup.base.foreign import shown
from stackup.base.jsontext import parse_json
from stackup.base.values import frozen
from stackup.base.workroom import Workroom
from stackup.oci import image as oci
from stackup.oci.reference import is_digest

_CHUNK = 1 << 20
_LARGEST = 16 << 20  # bytes of a manifest or a configuration; real ones have some thousand


@frozen
class BlobStore:
    """``root`` is the image layout's directory."""

    root: Path

    @property
    def directory(self) -> Path:
        return self.root / "blobs" / "sha256"

    @property
    def workroom(self) -> Workroom:
        return Workroom(self.root / ".ingest")

    def path(self, digest: str) -> Path:
        if not is_digest(digest):
            raise ImageError(f"cannot use digest '{shown(digest)}': only sha256 digests are supported")
        return self.directory / digest.removeprefix("sha256:")

    def has(self, digest: str) -> bool:
        return self.path(digest).is_file()

    def intact(self, digest: str) -> bool:
        """Whether the blob is there and is what its digest says. Reads all of it."""
        try:
            return content_digest(self.path(digest)) == digest
        except OSError:
            return False

    def sound(self, descriptor: oci.Descriptor) -> bool:
        """Whether the blob is there, as far as that can be told without reading all of it; what a verification has
        found damaged is read, though."""
        try:
            if self.path(descriptor.digest).stat().st_size != descriptor.size:
                return False
        except OSError:
            return False
        suspects = self._suspected()
        if descriptor.digest not in suspects:
            return True
        if not self.intact(descriptor.digest):
            return False
        self.suspect(suspects - {descriptor.digest})  # replaced meanwhile
        return True

    def suspect(self, digests: Iterable[str]) -> None:
        """Remembers what a verification has found damaged, and nothing else any more."""
        text = "".join(f"{digest}\n" for digest in sorted(digests))
        with suppress(OSError):
            if text:
                write_atomic(self._suspects, text)
            else:
                self._suspects.unlink(missing_ok=True)

    @property
    def _suspects(self) -> Path:
        return self.root / ".suspects"

    def _suspected(self) -> set[str]:
        try:
            return set(self._suspects.read_text(encoding="utf-8").split())
        except (OSError, ValueError):
            return set()

    def put(self, chunks: Iterable[bytes], media_type: str) -> oci.Descriptor:
        """Stores a stream; durable before it is visible. Equal content is stored once; what is there under its digest
        but damaged is replaced."""
        self.directory.mkdir(parents=True, exist_ok=True)
        state, size = hashlib.sha256(), 0
        with self.workroom.file() as temporary, temporary.open("wb") as file:
            for chunk in chunks:
                state.update(chunk)
                size += file.write(chunk)
            file.flush()
            digest = f"sha256:{state.hexdigest()}"
            if not self.intact(digest):
                os.fsync(file.fileno())
                os.fchmod(file.fileno(), 0o444)
                os.rename(temporary, self.path(digest))
                sync_directory(self.directory)
        return oci.Descriptor(media_type, digest, size)

    def put_json(self, document: dict[str, Any], media_type: str) -> oci.Descriptor:
        return self.put([oci.dumps(document)], media_type)

    def read(self, digest: str) -> bytes:
        """The bytes of a small blob (manifest, configuration), verified."""
        try:
            with self.path(digest).open("rb") as file:
                data = file.read(_LARGEST + 1)
        except FileNotFoundError:
            raise ImageError(f"cannot read blob {digest}: it is not in the image store") from None
        if len(data) > _LARGEST:
            raise ImageError(
                f"cannot read blob {digest}: no manifest or configuration has more than {_LARGEST >> 20} MiB"
            )
        if f"sha256:{hashlib.sha256(data).hexdigest()}" != digest:
            raise ImageError(
                f"cannot read blob {digest}: its content does not match its digest",
                hint=f"the disk or another program damaged {self.path(digest)}; "
                "`stackup images --verify` says which images need it, and how to get them back",
            )
        return data

    def read_json(self, digest: str) -> dict[str, Any]:
        try:
            document = parse_json(self.read(digest))
        except ValueError as error:
            raise ImageError(f"cannot read blob {digest}: it is not JSON: {error}") from None
        if not isinstance(document, dict):
            raise ImageError(f"cannot read blob {digest}: it is not a JSON object")
        return document


def content_digest(path: Path) -> str:
    """What the digest of a blob with this file's content is. Raises OSError."""
    state, buffer = hashlib.sha256(), bytearray(_CHUNK)
    with path.open("rb", buffering=0) as file:
        while count := file.readinto(buffer):
            state.update(memoryview(buffer)[:count])
    return f"sha256:{state.hexdigest()}"
