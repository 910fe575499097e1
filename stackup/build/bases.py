"""Base images: those that are here, and those that a registry has."""

from __future__ import annotations

import threading
from collections.abc import Mapping
from dataclasses import replace

from stackup.base.errors import ImageError
from stackup.base.values import changed
from stackup.build.dockerfile import Instruction
from stackup.build.progress import Noted, OnProgress
from stackup.build.request import BuildRequest
from stackup.build.targets import is_here
from stackup.images import Image, ImageStore
from stackup.images.store import host_platform, is_host, parse_reference
from stackup.oci import image as oci
from stackup.oci import platforms


def pull_image(
    store: ImageStore, reference: str, environment: Mapping[str, str], say: OnProgress, platform: str = ""
) -> None:
    """``platform``: where it is not this machine's. Raises ImageError, whose text says what to do."""
    from stackup.images.pulling import pull  # costs more to import than a cached build takes
    from stackup.images.registry.access import Registries
    from stackup.images.registry.caller import Caller

    registries = Registries(Caller(environment))
    try:
        tell = lambda event: say(Noted(event["text"])) if event.get("text") else None  # noqa: E731
        pull(store, reference, registries, tell, platform=platform)
    finally:
        registries.close()


class Bases:
    """Of one build: each reference is looked for once. Used from several threads."""

    def __init__(self, store: ImageStore, request: BuildRequest, say: OnProgress) -> None:
        self._store = store
        self._request = request
        self._say = say
        self._lock = threading.Lock()
        self._locks: dict[str, threading.Lock] = {}
        self._asked: set[str] = set()

    def find(self, reference: str, item: Instruction, wanted: oci.Platform, strict: bool) -> Image:
        """``strict``: for no other platform than that. Raises ImageError at the instruction's place."""
        with self._lock:
            own = self._locks.setdefault(reference, threading.Lock())
        with own:  # different ones are brought in side by side
            try:
                return self._find(reference, wanted, strict=strict)
            except ImageError as error:
                if item.keyword != "FROM":
                    error.message = error.message.replace("cannot build FROM", "cannot take files from", 1)
                    error.args = (error.message,)
                placed = item.error(error.message, word=reference)
                error.where, error.snippet = placed.where, placed.snippet
                raise

    def _find(self, reference: str, wanted: oci.Platform, *, strict: bool) -> Image:
        if is_host(reference):
            if not is_here(wanted):
                raise ImageError(f"cannot build FROM host for {wanted}: it is this machine, {host_platform()}")
            image = self._store.resolve(reference)
            assert image is not None, "it is built in"
            return image
        there = self._store.find(reference)
        missing = there is None or self._request.pull
        if missing and reference not in self._asked and not reference.startswith("sha256:"):
            self._asked.add(reference)
            self._pull(reference, wanted, here=there is not None)
            there = self._store.find(reference)
        if there is None:
            raise ImageError(f"cannot build FROM {reference}: no such image here")
        return self._for_platform(reference, there, wanted, strict=strict)

    def _for_platform(self, reference: str, there: oci.Descriptor, wanted: oci.Platform, *, strict: bool) -> Image:
        """Of what the name stands for, that for the platform, which is brought in where it is not here."""
        image = self._store.image(there, reference)
        if image.platform is None or platforms.suits(image.platform, wanted):
            return image
        offered = [image.platform]
        if there.media_type in (oci.INDEX, oci.DOCKER_INDEX):
            children = oci.Index.from_json(self._store.blobs.read_json(there.digest)).manifests
            child = platforms.choose(children, wanted)
            if child is not None:
                return changed(self._child(reference, child, wanted), digest=there.digest)
            offered = [item.platform for item in children if item.platform]
        if not strict:
            return image
        names = ", ".join(dict.fromkeys(str(item) for item in offered if item.architecture != "unknown"))
        raise ImageError(f"cannot build FROM {reference} for {wanted}: the image here is only for {names}")

    def _child(self, reference: str, child: oci.Descriptor, wanted: oci.Platform) -> Image:
        """By its own digest: the name goes on to stand for this machine's."""
        if not self._whole(child):
            pinned = str(replace(parse_reference(reference), tag="", digest=child.digest))
            named = self._store.index.find(pinned) is not None
            self._pull(pinned, wanted, here=False)
            if not named:
                self._store.index.unset(pinned)  # the index that it is part of keeps it
        return self._store.image(child, reference)

    def _whole(self, child: oci.Descriptor) -> bool:
        blobs = self._store.blobs
        if not blobs.has(child.digest):
            return False
        manifest = oci.Manifest.from_json(blobs.read_json(child.digest))
        return all(blobs.has(item.digest) for item in (manifest.config, *manifest.layers))

    def _pull(self, reference: str, wanted: oci.Platform, *, here: bool) -> None:
        if not here:
            name = parse_reference(reference).without_digest().familiar
            self._say(Noted(f"pulling {reference if is_here(wanted) else f'{name} for {wanted}'}"))
        platform = "" if is_here(wanted) else str(wanted)
        try:
            pull_image(self._store, reference, self._request.environment, self._say, platform)
        except ImageError as error:
            if here:  # an image of this machine's own, perhaps
                self._say(Noted(f"{error.message}; the image that is here is used"))
                return
            reason = error.message.removeprefix(f"cannot pull {parse_reference(reference).familiar}: ")
            hint = f"import it: stackup import ROOTFS.tar {reference}; or build FROM host"
            raise ImageError(
                f"cannot build FROM {reference}: no such image here, and it cannot be pulled: {reason}",
                hint=error.hint or hint,
            ) from None
