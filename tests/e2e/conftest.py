"""Every end-to-end test gets a scenario: an empty project directory, a fresh state root with a busybox image, and at
the end ``down -v`` and the check that nothing is left on the machine."""

from __future__ import annotations

import os
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.conftest import FAILED
from tests.support.cleaning import clean
from tests.support.cli import TREE, Cli
from tests.support.residue import Watch
from tests.support.scenario import Scenario


@pytest.fixture
def project_directory(short_directory: Path) -> Iterator[Path]:
    parent = Path(tempfile.mkdtemp(prefix="d", dir=short_directory))
    parent.chmod(0o755)
    path = parent / "shop"
    path.mkdir()
    yield path
    shutil.rmtree(parent, ignore_errors=True)


@pytest.fixture
def empty_scenario(
    request: pytest.FixtureRequest, state_root: Path, nothing_left: Watch, project_directory: Path
) -> Iterator[Scenario]:
    """Without any image but ``host``."""
    scenario = Scenario(state_root, project_directory)
    yield scenario
    if request.node.stash.get(FAILED, False):
        print(scenario.story())
    scenario.take_down(strict=not request.node.stash.get(FAILED, False))


@pytest.fixture(scope="session")
def busybox_images(short_directory: Path, busybox_tar: Path) -> Path:
    """The ``lib`` directory of a state root into which busybox was imported once; scenarios get copies of it."""
    root = short_directory / "seed"
    root.mkdir()
    Cli(root, short_directory)("import", "-q", str(busybox_tar), "busybox").ok()
    return root / "lib"


@pytest.fixture
def scenario(empty_scenario: Scenario, busybox_images: Path) -> Scenario:
    subprocess.run(["cp", "-a", busybox_images, empty_scenario.root / "lib"], check=True)
    return empty_scenario


@pytest.fixture(scope="session")
def examples_root(short_directory: Path) -> Path:
    """One state root for all examples: the private copies that the image ``host`` is made of are made once."""
    path = short_directory / "examples"
    path.mkdir()
    return path


@pytest.fixture
def example(request: pytest.FixtureRequest, examples_root: Path) -> Iterator[Scenario]:
    """An example's own directory: ``@pytest.mark.parametrize("example", ["01-hello"], indirect=True)``."""
    yield from in_shared_root(request, examples_root, request.param)


def in_shared_root(request: pytest.FixtureRequest, root: Path, name: str) -> Iterator[Scenario]:
    """A scenario in a state root that stays; what runs in it does not, and nothing else is left in it."""
    watch = Watch(root)
    scenario = Scenario(root, TREE / "examples" / name)
    yield scenario
    failed = request.node.stash.get(FAILED, False)
    try:
        if failed:
            print(scenario.story())
        scenario.take_down(strict=not failed)
        if not failed:
            watch.assert_nothing_left()
    finally:
        clean(watch)


@pytest.fixture
def other_release() -> Path:
    """A tar of another Debian's or Ubuntu's root file system than this machine's; made by ./dev test, too."""
    place = os.environ.get("STACKUP_TEST_RELEASE", "")
    assert place and Path(place).exists(), "./dev test makes the root file system that this test needs"
    return Path(place)


@pytest.fixture
def prebuilt_images() -> Path:
    """The state root into which ./dev test has brought the guestbook's images, outside of this network namespace."""
    place = os.environ.get("STACKUP_TEST_IMAGES", "")
    assert place, "the guestbook's images need the network: ./dev test brings them in first"
    return Path(place)
