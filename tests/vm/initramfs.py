"""The first file system of the machine: busybox, the modules that reach the disk, and a script that goes on from there.

Written as a cpio archive (format "newc") by hand; a tool for it would be one more thing to install.
"""

from __future__ import annotations

import gzip
import lzma
import stat
from collections.abc import Iterator
from pathlib import Path

WANTED = ("virtio_pci", "virtio_blk", "ext4")

INIT = """#!/bin/busybox sh
bb=/bin/busybox
$bb mount -t devtmpfs none /dev
for module in $($bb cat /modules/order); do $bb insmod "/modules/$module"; done
$bb mount -t ext4 /dev/vda /root
$bb tar -x -f /dev/vdb -C /root/srv
$bb mount -o move /dev /root/dev
exec $bb switch_root /root /bin/sh /srv/stackup/tests/vm/guest/first
"""


def make_initramfs(root: Path, target: Path) -> None:
    """``root``: the machine's root file system, with its kernel's modules."""
    (modules,) = (root / "lib/modules").iterdir()
    names = list(_in_order(modules))
    entries: list[tuple[str, int, bytes]] = [(name, stat.S_IFDIR | 0o755, b"") for name in ("bin", "dev", "root")]
    entries.append(("modules", stat.S_IFDIR | 0o755, b""))
    entries.append(("init", stat.S_IFREG | 0o755, INIT.encode()))
    entries.append(("bin/busybox", stat.S_IFREG | 0o755, (root / "bin/busybox").read_bytes()))
    order = []
    for name in names:
        plain = Path(name).name.split(".ko")[0] + ".ko"
        order.append(plain)
        entries.append((f"modules/{plain}", stat.S_IFREG | 0o644, _module(modules / name)))
    entries.append(("modules/order", stat.S_IFREG | 0o644, "\n".join(order).encode()))
    archive = b"".join(_entry(number, *entry) for number, entry in enumerate(entries, 1)) + _entry(
        0, "TRAILER!!!", 0, b""
    )
    target.write_bytes(gzip.compress(archive, 1))


def _module(path: Path) -> bytes:
    content = path.read_bytes()
    return lzma.decompress(content) if path.suffix == ".xz" else content


def _in_order(modules: Path) -> Iterator[str]:
    """Paths of the wanted modules, each after those it needs; what is built in is left out."""
    needs = {path: rest.split() for path, _, rest in (line.partition(":") for line in _lines(modules / "modules.dep"))}
    by_name = {Path(path).name.split(".ko")[0].replace("-", "_"): path for path in needs}
    # libcrc32c and ext4 ask for these by the name of an algorithm, which modules.dep does not know.
    wanted = [by_name[name] for name in (*WANTED, "crc32c_generic") if name in by_name]
    done: set[str] = set()
    for path in wanted:
        # The kernel's tools list the nearest need first.
        for one in (*reversed(needs[path]), path):
            if one not in done:
                done.add(one)
                yield one


def _lines(path: Path) -> list[str]:
    return path.read_text().splitlines()


def _entry(number: int, name: str, mode: int, content: bytes) -> bytes:
    fields = (number, mode, 0, 0, 1, 0, len(content), 0, 0, 0, 0, len(name) + 1, 0)
    head = b"070701" + b"".join(b"%08X" % field for field in fields) + name.encode() + b"\0"
    return _padded(head) + _padded(content)


def _padded(data: bytes) -> bytes:
    return data + bytes(-len(data) % 4)
