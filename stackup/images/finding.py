"""Names, digests and ids to images. Reads the store and changes nothing in it."""

from __future__ import annotations

import platform as machine
import re
from pathlib import Path

from stackup.base.errors import ImageError, ImageNameError
from stackup.base.foreign import shown
from stackup.base.paths import Layout
from stackup.images import diff
from stackup.images.blobs import BlobStore
from stackup.images.host import HostBase
from stackup.images.image import HOST, Image
from stackup.images.index import ImageIndex
from stackup.images.layers import LayerStore
from stackup.images.onhost import HostMarks
from stackup.images.tree import Layer, Tree
from stackup.oci import image as oci
from stackup.oci import platforms
from stackup.oci import reference as references
from stackup.oci.reference import Reference

BASE_ANNOTATION = "dev.stackup.base"
PULLED = "dev.stackup.pulled"  # of a name in the index: when its registry was asked last, RFC 3339
_ARCHITECTURES = {"x86_64": "amd64", "aarch64": "arm64", "armv7l": "arm", "i686": "386"}
_NESTED = 3  # indexes in indexes
_ID_DIGITS = 3  # of an id that a person types, at least
DEFAULT_PATH = "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"


def host_platform() -> oci.Platform:
    name = machine.machine()
    return oci.Platform(_ARCHITECTURES.get(name, name), variant="v7" if name == "armv7l" else "")


def parse_reference(text: str) -> Reference:
    try:
        return references.parse(text)
    except ValueError as error:
        raise ImageNameError(f"cannot use image reference '{shown(text)}': {shown(str(error))}") from None


def is_host(reference: str) -> bool:
    return reference in (HOST, f"{HOST}:latest")


def reserved(name: Reference) -> str:
    """Why no image may be called so; "" where it may. One that reads like a digest would stand for another image than
    everybody thinks."""
    return "it is a digest" if (name.domain, name.path) == (references.DEFAULT_DOMAIN, "library/sha256") else ""


class ImageFinder:
    """Cheap to make; opens nothing until asked."""

    def __init__(self, layout: Layout, *, host_root: Path = Path("/")) -> None:
        """``host_root``: what the image ``host`` shows; another directory than / is for tests."""
        self.layout = layout
        self.blobs = BlobStore(layout.images)
        self.layers = LayerStore(layout.layers)
        self.index = ImageIndex(layout.images)
        self.host = HostBase(layout, host_root)
        self.host_marks = HostMarks(self.blobs)

    def resolve(self, reference: str) -> Image | None:
        """The image that a reference (or an id, or at least 12 digits of one) stands for; None when it is not here.

        Raises ImageError for malformed references and damaged images. Unpacks nothing: see ``ImageStore``.
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

    def manifest(self, descriptor: oci.Descriptor, depth: int = 0) -> oci.Manifest:
        """The manifest behind a descriptor; out of a multi-platform index, the one for the descriptor's platform, or
        this machine's."""
        if depth > _NESTED:
            raise ImageError(f"cannot read manifest {descriptor.digest}: it is in an index in an index in an index")
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
        return self.manifest(found, depth + 1)

    def config_file(self, manifest: oci.Manifest) -> oci.ConfigFile:
        try:
            return oci.ConfigFile.from_json(self.blobs.read_json(manifest.config.digest))
        except ValueError as error:
            raise ImageError(f"cannot read image configuration {manifest.config.digest}: {error}") from None

    def image(self, descriptor: oci.Descriptor, reference: str) -> Image:
        """The image of one entry of the index, to be shown as ``reference``."""
        manifest = self.manifest(descriptor)
        config = self.config_file(manifest)
        try:
            pairs = config.pairs(manifest)
        except ValueError as error:
            raise ImageError(f"cannot use image '{reference}': {error}") from None
        layers = tuple(
            Layer(diff_id, item.digest, item.media_type, item.size, self.layers.path(diff_id))
            for item, diff_id in pairs
        )
        says_so = manifest.annotations.get(BASE_ANNOTATION) == HOST
        on_host = says_so and self.host_marks.has(manifest.config.digest)
        return Image(
            reference=reference,
            id=manifest.config.digest,
            config=config.config,
            layers=layers,
            host=on_host,
            trees=self.host.trees() if on_host else (Tree("/"),),
            digest=descriptor.digest,
            created=config.created,
            platform=platforms.refined(config.platform, descriptor.platform),
            host_state=self.host.state().version if on_host else "",
            empty=str(self.layers.empty),
            pulled=descriptor.annotations.get(PULLED, ""),
            stranger=says_so and not on_host,
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

    def ready(self, image: Image) -> bool:
        """Whether ``materialize`` would have nothing to do."""
        host = not image.host or self.host.ready(image.host_state)
        return host and not image.stranger and all(layer.path.is_dir() for layer in image.layers)
