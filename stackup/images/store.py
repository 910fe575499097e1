"""The image store: names to images, imports, the builder's results. Shared by all projects, safe among processes."""

from __future__ import annotations

import platform as machine
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import BinaryIO

from stackup.base.errors import ImageError
from stackup.base.paths import Layout
from stackup.base.values import frozen
from stackup.images import diff, fitness, usage
from stackup.images.blobs import BlobStore
from stackup.images.host import HostBase
from stackup.images.image import HOST, Image, prepare
from stackup.images.importing import Progress, import_rootfs
from stackup.images.index import ImageIndex
from stackup.images.layers import LayerStore
from stackup.images.partial import Parts
from stackup.images.removing import remove_image
from stackup.images.tree import Layer, Tree
from stackup.linux.overlay import Overlay
from stackup.oci import image as oci
from stackup.oci import platforms
from stackup.oci import reference as references
from stackup.oci.reference import Reference

BASE_ANNOTATION = "dev.stackup.base"
PULLED = "dev.stackup.pulled"  # of a name in the index: when its registry was asked last, RFC 3339
_ARCHITECTURES = {"x86_64": "amd64", "aarch64": "arm64", "armv7l": "arm", "i686": "386"}
_ID_DIGITS = 3  # of an id that a person types, at least
DEFAULT_PATH = "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"


@frozen
class ImageSummary:
    """One line of ``images``. ``reference`` is familiar, empty for an image without a name; ``size`` is in bytes
    as stored (what a push would send); ``created`` is RFC 3339."""

    reference: str
    id: str
    digest: str
    size: int
    created: str


def host_platform() -> oci.Platform:
    name = machine.machine()
    return oci.Platform(_ARCHITECTURES.get(name, name), variant="v7" if name == "armv7l" else "")


def parse_reference(text: str) -> Reference:
    try:
        return references.parse(text)
    except ValueError as error:
        raise ImageError(f"cannot use image reference '{text}': {error}") from None


def is_host(reference: str) -> bool:
    return reference in (HOST, f"{HOST}:latest")


