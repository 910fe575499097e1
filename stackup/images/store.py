"""The image store: imports, the builder's results, names. Shared by all projects, safe among processes."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import BinaryIO

from stackup.base.diskroom import telling
from stackup.base.errors import ImageError
from stackup.images import diff, fitness, usage
from stackup.images.finding import (
    BASE_ANNOTATION,
    DEFAULT_PATH,
    PULLED,
    ImageFinder,
    host_platform,
    is_host,
    parse_reference,
    reserved,
)
from stackup.images.image import HOST, Image, prepare
from stackup.images.importing import Progress, import_rootfs
from stackup.images.layers import allocated
from stackup.images.partial import Parts
from stackup.images.removing import remove_image
from stackup.images.tree import Layer
from stackup.linux.overlay import Overlay
from stackup.oci import image as oci
from stackup.oci.reference import Reference

__all__ = ["DEFAULT_PATH", "PULLED", "ImageStore", "host_platform", "is_host", "parse_reference", "reserved"]


class ImageStore(ImageFinder):
    """What changes the store; what is in it is found by ``ImageFinder`` and listed by ``catalog``."""

    # Making it usable

    def materialize(self, image: Image) -> None:
        """Unpacks what is not unpacked yet; for ``host``, makes the private copies. Slow the first time only."""
        image.check_own()
        fitness.check_kernel()
        self.layers.prepare()
        if image.host:
            self.host.materialize(image.host_state)
        for layer in image.layers:
            if layer.path.is_dir():  # who brought the image in has seen that the blob is this layer
                continue
            self.layers.ensure(oci.Descriptor(layer.media_type, layer.digest, layer.size), layer.diff_id, self.blobs)

    def prepare(self, image: Image, writable: Path) -> tuple[Overlay, ...]:
        """``materialize`` and ``image.prepare`` in one: overlays that are ready to be mounted."""
        self.materialize(image)
        overlays = image.overlays(writable)
        prepare(overlays)
        return overlays

    # Bringing in

    def import_rootfs(
        self,
        source: Path | BinaryIO,
        reference: str,
        config: oci.ImageConfig | None = None,
        progress: Progress | None = None,
        platform: oci.Platform | None = None,
        message: str = "",
        label: str = "",
    ) -> Image:
        """Makes a root file system an image of one layer: a tar archive (plain, gzip, xz, bzip2, zstd) or a directory.

        ``config`` defaults to a shell and the usual PATH; ``message`` goes into the history, as does ``label``, which
        says where a stream comes from. Without a ``reference`` the image stays unnamed. A directory is taken as it is,
        whiteouts excepted.
        """
        name = str(self._new_name(reference)) if reference else ""
        if isinstance(source, Path) and not source.exists():
            raise ImageError(f"cannot import {source}: no such file or directory")
        settings = config or oci.ImageConfig(env=(DEFAULT_PATH,), cmd=("/bin/sh",))
        self.sweep()
        try:
            with usage.bringing_in(self.layout):
                say = progress or (lambda _text: None)
                return import_rootfs(self, source, name, settings, platform or host_platform(), say, message, label)
        except BaseException:  # what was stored of it is nobody's
            usage.collect(self.layout, self.blobs, self.layers, self.index)
            raise

    def put_layer(self, parts: Sequence[tuple[str, Path]], *, epoch: int | None = None) -> Layer | None:
        """Makes upper directories a layer: ``parts`` pairs a mount point ("/", "/usr") with its upper directory.

        The directories are taken over: the layer is not unpacked again. None when nothing was changed. ``epoch``
        (seconds) bounds the times in the archive (SOURCE_DATE_EPOCH).
        """
        merged = diff.merge_parts(parts)
        if merged is None:
            return None
        chunks = diff.layer_tar(merged, overlay=True, epoch=epoch)
        descriptor = self.blobs.put(chunks, oci.LAYER)
        path = self.layers.adopt(merged, descriptor.digest)
        return Layer(descriptor.digest, descriptor.digest, descriptor.media_type, descriptor.size, path)

    def put_image(
        self,
        layers: Sequence[Layer],
        config: oci.ConfigFile,
        reference: str = "",
        *,
        on_host: bool = False,
        annotations: Mapping[str, str] | None = None,
    ) -> Image:
        """Writes configuration and manifest over stored layers (bottom first) and names the result.

        ``config.diff_ids`` is set from the layers. Without a reference the image stays unnamed.
        """
        descriptor = self.put_manifest(layers, config, on_host=on_host, annotations=annotations)
        self.name(descriptor, reference)
        return self.image(descriptor, parse_reference(reference).familiar if reference else self.id_of(descriptor))

    def put_manifest(
        self,
        layers: Sequence[Layer],
        config: oci.ConfigFile,
        *,
        on_host: bool = False,
        annotations: Mapping[str, str] | None = None,
    ) -> oci.Descriptor:
        """As ``put_image``, without a place in the index: for one that others list."""
        document = replace(config, diff_ids=tuple(layer.diff_id for layer in layers))
        stored = self.blobs.put_json(document.to_json(), oci.CONFIG)
        if on_host:
            self.host_marks.add(stored.digest)
        notes = {**(annotations or {}), **({BASE_ANNOTATION: HOST} if on_host else {})}
        manifest = oci.Manifest(
            stored,
            tuple(oci.Descriptor(layer.media_type, layer.digest, layer.size) for layer in layers),
            annotations=notes,
        )
        return replace(self.blobs.put_json(manifest.to_json(), oci.MANIFEST), platform=config.platform)

    def put_index(self, manifests: Sequence[oci.Descriptor], platform: oci.Platform | None = None) -> oci.Descriptor:
        """One image for several platforms. ``platform``: which of them is used here, where it is not this machine's."""
        index = oci.Index(tuple(manifests))
        return replace(self.blobs.put_json(index.to_json(), oci.INDEX), platform=platform)

    def name(self, descriptor: oci.Descriptor, reference: str = "") -> None:
        """Without a reference it gets a place in the index all the same."""
        if reference:
            self.index.set(str(self._new_name(reference)), descriptor)
        else:
            self.index.update(lambda items: items if _lists(items, descriptor) else (*items, descriptor))

    def _new_name(self, reference: str) -> Reference:
        if is_host(reference) or reference == "scratch":
            raise ImageError(f"cannot name an image '{reference}': the name is built in")
        name = parse_reference(reference)
        if reason := reserved(name):
            raise ImageError(f"cannot name an image '{reference}': {reason}")
        if name.digest:
            raise ImageError(f"cannot name an image '{reference}': a digest follows from the content")
        return name

    # Managing

    def tag(self, source: str, reference: str) -> None:
        name = self._new_name(reference)
        if is_host(source):
            raise ImageError("cannot tag 'host': it is built in; build FROM it instead")
        with (
            telling(f"tag '{source}'", self.layout),
            usage.bringing_in(self.layout),
        ):  # a collection must not come between looking and naming
            descriptor = self.pick(source)
            if descriptor is None:
                raise ImageError(f"cannot tag '{source}': no such image")
            self.index.set(str(name), replace(descriptor, annotations={}))

    def remove(self, reference: str, *, force: bool = False) -> list[str]:
        """Takes a name away and, with the last name, the image: answers what went ("untagged NAME", "deleted ID").

        Raises ImageError when a container still stands on the image's layers, unless ``force``.
        """
        if is_host(reference):
            raise ImageError("cannot remove 'host': it is built in")
        descriptor = self.pick(reference)
        if descriptor is None:
            raise ImageError(f"cannot remove '{reference}': no such image")
        return remove_image(self, descriptor, reference, force=force)

    def half_made(self) -> int:
        """Bytes of the disk that ``sweep`` would free."""
        rooms = (self.blobs.workroom, self.layers.workroom)
        return sum(allocated(path) for room in rooms for path in room.deserted())

    def sweep(self) -> None:
        """Collects what killed processes left half-made. Never disturbs live ones."""
        self.blobs.workroom.sweep()
        self.layers.sweep()
        self.host.sweep()
        Parts(self.blobs).sweep()


def _lists(items: Iterable[oci.Descriptor], wanted: oci.Descriptor) -> bool:
    return any(item.digest == wanted.digest for item in items)
