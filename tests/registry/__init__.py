"""A registry on loopback with stand-ins for the images that everybody names (redis:7, postgres:16 ...).

Made of Debian's packages once, by ``python -m tests.registry make DIRECTORY``, which needs the package mirror; served
from then on without any network. As a mirror of docker.io it lets files that name ordinary images run unmodified.
"""

from tests.registry.server import Mirror, serving, stored

__all__ = ["Mirror", "serving", "stored"]
