"""Small images in a store, made layer by layer."""

from __future__ import annotations

import io
from collections.abc import Sequence
from pathlib import Path

from stackup.base.paths import Layout
from stackup.images.image import Image
from stackup.images.store import ImageStore, host_platform
from stackup.images.streams import Compression, Pump, decompressed
from stackup.images.tree import Layer
from stackup.oci import image as oci
from tests.support.archives import Archive

CREATED = "2026-01-02T03:04:05Z"


def new_store(directory: Path) -> ImageStore:
    return ImageStore(Layout.at(directory))


def rootfs(text: str = "toy") -> bytes:
    return Archive().directory("etc").add("etc/os-release", f"ID={text}\n".encode()).symlink("bin", "usr/bin").data()


def put_layer(store: ImageStore, data: bytes) -> Layer:
    """``data``: a tar archive, compressed or not."""
    compression = Compression.of(data)
    blob = store.blobs.put([data], compression.media_type)
    diff_id = store.layers.unpack_new(Pump(decompressed(io.BytesIO(data), compression)))
    return Layer(diff_id, blob.digest, blob.media_type, blob.size, store.layers.path(diff_id))


def make_image(
    store: ImageStore,
    name: str,
    layers: Sequence[bytes],
    *,
    config: oci.ImageConfig | None = None,
    created: str = CREATED,
    platform: oci.Platform | None = None,
    annotations: dict[str, str] | None = None,
) -> Image:
    history = tuple(oci.History(created, f"step {number}") for number, _ in enumerate(layers, 1))
    document = oci.ConfigFile(
        platform or host_platform(), config or oci.ImageConfig(cmd=("/bin/sh",)), (), history, created
    )
    return store.put_image([put_layer(store, data) for data in layers], document, name, annotations=annotations)


def make_index(store: ImageStore, name: str, platforms: Sequence[str]) -> oci.Descriptor:
    """One image for several platforms, e.g. "linux/arm/v7"; each has a file /platform that says which."""
    entries = []
    for text in platforms:
        system, architecture, *variant = text.split("/")
        platform = oci.Platform(architecture, system, *variant)
        image = make_image(store, "", [Archive().add("platform", text.encode()).data()], platform=platform)
        (entry,) = [item for item in store.index.read().manifests if item.digest == image.digest]
        store.index.drop(image.digest)
        entries.append(oci.Descriptor(entry.media_type, entry.digest, entry.size, platform=platform))
    top = store.blobs.put_json(oci.Index(tuple(entries)).to_json(), oci.INDEX)
    store.index.set(name, top)
    return top


def container_on(store: ImageStore, image: Image, name: str = "c0ffee00c0ffee00") -> None:
    """What is on the disk of a container of that image."""
    directory = store.layout.project("shop").container(name).state
    directory.mkdir(parents=True)
    lowers = ",".join(f'"{layer.path}"' for layer in image.layers)
    (directory / "launch.json").write_text(f'{{"image_id": "{image.id}", "overlays": [{lowers}]}}')
