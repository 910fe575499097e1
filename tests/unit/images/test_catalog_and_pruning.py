"""What is listed of the store, and what of it goes: names, shared sizes, filters, use, races."""

from __future__ import annotations

import io
import multiprocessing
import shutil
from pathlib import Path

import pytest
from image_support import CREATED, container_on, make_image, new_store, put_layer, rootfs

from stackup.base.errors import ImageError
from stackup.base.paths import Layout
from stackup.images import catalog, pruning, usage
from stackup.images.diskuse import CacheUse, build_cache_use, image_use
from stackup.images.loading import load
from stackup.images.pruning import prune
from stackup.images.saving import archive
from stackup.images.store import ImageStore
from stackup.oci import image as oci
from tests.support.archives import Archive


@pytest.fixture
def store(tmp_path: Path) -> ImageStore:
    return new_store(tmp_path / "root")


def own(text: str) -> bytes:
    return Archive().add(text, text.encode() * 1000).data()


def listed(store: ImageStore) -> dict[str, catalog.Listed]:
    return {item.reference: item for item in catalog.listed(store)}


def test_sizes_shared_and_unique(store: ImageStore) -> None:
    base = make_image(store, "base", [rootfs()])
    make_image(store, "a", [rootfs(), own("a")])
    make_image(store, "b", [rootfs(), own("b")])
    store.tag("a", "a:again")
    found = listed(store)
    shared = base.layers[0].size
    assert (found["base:latest"].size, found["base:latest"].unique) == (shared, 0)
    assert found["a:latest"].size - found["a:latest"].unique == shared
    assert found["a:again"].unique == found["a:latest"].unique == len(own("a"))  # two names are one image


def test_a_damaged_image_is_listed_as_such_and_can_be_removed(store: ImageStore) -> None:
    image = make_image(store, "bad", [rootfs()])
    make_image(store, "good", [own("x")])
    path = store.blobs.path(image.digest)
    path.chmod(0o644)
    path.write_bytes(path.read_bytes().replace(b"{", b"[", 1))
    found = listed(store)
    assert "does not match its digest" in found["bad:latest"].damage
    assert found["good:latest"].damage == ""
    assert image_use(store).total == 2
    container_on(store, image)  # of one that nobody can find any more: it may be this
    pruned = prune(store, named=True)
    assert pruned.gone[-1].startswith("deleted")
    collected = pruned.collected
    assert image.digest in collected.put_off and collected.put_off.endswith("belongs to bad:latest")
    assert collected.remedy == "pull it again, or `stackup rmi bad:latest`; then the next prune frees the space"
    assert list(listed(store)) == ["bad:latest"]
    shutil.rmtree(store.layout.project("shop").state)
    assert store.remove("bad") == ["untagged bad:latest", f"deleted {image.digest}"]
    assert store.layers.diff_ids() == []


@pytest.mark.parametrize("what", ["manifest", "configuration"])
def test_a_damaged_image_that_nobody_uses_is_pruned(store: ImageStore, what: str) -> None:
    image = make_image(store, "bad", [rootfs()])
    container_on(store, make_image(store, "good", [own("x")]))
    path = store.blobs.path(image.digest if what == "manifest" else image.id)
    path.chmod(0o644)
    path.write_bytes(b"{}")
    assert prune(store, named=True, partial=False).gone == ()  # there is a filter, and nothing to ask of it
    pruned = prune(store, named=True)
    assert (pruned.gone, pruned.collected.put_off) == (("untagged bad:latest", f"deleted {image.digest}"), "")
    assert image.layers[0].diff_id not in store.layers.diff_ids()


def test_patterns_of_names(store: ImageStore) -> None:
    for name in ("redis:7", "redis:8", "team/app:1", "registry.example:5000/team/app:1"):
        make_image(store, name, [rootfs()])
    every = catalog.listed(store)

    def matching(*patterns: str) -> set[str]:
        return {item.reference for item in catalog.matching(every, patterns)}

    assert matching("redis") == {"redis:7", "redis:8"}
    assert matching("redis:7") == matching("docker.io/library/redis:7") == {"redis:7"}
    assert matching("*/app") == {"team/app:1"}
    assert matching("*/*/app") >= {"registry.example:5000/team/app:1"}
    assert matching("r*s:?") == {"redis:7", "redis:8"}
    assert matching("red") == set()


