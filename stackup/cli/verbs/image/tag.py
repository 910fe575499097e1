"""``stackup image tag``: the same as ``stackup tag``."""

from stackup.cli.verbs.tag import Request, run

__all__ = ["Request", "run"]
