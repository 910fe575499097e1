"""Build contexts that lie elsewhere: git repositories, archives and single Dockerfiles behind a URL, as directories."""

from __future__ import annotations

import os
from pathlib import Path

from stackup.base.errors import ImageError, StackFileError
from stackup.base.files import locked
from stackup.base.values import frozen
from stackup.base.workroom import Workroom
from stackup.build import download, gitsource
from stackup.build.placing import is_archive
from stackup.build.sources import Item
from stackup.images.streams import Compression, Pump, decompressed
from stackup.images.unpack import unpack_layer


@frozen
class Remote:
    """``hidden``: lines for .dockerignore. ``dockerfile``: where the URL was that of a Dockerfile."""

    path: Path
    hidden: str = ""
    dockerfile: Path | None = None


def is_remote(context: str) -> bool:
    try:
        return gitsource.parse_git(context, context=True) is not None or download.is_url(context)
    except ValueError:
        return True


def fetch_context(
    context: str, root: Path, downloads: download.Downloads, checkouts: gitsource.GitCheckouts, *, about: str
) -> Remote:
    """``root``: where unpacked archives are kept. Raises ImageError, StackFileError."""
    try:
        git = gitsource.parse_git(context, context=True)
    except ValueError as error:
        raise StackFileError(f"cannot build from {context}: {error}", about=about) from None
    if git is not None:
        return _repository(git, checkouts, about)
    found = downloads.fetch(context)
    item = Item("", str(found.path), os.stat(found.path))
    name = found.digest.removeprefix("sha256:")[:32]
    target = root / name
    with locked(root / ".locks" / name):
        if not target.is_dir():
            _unpack(found.path, target, root, archive=is_archive(item))
        os.utime(target)
    single = target / "Dockerfile"
    return Remote(target, dockerfile=single if not is_archive(item) else None)


def _repository(git: gitsource.GitReference, checkouts: gitsource.GitCheckouts, about: str) -> Remote:
    path, _ = checkouts.checkout(git)
    place = Path(os.path.realpath(path / git.subdir))
    if not place.is_dir() or not place.is_relative_to(os.path.realpath(path)):
        raise StackFileError(f"cannot build from {git.remote}: it has no directory {git.subdir}", about=about)
    return Remote(place, "" if git.keep_git else ".git")


def _unpack(source: Path, target: Path, root: Path, *, archive: bool) -> None:
    root.mkdir(parents=True, exist_ok=True)
    with Workroom(root / ".work").directory() as temporary:
        os.chmod(temporary, 0o755)
        with source.open("rb") as file:
            if not archive:
                data = file.read()
                if b"\0" in data:
                    raise ImageError("cannot build from the URL: it is neither an archive nor a Dockerfile")
                (temporary / "Dockerfile").write_bytes(data)
            else:
                compression = Compression.of(file.read(6))
                file.seek(0)
                pump = Pump(decompressed(file, compression))
                with pump.running():
                    unpack_layer(pump.reader.read, temporary, whiteouts=False)
        os.rename(temporary, target)
