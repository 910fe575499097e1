"""Taking images away: what ``rmi``, ``image rm``, ``image prune`` and ``system prune`` share."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from stackup.cli.imagelists import store_of, until
from stackup.cli.table import human_size
from stackup.cli.things import each, filters, has_labels

if TYPE_CHECKING:
    from stackup.cli.session import Session
    from stackup.images.catalog import Listed
    from stackup.images.pruning import Pruned

PRUNE_FILTERS = ("until", "label", "label!")


def remove(session: Session, names: Sequence[str], *, force: bool) -> int:
    """All of them, errors at the end; with ``force`` one that is not there is only warned of, as docker has it."""
    store = store_of(session)

    def one(name: str) -> None:
        if force and store.pick(name) is None:
            session.console.warn(f"image {name}: no such image")
            return
        for line in store.remove(name, force=force):
            verb, _, what = line.partition(" ")
            session.console.print(f"{verb.capitalize()}: {what}")

    each(names, one)
    return 0


def prune(session: Session, *, named: bool, texts: Sequence[str] = ()) -> Pruned:
    """Images without a name, or with ``named`` all that no container was made from. What a filter would have to be
    asked of and cannot, parts of images, stays then."""
    from stackup.images.pruning import prune as prune_store

    wanted = filters(texts, PRUNE_FILTERS)
    before = until(wanted.get("until", ()))

    def fits(item: Listed) -> bool:
        unwanted = any(has_labels(item.labels, (text,)) for text in wanted.get("label!", ()))
        return before(item.created) and has_labels(item.labels, wanted.get("label", ())) and not unwanted

    return prune_store(store_of(session), named=named, wanted=fits, partial=not texts)


def tell(session: Session, pruned: Pruned) -> None:
    if pruned.gone:
        lines = (line.partition(" ") for line in pruned.gone)
        session.console.print("\n".join(["Deleted Images:", *(f"{verb}: {what}" for verb, _, what in lines), ""]))
    if pruned.collected.put_off:
        session.console.warn(f"{pruned.collected.put_off}: {pruned.collected.remedy}")


def space(session: Session, freed: int) -> None:
    session.console.print(f"Total reclaimed space: {human_size(freed)}")
