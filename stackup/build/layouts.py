"""``oci-layout://``: an image out of somebody's OCI image layout, taken into the store."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from stackup.base.errors import ImageError
from stackup.images import Image, ImageStore
from stackup.images.blobs import BlobStore
from stackup.images.index import ImageIndex
from stackup.oci import image as oci
from stackup.oci import platforms

_CHUNK = 1 << 20


def parse_layout(text: str) -> tuple[Path, str, str]:
    """``DIRECTORY[:TAG][@DIGEST]``: the parts."""
    rest, _, digest = text.removeprefix("oci-layout://").partition("@")
    head, _, tail = rest.rpartition("/")
    name, _, tag = tail.partition(":")
    return Path(f"{head}/{name}" if head or rest.startswith("/") else name), tag, digest


def image_of_layout(text: str, store: ImageStore, directory: Path, platform: oci.Platform) -> Image:
    """``directory``: what relative paths begin at. Raises ImageError."""
    path, tag, digest = parse_layout(text)
    blobs = BlobStore(directory / path)
    if not (blobs.root / "index.json").is_file():
        raise ImageError(f"cannot use {text}: there is no OCI image layout in {blobs.root}")
    found = _manifest(blobs, _wanted(text, ImageIndex(blobs.root).read(), tag, digest), platform)
    manifest = oci.Manifest.from_json(blobs.read_json(found.digest))
    for descriptor in (manifest.config, *manifest.layers):
        if not store.blobs.has(descriptor.digest):
            stored = store.blobs.put(_chunks(blobs.path(descriptor.digest)), descriptor.media_type)
            if stored.digest != descriptor.digest:
                raise ImageError(f"cannot use {text}: blob {descriptor.digest} is damaged")
    return store.image(store.blobs.put([blobs.read(found.digest)], oci.MANIFEST), text)


def _wanted(text: str, index: oci.Index, tag: str, digest: str) -> oci.Descriptor:
    tags = (tag or "latest", f":{tag or 'latest'}")
    for item in index.manifests:
        name = item.annotations.get(oci.REF_NAME, "")
        if digest:
            if item.digest == digest:
                return item
        elif (not tag and len(index.manifests) == 1) or name == tags[0] or name.endswith(tags[1]):
            return item
    raise ImageError(f"cannot use {text}: the layout has no image {digest or tag or 'latest'}")


def _manifest(blobs: BlobStore, descriptor: oci.Descriptor, platform: oci.Platform) -> oci.Descriptor:
    if descriptor.media_type not in (oci.INDEX, oci.DOCKER_INDEX):
        return descriptor
    offered = oci.Index.from_json(blobs.read_json(descriptor.digest)).manifests
    found = platforms.choose(offered, platform)
    if found is None:
        there = platforms.listed(offered)
        raise ImageError(f"cannot use {descriptor.digest}: it is not for {platform}, only for {there}")
    return _manifest(blobs, found, platform)


def _chunks(path: Path) -> Iterator[bytes]:
    try:
        with path.open("rb") as file:
            yield from iter(lambda: file.read(_CHUNK), b"")
    except FileNotFoundError:
        raise ImageError(f"cannot read {path}: the layout is not whole") from None
