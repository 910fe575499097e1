"""Brings an image from a registry into the store: manifest, configuration, layers in parallel, then its name.

Killed at any moment it leaves work directories that a sweep deletes, half blobs that the next pull continues, and whole
blobs that the next pull finds; the name is given last.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from concurrent.futures import FIRST_EXCEPTION, Future, ThreadPoolExecutor, wait
from contextlib import suppress
from dataclasses import replace
from typing import Any

from stackup.base.clock import now_ns, rfc3339
from stackup.base.diskroom import said
from stackup.base.errors import ImageError
from stackup.base.values import frozen
from stackup.images import usage
from stackup.images.fetching import Fetcher
from stackup.images.meter import Meter, Tell
from stackup.images.pushed import digest_there
from stackup.images.registry.access import Registries
from stackup.images.registry.client import Manifest, Repository
from stackup.images.registry.errors import BadAnswer, NotThere, RegistryError
from stackup.images.registry.missing import explained, joined
from stackup.images.registry.transport import QUICK
from stackup.images.store import PULLED, ImageStore, host_platform, is_host, parse_reference
from stackup.oci import image as oci
from stackup.oci import platforms
from stackup.oci.reference import Reference

AT_ONCE = 4  # layers
_CONFIG_LIMIT = 8 << 20
_INDEXES = (oci.INDEX, oci.DOCKER_INDEX)
_IMAGE_CONFIGS = (oci.CONFIG, "application/vnd.docker.container.image.v1+json", "")


@frozen
class Pulled:
    """``id`` is that of the configuration, ``digest`` what the registry calls the image, ``changed`` False when it was
    here already."""

    reference: str
    id: str
    digest: str
    changed: bool


def pull(
    store: ImageStore, text: str, registries: Registries, tell: Tell, *, platform: str = "", quick: bool = False
) -> Pulled:
    """``text`` as people write references; ``platform`` as in ``linux/arm64``, empty: this machine's. ``quick``: give
    up who does not answer at once, because an image that is here will do.

    Raises RegistryError, whose text says what to do, and ImageError.
    """
    reference = parse_reference(text)
    if is_host(text) or text == "scratch":
        raise ImageError(f"cannot pull '{text}': it is built in")
    wanted = platforms.parse_platform(platform) if platform else host_platform()
    if not wanted.architecture:
        wanted = replace(host_platform(), os=wanted.os)
    try:
        meter = Meter(tell)
        registries.say = meter.say
        return _Pull(store, reference, registries, meter, wanted, explicit=bool(platform), quick=quick).run()
    except RegistryError as error:
        raise error.about_image("pull", reference.familiar) from None
    except OSError as error:
        reason, hint = said(error, store.layout)
        raise ImageError(f"cannot pull {reference.familiar}: {reason}", hint=hint) from error


@frozen
class _Found:
    """``top`` is what the reference stands for, ``manifest`` the image in it."""

    sources: tuple[Repository, ...]
    top: Manifest
    manifest: Manifest
    platform: oci.Platform | None


class _Pull:
    def __init__(
        self,
        store: ImageStore,
        reference: Reference,
        registries: Registries,
        meter: Meter,
        wanted: oci.Platform,
        *,
        explicit: bool,
        quick: bool,
    ) -> None:
        self._store = store
        self._reference = reference
        self._registries = registries
        self._meter = meter
        self._wanted = wanted
        self._explicit = explicit
        self._quick = quick

    def run(self) -> Pulled:
        repositories = self._registries.repositories(self._reference)
        patience = self._registries.patience
        if self._quick:
            self._registries.use(QUICK)
        with usage.bringing_in(self._store.layout):
            known = self._store.index.find(str(self._reference))
            if known is not None and self._complete(known) and self._unchanged(known, repositories):
                return self._done(known, changed=False)
            found = self._find(repositories)
            self._registries.use(patience)
            self._fetch(found)
            for item in (found.manifest, found.top):
                self._store.blobs.put([item.data], item.media_type)
            descriptor = replace(found.top.descriptor, platform=found.platform)
            same = known is not None and (known.digest, known.platform) == (descriptor.digest, descriptor.platform)
            return self._done(descriptor, changed=not same)

    def _done(self, descriptor: oci.Descriptor, *, changed: bool) -> Pulled:
        marked = replace(descriptor, annotations={PULLED: rfc3339(now_ns())})
        self._store.index.set(str(self._reference), marked)
        image = self._store.image(marked, self._reference.familiar)
        return Pulled(self._reference.familiar, image.id, self._digest_there(descriptor), changed)

    def _digest_there(self, descriptor: oci.Descriptor) -> str:
        return digest_there(self._store, descriptor.digest, self._reference)

    # What is here already

    def _complete(self, known: oci.Descriptor) -> bool:
        """The image of the right platform, with every blob and every layer. A damaged one is not."""
        if known.media_type in _INDEXES and known.platform and not platforms.suits(known.platform, self._wanted):
            return False
        try:
            manifest = self._store.manifest(known)
            image = self._store.image(known, self._reference.familiar)
        except ImageError:
            return False
        if self._explicit and image.platform and not platforms.suits(image.platform, self._wanted):
            return False
        here = all(self._store.blobs.sound(layer) for layer in manifest.layers)
        return here and all(self._store.layers.has(layer.digest, layer.diff_id) for layer in image.layers)

    def _unchanged(self, known: oci.Descriptor, repositories: Sequence[Repository]) -> bool:
        """A digest never changes; a tag's is asked for, which costs little. Whatever fails here fails again below,
        where it is told."""
        if self._reference.digest:
            return known.digest == self._reference.digest
        with suppress(RegistryError):
            return repositories[0].digest_of(self._reference.tag) in (known.digest, self._digest_there(known))
        return False

    # Manifests

    def _find(self, repositories: tuple[Repository, ...]) -> _Found:
        failed: list[tuple[Repository, RegistryError]] = []
        for repository in repositories:
            try:
                found = self._look(repository)
            except RegistryError as error:
                failed.append((repository, error))
                continue
            others = tuple(item for item in repositories if item is not repository)
            return replace(found, sources=(repository, *others))
        raise joined(failed)

    def _look(self, repository: Repository) -> _Found:
        try:
            top = repository.manifest(self._reference.digest or self._reference.tag)
        except NotThere as error:
            raise explained(error, repository, self._reference) from None
        if top.media_type not in _INDEXES:
            return _Found((), top, top, None)
        try:
            offered = oci.Index.from_json(top.document()).manifests
        except ValueError as error:
            raise BadAnswer(f"its index {top.digest} cannot be read: {error}") from None
        chosen = platforms.choose(offered, self._wanted)
        if chosen is None:
            raise BadAnswer(
                f"there is none for {self._wanted}, only for {platforms.listed(offered)}",
                hint="choose with `platform:` in the service, or --platform",
            )
        return _Found((), top, repository.manifest(chosen.digest), chosen.platform)

    # Content

    def _fetch(self, found: _Found) -> None:
        manifest = _manifest(found.manifest)
        fetcher = Fetcher(self._store, self._registries, found.sources, self._meter)
        if manifest.config.size > _CONFIG_LIMIT:
            raise BadAnswer(f"its configuration has {manifest.config.size} bytes")
        fetcher.blob(manifest.config)
        config = self._store.config_file(manifest)
        self._check(manifest, config)
        pairs = {layer.digest: diff_id for layer, diff_id in config.pairs(manifest)}
        layers = {layer.digest: layer for layer in manifest.layers}
        for digest, layer in layers.items():
            self._meter.add(digest, layer.size)
        with ThreadPoolExecutor(AT_ONCE, thread_name_prefix="layer") as pool:
            futures = [pool.submit(fetcher.layer, layer, pairs[digest]) for digest, layer in layers.items()]
            first_error(futures, self._registries.end)

    def _check(self, manifest: oci.Manifest, config: oci.ConfigFile) -> None:
        try:
            config.pairs(manifest)
        except ValueError as error:
            raise BadAnswer(str(error)) from None
        there = config.platform
        if platforms.suits(there, self._wanted):
            return
        if self._explicit:
            raise BadAnswer(f"there is none for {self._wanted}, only for {platforms.normal(there)}")
        self._meter.say(f"warning: the image is for {there}, and this machine is {self._wanted}")


def _manifest(found: Manifest) -> oci.Manifest:
    try:
        manifest = oci.Manifest.from_json(found.document())
    except ValueError as error:
        raise BadAnswer(f"its manifest {found.digest} cannot be read: {error}") from None
    if manifest.config.media_type not in _IMAGE_CONFIGS:
        raise BadAnswer(f"it is no container image but {manifest.config.media_type}")
    return manifest


def first_error(futures: Sequence[Future[Any]], end: Callable[[], None]) -> None:
    """Waits for all; after a failure what has not begun is given up, and ``end`` gives up what has. Raises the first
    error."""
    done, _ = wait(futures, return_when=FIRST_EXCEPTION)
    errors = [error for future in futures if future in done and (error := future.exception())]
    if errors:
        for future in futures:
            future.cancel()
        end()
        wait(futures)
        raise errors[0]
