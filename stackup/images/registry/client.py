"""The requests of the distribution API, for one repository. Answers are checked against what was asked for."""

from __future__ import annotations

import hashlib
import time
from collections.abc import Iterator
from typing import Any, Protocol
from urllib.parse import quote

from stackup.base.jsontext import parse_json
from stackup.base.values import frozen
from stackup.images.registry.conversation import DOCUMENT, Conversation, target_of
from stackup.images.registry.errors import BadAnswer, NotThere
from stackup.images.registry.settings import Endpoint
from stackup.images.registry.transport import Answer
from stackup.oci import image as oci
from stackup.oci.reference import is_digest, is_tag

ACCEPTED = (oci.INDEX, oci.DOCKER_INDEX, oci.MANIFEST, oci.DOCKER_MANIFEST)
_SHORT = 12  # digits of a digest that people are shown
_TAGS = 10_000
_TAG_PAGES = 10
_TAG_SECONDS = 10.0
_OLD = "application/vnd.docker.distribution.manifest.v1"


@frozen
class Manifest:
    """As the registry has it: ``data`` is what ``digest`` is the digest of."""

    media_type: str
    digest: str
    data: bytes

    @property
    def descriptor(self) -> oci.Descriptor:
        return oci.Descriptor(self.media_type, self.digest, len(self.data))

    def document(self) -> dict[str, Any]:
        """Raises BadAnswer."""
        try:
            document = parse_json(self.data)
        except ValueError:
            document = None
        if not isinstance(document, dict):
            raise BadAnswer(f"manifest {self.digest} is no JSON object")
        return document


class Body(Protocol):
    """What is sent while it is read. ``rewind``: from its beginning once more."""

    def read(self, size: int, /) -> bytes: ...

    def rewind(self) -> None: ...


