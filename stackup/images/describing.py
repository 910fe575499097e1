"""An image in the words of ``docker image inspect`` and ``docker history``."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from stackup.base.errors import ImageError
from stackup.base.values import frozen
from stackup.images.catalog import familiar
from stackup.images.pushed import digest_there
from stackup.oci import image as oci
from stackup.oci import reference as references
from stackup.oci.reference import is_host

if TYPE_CHECKING:
    from stackup.images.store import ImageStore


@frozen
class Step:
    """One line of an image's history, the newest first. ``id`` is the image's at the top, "" below; ``size`` is that
    of the layer's blob in bytes, 0 where the step made none."""

    id: str
    created: str
    created_by: str
    size: int
    comment: str
    layer: str = ""


def found(store: ImageStore, reference: str, verb: str) -> oci.Descriptor:
    """Its place in the index. Raises ImageError where it is not here."""
    descriptor = store.pick(reference)
    if is_host(reference):
        raise ImageError(f"cannot {verb} 'host': it is this machine, not a stored image", hint="see docs/images.md")
    if descriptor is None:
        raise ImageError(f"cannot {verb} '{reference}': no such image", hint=f"stackup pull {reference}")
    return descriptor


def inspect(store: ImageStore, reference: str) -> dict[str, Any]:
    """With docker's keys; ``Config`` is exactly what the image has, whatever is in it. Sizes are of the blobs."""
    descriptor = found(store, reference, "inspect")
    manifest = store.manifest(descriptor)
    document = store.blobs.read_json(manifest.config.digest)
    image = store.image(descriptor, reference)
    names = [familiar(item) for item in store.index.read().manifests if item.digest == descriptor.digest]
    repositories = dict.fromkeys(references.parse(name).without_digest() for name in names if name)
    digests = dict.fromkeys(
        f"{_repository(item)}@{digest_there(store, descriptor.digest, item)}" for item in repositories
    )
    lowers = [str(layer.path) for layer in reversed(image.layers)]
    return {
        "Id": manifest.config.digest,
        "RepoTags": [item.familiar for item in repositories if item.tag],
        "RepoDigests": list(digests),
        "Parent": "",
        "Comment": document.get("comment", "") or _last(document).get("comment", ""),
        "Created": document.get("created", ""),
        "DockerVersion": document.get("docker_version", ""),
        "Author": document.get("author", ""),
        "Config": document.get("config") or {},
        "Architecture": document.get("architecture", ""),
        **({"Variant": document["variant"]} if document.get("variant") else {}),
        "Os": document.get("os", ""),
        "Size": sum(layer.size for layer in manifest.layers),
        "GraphDriver": {"Data": {"LowerDir": ":".join(lowers)}, "Name": "overlay2"},
        "RootFS": {"Type": "layers", "Layers": [layer.diff_id for layer in image.layers]},
        "Metadata": {"LastTagTime": "0001-01-01T00:00:00Z"},
        "Descriptor": {**descriptor.to_json(), "annotations": dict(descriptor.annotations)},
        "Annotations": dict(manifest.annotations),
    }


_EMPTY: Mapping[str, Any] = {"Variant": "", "OsVersion": ""}
_EMPTY_CONFIG: Mapping[str, Any] = {
    "User": "", "ExposedPorts": {}, "Env": [], "Entrypoint": [], "Cmd": [], "Volumes": {}, "WorkingDir": "",
    "Labels": {}, "StopSignal": "", "OnBuild": [], "Shell": [], "Healthcheck": None,
}  # fmt: skip


class _Omitting(dict[str, Any]):
    """What is left out where it is empty can be asked for all the same."""

    def __init__(self, items: Mapping[str, Any], empty: Mapping[str, Any]) -> None:
        super().__init__(items)
        self._empty = empty

    def get(self, key: str, default: Any = None) -> Any:
        return super().get(key, self._empty.get(key, default))


def for_templates(item: Mapping[str, Any]) -> dict[str, Any]:
    """The same, with what docker's templates know of every image."""
    return _Omitting({**item, "Config": _Omitting(item["Config"], _EMPTY_CONFIG)}, _EMPTY)


def _repository(reference: references.Reference) -> str:
    name = reference.familiar
    return name.rpartition(":")[0] if reference.tag else name


def _last(document: Mapping[str, Any]) -> Mapping[str, Any]:
    steps = document.get("history") or [{}]
    return steps[-1] if isinstance(steps[-1], dict) else {}


def history(store: ImageStore, reference: str) -> list[Step]:
    """A layer without a line of its own (imported, squashed) gets one."""
    manifest = store.manifest(found(store, reference, "show the history of"))
    config = store.config_file(manifest)
    layers = list(manifest.layers)
    steps: list[Step] = []
    for item in config.history:
        layer = layers.pop(0) if not item.empty_layer and layers else None
        steps.append(_step(item, layer))
    steps += [_step(oci.History(config.created), layer) for layer in layers]
    steps.reverse()
    if steps:
        top = steps[0]
        steps[0] = Step(manifest.config.digest, top.created, top.created_by, top.size, top.comment, top.layer)
    return steps


def _step(item: oci.History, layer: oci.Descriptor | None) -> Step:
    size, digest = (layer.size, layer.digest) if layer else (0, "")
    return Step("", item.created, item.created_by, size, item.comment, digest)
