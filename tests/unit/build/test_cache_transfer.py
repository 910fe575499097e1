"""Caches in other places, reproducible builds, rooms that stay empty, full disks."""

from __future__ import annotations

import errno
import itertools
import os
from pathlib import Path

import pytest
from build_support import Bench, View, no_registry

from stackup.base.errors import ImageError, StackFileError
from stackup.build import cachetransfer
from stackup.build.cache import StepCache
from stackup.build.cachetransfer import CachePlace, parse_place
from stackup.build.progress import Warned
from stackup.images.blobs import BlobStore
from stackup.oci import image as oci
from tests.support.fakeregistry import MANIFEST, FakeRegistry

pytestmark = pytest.mark.skipif(os.geteuid() != 0, reason="owners of files in layers need root")

TEXT = "FROM base AS x\nCOPY a /a\nFROM base\nCOPY --from=x /a /b\nWORKDIR /w\n"


@pytest.fixture
def benches(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> tuple[Bench, Bench]:
    no_registry(monkeypatch)
    found = []
    for name in ("one", "two"):
        (tmp_path / name).mkdir()
        bench = Bench(tmp_path / name)
        bench.file("a", "A")
        found.append(bench)
    return found[0], found[1]


def test_a_local_cache_goes_to_another_machine(benches: tuple[Bench, Bench], tmp_path: Path) -> None:
    first, second = benches
    place = str(tmp_path / "cache")
    made = first.build(TEXT, cache_to=(f"type=local,dest={place},mode=max",))
    assert sorted(os.listdir(place)) == ["blobs", "index.json", "oci-layout"], "it is the user's directory"
    image = second.build(TEXT, cache_from=(f"type=local,src={place}",))
    assert second.cached == 3
    assert image.layers[1:] and [layer.digest for layer in image.layers[1:]] == [
        layer.digest for layer in made.layers[1:]
    ]
    assert View(second, image).text("/b") == "A"
    second.build(TEXT)
    assert second.cached == 3, "it is this machine's now"


def test_the_least_cache_has_what_the_image_has(benches: tuple[Bench, Bench], tmp_path: Path) -> None:
    first, second = benches
    place = str(tmp_path / "cache")
    first.build(TEXT, cache_to=(f"type=local,dest={place}",))
    second.build(TEXT, cache_from=(f"type=local,src={place}",))
    assert second.cached == 2


def test_a_damaged_cache_is_no_cache(benches: tuple[Bench, Bench], tmp_path: Path) -> None:
    first, second = benches
    place = tmp_path / "cache"
    first.build(TEXT, cache_to=(f"type=local,dest={place},mode=max",))
    layers = [blob for blob in (place / "blobs/sha256").iterdir() if not blob.read_bytes().startswith(b"{")]
    for blob in layers:
        blob.chmod(0o644)
        blob.write_bytes(b"something else")
    view = View(second, second.build(TEXT, cache_from=(f"type=local,src={place}",)))
    assert layers and (view.text("/b"), second.cached) == ("A", 0)
    stored = second.store.blobs.directory.iterdir()
    assert not any(blob.read_bytes() == b"something else" for blob in stored), "it never was visible"
    for blob in (place / "blobs/sha256").iterdir():
        blob.unlink()
    second.build(f"{TEXT}USER 1\n", cache_from=(f"type=local,src={place}",))
    assert any(isinstance(event, Warned) and "goes on without" in event.message for event in second.events)


@pytest.mark.parametrize(
    "odd", [{"size": "many"}, {"size": None}, {"layer": 7}, {"layer": "/etc"}, {"media_type": 1, "layer": "sha512:0"}]
)
def test_records_that_say_nothing_useful(benches: tuple[Bench, Bench], odd: dict[str, object]) -> None:
    first, _ = benches
    key, digest = "k" * 64, "sha256:" + "0" * 64
    record = {"layer": digest, "size": 1, "media_type": oci.LAYER, "created": "", **odd}
    cache = StepCache(first.layout, first.store)
    cache.others.append(({key: record}, lambda _digest: iter([b"x"])))
    assert cache.find(key) is None


def test_a_layer_of_a_cache_that_never_ends(benches: tuple[Bench, Bench]) -> None:
    bench, _ = benches
    digest = f"sha256:{'1' * 64}"
    cache = StepCache(bench.layout, bench.store)
    record = {"layer": digest, "size": 1000, "media_type": oci.LAYER, "created": ""}
    cache.others = [({"key": record}, lambda _digest: itertools.repeat(b"x" * 100))]
    assert cache.find("key") is None
    assert not bench.store.blobs.has(digest)


def test_records_of_a_cache_that_never_end(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cachetransfer, "_LARGEST", 1 << 20)
    with FakeRegistry().serving() as registry:
        config = {"mediaType": cachetransfer.CONFIG, "digest": registry.blob("a", b" " * (3 << 20)), "size": 2}
        registry.manifest("a", "1", {"schemaVersion": 2, "mediaType": MANIFEST, "config": config, "layers": []})
        cache = cachetransfer.RegistryCache(f"{registry.host}/a:1", {"HOME": "/nonexistent"}, push=False)
        with pytest.raises(ImageError, match="more than 1 MiB"):
            cache.load()


def test_caches_that_are_not_there_or_of_no_known_kind(benches: tuple[Bench, Bench]) -> None:
    bench, _ = benches
    bench.build(TEXT, cache_from=("type=local,src=nowhere", "type=gha"), cache_to=("type=inline",))
    assert sum(isinstance(event, Warned) for event in bench.events) == 3
    assert any(isinstance(event, Warned) and "goes on without" in event.message for event in bench.events)
    bench.refused(TEXT, "needs src= or dest=", cache_from=("type=local",))


@pytest.mark.parametrize(
    ("text", "wanted"),
    [
        ("some/image:1", CachePlace("registry", "some/image:1")), ("type=gha", None),
        ("type=registry,ref=a/b,mode=max", CachePlace("registry", "a/b", whole=True)),
        ("type=local,src=/x,tag=t", CachePlace("local", "/x", "t")),
        ("type=local,dest=/x,ignore-error=true", CachePlace("local", "/x", tolerant=True)),
    ],
)  # fmt: skip
def test_places(text: str, wanted: CachePlace | None) -> None:
    assert parse_place(text, "") == wanted
    with pytest.raises(StackFileError):
        parse_place("type=nothing", "")


def test_the_same_epoch_gives_the_same_image(benches: tuple[Bench, Bench]) -> None:
    text = "FROM scratch\nCOPY a /x/a\nADD a /b\nCOPY <<E /c\ntext\nE\nWORKDIR /new/dir\nENV A=1\n"
    digests = []
    for bench, seconds in zip(benches, (1_600_000_000, 1_700_000_000), strict=True):
        os.utime(bench.context / "a", (seconds, seconds))
        image = bench.build(text, args={"SOURCE_DATE_EPOCH": "1000"})
        assert View(bench, image).fact("/x/a time") == 1000
        digests.append(image.digest)
    assert digests[0] == digests[1]
    again = benches[0].build(text, args={"SOURCE_DATE_EPOCH": "1000"}, no_cache=True)
    assert again.digest == digests[0]
    assert benches[0].build(text).digest != digests[0]


def test_stages_side_by_side(benches: tuple[Bench, Bench]) -> None:
    bench, _ = benches
    stages = [f"FROM base AS s{number}\nCOPY a /{number}\n" for number in range(12)]
    last = "FROM scratch\n" + "".join(f"COPY --from=s{number} /{number} /\n" for number in range(12))
    view = View(bench, bench.build("".join(stages) + last))
    assert len(view.names("/")) == 12
    bench.build("".join(stages) + last)
    assert bench.cached == 24


def test_the_stage_that_failed_is_the_one_that_is_told(benches: tuple[Bench, Bench]) -> None:
    bench, _ = benches
    text = "FROM base AS one\nCOPY none /x\nFROM base AS two\nCOPY a /\nFROM base\nCOPY --from=two /a /\n"
    bench.refused(f"{text}COPY --from=one /x /\n", "there is no 'none' in the build context", 2)
    assert [path.name for path in (bench.layout.build_cache / ".work").iterdir()] == [".gate"]


def test_no_cache_for_some_stages(benches: tuple[Bench, Bench]) -> None:
    bench, _ = benches
    bench.build(TEXT)
    bench.build(TEXT, no_cache_filter=("x",))
    assert bench.cached == 2


def test_linked_copies_do_not_depend_on_what_is_below(benches: tuple[Bench, Bench]) -> None:
    bench, _ = benches
    bench.build("FROM base\nCOPY --link a /l\n")
    view = View(bench, bench.build("FROM base\nCOPY a /first\nCOPY --link a /l\n"))
    assert bench.cached == 1
    assert (view.text("/l"), view.text("/first"), view.text("/file")) == ("A", "A", "a file")


def test_a_full_disk(benches: tuple[Bench, Bench], monkeypatch: pytest.MonkeyPatch) -> None:
    bench, _ = benches

    def full(*_: object) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    with monkeypatch.context() as patched:
        patched.setattr("stackup.build.writer.copy_file", full)
        bench.refused(TEXT, "cannot COPY: the disk is full", 2)
    with monkeypatch.context() as patched:
        patched.setattr(BlobStore, "put", full)
        bench.refused("FROM base\nWORKDIR /else\n", "the disk is full", 2)
    assert [path.name for path in (bench.layout.build_cache / ".work").iterdir()] == [".gate"]
    assert bench.store.resolve("out") is None
    assert View(bench, bench.build(TEXT)).text("/b") == "A"
