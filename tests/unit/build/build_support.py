"""Builds in this process: a state directory with a small base image, a context, and looks into what came out."""

from __future__ import annotations

import io
import json
import os
import stat
from collections.abc import Mapping
from pathlib import Path

import pytest

from stackup.base.errors import ImageError, StackFileError, StackupError
from stackup.base.paths import Layout
from stackup.base.values import as_mapping
from stackup.build import BuildRequest, build_image
from stackup.build.progress import Event, StepCached, Warned
from stackup.images import Image, ImageStore
from stackup.images.lookup import Place, Stack
from stackup.oci import image as oci
from tests.support.archives import Archive

BASE = (
    Archive()
    .directory("etc")
    .add("etc/passwd", b"root:x:0:0:root:/root:/bin/sh\nalice:x:1000:1001::/home/alice:/bin/sh\n")
    .add("etc/group", b"root:x:0:\nstaff:x:50:\nalice:x:1001:\n")
    .directory("usr/lib", 0o711)
    .symlink("lib", "usr/lib")
    .directory("full")
    .add("full/old", b"old")
    .add("file", b"a file")
    .data()
)


_ASKED = ("owner", "mode", "link", "names", "time", "links")


class Bench:
    """``root``: a fresh directory. Several contexts may share one state: give ``state``."""

    def __init__(self, root: Path, state: Path | None = None) -> None:
        self.layout = Layout.at(state or root / "state")
        self.context = root / "context"
        self.context.mkdir()
        self.store = ImageStore(self.layout)
        if self.store.resolve("base") is None:
            self.store.import_rootfs(io.BytesIO(BASE), "base")
        self.events: list[Event] = []

    def files(self, **contents: str) -> None:
        for name, content in contents.items():
            self.file(name, content)

    def file(self, name: str, content: str = "x", mode: int = 0o644) -> Path:
        path = self.context / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(content)
        path.chmod(mode)
        return path

    def build(self, text: str, **more: object) -> Image:
        self.events = []
        request = BuildRequest(**{"context": str(self.context), "inline": text, "tags": ("out",), **more})  # type: ignore[arg-type]
        return build_image(request, self.layout, self.events.append)

    def refused(self, text: str, reason: str, line: int = 0, **more: object) -> StackupError:
        with pytest.raises((StackFileError, ImageError), match=reason) as caught:
            self.build(text, **more)
        if line:
            assert caught.value.where and caught.value.where.line == line
        return caught.value

    @property
    def cached(self) -> int:
        return sum(isinstance(event, StepCached) for event in self.events)

    @property
    def warnings(self) -> list[str]:
        """``Rule:line`` of each."""
        found = []
        for event in self.events:
            if isinstance(event, Warned):
                found.append(f"{event.message.partition(':')[0]}:{event.line}")
        return found


class View:
    def __init__(self, bench: Bench, image: Image) -> None:
        bench.store.materialize(image)
        self.image = image
        self.stack = Stack(image.overlays(None))
        self.document = bench.store.config_file(bench.store.manifest(oci.Descriptor(oci.MANIFEST, image.digest, 0)))

    def place(self, path: str) -> Place:
        return self.stack.find(path, follow=False)

    def stat(self, path: str) -> os.stat_result:
        return os.lstat(self.place(path).paths[0])

    def owner(self, path: str) -> tuple[int, int]:
        return self.stat(path).st_uid, self.stat(path).st_gid

    def mode(self, path: str) -> int:
        return stat.S_IMODE(self.stat(path).st_mode)

    def text(self, path: str) -> str | None:
        data = self.stack.read(path)
        return None if data is None else data.decode()

    def names(self, path: str) -> list[str]:
        return self.stack.names(self.stack.find(path))

    def fact(self, question: str) -> object:
        """What a table asks for: ``/path``, ``/path owner|mode|link|names|time``, or a field of the configuration such
        as ``env.NAME``, ``cmd``, ``labels.x``."""
        if question.startswith("/"):
            path, _, what = question.rpartition(" ")
            return self._of_path(path, what) if what in _ASKED else self._of_path(question, "")
        check = self.image.config.healthcheck
        config: Mapping[str, object] = {
            **as_mapping(self.image.config),
            "healthcheck": as_mapping(check) if check else None,
            "env": self.image.config.environment,
            "labels": dict(self.image.config.labels),
            "author": self.document.author,
            "created": self.document.created,
            "layers": len(self.image.layers),
        }
        name, _, key = question.partition(".")
        found = config[name]
        if key:
            assert isinstance(found, Mapping)
            return found.get(key)
        return json.loads(json.dumps(found))

    def _of_path(self, path: str, what: str) -> object:
        if not self.place(path).paths:
            return None
        match what:
            case "owner":
                return "{}:{}".format(*self.owner(path))
            case "mode":
                return f"{self.mode(path):o}"
            case "link":
                return os.readlink(self.place(path).paths[0])
            case "names":
                return " ".join(self.names(path))
            case "time":
                return int(self.stat(path).st_mtime)
            case "links":
                return self.stat(path).st_nlink
        return "a directory" if self.place(path).is_directory else self.text(path)


def no_registry(monkeypatch: pytest.MonkeyPatch) -> None:
    """Base images that are not here cannot be pulled."""

    def refuse(_store: object, reference: str, *_rest: object) -> None:
        raise ImageError(f"cannot pull {reference}: there is no network in a test")

    monkeypatch.setattr("stackup.build.bases.pull_image", refuse)
