"""Base images: those that are here, and those that a registry has."""

from __future__ import annotations

import threading
from collections.abc import Mapping

from stackup.base.errors import ImageError
from stackup.build.dockerfile import Instruction
from stackup.build.progress import Noted, OnProgress
from stackup.build.request import BuildRequest
from stackup.images import Image, ImageStore
from stackup.images.store import is_host


def pull_image(store: ImageStore, reference: str, environment: Mapping[str, str], say: OnProgress) -> None:
    """Raises ImageError, whose text says what to do."""
    from stackup.images.pulling import pull  # costs more to import than a cached build takes
    from stackup.images.registry.access import Registries
    from stackup.images.registry.caller import Caller

    registries = Registries(Caller(environment))
    try:
        pull(store, reference, registries, lambda event: say(Noted(event["text"])) if event.get("text") else None)
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

    def find(self, reference: str, item: Instruction) -> Image:
        """Raises ImageError at the instruction's place."""
        with self._lock:
            own = self._locks.setdefault(reference, threading.Lock())
        with own:  # different ones are brought in side by side
            try:
                return self._find(reference)
            except ImageError as error:
                placed = item.error(error.message, word=reference)
                error.where, error.snippet = placed.where, placed.snippet
                raise

    def _find(self, reference: str) -> Image:
        image = self._store.resolve(reference)
        wanted = image is None or (self._request.pull and not is_host(reference))
        if wanted and reference not in self._asked and not reference.startswith("sha256:"):
            self._asked.add(reference)
            self._pull(reference, image)
            image = self._store.resolve(reference)
        if image is None:
            raise ImageError(f"cannot build FROM {reference}: no such image here")
        return image

    def _pull(self, reference: str, here: Image | None) -> None:
        if here is None:
            self._say(Noted(f"pulling {reference}"))
        try:
            pull_image(self._store, reference, self._request.environment, self._say)
        except ImageError as error:
            if here is not None:  # an image of this machine's own, perhaps
                self._say(Noted(f"{error.message}; the image that is here is used"))
                return
            reason = error.message.removeprefix(f"cannot pull {reference}: ")
            hint = f"import it: stackup import ROOTFS.tar {reference}; or build FROM host"
            raise ImageError(
                f"cannot build FROM {reference}: no such image here, and it cannot be pulled: {reason}",
                hint=error.hint or hint,
            ) from None
