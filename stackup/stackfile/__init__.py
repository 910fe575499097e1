"""Stack files to a ``Stack``: finds, reads, interpolates, merges, checks, and says what is wrong in the user's words.

Called by ``cli`` and ``engine`` through ``load``; prints nothing, decides nothing, touches only the files it reads.
The way of a value: ``yamltree`` (YAML to nodes with places) -> ``interpolate`` -> ``grammar`` (written forms to long
ones) -> ``extend``, ``assemble`` (other files) -> ``finish`` (defaults, names) -> ``check`` -> the model.
"""

from __future__ import annotations

from stackup.stackfile.canonical import canonical, canonical_service
from stackup.stackfile.load import load
from stackup.stackfile.problems import Notice
from stackup.stackfile.request import Input, Loaded, LoadRequest

__all__ = ["Input", "LoadRequest", "Loaded", "Notice", "canonical", "canonical_service", "load"]
