"""libnftables through ctypes. One buffer of commands is one atomic transaction; errors come back as nft wrote them."""

from __future__ import annotations

import ctypes
import json
import threading
from typing import Any

from stackup.base.errors import HostUnfit

LIBRARY = "libnftables.so.1"
_JSON = 1 << 4
_HANDLE = 1 << 3


class NftError(Exception):
    """A transaction was refused; nothing of it took effect. ``str()`` is nft's own text."""


class Nft:
    """A libnftables context. It belongs to the network namespace of the thread that made it; calls are serialised."""

    def __init__(self) -> None:
        self._library = _load()
        self._lock = threading.Lock()
        self._context = self._library.nft_ctx_new(0)
        if not self._context:
            raise HostUnfit("cannot open nftables: libnftables made no context (no memory, or no CAP_NET_ADMIN)")
        self._library.nft_ctx_buffer_output(self._context)
        self._library.nft_ctx_buffer_error(self._context)

    def run(self, commands: str) -> None:
        """Carries out ``commands``, all of them or none."""
        self._execute(commands, 0)

    def query(self, commands: str) -> list[dict[str, Any]]:
        """The objects that ``list ...`` commands answer, with handles, as in ``nft -j -a``; without "metainfo"."""
        text = self._execute(commands, _JSON | _HANDLE)
        return [item for item in json.loads(text)["nftables"] if "metainfo" not in item] if text.strip() else []

    def text(self, commands: str) -> str:
        """What ``list ...`` commands answer as nft prints it: with comments, which older JSON leaves out."""
        return self._execute(commands, 0)

    def close(self) -> None:
        with self._lock:
            if self._context:
                self._library.nft_ctx_free(self._context)
            self._context = None

    def __enter__(self) -> Nft:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _execute(self, commands: str, flags: int) -> str:
        with self._lock:
            if not self._context:
                raise ValueError("this nftables context is closed")
            self._library.nft_ctx_output_set_flags(self._context, flags)
            failed = self._library.nft_run_cmd_from_buffer(self._context, commands.encode())
            output: bytes = self._library.nft_ctx_get_output_buffer(self._context) or b""
            errors: bytes = self._library.nft_ctx_get_error_buffer(self._context) or b""
        if failed:
            raise NftError(errors.decode(errors="replace").strip() or "nftables refused the commands without a reason")
        return output.decode(errors="replace")


def _load() -> ctypes.CDLL:
    try:
        library = ctypes.CDLL(LIBRARY)
    except OSError as error:
        raise HostUnfit(
            f"cannot program the firewall: {LIBRARY} is missing ({error})",
            hint="install it: apt-get install libnftables1 (Debian, Ubuntu), dnf install nftables (Fedora), "
            "apk add nftables (Alpine)",
        ) from error
    context, number = ctypes.c_void_p, ctypes.c_uint
    library.nft_ctx_new.argtypes, library.nft_ctx_new.restype = [ctypes.c_uint32], context
    library.nft_run_cmd_from_buffer.argtypes = [context, ctypes.c_char_p]
    library.nft_ctx_output_set_flags.argtypes = [context, number]
    library.nft_ctx_output_set_flags.restype = None
    for name in ("nft_ctx_get_output_buffer", "nft_ctx_get_error_buffer"):
        function = getattr(library, name)
        function.argtypes, function.restype = [context], ctypes.c_char_p
    for name in ("nft_ctx_buffer_output", "nft_ctx_buffer_error", "nft_ctx_free"):
        getattr(library, name).argtypes = [context]
    library.nft_ctx_free.restype = None
    return library
