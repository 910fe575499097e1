"""``down --rmi``: the images of services go with their containers."""

from __future__ import annotations

from contextlib import suppress

from stackup.base.errors import StackupError
from stackup.cli.containers import read
from stackup.cli.imagelists import store_of
from stackup.cli.session import Session


def images_of(session: Session, services: tuple[str, ...], which: str) -> tuple[str, ...]:
    """Names, of the containers that are there and of the stack file where it can be read. ``local``: those that say
    only how to build."""
    found = {row.service: row.image for row in read(session)}
    with suppress(StackupError):  # -p alone, or a file that cannot be read any more, which keeps nobody from down
        stack = session.load().stack
        found |= {name: service.image or f"{stack.name}-{name}" for name, service in stack.services.items()}
    names = {name: image for name, image in found.items() if not services or name in services}
    chosen = [image for name, image in names.items() if which == "all" or image == f"{session.project}-{name}"]
    return tuple(dict.fromkeys(sorted(chosen)))


def remove(session: Session, names: tuple[str, ...]) -> None:
    """One that is used elsewhere stays, with a warning; one that is not here is passed over, and so is ``host``."""
    store = store_of(session)
    for name in names:
        try:
            if store.find(name) is not None:
                store.remove(name)
                session.console.say(f"image {name}: removed")
        except StackupError as error:
            session.console.warn(str(error))
