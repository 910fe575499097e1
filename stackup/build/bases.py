"""Base images: those that are here, and those that a registry has."""

from __future__ import annotations

import threading
from collections.abc import Mapping
from dataclasses import replace

from stackup.base.errors import ImageError
from stackup.base.values import changed, frozen
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


@frozen
class _Wanted:
    """``doing``: what it is wanted for, in words of an error."""

    reference: str
    platform: oci.Platform
    strict: bool
    doing: str

    def error(self, reason: str, *, here: str = "", hint: str = "") -> ImageError:
        return ImageError(f"cannot {self.doing} {self.reference}{here}: {reason}", hint=hint)


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
        doing = "build FROM" if item.keyword == "FROM" else "take files from"
        with own:  # different ones are brought in side by side
            try:
                return self._find(_Wanted(reference, wanted, strict, doing))
            except ImageError as error:
                placed = item.error(error.message, word=reference)
                error.where, error.snippet = placed.where, placed.snippet
                raise

    def _find(self, wanted: _Wanted) -> Image:
        reference = wanted.reference
        if is_host(reference):
            if not is_here(wanted.platform):
                raise wanted.error(f"it is this machine, {host_platform()}", here=f" for {wanted.platform}")
            image = self._store.resolve(reference)
            assert image is not None, "it is built in"
            return image
        there = self._store.find(reference)
        missing = there is None or self._request.pull
        if missing and reference not in self._asked and not reference.startswith("sha256:"):
            self._asked.add(reference)
            self._pull(wanted, reference, here=there is not None)
            there = self._store.find(reference)
        if there is None:
            raise wanted.error("no such image here")
        return self._for_platform(wanted, there)

    def _for_platform(self, wanted: _Wanted, there: oci.Descriptor) -> Image:
        """Of what the name stands for, that for the platform, which is brought in where it is not here."""
        image = self._store.image(there, wanted.reference)
        if image.platform is None or platforms.suits(image.platform, wanted.platform):
            return image
        offered = [image.platform]
        if there.media_type in (oci.INDEX, oci.DOCKER_INDEX):
            children = oci.Index.from_json(self._store.blobs.read_json(there.digest)).manifests
            child = platforms.choose(children, wanted.platform)
            if child is not None:
                return changed(self._child(wanted, child), digest=there.digest)
            offered = [item.platform for item in children if item.platform]
        if not wanted.strict:
            return image
        names = ", ".join(dict.fromkeys(str(item) for item in offered if item.architecture != "unknown"))
        raise wanted.error(f"the image here is only for {names}", here=f" for {wanted.platform}")

    def _child(self, wanted: _Wanted, child: oci.Descriptor) -> Image:
        """By its own digest: the name goes on to stand for this machine's."""
        if not self._whole(child):
            pinned = str(replace(parse_reference(wanted.reference), tag="", digest=child.digest))
            named = self._store.index.find(pinned) is not None
            self._pull(wanted, pinned, here=False)
            if not named:
                self._store.index.unset(pinned)  # the index that it is part of keeps it
        return self._store.image(child, wanted.reference)

    def _whole(self, child: oci.Descriptor) -> bool:
        blobs = self._store.blobs
        if not blobs.has(child.digest):
            return False
        manifest = oci.Manifest.from_json(blobs.read_json(child.digest))
        return all(blobs.has(item.digest) for item in (manifest.config, *manifest.layers))

    def _pull(self, wanted: _Wanted, reference: str, *, here: bool) -> None:
        """``reference``: its own, or one with a digest."""
        if not here:
            name = parse_reference(reference).without_digest().familiar
            self._say(Noted(f"pulling {reference if is_here(wanted.platform) else f'{name} for {wanted.platform}'}"))
        platform = "" if is_here(wanted.platform) else str(wanted.platform)
        try:
            pull_image(self._store, reference, self._request.environment, self._say, platform)
        except ImageError as error:
            if here:  # an image of this machine's own, perhaps
                self._say(Noted(f"{error.message}; the image that is here is used"))
                return
            reason = error.message.removeprefix(f"cannot pull {parse_reference(reference).familiar}: ")
            hint = f"import it: stackup import ROOTFS.tar {reference}; or build FROM host"
            text = f"no such image here, and it cannot be pulled: {reason}"
            raise wanted.error(text, hint=error.hint or hint) from None
