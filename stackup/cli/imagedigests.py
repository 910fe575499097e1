"""``config --resolve-image-digests`` and ``--lock-image-digests``: which content a tag stands for right now."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from stackup.oci.reference import is_host

Resolve = Callable[[str], str]


def pinned(config: dict[str, Any], resolve: Resolve) -> dict[str, Any]:
    """``config`` with a digest in every service's image. Each is asked for once; what has one already stays."""
    known: dict[str, str] = {}
    for service in config.get("services", {}).values():
        image = service.get("image") or ""
        if image and not is_host(image):
            if image not in known:
                known[image] = resolve(image)
            service["image"] = known[image]
    return config


def lock(config: dict[str, Any]) -> dict[str, Any]:
    """An override file that holds the images only."""
    services = config.get("services", {})
    return {
        "services": {name: {"image": item["image"]} if item.get("image") else {} for name, item in services.items()}
    }


def pin(config: dict[str, Any], environment: Mapping[str, str]) -> dict[str, Any]:
    """``pinned`` by asking the registries. Raises RegistryError, whose text says what to do, and ImageError."""
    from stackup.images.registry.access import Registries
    from stackup.images.registry.caller import Caller

    registries = Registries(Caller(environment))
    try:
        return pinned(config, lambda image: _resolved(image, registries))
    finally:
        registries.close()


def _resolved(text: str, registries: Any) -> str:
    from stackup.base.errors import ImageError
    from stackup.images.registry.errors import RegistryError
    from stackup.oci.reference import parse

    try:
        reference = parse(text)
    except ValueError as error:
        raise ImageError(f"cannot use image {text!r}: {error}") from None
    if reference.digest:
        return str(reference)
    failed: RegistryError | None = None
    for repository in registries.repositories(reference):
        try:
            digest = repository.digest_of(reference.tag) or repository.manifest(reference.tag).digest
        except RegistryError as error:
            failed = error
        else:
            return f"{reference}@{digest}"
    raise (failed or RegistryError("no registry is left to ask")).about_image("resolve", reference.familiar)