class Repository:
    """``actions``: "pull", or "pull,push"."""

    def __init__(self, conversation: Conversation, endpoint: Endpoint, actions: str = "pull") -> None:
        self._conversation = conversation
        self.endpoint = endpoint
        self._scopes = (f"repository:{endpoint.repository}:{actions}",)
        self._base = f"/v2/{endpoint.repository}"

    # Reading

    def digest_of(self, tag: str) -> str:
        """The digest that a tag stands for, "" when the registry does not tell. Costs no rate limit on Docker Hub."""
        answer = self._conversation.request("HEAD", self._manifest(tag), headers=_accepting(), scopes=self._scopes)
        answer.drop()
        found = answer.headers.get("Docker-Content-Digest", "")
        return found if is_digest(found) else ""

    def manifest(self, reference: str) -> Manifest:
        """By tag or digest. Raises NotThere, BadAnswer when it is not what its digest says."""
        if ":" in reference and not is_digest(reference):  # an index's word; what came could not be compared with it
            raise BadAnswer(f"its manifest {reference} cannot be used: only sha256 digests are supported")
        answer = self._conversation.request("GET", self._manifest(reference), headers=_accepting(), scopes=self._scopes)
        data = answer.body(DOCUMENT)
        digest = f"sha256:{hashlib.sha256(data).hexdigest()}"
        claimed = reference if is_digest(reference) else answer.headers.get("Docker-Content-Digest", "")
        if is_digest(claimed) and claimed != digest:
            raise BadAnswer(f"the manifest that {self.endpoint.host} sends is {digest}, not {claimed}")
        return Manifest(_media_type(answer, data, self.endpoint.host), digest, data)

    def blob(self, digest: str, offset: int = 0) -> Answer:
        """Its bytes from ``offset`` on: status 206, or 200 from the beginning where the registry cannot do that."""
        headers = {"Range": f"bytes={offset}-"} if offset else {}
        return self._conversation.request(
            "GET",
            f"{self._base}/blobs/{digest}",
            headers=headers,
            scopes=self._scopes,
            expected=(200, 206),
            about=digest.removeprefix("sha256:")[:_SHORT],
        )

    def has_blob(self, digest: str) -> bool:
        try:
            self._conversation.request("HEAD", f"{self._base}/blobs/{digest}", scopes=self._scopes).drop()
        except NotThere:
            return False
        return True

    def tags(self) -> list[str]:
        """As many as fit on a few pages, and come without much ado: they are for a hint."""
        found: list[str] = []
        path, due = f"{self._base}/tags/list?n=1000", time.monotonic() + _TAG_SECONDS
        for _ in range(_TAG_PAGES):
            answer = self._conversation.request("GET", path, scopes=self._scopes, once=True)
            try:
                listed = parse_json(answer.body(DOCUMENT)).get("tags") or ()
                found += [tag for tag in listed if isinstance(tag, str) and is_tag(tag)]
            except (ValueError, AttributeError, TypeError):
                break
            link = answer.headers.get("Link", "")
            if 'rel="next"' not in link or not link.startswith("<") or time.monotonic() > due:
                break
            path = target_of(answer.url, link[1:].partition(">")[0])
        return found[:_TAGS]

    def _manifest(self, reference: str) -> str:
        return f"{self._base}/manifests/{quote(reference, safe=':')}"

    # Writing

    def mount(self, digest: str, source: str) -> str:
        """Takes a blob over from repository ``source`` of the same registry. "" when that is done, else the URL of
        an upload that the registry has begun instead."""
        scopes = (*self._scopes, f"repository:{source}:pull")
        path = f"{self._base}/blobs/uploads/?mount={quote(digest)}&from={quote(source)}"
        return self._begun(self._conversation.request("POST", path, scopes=scopes, body=b"", expected=(201, 202)))

    def begin_upload(self) -> str:
        """The URL to upload a blob to."""
        path = f"{self._base}/blobs/uploads/"
        return self._begun(self._conversation.request("POST", path, scopes=self._scopes, body=b"", expected=(202,)))

    def _begun(self, answer: Answer) -> str:
        answer.drop()
        if answer.status == 201:
            return ""
        return self._location(answer)

    def _location(self, answer: Answer) -> str:
        location = answer.headers.get("Location", "")
        if not location:
            raise BadAnswer(f"{self.endpoint.host} does not say where to upload to")
        return target_of(answer.url, location)

    def append(self, upload: str, body: Body, offset: int, length: int) -> str:
        """Adds the ``length`` bytes from ``offset`` on; answers the URL to end the upload at. All of a blob in one
        piece names no range: some registries know none."""
        headers = {"Content-Type": "application/octet-stream", "Content-Length": str(length)}
        if offset:
            headers["Content-Range"] = f"{offset}-{offset + length - 1}"
        answer = self._conversation.request(
            "PATCH", upload, headers=headers, body=body, scopes=self._scopes, expected=(202,), once=True
        )
        answer.drop()
        return self._location(answer)

    def progress_of(self, upload: str) -> tuple[str, int]:
        """Where to go on with an upload that broke, and how many bytes have arrived. Raises NotThere."""
        answer = self._conversation.request("GET", upload, scopes=self._scopes, expected=(204, 202))
        answer.drop()
        first, _, last = answer.headers.get("Range", "").removeprefix("bytes=").partition("-")
        arrived = int(last) + 1 if first == "0" and last.isdecimal() and len(last) < 19 else 0
        return target_of(answer.url, answer.headers.get("Location", "") or upload), (0 if arrived == 1 else arrived)

    def finish(self, upload: str, digest: str, body: bytes = b"") -> None:
        """Ends an upload, with its last bytes; the registry checks the digest."""
        url = f"{upload}{'&' if '?' in upload else '?'}digest={quote(digest)}"
        headers = {"Content-Type": "application/octet-stream"} if body else {}
        self._conversation.request(
            "PUT", url, headers=headers, body=body, scopes=self._scopes, expected=(201, 204), once=bool(body)
        ).drop()

    def put_manifest(self, reference: str, manifest: Manifest) -> None:
        headers = {"Content-Type": manifest.media_type}
        self._conversation.request(
            "PUT",
            self._manifest(reference),
            headers=headers,
            body=manifest.data,
            scopes=self._scopes,
            expected=(201, 202, 200),
        ).drop()


def _accepting() -> dict[str, str]:
    return {"Accept": ", ".join(ACCEPTED)}


def _media_type(answer: Answer, data: bytes, host: str) -> str:
    """What the document says of itself, else the header: registries that store both kinds confuse the latter."""
    try:
        document = parse_json(data)
    except ValueError as error:
        raise BadAnswer(f"{host} sends something that is no manifest: {error}") from None
    said = str(document.get("mediaType") or "") if isinstance(document, dict) else ""
    header = answer.headers.get("Content-Type", "").partition(";")[0].strip()
    found = said or (header if header in ACCEPTED else "")
    if header.startswith(_OLD) or (isinstance(document, dict) and document.get("schemaVersion") == 1):
        raise BadAnswer(f"{host} has the image only in the format of 2015 (schema 1)", hint="push it anew")
    if not found and isinstance(document, dict):
        found = oci.INDEX if "manifests" in document else oci.MANIFEST
    return found


def children(document: dict[str, Any]) -> Iterator[oci.Descriptor]:
    yield from oci.Index.from_json(document).manifests
