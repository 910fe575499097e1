"""Images: an OCI image layout with every layer unpacked once, imports, and the built-in image ``host``.

Called by ``build`` and ``engine``. May write below ``Layout.images``, ``layers`` and ``host`` only; mounts nothing
(it computes ``linux.overlay.Overlay`` values, ``runtime`` mounts them). Registries are talked to by ``pulling`` and
``pushing`` alone, in processes of their own (``worker``).
"""

from stackup.images import usage
from stackup.images.copyout import copy_out
from stackup.images.image import Image, prepare
from stackup.images.lookup import User, read_file, resolve_user
from stackup.images.store import ImageStore
from stackup.images.tree import Layer, Tree

__all__ = [
    "Image",
    "ImageStore",
    "Layer",
    "Tree",
    "User",
    "copy_out",
    "prepare",
    "read_file",
    "resolve_user",
    "usage",
]