class ImageStore:
    """Cheap to make; opens nothing until asked."""

    def __init__(self, layout: Layout, *, host_root: Path = Path("/")) -> None:
        """``host_root``: what the image ``host`` shows; another directory than / is for tests."""
        self.layout = layout
        self.blobs = BlobStore(layout.images)
        self.layers = LayerStore(layout.layers)
        self.index = ImageIndex(layout.images)
        self.host = HostBase(layout, host_root)

    # Looking up

    def resolve(self, reference: str) -> Image | None:
        """The image that a reference (or an id, or at least 12 digits of one) stands for; None when it is not here.

        Raises ImageError for malformed references and damaged images. Unpacks nothing: see ``materialize``.
        """
        if is_host(reference):
            return self._host_image()
        descriptor = self._descriptor(reference)
        return None if descriptor is None else self.image(descriptor, reference)

    def usable(self, reference: str) -> Image | None:
        """As ``resolve``; None for a damaged image, too. Raises ImageError for malformed references."""
        if is_host(reference):
            return self._host_image()
        descriptor = self._descriptor(reference)
        try:
            return None if descriptor is None else self.image(descriptor, reference)
        except ImageError:
            return None

    def find(self, reference: str) -> oci.Descriptor | None:
        """The place in the index of what ``resolve`` answers; None for ``host``, too."""
        return None if is_host(reference) else self._descriptor(reference)

    def pick(self, text: str) -> oci.Descriptor | None:
        """As ``find``, for what a person typed to name an image that is here: also the first digits of its id, where no
        image has that name. Raises ImageError where several ids begin so."""
        found, digits = self.find(text), text.removeprefix("sha256:")
        if found is not None or is_host(text) or not re.fullmatch(rf"[0-9a-f]{{{_ID_DIGITS},}}", digits):
            return found
        items = [item for item in self.index.read().manifests if self._has_id(item, digits)]
        ids = sorted({self.id_of(item) for item in items})
        if len(ids) > 1:
            shown = ", ".join(item.removeprefix("sha256:")[:12] for item in ids)
            raise ImageError(f"cannot use '{text}': the ids of several images begin so: {shown}")
        return items[0] if items else None

    def _descriptor(self, reference: str) -> oci.Descriptor | None:
        digits = reference.removeprefix("sha256:")
        if len(digits) >= 12 and all(digit in "0123456789abcdef" for digit in digits):
            found = [item for item in self.index.read().manifests if self._has_id(item, digits)]
            if found:
                return found[0]
            if reference.startswith("sha256:"):
                return None
        wanted = parse_reference(reference)
        if wanted.digest:
            return next((item for item in self.index.read().manifests if item.digest == wanted.digest), None)
        return self.index.find(str(wanted))

    def _has_id(self, descriptor: oci.Descriptor, digits: str) -> bool:
        ids = (descriptor.digest, self.id_of(descriptor))
        return any(item.removeprefix("sha256:").startswith(digits) for item in ids)

    def id_of(self, descriptor: oci.Descriptor) -> str:
        """The configuration's digest; of a damaged image, the manifest's."""
        try:
            return self.manifest(descriptor).config.digest
        except ImageError:
            return descriptor.digest

    def manifest(self, descriptor: oci.Descriptor) -> oci.Manifest:
        """The manifest behind a descriptor; out of a multi-platform index, the one for the descriptor's platform, or
        this machine's."""
        document = self.blobs.read_json(descriptor.digest)
        try:
            if descriptor.media_type not in (oci.INDEX, oci.DOCKER_INDEX):
                return oci.Manifest.from_json(document)
            index = oci.Index.from_json(document)
        except ValueError as error:
            raise ImageError(f"cannot read manifest {descriptor.digest}: {error}") from None
        wanted = descriptor.platform or host_platform()
        found = platforms.choose(index.manifests, wanted)
        if found is None:
            there = platforms.listed(index.manifests)
            raise ImageError(f"cannot use image {descriptor.digest}: it is not for {wanted}, only for {there}")
        return self.manifest(found)

    def config_file(self, manifest: oci.Manifest) -> oci.ConfigFile:
        try:
            return oci.ConfigFile.from_json(self.blobs.read_json(manifest.config.digest))
        except ValueError as error:
            raise ImageError(f"cannot read image configuration {manifest.config.digest}: {error}") from None

    def image(self, descriptor: oci.Descriptor, reference: str) -> Image:
        """The image of one entry of the index, to be shown as ``reference``."""
        manifest = self.manifest(descriptor)
        config = self.config_file(manifest)
        if len(config.diff_ids) != len(manifest.layers):
            raise ImageError(f"cannot use image '{reference}': its configuration and manifest list different layers")
        layers = tuple(
            Layer(diff_id, item.digest, item.media_type, item.size, self.layers.path(diff_id))
            for diff_id, item in zip(config.diff_ids, manifest.layers, strict=True)
        )
        on_host = manifest.annotations.get(BASE_ANNOTATION) == HOST
        return Image(
            reference=reference,
            id=manifest.config.digest,
            config=config.config,
            layers=layers,
            host=on_host,
            trees=self.host.trees() if on_host else (Tree("/"),),
            digest=descriptor.digest,
            created=config.created,
            platform=config.platform,
            host_state=self.host.state().version if on_host else "",
            empty=str(self.layers.empty),
            pulled=descriptor.annotations.get(PULLED, ""),
        )

    def _host_image(self) -> Image:
        """Its id changes with the host's packages, not with every edit in /etc."""
        config = oci.ConfigFile(
            host_platform(), oci.ImageConfig(env=(DEFAULT_PATH,), cmd=("/bin/sh",), labels=self.host.labels())
        )
        document = oci.dumps(config.to_json())
        return Image(
            reference=HOST,
            id=diff.digest_of(document),
            config=config.config,
            layers=(),
            host=True,
            trees=self.host.trees(),
            platform=config.platform,
            host_state=self.host.state().version,
            empty=str(self.layers.empty),
        )

    # Making it usable

    def ready(self, image: Image) -> bool:
        """Whether ``materialize`` would have nothing to do."""
        host = not image.host or self.host.ready(image.host_state)
        return host and all(layer.path.is_dir() for layer in image.layers)

    def materialize(self, image: Image) -> None:
        """Unpacks what is not unpacked yet; for ``host``, makes the private copies. Slow the first time only."""
        fitness.check_kernel()
        self.layers.prepare()
        if image.host:
            self.host.materialize(image.host_state)
        for layer in image.layers:
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
        if name.digest:
            raise ImageError(f"cannot name an image '{reference}': a digest follows from the content")
        return name

    # Managing

    def images(self) -> list[ImageSummary]:
        """All images, newest first, ``host`` not among them; a manifest with two names appears twice."""
        found = []
        for descriptor in self.index.read().manifests:
            manifest = self.manifest(descriptor)
            name = descriptor.annotations.get(oci.REF_NAME, "")
            found.append(
                ImageSummary(
                    parse_reference(name).familiar if name else "",
                    manifest.config.digest,
                    descriptor.digest,
                    sum(layer.size for layer in manifest.layers),
                    self.config_file(manifest).created,
                )
            )
        return sorted(found, key=lambda item: (item.created, item.reference), reverse=True)

    def tag(self, source: str, reference: str) -> None:
        name = self._new_name(reference)
        if is_host(source):
            raise ImageError("cannot tag 'host': it is built in; build FROM it instead")
        with usage.bringing_in(self.layout):  # a collection must not come between looking and naming
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

    def sweep(self) -> None:
        """Collects what killed processes left half-made. Never disturbs live ones."""
        self.blobs.workroom.sweep()
        self.layers.sweep()
        self.host.sweep()
        Parts(self.blobs).sweep()


def _lists(items: Iterable[oci.Descriptor], wanted: oci.Descriptor) -> bool:
    return any(item.digest == wanted.digest for item in items)
