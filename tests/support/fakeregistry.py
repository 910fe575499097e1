"""A registry on loopback that does as it is told, also what no honest registry would do.

It keeps blobs, manifests and uploads in memory and writes down every request. ``faults`` are rules for the next
requests that match them; each is used up after its number of times.
"""

from __future__ import annotations

import base64
import gzip
import hashlib
import json
import random
import re
import sys
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import cache
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs, urlsplit

from tests.support.archives import Archive

MANIFEST = "application/vnd.oci.image.manifest.v1+json"
INDEX = "application/vnd.oci.image.index.v1+json"
CONFIG = "application/vnd.oci.image.config.v1+json"
LAYER = "application/vnd.oci.image.layer.v1.tar"
DOCKER_MANIFEST = "application/vnd.docker.distribution.manifest.v2+json"


@cache
def gzipped(data: bytes) -> bytes:
    return gzip.compress(data, 1, mtime=0)


def digest_of(data: bytes) -> str:
    return f"sha256:{hashlib.sha256(data).hexdigest()}"


@dataclass
class Fault:
    """What is done instead, the next ``times`` times that ``method`` and ``path`` (a regular expression) match.

    ``status`` answers that; ``cut`` ends the body after so many bytes; ``change`` makes other bytes of it;
    ``length`` announces another one; ``headers`` are added; ``hang`` never answers; ``whole`` knows no ranges;
    ``stall`` falls silent after so many bytes.
    """

    path: str
    method: str = "GET"
    times: int = 1
    status: int = 0
    headers: dict[str, str] = field(default_factory=dict)
    body: bytes = b""
    cut: int | None = None
    change: Callable[[bytes], bytes] | None = None
    length: int | None = None
    hang: bool = False
    whole: bool = False
    stall: int | None = None
    skip: int = 0  # so many matching requests pass first


@dataclass(frozen=True)
class Seen:
    method: str
    path: str
    query: dict[str, list[str]]
    headers: dict[str, str]


class FakeRegistry:
    """``host`` is 127.0.0.1:PORT. ``users``: name to password; ``auth``: "", "basic" or "token"."""

    def __init__(self) -> None:
        self.blobs: dict[tuple[str, str], bytes] = {}  # by repository and digest
        self.manifests: dict[tuple[str, str], tuple[str, bytes]] = {}
        self.uploads: dict[str, bytearray] = {}
        self.faults: list[Fault] = []
        self.seen: list[Seen] = []
        self.auth = ""
        self.users: dict[str, str] = {}
        self.tokens: set[str] = set()
        self.etags = True
        self.host = ""
        self.released = threading.Event()
        self._lock = threading.Lock()

    # Content

    def blob(self, repository: str, data: bytes) -> str:
        self.blobs[repository, digest_of(data)] = data
        return digest_of(data)

    def manifest(self, repository: str, tag: str, document: dict[str, Any]) -> str:
        data = json.dumps(document).encode()
        for name in filter(None, (tag, digest_of(data))):
            self.manifests[repository, name] = (document["mediaType"], data)
        return digest_of(data)

    def image(
        self,
        repository: str,
        tag: str,
        layers: Sequence[bytes],
        *,
        platform: str = "linux/amd64",
        compress: Callable[[bytes], bytes] | None = None,
        suffix: str = "+gzip",
        diff_ids: Sequence[str] | None = None,
        annotations: Mapping[str, str] | None = None,
    ) -> str:
        """An image of uncompressed ``layers``, gzipped unless ``compress`` does something else; answers the digest of
        its manifest. ``diff_ids``: what it claims them to be."""
        system, architecture, *variant = platform.split("/")
        config = {
            "architecture": architecture,
            "os": system,
            **({"variant": variant[0]} if variant else {}),
            "config": {"Cmd": ["/bin/sh"]},
            "rootfs": {"type": "layers", "diff_ids": [*(diff_ids or map(digest_of, layers))]},
        }
        packed = [(compress or gzipped)(layer) for layer in layers]
        document = {
            "schemaVersion": 2,
            "mediaType": MANIFEST,
            "config": self._descriptor(repository, CONFIG, json.dumps(config).encode()),
            "layers": [self._descriptor(repository, LAYER + suffix, data) for data in packed],
            **({"annotations": dict(annotations)} if annotations else {}),
        }
        return self.manifest(repository, tag, document)

    def _descriptor(self, repository: str, media_type: str, data: bytes) -> dict[str, Any]:
        return {"mediaType": media_type, "digest": self.blob(repository, data), "size": len(data)}

    def index(self, repository: str, tag: str, images: dict[str, str]) -> str:
        """``images``: platform to the digest of a manifest."""
        entries = []
        for platform, digest in images.items():
            system, architecture, *variant = platform.split("/")
            about = {"os": system, "architecture": architecture, **({"variant": variant[0]} if variant else {})}
            size = len(self.manifests[repository, digest][1])
            entries.append({"mediaType": MANIFEST, "digest": digest, "size": size, "platform": about})
        return self.manifest(repository, tag, {"schemaVersion": 2, "mediaType": INDEX, "manifests": entries})

    def config_of(self, repository: str, tag: str, data: bytes) -> str:
        """Makes ``data`` the configuration of an image; answers its digest."""
        document = json.loads(self.manifests[repository, tag][1])
        document["config"] = self._descriptor(repository, CONFIG, data)
        self.manifest(repository, tag, document)
        return str(document["config"]["digest"])

    def layers_of(self, repository: str, tag: str) -> list[str]:
        return [layer["digest"] for layer in json.loads(self.manifests[repository, tag][1])["layers"]]

    # What has happened

    def count(self, method: str, path: str) -> int:
        return len(self.requests(method, path))

    def requests(self, method: str, path: str) -> list[Seen]:
        return [item for item in self.seen if item.method == method and re.search(path, item.path)]

    # Serving

    @contextmanager
    def serving(self) -> Iterator[FakeRegistry]:
        outer = self

        class Handler(_Handler):
            registry = outer

        server = _Server(("127.0.0.1", 0), Handler)
        server.daemon_threads = True
        self.host = f"127.0.0.1:{server.server_address[1]}"
        thread = threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True)
        thread.start()
        try:
            yield self
        finally:
            self.released.set()
            server.shutdown()
            server.server_close()
            thread.join()

    def fault_for(self, method: str, path: str) -> Fault | None:
        with self._lock:
            for fault in self.faults:
                if fault.times and fault.method == method and re.search(fault.path, path):
                    if fault.skip:
                        fault.skip -= 1
                        continue
                    fault.times -= 1
                    return fault
        return None


