"""Which images have a newer digest in their registry: pulled ones, pinned ones, and the bases that built ones stand on.

Nothing is fetched but digests, and manifests where these are others: registries count the latter as pulls. What was
built, imported or loaded here and notes no base is nobody's to ask for.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING

from stackup.base.errors import ImageError, StackupError
from stackup.base.values import frozen
from stackup.images.catalog import familiar
from stackup.images.comparing import BASE_DIGEST, BASE_NAME
from stackup.images.registry.errors import BadAnswer
from stackup.images.store import PULLED, parse_reference
from stackup.oci import image as oci

if TYPE_CHECKING:
    from stackup.images.registry.access import Registries
    from stackup.images.registry.client import Repository
    from stackup.images.store import ImageStore

AT_ONCE = 8
IMAGE, BASE, PIN = "image", "base", "pin"
CURRENT, OUTDATED, UNKNOWN = "current", "outdated", "unknown"
_INDEXES = (oci.INDEX, oci.DOCKER_INDEX)


@frozen
class Subject:
    """``image`` is the name that people know; ``reference`` what to ask the registry for; ``digest`` what is here."""

    image: str
    about: str
    reference: str
    digest: str


@frozen
class Freshness:
    """``newest`` is the registry's digest, "" when it could not be asked: then ``reason`` says why."""

    subject: Subject
    state: str
    newest: str = ""
    reason: str = ""


def subjects(store: ImageStore, names: Iterable[str] | None = None) -> list[Subject]:
    """What can be asked for, of the named images or of all. ``names`` as in a stack file: one with a tag and a digest
    is a pin, which need not be here."""
    found: dict[Subject, None] = {}
    wanted = None if names is None else list(names)
    for name in wanted or ():
        reference = _parsed(name)
        if reference is not None and reference[1]:
            found[Subject(name, PIN, *reference)] = None
    known = None if wanted is None else {_canonical(name) for name in wanted}
    for item in store.index.read().manifests:
        name = item.annotations.get(oci.REF_NAME, "")
        if known is not None and name not in known:
            continue
        if name and item.annotations.get(PULLED) and "@" not in name:
            found[Subject(familiar(item), IMAGE, name, item.digest)] = None
        for subject in _base(store, item):
            found[subject] = None
    return list(found)


def _parsed(name: str) -> tuple[str, str] | None:
    try:
        reference = parse_reference(name)
    except ImageError:
        return None
    return str(reference.without_digest()), reference.digest if reference.tag else ""


def _canonical(name: str) -> str:
    parsed = _parsed(name)
    return parsed[0] if parsed else name


def _base(store: ImageStore, item: oci.Descriptor) -> list[Subject]:
    try:
        manifest = store.manifest(item)
        notes = {**store.config_file(manifest).config.labels, **manifest.annotations}
    except ImageError:
        return []
    name, digest = notes.get(BASE_NAME, ""), notes.get(BASE_DIGEST, "")
    parsed = _parsed(name) if name and digest else None
    here = store.index.find(parsed[0]) if parsed else None
    if here is not None and here.digest == digest and not here.annotations.get(PULLED):
        return []  # made here: no registry knows it
    return [Subject(familiar(item) or item.digest[7:19], BASE, parsed[0], digest)] if parsed else []


def check(registries: Registries, asked: Sequence[Subject]) -> list[Freshness]:
    """In the order of ``asked``; several registries at once, each reference once."""
    references = list(dict.fromkeys(subject.reference for subject in asked))
    with ThreadPoolExecutor(AT_ONCE, thread_name_prefix="outdated") as pool:
        here = {name: {item.digest for item in asked if item.reference == name} for name in references}
        answers = dict(
            zip(references, pool.map(lambda text: _ask(registries, text, here[text]), references), strict=True)
        )
    return [_judged(subject, answers[subject.reference]) for subject in asked]


def _ask(registries: Registries, text: str, here: set[str]) -> tuple[str, ...] | StackupError:
    """The digests that the name stands for, the registry's own first, then those of an index's platforms, unless the
    former is all that is ``here``."""
    reference = parse_reference(text)
    error: StackupError = ImageError(f"no registry has {text}")
    try:
        for repository in registries.repositories(reference):
            try:
                newest = _digest(repository, reference.tag)
                if here == {newest}:
                    return (newest,)
                manifest = repository.manifest(newest or reference.tag)
            except StackupError as failed:
                error = failed
                continue
            if manifest.media_type not in _INDEXES:
                return (manifest.digest,)
            children = oci.Index.from_json(manifest.document()).manifests
            return (manifest.digest, *(item.digest for item in children))
    except StackupError as failed:
        return failed
    except ValueError as failed:
        return ImageError(f"its index cannot be read: {failed}")
    return error


def _digest(repository: Repository, tag: str) -> str:
    """ "" where the registry tells no digest by itself."""
    try:
        return repository.digest_of(tag)
    except BadAnswer:
        return ""


def _judged(subject: Subject, answer: tuple[str, ...] | StackupError) -> Freshness:
    if isinstance(answer, StackupError):
        return Freshness(subject, UNKNOWN, reason=getattr(answer, "reason", "") or answer.message)
    state = CURRENT if subject.digest in answer else OUTDATED
    return Freshness(subject, state, answer[0])