def test_pruning_takes_what_has_no_name(store: ImageStore) -> None:
    first = make_image(store, "toy", [own("old")])
    make_image(store, "toy", [own("new")])
    make_image(store, "other", [own("other")])
    found = prune(store, named=False)
    assert found.gone == (f"deleted {first.id}",)
    assert found.collected.freed > 0
    assert set(listed(store)) == {"toy:latest", "other:latest"}
    assert not store.blobs.has(first.layers[0].digest) and not first.layers[0].path.exists()
    assert prune(store, named=False) == pruning.Pruned((), usage.Collected())


def test_pruning_of_all_keeps_what_containers_use(store: ImageStore) -> None:
    used = make_image(store, "used", [rootfs(), own("used")])
    make_image(store, "idle", [rootfs(), own("idle")])
    container_on(store, used)
    found = prune(store, named=True)
    assert found.gone[0] == "untagged idle:latest"
    assert list(listed(store)) == ["used:latest"]
    assert all(layer.path.is_dir() for layer in used.layers)
    assert prune(store, named=True).gone == ()


def test_an_image_that_only_shares_layers_with_a_containers_can_be_removed(store: ImageStore) -> None:
    used = make_image(store, "used", [rootfs(), own("used")])
    make_image(store, "sibling", [rootfs(), own("sibling")])
    make_image(store, "base", [rootfs()])
    container_on(store, used)
    assert store.remove("sibling")[0] == "untagged sibling:latest"
    assert store.remove("base")[0] == "untagged base:latest"
    assert all(layer.path.is_dir() for layer in used.layers)
    assert list(listed(store)) == ["used:latest"]


def test_layers_of_a_container_stay_when_its_image_was_forced_away(store: ImageStore) -> None:
    used = make_image(store, "used", [own("used")])
    container_on(store, used)
    with pytest.raises(ImageError, match="container c0ffee00c0ff was made from it"):
        store.remove("used")
    store.remove("used", force=True)
    prune(store, named=True)
    assert used.layers[0].path.is_dir()


def test_only_what_is_wanted_is_pruned(store: ImageStore) -> None:
    for name, label in (("a", "keep"), ("b", "drop")):
        make_image(store, name, [own(name)], config=oci.ImageConfig(labels={label: ""}))
    prune(store, named=True, wanted=lambda item: "drop" in item.labels)
    assert list(listed(store)) == ["a:latest"]


def test_a_name_given_while_pruning_stays(store: ImageStore, monkeypatch: pytest.MonkeyPatch) -> None:
    """Between looking and sweeping: what is tagged then is kept, blobs and all."""
    image = make_image(store, "toy", [own("old")])
    make_image(store, "toy", [own("new")])
    sweep = store.sweep

    def tagging() -> None:
        sweep()
        store.index.set("docker.io/library/saved:1", oci.Descriptor(oci.MANIFEST, image.digest, 1))

    monkeypatch.setattr(ImageStore, "sweep", lambda _self: tagging())
    prune(store, named=False)
    again = store.resolve("saved:1")
    assert again is not None and again.layers[0].path.is_dir()


def test_a_container_made_while_pruning_keeps_its_layers(store: ImageStore, monkeypatch: pytest.MonkeyPatch) -> None:
    """Its record is written after the first look, and before anything is deleted."""
    image = make_image(store, "toy", [own("toy")])
    make_image(store, "other", [own("other")])
    looks = 0
    launches = usage.launches

    def looking(layout: Layout) -> object:
        nonlocal looks
        looks += 1
        if looks == 3:  # which images are used, which layers are, and again
            container_on(store, image)
        return launches(layout)

    monkeypatch.setattr(usage, "launches", looking)
    prune(store, named=True)
    assert looks == 3
    assert image.layers[0].path.is_dir()
    assert store.layers.diff_ids() == [image.layers[0].diff_id]