class _Server(ThreadingHTTPServer):
    def handle_error(self, request: Any, client_address: Any) -> None:
        if not isinstance(sys.exception(), ConnectionError):  # the client has heard enough, and hung up
            super().handle_error(request, client_address)


class _Handler(BaseHTTPRequestHandler):
    registry: FakeRegistry
    protocol_version = "HTTP/1.1"
    fault: Fault | None = None

    def log_message(self, format: str, *args: object) -> None:
        pass

    def do_GET(self) -> None:
        self._take("GET")

    def do_HEAD(self) -> None:
        self._take("HEAD")

    def do_POST(self) -> None:
        self._take("POST")

    def do_PATCH(self) -> None:
        self._take("PATCH")

    def do_PUT(self) -> None:
        self._take("PUT")

    # One request

    def _take(self, method: str) -> None:
        parts = urlsplit(self.path)
        query = parse_qs(parts.query)
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        seen = Seen(method, parts.path, query, {name.title(): value for name, value in self.headers.items()})
        self.registry.seen.append(seen)
        self.fault = self.registry.fault_for(method, self.path)
        if self.fault and self.fault.hang:
            self.registry.released.wait()
            self.close_connection = True
            return
        if self.fault and self.fault.cut is not None and method in ("PATCH", "PUT", "POST"):
            self._cut_upload(parts.path, body)
            return
        if self.fault and self.fault.status:
            self._answer(self.fault.status, self.fault.body, self.fault.headers)
        elif parts.path == "/token" or parts.path == "/oauth":
            self._token(query, body)
        elif not self._allowed():
            self._challenge(parts.path, method)
        else:
            self._registry(method, parts.path, query, body)

    def _cut_upload(self, path: str, body: bytes) -> None:
        assert self.fault and self.fault.cut is not None
        name = path.rpartition("/")[2]
        if name in self.registry.uploads:
            self.registry.uploads[name] += body[: self.fault.cut]
        self.close_connection = True

    def _answer(self, status: int, body: bytes = b"", headers: dict[str, str] | None = None) -> None:
        fault = self.fault
        if fault and fault.change and body:
            body = fault.change(body)
        announced = len(body) if fault is None or fault.length is None else fault.length
        self.send_response(status)
        for name, value in {**(headers or {}), **(fault.headers if fault else {})}.items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(announced))
        self.end_headers()
        if self.command == "HEAD":
            return
        if fault and fault.cut is not None:
            body = body[: fault.cut]
            self.close_connection = True
        if fault and fault.stall is not None:
            self.wfile.write(body[: fault.stall])
            self.wfile.flush()
            self.registry.released.wait()
            self.close_connection = True
            return
        self.wfile.write(body)
        if announced != len(body):
            self.close_connection = True

    def _error(self, status: int, code: str, message: str = "") -> None:
        document = {"errors": [{"code": code, "message": message or code.lower().replace("_", " ")}]}
        self._answer(status, json.dumps(document).encode(), {"Content-Type": "application/json"})

    # Who may

    def _allowed(self) -> bool:
        given = self.headers.get("Authorization", "")
        match self.registry.auth:
            case "basic":
                return self._known(given)
            case "token":
                return given.removeprefix("Bearer ") in self.registry.tokens
        return True

    def _known(self, authorization: str) -> bool:
        if not authorization.startswith("Basic "):
            return False
        name, _, password = base64.b64decode(authorization[6:]).decode().partition(":")
        return self.registry.users.get(name) == password

    def _challenge(self, path: str, method: str) -> None:
        if self.registry.auth == "basic":
            header = 'Basic realm="fake"'
        else:
            repository = "/".join(path.split("/")[2:-2])
            scope = f"repository:{repository}:pull"
            header = f'Bearer realm="http://{self.registry.host}/token",service="fake",scope="{scope}"'
        data = json.dumps({"errors": [{"code": "UNAUTHORIZED", "message": "authentication required"}]}).encode()
        self._answer(401, data, {"WWW-Authenticate": header})

    def _token(self, query: dict[str, list[str]], body: bytes) -> None:
        given = self.headers.get("Authorization", "")
        form = parse_qs(body.decode())
        refresh = form.get("refresh_token", [""])[0]
        if self.registry.users and not (self._known(given) or refresh in self.registry.users.values()):
            self._error(401, "UNAUTHORIZED", "incorrect username or password")
            return
        token = f"token-{len(self.registry.seen)}"
        self.registry.tokens.add(token)
        self._answer(200, json.dumps({"token": token, "expires_in": 300}).encode())

    # The API

    def _registry(self, method: str, path: str, query: dict[str, list[str]], body: bytes) -> None:
        found = re.fullmatch(r"/v2/(?:(.+)/(blobs|manifests|tags)/(uploads/)?([^/]*))?", path)
        if not found:
            self._error(404, "NAME_UNKNOWN")
        elif found[2] is None:
            self._answer(200, b"{}")
        elif found[3]:
            self._upload(method, found[1], found[4], query, body)
        elif found[2] == "tags":
            tags = sorted(name for repository, name in self.registry.manifests if repository == found[1])
            plain = [name for name in tags if not name.startswith("sha256:")]
            if not plain:
                self._error(404, "NAME_UNKNOWN", "repository name not known to registry")
            else:
                self._answer(200, json.dumps({"name": found[1], "tags": plain}).encode())
        elif method == "PUT":
            self.registry.manifests[found[1], found[4]] = (self.headers["Content-Type"], body)
            self.registry.manifests[found[1], digest_of(body)] = (self.headers["Content-Type"], body)
            self._answer(201, b"", {"Docker-Content-Digest": digest_of(body)})
        elif found[2] == "manifests":
            self._manifest(found[1], found[4])
        else:
            self._blob(found[1], found[4])

    def _manifest(self, repository: str, reference: str) -> None:
        known = self.registry.manifests.get((repository, reference))
        if known is None:
            mine = any(name == repository for name, _ in self.registry.manifests)
            self._error(404, "MANIFEST_UNKNOWN" if mine else "NAME_UNKNOWN")
            return
        media_type, data = known
        self._answer(200, data, {"Content-Type": media_type, "Docker-Content-Digest": digest_of(data)})

    def _blob(self, repository: str, digest: str) -> None:
        data = self.registry.blobs.get((repository, digest))
        if data is None:
            self._error(404, "BLOB_UNKNOWN")
            return
        headers = {"ETag": f'"{digest}"'} if self.registry.etags else {}
        wanted = re.fullmatch(r"bytes=(\d+)-", self.headers.get("Range", ""))
        if wanted and not (self.fault and self.fault.whole):
            start = int(wanted[1])
            headers["Content-Range"] = f"bytes {start}-{len(data) - 1}/{len(data)}"
            self._answer(206, data[start:], headers)
        else:
            self._answer(200, data, headers)

    def _upload(self, method: str, repository: str, name: str, query: dict[str, list[str]], body: bytes) -> None:
        uploads = self.registry.uploads
        if method == "POST":
            source = (query.get("from", [""])[0], query.get("mount", [""])[0])
            if source in self.registry.blobs:
                self.registry.blobs[repository, source[1]] = self.registry.blobs[source]
                self._answer(201)
                return
            name = f"u{len(uploads)}"
            uploads[name] = bytearray()
        if name not in uploads:
            self._error(404, "BLOB_UPLOAD_UNKNOWN")
            return
        state = {"Location": f"/v2/{repository}/blobs/uploads/{name}", "Range": f"0-{max(0, len(uploads[name]) - 1)}"}
        if method == "POST":
            self._answer(202, b"", state)
        elif method == "GET":
            self._answer(204, b"", state)
        elif method == "PATCH":
            start = int(self.headers.get("Content-Range", "0-").partition("-")[0])
            if start != len(uploads[name]):
                self._error(416, "RANGE_INVALID")
                return
            uploads[name] += body
            self._answer(202, b"", {**state, "Range": f"0-{len(uploads[name]) - 1}"})
        else:
            data = bytes(uploads.pop(name)) + body
            if query["digest"] != [digest_of(data)]:
                self._error(400, "DIGEST_INVALID")
                return
            self.registry.blob(repository, data)
            self._answer(201)


def some_layer(*names: str, size: int = 0) -> bytes:
    """An uncompressed layer with small files of these names, and one of ``size`` bytes that do not compress."""
    archive = Archive()
    for name in names:
        archive.add(name, f"content of {name}".encode())
    if size:
        archive.add("large", _noise(size))
    return archive.data()


def _noise(size: int) -> bytes:
    """The same every time."""
    return random.Random(size).randbytes(size)
