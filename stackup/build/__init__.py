"""Dockerfile -> image. ``build_image`` does it in the calling process; ``worker`` is that as a process of its own.

Called by ``engine`` (through the worker) and as a library. Uses ``images`` for layers, ``runtime`` and ``network`` for
RUN, which is isolated exactly as a service is. Reads the context and writes below ``Layout.build_cache``, ``images``
and ``layers`` only.
"""

from stackup.build.builder import build_image, check_build, sweep
from stackup.build.request import BuildRequest

__all__ = ["BuildRequest", "build_image", "check_build", "sweep"]