def test_tagging_something_that_was_just_removed_fails(store: ImageStore) -> None:
    image = make_image(store, "toy", [rootfs()])
    store.remove("toy")
    with pytest.raises(ImageError, match="no such image"):
        store.tag(image.id, "saved")


def test_nothing_is_collected_while_something_is_brought_in(store: ImageStore) -> None:
    make_image(store, "toy", [rootfs()])
    with usage.bringing_in(store.layout):
        layer = put_layer(store, own("half"))
        assert prune(store, named=True).collected == usage.BUSY
        assert layer.path.is_dir() and store.blobs.has(layer.digest)
    assert prune(store, named=True).collected.freed
    assert not layer.path.is_dir() and not store.blobs.has(layer.digest)


def _loads(root: str, data: bytes, count: int) -> None:
    for _ in range(count):
        load(ImageStore(Layout.at(root)), io.BytesIO(data))


def _prunes(root: str, count: int) -> None:
    for _ in range(count):
        prune(ImageStore(Layout.at(root)), named=True)


def _tags(root: str, count: int) -> None:
    for number in range(count):
        try:
            ImageStore(Layout.at(root)).tag("a", f"t:{number}")
        except ImageError as error:
            assert "no such image" in error.message


def test_loads_tags_and_prunes_at_once(store: ImageStore, tmp_path: Path) -> None:
    """Whatever comes out on top, every name that is left stands for a whole image."""
    make_image(store, "a", [rootfs(), own("a")])
    make_image(store, "b", [rootfs(), own("b")])
    both = b"".join(archive(store, ["a", "b"], "docker-archive"))
    root = str(tmp_path / "many")
    work = [(_loads, (root, both, 5)), (_loads, (root, both, 5)), (_prunes, (root, 8)), (_tags, (root, 10))]
    children = [multiprocessing.Process(target=target, args=args) for target, args in work]
    for child in children:
        child.start()
    for child in children:
        child.join(60)
    assert [child.exitcode for child in children] == [0] * len(children)
    shared = ImageStore(Layout.at(root))
    for item in catalog.listed(shared):
        image = shared.resolve(item.reference or item.id)
        assert image is not None
        shared.materialize(image)
        assert (image.layers[0].path / "etc/os-release").is_file()
    prune(shared, named=True)
    assert list(shared.blobs.directory.iterdir()) == [] and shared.layers.diff_ids() == []


def test_disk_use(store: ImageStore) -> None:
    used = make_image(store, "used", [own("used")])
    make_image(store, "idle", [own("idle")])
    container_on(store, used)
    found = image_use(store)
    assert (found.total, found.active) == (2, 1)
    assert 0 < found.reclaimable < found.size
    assert build_cache_use(store) == CacheUse()
    steps = store.layout.build_cache / "steps" / "ab"
    steps.mkdir(parents=True)
    layer = put_layer(store, own("step"))
    (steps / "abc.json").write_text(f'{{"layer": "{layer.digest}"}}')
    mount = store.layout.build_cache / "mounts" / "pip"
    mount.mkdir(parents=True)
    (mount / "wheel").write_bytes(b"x" * 9000)
    (mount.parent / ".locks").mkdir()
    (store.layout.build_cache / "http").mkdir()
    (store.layout.build_cache / "http" / "file").write_bytes(b"x" * 5000)
    cache = build_cache_use(store)
    assert (cache.steps, cache.mounts) == (1, 1)
    assert cache.layer_bytes > 0 and cache.mount_bytes > 9000 and cache.source_bytes > 5000
    usage.forget_build_cache(store.layout)
    assert prune(store, named=False).collected.freed and not layer.path.exists()


def test_newest_first(store: ImageStore) -> None:
    make_image(store, "old", [rootfs()])
    make_image(store, "new", [rootfs()], created=CREATED.replace("2026", "2027"))
    assert [item.reference for item in catalog.listed(store)] == ["new:latest", "old:latest"]
