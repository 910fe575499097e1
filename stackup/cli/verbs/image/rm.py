"""``stackup image rm``: the same as ``stackup rmi``."""

from stackup.cli.verbs.rmi import Request, run

__all__ = ["Request", "run"]
