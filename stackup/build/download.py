"""``ADD https://...``: files from the network, kept below ``build_cache/http`` so that an unchanged one is asked for,
not fetched, the next time.
"""

from __future__ import annotations

import hashlib
import json
import os
import posixpath
import re
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlsplit

from stackup.base.errors import ImageError
from stackup.base.files import locked, write_atomic
from stackup.base.values import frozen
from stackup.base.workroom import Workroom

_SECONDS = 60
_CHUNK = 1 << 20
_CHECKSUM = re.compile(r"(sha256|sha384|sha512):([0-9a-f]+)\Z")
_LENGTHS = {"sha256": 64, "sha384": 96, "sha512": 128}
UNNAMED = "__unnamed__"  # BuildKit's name for what has none


@frozen
class Download:
    """A file that is here. ``seconds``: its time, from the server (0: it does not say)."""

    path: Path
    name: str
    digest: str
    seconds: int


def is_url(text: str) -> bool:
    return text.startswith(("http://", "https://"))


def name_of(url: str) -> str:
    return unquote(posixpath.basename(urlsplit(url).path)) or UNNAMED


def check_checksum(text: str) -> None:
    found = _CHECKSUM.match(text)
    if found is None or len(found[2]) != _LENGTHS[found[1]]:
        raise ValueError(f"--checksum={text} is not one such as sha256:24454f830c...")


class _Unchanged(Exception):
    """Status 304."""


class Answer:
    """A file while it arrives: can be read like one."""

    def __init__(self, url: str, answer: Any) -> None:
        self._url = url
        self._answer = answer
        self._size = 0
        self.headers = answer.headers

    def read(self, size: int) -> bytes:
        """Raises ImageError where the connection breaks."""
        from http.client import HTTPException  # loaded with what has opened it

        try:
            data: bytes = self._answer.read(size)
        except (OSError, ValueError, HTTPException) as error:
            raise ImageError(f"cannot fetch {self._url}: {error}") from None
        self._size += len(data)
        expected = self.headers.get("Content-Length") or ""
        if not data and size and expected.isdigit() and int(expected) != self._size:
            text = f"the connection broke after {self._size} of {expected} bytes"
            raise ImageError(f"cannot fetch {self._url}: {text}")
        return data


@contextmanager
def opened(url: str, headers: Mapping[str, str] | None = None) -> Iterator[Answer]:
    """What the server sends, for the block. Raises ImageError."""
    import urllib.error  # costs more to import than a cached build takes
    import urllib.request
    from http.client import HTTPException

    given = {key: text for key, text in (headers or {}).items() if text}
    try:
        request = urllib.request.Request(url, headers={"User-Agent": "stackup", "Accept-Encoding": "identity", **given})
        answer = urllib.request.urlopen(request, timeout=_SECONDS)
    except urllib.error.HTTPError as error:
        text = f"cannot fetch {url}: the server answers {error.code} {error.reason}"
        raise (_Unchanged(text) if error.code == 304 else ImageError(text)) from None
    except urllib.error.URLError as error:
        raise ImageError(f"cannot fetch {url}: {getattr(error.reason, 'strerror', '') or error.reason}") from None
    except (OSError, ValueError, HTTPException) as error:
        raise ImageError(f"cannot fetch {url}: {error}") from None
    with answer:
        yield Answer(url, answer)


class Downloads:
    def __init__(self, root: Path, on_note: Callable[[str], None] = lambda _text: None) -> None:
        self._root = root
        self._say = on_note

    def fetch(self, url: str, checksum: str = "") -> Download:
        """Raises ImageError. With ``checksum`` a file that is here already is not asked for again."""
        key = hashlib.sha256(url.encode()).hexdigest()
        with locked(self._root / ".locks" / key[:16]):
            known = self._known(key)
            if known is not None and checksum and known["checksums"].get(checksum.partition(":")[0]) == checksum:
                return self._download(key, url, known)
            record = self._ask(key, url, known, checksum)
            return self._download(key, url, record)

    def _known(self, key: str) -> dict[str, Any] | None:
        try:
            found: dict[str, Any] = json.loads((self._root / f"{key}.json").read_bytes())
        except (OSError, ValueError):
            return None
        path = self._root / key
        return found if path.is_file() and path.stat().st_size == found["size"] else None

    def _download(self, key: str, url: str, record: dict[str, Any]) -> Download:
        path = self._root / key
        os.utime(self._root / f"{key}.json")  # in use
        return Download(path, name_of(url), record["digest"], int(record["seconds"]))

    def _ask(self, key: str, url: str, known: dict[str, Any] | None, checksum: str) -> dict[str, Any]:
        headers = {"If-None-Match": known["etag"], "If-Modified-Since": known["modified"]} if known else {}
        try:
            with opened(url, headers) as answer:
                return self._store(key, url, answer, checksum, known)
        except _Unchanged as error:
            if known is None:
                raise ImageError(str(error)) from None
            return self._checked(key, url, known, checksum)

    def _checked(self, key: str, url: str, known: dict[str, Any], checksum: str) -> dict[str, Any]:
        """What is here, held against a checksum that it was not fetched with."""
        kind = checksum.partition(":")[0]
        if not checksum:
            return known
        with (self._root / key).open("rb") as file:
            found = f"{kind}:{hashlib.file_digest(file, kind).hexdigest()}"
        if found != checksum:
            raise _mismatch(url, found, checksum)
        return known

    def _store(self, key: str, url: str, answer: Answer, checksum: str, known: dict[str, Any] | None) -> dict[str, Any]:
        """``known``: what is here of it. The same again leaves that alone: another step may be copying it."""
        self._say(f"fetching {url}")
        kind = checksum.partition(":")[0] or "sha256"
        hashes = {name: hashlib.new(name) for name in {"sha256", kind}}
        size = 0
        self._root.mkdir(parents=True, exist_ok=True)
        with Workroom(self._root / ".work").file() as temporary:
            with open(temporary, "wb") as file:
                while data := answer.read(_CHUNK):
                    size += len(data)
                    file.write(data)
                    for state in hashes.values():
                        state.update(data)
            checksums = {name: f"{name}:{state.hexdigest()}" for name, state in hashes.items()}
            if checksum and checksums[kind] != checksum:
                raise _mismatch(url, checksums[kind], checksum)
            if known is None or known["digest"] != checksums["sha256"]:
                os.rename(temporary, self._root / key)
        modified = answer.headers.get("Last-Modified", "")
        record = {
            "url": url, "size": size, "digest": checksums["sha256"], "checksums": checksums, "modified": modified,
            "etag": answer.headers.get("ETag", ""), "seconds": _seconds(modified),
        }  # fmt: skip
        write_atomic(self._root / f"{key}.json", json.dumps(record))
        return record


def _mismatch(url: str, found: str, wanted: str) -> ImageError:
    return ImageError(f"cannot use {url}: its checksum is {found}, not {wanted}")


def _seconds(modified: str) -> int:
    from email.utils import parsedate_to_datetime  # as above

    try:
        return max(0, int(parsedate_to_datetime(modified).timestamp())) if modified else 0
    except (ValueError, TypeError):
        return 0
