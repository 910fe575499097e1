"""pyroute2's message classes without the rest of pyroute2.

``import pyroute2`` costs about 190 ms, because its package pulls in every transport there is. Encoding a link or an
address needs two classes, which cost 25 ms when the package's own ``__init__`` is stepped over. What was imported that
way is taken out of ``sys.modules`` again, so that a program that uses pyroute2 itself gets it whole.
"""

from __future__ import annotations

import importlib
import importlib.util
import sys
import threading
import types
from collections.abc import Sequence
from typing import Any

from stackup.base.errors import HostUnfit
from stackup.base.values import frozen

_PACKAGE = "pyroute2"
_lock = threading.Lock()
_loaded: list[Codec] = []


@frozen
class Codec:
    """``link`` and ``address`` are pyroute2's ifinfmsg and ifaddrmsg."""

    link: Any
    address: Any

    def encode(self, message: Any, kind: int, flags: int, fields: dict[str, int], attributes: Sequence[Any]) -> bytes:
        """One netlink message; ``attributes`` as pyroute2 writes them. The sequence number is left 0."""
        made = message()
        for name, value in fields.items():
            made[name] = value
        made["attrs"] = list(attributes)
        made["header"] = {"type": kind, "flags": flags, "sequence_number": 0, "pid": 0, "length": 0}
        made.encode()
        return bytes(made.data)


def codec() -> Codec:
    with _lock:
        if not _loaded:
            _loaded.append(_load())
        return _loaded[0]


def _load() -> Codec:
    if _PACKAGE in sys.modules:
        return _classes()
    found = importlib.util.find_spec(_PACKAGE)
    if found is None or found.submodule_search_locations is None:
        raise HostUnfit("cannot make networks: the Python package pyroute2 is missing", hint="pip install pyroute2")
    stub = types.ModuleType(_PACKAGE)
    stub.__path__ = list(found.submodule_search_locations)
    sys.modules[_PACKAGE] = stub
    try:
        return _classes()
    except (ImportError, AttributeError):  # a release laid out differently: pay for the whole package
        _forget()
        return _classes()
    finally:
        if sys.modules.get(_PACKAGE) is stub:
            _forget()


def _forget() -> None:
    for name in [name for name in list(sys.modules) if name == _PACKAGE or name.startswith(f"{_PACKAGE}.")]:
        del sys.modules[name]


def _classes() -> Codec:
    link = importlib.import_module(f"{_PACKAGE}.netlink.rtnl.ifinfmsg").ifinfmsg
    address = importlib.import_module(f"{_PACKAGE}.netlink.rtnl.ifaddrmsg").ifaddrmsg
    return Codec(link, address)
