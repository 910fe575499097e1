"""Tar archives made entry by entry, also such as no honest tool would write."""

from __future__ import annotations

import io
import tarfile


class Archive:
    """Collects entries; ``data()`` is the archive. Names are taken exactly as given."""

    def __init__(self, form: int = tarfile.PAX_FORMAT) -> None:
        self._buffer = io.BytesIO()
        self._tar = tarfile.open(fileobj=self._buffer, mode="w", format=form)  # noqa: SIM115 - closed by data()

    def add(
        self,
        name: str,
        content: bytes = b"",
        *,
        kind: bytes = tarfile.REGTYPE,
        link: str = "",
        mode: int = 0o644,
        device: tuple[int, int] = (0, 0),
        owner: tuple[int, int] = (0, 0),
        mtime: float = 0,
        pax: dict[str, str] | None = None,
    ) -> Archive:
        info = tarfile.TarInfo(name)
        info.type, info.linkname, info.mode, info.size, info.mtime = kind, link, mode, len(content), mtime
        info.devmajor, info.devminor = device
        info.uid, info.gid = owner
        info.pax_headers = pax or {}
        self._tar.addfile(info, io.BytesIO(content))
        return self

    def directory(self, name: str, mode: int = 0o755) -> Archive:
        return self.add(name, kind=tarfile.DIRTYPE, mode=mode)

    def symlink(self, name: str, link: str) -> Archive:
        return self.add(name, kind=tarfile.SYMTYPE, link=link)

    def hardlink(self, name: str, link: str) -> Archive:
        return self.add(name, kind=tarfile.LNKTYPE, link=link)

    def data(self) -> bytes:
        self._tar.close()
        return self._buffer.getvalue()
