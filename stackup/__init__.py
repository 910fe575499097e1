"""stackup: a declarative multi-container orchestrator for Compose files, without a daemon.

The main path: ``cli`` asks, ``stackfile`` reads, ``planner`` decides, ``engine`` acts, ``runtime`` starts containers.
docs/architecture.md draws the floors; each package opens with a paragraph of its own.
"""

from stackup.base.version import VERSION as __version__

__all__ = ["__version__"]
