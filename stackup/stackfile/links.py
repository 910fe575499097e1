"""How one file or service led to another while the stack was read: for the reasons that ``explain`` gives."""

from __future__ import annotations

from stackup.base.values import frozen
from stackup.stackfile.nodes import Node


@frozen
class Link:
    """``node`` is what was written: the value of an ``extends``, or an entry of ``include``.

    ``services`` holds the service that extends and the one that is extended, and is empty for an include; ``files``
    are where that leads.
    """

    node: Node
    services: tuple[str, ...]
    files: tuple[str, ...]
