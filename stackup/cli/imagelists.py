"""Stored images as ``images -a`` and ``image ls`` show them, with docker's columns, keys and filters."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

from stackup.base.errors import UsageError
from stackup.cli.table import ago, human_size, table
from stackup.cli.things import filters, has_labels, truth

if TYPE_CHECKING:
    from stackup.cli.session import Session
    from stackup.images.catalog import Listed
    from stackup.images.store import ImageStore
    from stackup.images.verifying import Damage

ID_DIGITS = 12
NONE = "<none>"
FILTERS = ("dangling", "reference", "label", "before", "since", "until")


def store_of(session: Session) -> ImageStore:
    from stackup.images.store import ImageStore

    return ImageStore(session.layout)


def short_id(image_id: str) -> str:
    return image_id.removeprefix("sha256:")[:ID_DIGITS]


def name_and_tag(reference: str) -> tuple[str, str]:
    """``redis:7`` -> redis, 7. The colon of a registry's port is not a tag's; and the tag of a pin
    (``redis:7@sha256:...``) is none that the image goes by here."""
    if not reference:
        return NONE, NONE
    name, pin, _ = reference.partition("@")
    head, colon, tag = name.rpartition(":")
    if not colon or "/" in tag:
        return name, NONE if pin else "latest"
    return head, NONE if pin else tag


def age(created: str) -> str:
    """From RFC 3339, which may have nanoseconds."""
    from stackup.base.clock import now_ns
    from stackup.cli.moments import moment_ns

    try:
        return f"{ago(max(0, now_ns() - moment_ns(created)) / 1e9)} ago"
    except ValueError:
        return "-"


def select(store: ImageStore, texts: Sequence[str], *names: str) -> list[Listed]:
    """The images that docker's ``--filter`` words leave, and whose name or repository is one of ``names`` (patterns);
    of all where there are none."""
    from stackup.images import catalog

    wanted = filters(texts, FILTERS)
    found = catalog.listed(store)
    dangling = truth("dangling", wanted.get("dangling", ()))
    if dangling is not None:
        found = [item for item in found if item.dangling is dangling]
    if names:
        found = catalog.matching(found, names)
    if wanted.get("reference"):
        found = catalog.matching(found, wanted["reference"])
    found = [item for item in found if has_labels(item.labels, wanted.get("label", ()))]
    if wanted.get("until"):
        before = until(wanted["until"])
        found = [item for item in found if before(item.created)]
    for key, keep in (("before", _older), ("since", _newer)):
        for text in wanted.get(key, ()):
            created = _created(store, key, text)
            found = [item for item in found if keep(item.created, created)]
    return found


def _older(created: str, than: str) -> bool:
    return created < than


def _newer(created: str, than: str) -> bool:
    return created > than


def _created(store: ImageStore, key: str, text: str) -> str:
    image = store.resolve(text)
    if image is None:
        raise UsageError(f"cannot filter by {key}={text}: no such image")
    return image.created


def until(texts: Sequence[str]) -> Callable[[str], bool]:
    """Of ``--filter until=``: whether something was created before that time, given as RFC 3339."""
    from stackup.cli.moments import moment_ns

    try:
        limits = [moment_ns(text) for text in texts]
    except ValueError as error:
        raise UsageError(f"cannot filter by until: {error}") from None

    def before(created: str) -> bool:
        try:
            return all(moment_ns(created) < limit for limit in limits)
        except ValueError:
            return False

    return before


def show(session: Session, items: Sequence[Listed], *, digests: bool, whole: bool) -> None:
    """A table; ``whole``: ids in full."""
    header = ["REPOSITORY", "TAG", *(["DIGEST"] if digests else []), "IMAGE ID", "SIZE", "UNIQUE", "CREATED"]
    rows = [
        (
            *name_and_tag(item.reference),
            *([item.digest] if digests else []),
            item.id if whole else short_id(item.id),
            *((human_size(item.size), human_size(item.unique), age(item.created)) if not item.damage else
              ("-", "-", "damaged: stackup images --verify")),
        )
        for item in items
    ]  # fmt: skip
    session.console.out.write(table(header, dict.fromkeys(rows)))  # two pins of one image look the same


def ids(items: Sequence[Listed], *, whole: bool) -> list[str]:
    return list(dict.fromkeys(item.id if whole else short_id(item.id) for item in items))


def as_json(item: Listed, *, whole: bool = False) -> dict[str, Any]:
    """Sizes in bytes."""
    repository, tag = name_and_tag(item.reference)
    return {
        "ID": item.id if whole else short_id(item.id),
        "Repository": repository,
        "Tag": tag,
        "Digest": item.digest,
        "Size": item.size,
        "SharedSize": item.size - item.unique,
        "UniqueSize": item.unique,
        "Created": item.created,
        "Platform": item.platform,
        "Used": item.used,
        **({"Damage": item.damage} if item.damage else {}),
    }


def as_docker(item: Listed, *, whole: bool) -> dict[str, str]:
    """With the keys that ``docker image ls --format json`` has."""
    repository, tag = name_and_tag(item.reference)
    return {
        "Containers": "N/A",
        "CreatedAt": item.created,
        "CreatedSince": age(item.created),
        "Digest": item.digest,
        "ID": item.id if whole else short_id(item.id),
        "Repository": repository,
        "SharedSize": human_size(item.size - item.unique),
        "Size": human_size(item.size),
        "Tag": tag,
        "UniqueSize": human_size(item.unique),
    }


def show_by(session: Session, template: str, items: Sequence[Listed], *, whole: bool) -> None:
    from stackup.cli.templates import listed

    rows = (as_docker(item, whole=whole) for item in items)
    session.console.out.write(listed(template, rows, {"ID": "IMAGE ID", "CreatedSince": "CREATED"}))


# Verifying


def verify(session: Session, form: str) -> int:
    """Looks at everything; exit code 1 where something is wrong."""
    from stackup.cli.progress import single_action
    from stackup.images.verifying import Verifier

    store = store_of(session)
    with single_action(session, "verify", "images", quiet=form == "json") as say:
        verifier = Verifier(store, say)
        found = verifier.run()
    if form == "json":
        session.console.print(json.dumps([_damage(item) for item in found], indent=2))
        return 1 if found else 0
    if not found:
        session.console.print(f"{verifier.checked} blobs and layers are what their digests say")
        return 0
    for item in found:
        needed = f" of {', '.join(item.images)}" if item.images else ""
        session.console.print(f"{item.what} {short_id(item.digest)}{needed}: {item.reason}")
        session.console.print(f"  {item.path}")
        session.console.print(f"  {repair(item)}")
    return 1


def repair(item: Damage) -> str:
    """What to do about it, in one line."""
    if item.removed:
        return "removed: it is unpacked again when it is needed"
    if item.user.startswith("container "):
        return f"{item.user} stands on it: take its project down and verify again"
    if item.user:
        return f"{item.user} uses it: verify again when that has ended"
    if item.what == "layer":
        return "left alone: nobody knows whether it is damaged"
    names = " ".join(item.images)
    if not names:
        return "no image needs it: `stackup system prune` deletes it, with the build cache"
    return f"repair: stackup pull {names}; or build, load or import again what came that way"


def _damage(item: Damage) -> dict[str, Any]:
    return {
        "What": item.what,
        "Digest": item.digest,
        "Path": item.path,
        "Reason": item.reason,
        "Images": list(item.images),
        "UsedBy": item.user,
        "Removed": item.removed,
        "Repair": repair(item),
    }
