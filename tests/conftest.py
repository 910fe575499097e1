"""Fixtures of the whole test suite, and the rule that tests of the real kernel run where they can do no harm."""

from __future__ import annotations

import os
import shutil
import subprocess
import tempfile
from collections.abc import Generator, Iterator
from pathlib import Path

import pytest
from hypothesis import settings

from tests.support.isolation import isolate, why_not_isolated
from tests.support.residue import Watch
from tests.support.rootfs import make_busybox_root, make_tar

# How long an example takes says something about the machine, nothing about the code.
settings.register_profile("stackup", deadline=None)
settings.load_profile("stackup")

FAILED = pytest.StashKey[bool]()
NOT_RUN = pytest.StashKey[tuple[int, str]]()


def pytest_configure(config: pytest.Config) -> None:
    if hasattr(config, "workerinput") and not why_not_isolated():
        isolate()


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Tests of the real kernel in pytest-xdist groups: a group keeps to one worker, one after the other."""
    rooted = [item for item in items if item.get_closest_marker("root")]
    for item in rooted:
        item.add_marker(pytest.mark.xdist_group(_group(item)))
    reason = why_not_isolated() if rooted else ""
    if reason:
        config.stash[NOT_RUN] = (len(rooted), reason)
        for item in rooted:
            item.add_marker(pytest.mark.skip(reason=f"{reason}; use ./dev test"))


def _group(item: pytest.Item) -> str:
    """A file of end-to-end tests is a group, so that both workers are done at about the same time. What uses the image
    ``host`` or the examples' images stays together: they are dear to make, and each worker would make its own."""
    if "e2e" not in item.path.parts:
        return "kernel"
    shared = {"example", "examples_root", "prebuilt_images"} & set(getattr(item, "fixturenames", ()))
    return "examples" if shared else item.path.stem


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter, config: pytest.Config) -> None:
    count, reason = config.stash.get(NOT_RUN, (0, ""))
    if count:
        terminalreporter.write_sep("!", f"{count} TESTS DID NOT RUN: {reason}. Use ./dev test", red=True, bold=True)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    report = yield
    if report.failed:
        item.stash[FAILED] = True
    return report


@pytest.fixture(scope="session")
def short_directory() -> Iterator[Path]:
    """A directory with a short path (UNIX sockets have 108 bytes), on a file system that overlayfs can write to."""
    path = Path(tempfile.mkdtemp(prefix="sk", dir="/tmp"))
    on_overlay = subprocess.run(["stat", "-f", "-c", "%T", path], capture_output=True, text=True).stdout.strip()
    if on_overlay == "overlayfs" and os.geteuid() == 0:
        subprocess.run(["mount", "-t", "tmpfs", "-o", "mode=0755", "stackup-tests", path], check=True)
    path.chmod(0o755)
    yield path
    if on_overlay == "overlayfs":
        subprocess.run(["umount", "--lazy", path], check=False)
    shutil.rmtree(path, ignore_errors=True)


@pytest.fixture
def state_root(short_directory: Path) -> Iterator[Path]:
    """A fresh STACKUP_ROOT."""
    path = Path(tempfile.mkdtemp(prefix="r", dir=short_directory))
    path.chmod(0o755)
    yield path
    shutil.rmtree(path, ignore_errors=True)


@pytest.fixture
def nothing_left(request: pytest.FixtureRequest, state_root: Path) -> Iterator[Watch]:
    """The zero-residue check around a test. What a failed test leaves is taken away without a word."""
    from tests.support.cleaning import clean

    watch = Watch(state_root)
    yield watch
    try:
        if not request.node.stash.get(FAILED, False):
            watch.assert_nothing_left()
    finally:
        clean(watch)


@pytest.fixture(scope="session")
def busybox_root(short_directory: Path) -> Path:
    """A root file system directory with busybox and an /etc/os-release of its own. Read it, do not change it."""
    return make_busybox_root(short_directory / "busybox")


@pytest.fixture(scope="session")
def busybox_tar(short_directory: Path, busybox_root: Path) -> Path:
    return make_tar(busybox_root, short_directory / "busybox.tar")
