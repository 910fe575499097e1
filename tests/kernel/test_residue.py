"""The residue check finds each kind of thing it looks for, takes it away, and leaves other people's alone."""

from __future__ import annotations

import os
import signal
import subprocess
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from tests.support import residue
from tests.support.cleaning import clean
from tests.support.residue import Watch

pytestmark = pytest.mark.root

Plant = Callable[..., None]


def tell(*command: str) -> None:
    subprocess.run(command, check=True, capture_output=True)


@pytest.fixture
def watch(state_root: Path) -> Iterator[Watch]:
    watch = Watch(state_root)
    yield watch
    clean(watch)
    assert watch.left() == []


@pytest.fixture
def run() -> Iterator[Callable[..., int]]:
    """Starts a process that does nothing for as long as the test runs, and answers its pid."""
    with ExitStack() as stack:

        def start(*command: str, **environment: str) -> int:
            process = subprocess.Popen(
                [*command, "sh", "-c", "echo; exec sleep 1000"],
                env={"PATH": os.environ["PATH"], **environment},
                stdout=subprocess.PIPE,
                start_new_session=True,
            )
            assert process.stdout
            process.stdout.readline()
            stack.callback(process.wait)
            stack.callback(process.send_signal, signal.SIGKILL)
            return process.pid

        yield start


def kinds(watch: Watch) -> set[str]:
    return {item.kind for item in watch.left()}


def test_nothing_is_found_where_nothing_is(watch: Watch) -> None:
    assert watch.left() == []
    watch.assert_nothing_left()


def test_a_process_is_found_by_its_environment(watch: Watch, run: Callable[..., int]) -> None:
    pid = run(STACKUP_ROOT=str(watch.root))
    assert [item.what.split()[0] for item in watch.left() if item.kind == "process"] == [str(pid)]


def test_a_process_is_found_by_a_file_it_holds(watch: Watch, run: Callable[..., int]) -> None:
    held = watch.root / "held"
    held.touch()
    run("sh", "-c", f'exec 7<{held}; exec "$@"', "sh")
    assert kinds(watch) == {"process"}


def test_a_process_is_found_by_its_cgroup(watch: Watch, run: Callable[..., int]) -> None:
    path = cgroup(watch.root)
    pid = run()
    (path / "cgroup.procs").write_text(str(pid))
    assert kinds(watch) == {"process", "cgroup"}


def test_a_process_of_another_root_is_none_of_ours(watch: Watch, run: Callable[..., int]) -> None:
    run(STACKUP_ROOT=f"{watch.root}-other")
    assert watch.left() == []


def test_a_namespace_is_found_through_its_process(watch: Watch, run: Callable[..., int]) -> None:
    pid = run("unshare", "--net", STACKUP_ROOT=str(watch.root))
    inode = os.stat(f"/proc/{pid}/ns/net").st_ino
    assert any(item.kind == "namespace" and f"net:[{inode}]" in item.what for item in watch.left())


def test_a_mount_is_found_here(watch: Watch) -> None:
    point = watch.root / "mounted"
    point.mkdir()
    tell("mount", "-t", "tmpfs", "left", str(point))
    assert [item.what for item in watch.left()] == [f"{point} here"]


def test_a_mount_is_found_in_another_mount_namespace(watch: Watch, run: Callable[..., int]) -> None:
    point = watch.root / "mounted"
    point.mkdir()
    run("unshare", "--mount", "sh", "-c", f'mount -t tmpfs left {point}; exec "$@"', "sh")
    assert any(item.kind == "mount" and item.what.startswith(f"{point} in mnt:") for item in watch.left())


def test_an_overlay_of_ours_is_found_by_its_layers(watch: Watch, run: Callable[..., int]) -> None:
    for name in ("lower", "upper", "work"):
        (watch.root / name).mkdir()
    options = f"lowerdir={watch.root}/lower,upperdir={watch.root}/upper,workdir={watch.root}/work"
    run("unshare", "--mount", "sh", "-c", f'mount -t overlay overlay -o {options} /mnt; exec "$@"', "sh")
    assert any(item.kind == "mount" and item.what.startswith("/mnt in mnt:") for item in watch.left())


