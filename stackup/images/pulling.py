"""Brings an image from a registry into the store: manifest, configuration, layers in parallel, then its name.

Killed at any moment it leaves work directories that a sweep deletes, half blobs that the next pull continues, and whole
blobs that the next pull finds; the name is given last.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from concurrent.futures import FIRST_EXCEPTION, Future, ThreadPoolExecutor, wait
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
from stackup.images.registry.errors import (
    BadAnswer,
    Broken,
    NotThere,
    RateLimited,
    RegistryError,
    Unreachable,
)
from stackup.images.registry.missing import explained, joined
from stackup.images.registry.transport import QUICK
from stackup.images.store import PULLED, ImageStore, host_platform, is_host, parse_reference
from stackup.oci import image as oci
from stackup.oci import platforms
from stackup.oci.reference import Reference

AT_ONCE = 4  # layers
_CONFIG_LIMIT = 8 << 20
_LAYERS = 500  # OVL_MAX_STACK of the kernel's fs/overlayfs
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
            failed: list[tuple[Repository, RegistryError]] = []
            if known is not None and self._complete(known) and self._unchanged(known, repositories[0], failed):
                return self._done(known, changed=False)
            found = self._find(repositories, failed)
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
        try:
            if not self._chosen(known):
                return False
            manifest = self._store.manifest(known)
            image = self._store.image(known, self._reference.familiar)
        except (ImageError, ValueError):
            return False
        if self._explicit and image.platform and not platforms.suits(image.platform, self._wanted):
            return False
        here = all(self._store.blobs.sound(layer) for layer in manifest.layers)
        return here and all(self._store.layers.has(layer.digest, layer.diff_id) for layer in image.layers)

    def _chosen(self, known: oci.Descriptor) -> bool:
        """Whether it is what would be chosen of its index."""
        if known.media_type not in _INDEXES or known.platform is None:
            return True
        chosen = platforms.choose(
            oci.Index.from_json(self._store.blobs.read_json(known.digest)).manifests, self._wanted
        )
        return chosen is not None and chosen.platform == known.platform

    def _unchanged(
        self, known: oci.Descriptor, repository: Repository, failed: list[tuple[Repository, RegistryError]]
    ) -> bool:
        """A digest never changes; a tag's is asked for, which costs little. Who cannot answer is among the ``failed``
        then, and need not be asked anew; what else is wrong, the manifest's own request tells better."""
        if self._reference.digest:
            return known.digest == self._reference.digest
        try:
            return repository.digest_of(self._reference.tag) in (known.digest, self._digest_there(known))
        except (Unreachable, Broken, RateLimited) as error:
            failed.append((repository, error))
        except RegistryError:
            pass
        return False

    # Manifests

    def _find(self, repositories: tuple[Repository, ...], failed: list[tuple[Repository, RegistryError]]) -> _Found:
        for repository in repositories:
            if any(repository is item for item, _ in failed):
                continue
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
            raise self._unfit(offered)
        manifest = repository.manifest(chosen.digest)
        if manifest.media_type in _INDEXES:
            raise self._nested(chosen)
        return _Found((), top, manifest, chosen.platform)

    def _unfit(self, offered: Sequence[oci.Descriptor]) -> BadAnswer:
        """Of an index that has nothing for the platform that is wanted."""
        if not offered:
            return BadAnswer("its index lists no images")
        if any(item.platform and item.platform.architecture != "unknown" for item in offered):
            return BadAnswer(
                f"there is none for {self._wanted}, only for {platforms.listed(offered)}",
                hint="choose with `platform:` in the service, or --platform",
            )
        inner = next((item for item in offered if item.media_type in _INDEXES), None)
        if inner is not None:
            return self._nested(inner)
        hint = f"choose one by its digest, such as {self._by_digest(offered[0])}"
        return BadAnswer("its index does not say which platforms its images are for", hint=hint)

    def _nested(self, inner: oci.Descriptor) -> BadAnswer:
        hint = f"the inner one can be pulled by its digest: {self._by_digest(inner)}"
        return BadAnswer("it is an index within an index, which is not followed", hint=hint)

    def _by_digest(self, item: oci.Descriptor) -> str:
        return replace(self._reference, tag="", digest=item.digest).familiar

    # Content

    def _fetch(self, found: _Found) -> None:
        manifest = _manifest(found.manifest)
        fetcher = Fetcher(self._store, self._registries, found.sources, self._meter)
        if manifest.config.size > _CONFIG_LIMIT:
            raise BadAnswer(f"its configuration has {manifest.config.size} bytes")
        fetcher.blob(manifest.config)
        config = self._store.config_file(manifest)
        self._check(manifest, config, found.platform)
        pairs = {layer.digest: diff_id for layer, diff_id in config.pairs(manifest)}
        layers = {layer.digest: layer for layer in manifest.layers}
        for digest, layer in layers.items():
            self._meter.add(digest, layer.size)
        with ThreadPoolExecutor(AT_ONCE, thread_name_prefix="layer") as pool:
            futures = [pool.submit(fetcher.layer, layer, pairs[digest]) for digest, layer in layers.items()]
            first_error(futures, self._registries.end)

    def _check(self, manifest: oci.Manifest, config: oci.ConfigFile, chosen: oci.Platform | None) -> None:
        try:
            config.pairs(manifest)
        except ValueError as error:
            raise BadAnswer(str(error)) from None
        there = platforms.refined(config.platform, chosen)
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
    if len(manifest.layers) > _LAYERS:
        raise BadAnswer(f"it has {len(manifest.layers)} layers; the kernel lays no more than {_LAYERS} over each other")
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
