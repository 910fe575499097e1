"""What ``guard`` may suspect, and ``looking`` looks at: (what, id of the container, file), the last two where it is
about one. A module of its own, for the supervisor starts with no more of all this than that."""

from __future__ import annotations

Suspicion = tuple[str, str, str]

LINKS = "links"  # of all containers, and the bridges
MOUNTS = "mounts"  # of one container
LIMIT = "limit"  # one file of a control group
LIMITS = "limits"  # all of them, of a container that was taken over
FILE = "file"  # a name in a container's run-time directory
DELETED = "deleted"  # the state directory of one container, or that of one of its volumes
