"""Lists what is in the store: names, sizes, what of them is shared, and who is used by containers."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import field
from fnmatch import fnmatchcase
from typing import TYPE_CHECKING

from stackup.base.errors import ImageError
from stackup.base.values import frozen
from stackup.images import usage
from stackup.oci import image as oci
from stackup.oci import reference as references

if TYPE_CHECKING:
    from stackup.images.store import ImageStore


@frozen
class Listed:
    """One name of an image, or an image without one. Sizes are of the blobs, in bytes; ``unique`` is what would go
    with the image, ``size - unique`` is shared with others. ``damage`` says why nothing else is known of it; it counts
    as used where there is a container of an image that cannot be found."""

    reference: str
    id: str
    digest: str
    size: int = 0
    unique: int = 0
    created: str = ""
    labels: Mapping[str, str] = field(default_factory=dict)
    used: bool = False
    platform: str = ""
    damage: str = ""

    @property
    def dangling(self) -> bool:
        return not self.reference


def listed(store: ImageStore) -> list[Listed]:
    """All names, newest image first; ``host`` is not among them. Damaged images are, as such."""
    used = usage.images_used(store.layout)
    readable: dict[str, tuple[oci.Manifest, oci.ConfigFile]] = {}
    damaged: dict[str, str] = {}
    items = store.index.read().manifests
    for item in items:
        try:
            manifest = store.manifest(item)
            readable[_key(item)] = (manifest, store.config_file(manifest))
        except ImageError as error:
            damaged[_key(item)] = error.message
    if damaged:  # not when somebody has just removed it
        still = {item.digest for item in store.index.read().manifests}
        items = tuple(item for item in items if item.digest in still)
    owners: dict[str, set[str]] = defaultdict(set)
    for manifest, _ in readable.values():
        for layer in manifest.layers:
            owners[layer.digest].add(manifest.config.digest)
    lost = bool(used.keys() - {manifest.config.digest for manifest, _ in readable.values()} - {""})
    found = []
    for item in items:
        name = familiar(item)
        if _key(item) in damaged:
            found.append(Listed(name, item.digest, item.digest, damage=damaged[_key(item)], used=lost))
            continue
        manifest, config = readable[_key(item)]
        layers = {layer.digest: layer.size for layer in manifest.layers}
        found.append(
            Listed(
                name,
                manifest.config.digest,
                item.digest,
                sum(layers.values()),
                sum(size for digest, size in layers.items() if len(owners[digest]) == 1),
                config.created,
                config.config.labels,
                manifest.config.digest in used,
                str(config.platform),
            )
        )
    return sorted(found, key=lambda item: (item.created, item.reference), reverse=True)


def _key(item: oci.Descriptor) -> str:
    """The platform decides which image of an index is meant."""
    return f"{item.digest} {item.platform or ''}"


familiar = usage.familiar_name


def matching(items: Iterable[Listed], patterns: Iterable[str]) -> list[Listed]:
    """Those whose name fits one of docker's ``reference`` patterns: ``redis``, ``redis:7*``, ``*/app``."""
    wanted = list(patterns)
    return [item for item in items if any(_fits(item.reference, pattern) for pattern in wanted)]


def _fits(reference: str, pattern: str) -> bool:
    """The whole name, or without its tag; each component by itself, as ``path.Match`` has it."""
    if not reference:
        return False
    parsed = references.parse(reference)
    names = (reference, reference.rpartition(":")[0] if parsed.tag else reference, str(parsed), parsed.name)
    parts = pattern.split("/")
    return any(
        len(parts) == len(words := name.split("/"))
        and all(fnmatchcase(word, part) for word, part in zip(words, parts, strict=True))
        for name in names
    )
