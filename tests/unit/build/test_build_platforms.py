"""Images for several platforms: whatever needs no command to be run is made for all of them, the rest is refused."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest
from build_support import Bench, View

from stackup.base.errors import StackFileError
from stackup.build.progress import StepStarted
from stackup.build.request import BuildRequest
from stackup.build.targets import is_here, platform_of, targets
from stackup.images import Image
from stackup.images.catalog import listed
from stackup.images.store import host_platform
from stackup.linux import binfmt
from stackup.oci import image as oci
from tests.support.archives import Archive
from tests.support.fakeregistry import FakeRegistry

pytestmark = pytest.mark.skipif(os.geteuid() != 0, reason="owners of files in layers need root")

HERE = str(host_platform())
FOREIGN = "linux/s390x"
BOTH = (HERE, FOREIGN)


@pytest.fixture
def registry() -> Iterator[FakeRegistry]:
    with FakeRegistry().serving() as fake:
        yield fake


@pytest.fixture
def bench(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Bench:
    monkeypatch.setattr(binfmt, "REGISTERED", tmp_path / "nothing")  # emulators of the machine that tests
    found = Bench(tmp_path)
    found.file("a", "A")
    return found


def base(registry: FakeRegistry, *platforms: str) -> str:
    """The name of an image with a file /which for each platform."""
    digests = {}
    for name in platforms:
        layer = Archive().add("which", name.encode()).data()
        digests[name] = registry.image("team/base", "", [layer], platform=name)
    registry.index("team/base", "1", digests)
    return f"{registry.host}/team/base:1"


def views(bench: Bench, image: Image) -> dict[str, View]:
    """By platform, in the order of the index."""
    document = bench.store.blobs.read_json(image.digest)
    found = {}
    for item in oci.Index.from_json(document).manifests:
        view = View(bench, bench.store.image(item, ""))
        assert (item.platform, item.size) == (
            view.document.platform,
            bench.store.blobs.path(item.digest).stat().st_size,
        )
        found[str(item.platform)] = view
    return found


def test_an_index_of_what_needs_no_command(bench: Bench, registry: FakeRegistry) -> None:
    name = base(registry, *BOTH)
    text = f"FROM {name}\nARG TARGETARCH\nENV ARCH=$TARGETARCH\nCOPY a /a\nWORKDIR /w\nADD <<E /$TARGETARCH\nx\nE\n"
    image = bench.build(text, platforms=BOTH)
    found = views(bench, image)
    assert list(found) == [HERE, FOREIGN]
    for platform, view in found.items():
        architecture = platform.split("/")[1]
        assert (view.text("/which"), view.text("/a"), view.text(f"/{architecture}")) == (platform, "A", "x\n")
        assert view.image.config.environment["ARCH"] == architecture
    assert str(image.platform) == HERE, "of the name, this machine's is used"
    resolved = bench.store.resolve("out")
    assert resolved and resolved.id == image.id
    steps = [event.text for event in bench.events if isinstance(event, StepStarted)]
    assert {f"[{HERE} stage-0 1/3] COPY a /a", f"[{FOREIGN} stage-0 1/3] COPY a /a"} <= set(steps)
    assert bench.build(text, platforms=BOTH).digest == image.digest and bench.cached == 6
    names = {item.reference for item in listed(bench.store)}
    assert names == {"base:latest", "out:latest", name}, "what was fetched on the way has no name of its own"
    plain = bench.build(f"FROM {name}\n")
    assert (View(bench, plain).text("/which"), plain.digest) == (HERE, bench.store.resolve("out").digest)  # type: ignore[union-attr]


def test_only_for_another_platform(bench: Bench, registry: FakeRegistry) -> None:
    name = base(registry, *BOTH)
    image = bench.build(f"FROM {name}\nCOPY a /a\n", platforms=(FOREIGN,))
    assert (str(image.platform), View(bench, image).text("/which")) == (FOREIGN, FOREIGN)
    here = bench.build(f"FROM {name}\nCOPY a /a\n", tags=("here",))
    assert (str(here.platform), View(bench, here).text("/which")) == (HERE, HERE)


def test_stages_of_this_machine_feed_all(bench: Bench, registry: FakeRegistry) -> None:
    name = base(registry, *BOTH)
    text = f"FROM --platform=$BUILDPLATFORM {name} AS made\nFROM {name}\nCOPY --from=made /which /made-on\n"
    found = views(bench, bench.build(text, platforms=BOTH))
    assert [view.text("/made-on") for view in found.values()] == [HERE, HERE]
    assert [view.text("/which") for view in found.values()] == [HERE, FOREIGN]
    text = f"FROM scratch\nCOPY --from={name} /which /\n"
    assert [view.text("/which") for view in views(bench, bench.build(text, platforms=BOTH)).values()] == [HERE, FOREIGN]


def test_commands_are_refused_at_their_line_before_anything_is_done(bench: Bench) -> None:
    text = "FROM scratch AS one\nCOPY a /a\nFROM one\nCOPY a /b\nRUN \\\n  true\nRUN false\n"
    error = bench.refused(
        text, rf"cannot RUN for {FOREIGN}, linux/riscv64: this machine", 5, platforms=(*BOTH, "riscv64")
    )
    assert error.snippet == "RUN \\\n^^^" and "$BUILDPLATFORM" in error.hint
    assert not bench.events
    bench.refused("FROM scratch\nRUN x\n", "cannot RUN for linux/arm/v7", 2, platforms=("linux/arm/v7",))
    bench.refused(f"FROM --platform={FOREIGN} scratch\nRUN x\n", f"cannot RUN for {FOREIGN}", 2)
    bench.build("FROM scratch\nONBUILD RUN x\n", tags=("trigger",), platforms=BOTH)
    bench.refused("FROM trigger\nCOPY a /\n", f"cannot RUN for {FOREIGN}", 1, platforms=(FOREIGN,))


def test_an_emulator_that_containers_cannot_reach_is_named(bench: Bench) -> None:
    binfmt.REGISTERED.mkdir()
    (binfmt.REGISTERED / "status").write_text("enabled\n")
    lines = ["enabled", "interpreter /usr/bin/mips", "flags: OC", "offset 18", "magic 0800"]
    (binfmt.REGISTERED / "mips").write_text("\n".join(lines))
    reason = "its emulator /usr/bin/mips is registered without flag F"
    bench.refused("FROM scratch\nRUN x\n", reason, 2, platforms=("linux/mips64le",))


def test_bases_that_are_not_for_it(bench: Bench, registry: FakeRegistry) -> None:
    bench.refused("FROM base\n", f"cannot build FROM base for {FOREIGN}: the image here is only for", 1, platforms=BOTH)
    bench.refused("FROM host\n", f"cannot build FROM host for {FOREIGN}: it is this machine", 1, platforms=(FOREIGN,))
    name = base(registry, HERE)
    bench.refused(f"FROM {name}\n", f"FROM {name}.* for {FOREIGN}.* only for {HERE}", 1, platforms=BOTH)


def test_names_of_platforms() -> None:
    assert targets(BuildRequest()) == (host_platform(),)
    assert targets(BuildRequest(platforms=("linux", HERE, FOREIGN))) == (host_platform(), platform_of(FOREIGN))
    assert not is_here(platform_of(FOREIGN)) and is_here(platform_of(HERE))
    for text, reason in (("windows/amd64", "only images of Linux"), ("a/b/c/d", "is not OS/ARCHITECTURE")):
        with pytest.raises(StackFileError, match=reason) as caught:
            targets(BuildRequest(platforms=(text,)))
        assert caught.value.about == ".build.platforms"
