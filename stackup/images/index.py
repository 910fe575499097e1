"""``index.json`` of the image layout: which names stand for which manifests. The only mutable file of the store."""

from __future__ import annotations

import errno
import json
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import replace
from pathlib import Path

from stackup.base.errors import ImageError
from stackup.base.files import locked, write_atomic
from stackup.base.jsontext import parse_json
from stackup.base.values import frozen
from stackup.oci import image as oci

_SPARE = 64 << 10  # bytes
_LAYOUT = '{"imageLayoutVersion":"1.0.0"}'


@frozen
class ImageIndex:
    """Names are canonical references in ``org.opencontainers.image.ref.name``; a manifest may have several, or none."""

    root: Path

    @property
    def _file(self) -> Path:
        return self.root / "index.json"

    @property
    def _spare(self) -> Path:
        return self.root / ".spare"

    def read(self) -> oci.Index:
        try:
            return oci.Index.from_json(parse_json(self._file.read_bytes()))
        except FileNotFoundError:
            return oci.Index()
        except ValueError as error:
            raise ImageError(f"cannot read {self._file}: {error}") from None

    def update(self, change: Callable[[tuple[oci.Descriptor, ...]], tuple[oci.Descriptor, ...]]) -> None:
        """Replaces the list by ``change(list)``, alone among all processes, durably."""
        with locked(self.root / ".lock"):
            for left in self.root.glob(".*.tmp"):  # by somebody who was killed: nobody else writes here now
                left.unlink(missing_ok=True)
            if not (self.root / "oci-layout").exists():
                write_atomic(self.root / "oci-layout", _LAYOUT)
            index = self.read()
            changed = replace(index, manifests=change(index.manifests))
            if changed != index:
                self._write(
                    json.dumps(changed.to_json(), indent=1), shorter=len(changed.manifests) < len(index.manifests)
                )

    def _write(self, text: str, *, shorter: bool) -> None:
        """On a full disk, images could not be removed if there were not some room set aside for saying so."""
        try:
            try:
                write_atomic(self._file, text, durable=True)
            except OSError as error:
                if error.errno != errno.ENOSPC or not shorter:
                    raise
                self._spare.unlink(missing_ok=True)
                write_atomic(self._file, text, durable=True)
        except OSError as error:
            raise ImageError(f"cannot write {self._file}: {error.strerror}") from error
        with suppress(OSError):
            if not self._spare.exists() or self._spare.stat().st_size < 2 * len(text):
                write_atomic(self._spare, bytes(max(_SPARE, 4 * len(text))))

    def find(self, name: str) -> oci.Descriptor | None:
        return self.names().get(name)

    def names(self) -> Mapping[str, oci.Descriptor]:
        return {name: item for item in self.read().manifests if (name := item.annotations.get(oci.REF_NAME))}

    def set(self, name: str, manifest: oci.Descriptor) -> None:
        """Lets ``name`` stand for ``manifest``. What it stood for before stays as an unnamed image."""
        named = replace(manifest, annotations={**manifest.annotations, oci.REF_NAME: name})

        def change(manifests: tuple[oci.Descriptor, ...]) -> tuple[oci.Descriptor, ...]:
            return (*without(name, manifests, keep=manifest.digest), named)

        self.update(change)

    def add(self, manifest: oci.Descriptor) -> None:
        """A place in the list for a manifest without a name, unless it has one."""

        def change(manifests: tuple[oci.Descriptor, ...]) -> tuple[oci.Descriptor, ...]:
            return manifests if any(item.digest == manifest.digest for item in manifests) else (*manifests, manifest)

        self.update(change)

    def unset(self, name: str) -> None:
        """Takes the name away, and with the last name of a manifest its place in the list."""
        self.update(lambda manifests: tuple(item for item in manifests if item.annotations.get(oci.REF_NAME) != name))

    def drop(self, digest: str) -> None:
        self.update(lambda manifests: tuple(item for item in manifests if item.digest != digest))


def without(name: str, manifests: tuple[oci.Descriptor, ...], *, keep: str) -> tuple[oci.Descriptor, ...]:
    """The list without ``name``; a manifest that loses its last name this way stays unnamed, except ``keep``."""
    result: list[oci.Descriptor] = []
    for item in manifests:
        if item.annotations.get(oci.REF_NAME) != name:
            if item.annotations.get(oci.REF_NAME) or item.digest != keep:
                result.append(item)
            continue
        others = [other for other in manifests if other.digest == item.digest and other is not item]
        if item.digest != keep and not others:
            rest = {key: value for key, value in item.annotations.items() if key != oci.REF_NAME}
            result.append(replace(item, annotations=rest))
    return tuple(result)