def test_a_link_is_found_and_named(watch: Watch) -> None:
    tell("ip", "link", "add", "skb0123456789", "type", "bridge")
    tell("ip", "link", "set", "skb0123456789", "alias", "stackup shop default")
    tell("ip", "link", "add", "other0", "type", "bridge")
    try:
        assert [item.what for item in watch.left()] == ["skb0123456789 (stackup shop default)"]
    finally:
        tell("ip", "link", "delete", "other0")


def test_a_cgroup_is_found(watch: Watch) -> None:
    path = cgroup(watch.root)
    assert path in [Path(item.what) for item in watch.left() if item.kind == "cgroup"]


def test_a_table_is_found(watch: Watch) -> None:
    tell("nft", "add", "table", "inet", "stackup_12345678")
    tell("nft", "add", "table", "inet", "other")
    try:
        assert [item.what for item in watch.left()] == ["inet stackup_12345678"]
    finally:
        tell("nft", "delete", "table", "inet", "other")


def test_our_rule_in_a_foreign_table_is_found(watch: Watch) -> None:
    tell("nft", 'add table ip other; add chain ip other c; add rule ip other c accept comment "stackup shop"')
    try:
        assert kinds(watch) == {"rule"}
        clean(watch)
        assert watch.left() == []
        assert "chain c" in residue.run("nft", "list", "table", "ip", "other")
    finally:
        tell("nft", "delete", "table", "ip", "other")


def test_our_iptables_rule_is_found(watch: Watch) -> None:
    tell("iptables", "-A", "FORWARD", "-i", "skb+", "-m", "comment", "--comment", "stackup shop", "-j", "ACCEPT")
    tell("iptables", "-A", "FORWARD", "-m", "comment", "--comment", "someone else", "-j", "ACCEPT")
    assert kinds(watch) == {"rule"}
    clean(watch)
    assert "someone else" in residue.run("iptables-save")
    tell("iptables", "-F", "FORWARD")


def test_a_changed_sysctl_is_found_and_set_back(watch: Watch) -> None:
    path = Path("/proc/sys/net/ipv4/ip_forward")
    before = path.read_text()
    path.write_text("0" if before.strip() == "1" else "1")
    assert any(item.kind == "sysctl" and "ip_forward" in item.what for item in watch.left())
    clean(watch)
    assert path.read_text() == before


@pytest.mark.parametrize(
    "name", ["lib/projects/shop/records.db", "run/projects/shop/control.sock", "lib/images/blobs/x.tmp", "run/stray"]
)
def test_a_file_is_found(watch: Watch, name: str) -> None:
    path = watch.root / name
    path.parent.mkdir(parents=True)
    path.touch()
    assert kinds(watch) == {"file"}
    path.unlink()


def test_what_is_kept_on_purpose_is_no_residue(watch: Watch) -> None:
    for name in ("lib/images/index.json", "lib/volumes/shop_data/file", "lib/layers/a/b", "lib/cache/x"):
        (watch.root / name).parent.mkdir(parents=True, exist_ok=True)
        (watch.root / name).touch()
    assert watch.left() == []


def test_the_failure_names_what_is_left(watch: Watch) -> None:
    tell("ip", "link", "add", "skb0123456789", "type", "bridge")
    with pytest.raises(AssertionError, match=r"link: skb0123456789"):
        watch.assert_nothing_left(timeout=0.1)


def cgroup(root: Path) -> Path:
    """Makes a project's cgroup in one hierarchy."""
    hierarchies = residue.cgroup_mounts()
    hierarchy = next((path for path in hierarchies if path.name == "pids"), hierarchies[0])
    path = hierarchy / "stackup" / f"shop{residue.root_mark(root)}"
    path.mkdir(parents=True)
    return path
