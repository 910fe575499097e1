"""``stackup image inspect``: the same as ``stackup inspect``."""

from stackup.cli.verbs.inspect import Request, run

__all__ = ["Request", "run"]
