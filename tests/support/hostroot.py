"""A made-up machine for the image ``host``, with canaries in places where secrets live."""

from __future__ import annotations

import os
from pathlib import Path

CANARY = b"CANARY-8f2d61"

# Path, mode (of the file), content around the canary. Directories on the way are 0755 unless named below.
CANARIES = {
    "etc/shadow": 0o640,
    "etc/shadow-": 0o644,
    "etc/gshadow": 0o640,
    "etc/machine-id": 0o444,
    "etc/apt/auth.conf": 0o644,
    "etc/apt/auth.conf.d/90mirror.conf": 0o644,
    "etc/ssh/ssh_host_ed25519_key": 0o600,
    "etc/ssh/ssh_host_ed25519_key.pub": 0o644,
    "etc/closed/readable-below-closed": 0o644,
    "etc/unreadable": 0o600,
    "etc/only-group": 0o640,
    "opt/app/secret.key": 0o600,
    "opt/closed/deep/er/file": 0o644,
    "root/.ssh/id_ed25519": 0o644,
    "home/alice/notes": 0o644,
    "var/cache/debconf/passwords.dat": 0o644,
    "var/cache/debconf/config.dat": 0o644,
    "var/lib/dpkg/secret": 0o600,
    "var/lib/app/database": 0o644,
    "var/log/syslog": 0o644,
    "tmp/x": 0o644,
    "run/secret": 0o644,
    "srv/data": 0o644,
    "usr/local/etc/key": 0o600,
    "usr/local/closed/file": 0o644,
}
CLOSED = ("etc/closed", "opt/closed", "usr/local/closed")

_LINES = {
    "etc/apt/sources.list": b"deb http://user:%s@deb.example.org/debian stable main\n",
    "etc/apt/sources.list.d/x.sources": b"Types: deb\nURIs: https://token:%s@repo.example.org/x\n",
    "etc/apt/apt.conf.d/proxy": b'Acquire::http::Proxy "http://me:%s@proxy:3128/";\n',
    "etc/pip.conf": b"[global]\nindex-url = https://me:%s@pypi.example.org/simple\n",
    "etc/npmrc": b"//registry.example.org/:_authToken=%s\nregistry=https://registry.example.org\n",
    "etc/environment": b"https_proxy=http://me:%s@proxy:3128\n",
    "etc/yum.repos.d/x.repo": b"[x]\nbaseurl=https://x/\nusername=me\npassword=%s\n",
    "etc/passwd": b"root:%s:0:0:root:/root:/bin/sh\nweb:x:101:102::/var/www:/bin/sh\n",
}

_PLAIN = {
    "etc/os-release": b"ID=made-up\n",
    "etc/group": b"root:x:0:\nshadow:x:42:\nweb:x:102:\n",
    "etc/skel/.bashrc": b"# shell\n",
    "etc/hosts": b"127.0.0.1 localhost\n10.1.2.3 internal\n",
    "etc/resolv.conf": b"nameserver 10.1.2.4\n",
    "opt/app/bin/run": b"#!/bin/sh\n",
    "usr/bin/sh": b"shell",
    "usr/bin/sudo": b"a package's own, not for reading",
    "usr/share/doc/x": b"text",
    "var/lib/dpkg/status": b"Package: base\nStatus: install ok installed\nVersion: 1\n",
    "var/lib/dpkg/info/base.list": b"/.\n/usr\n/usr/bin\n/usr/bin/sh\n/usr/bin/sudo\n/var/log/web\n/var/lib/app\n",
    "var/lib/apt/extended_states": b"",
}


def make_host(root: Path) -> Path:
    """Fills ``root``. Also a link out of /etc, a device-like FIFO and a socket's place are there."""
    files = dict.fromkeys(CANARIES, CANARY) | {path: line % CANARY for path, line in _LINES.items()} | _PLAIN
    for name, content in files.items():
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)
        path.chmod(CANARIES.get(name, 0o644))
    (root / "usr/bin/sudo").chmod(0o4711)
    (root / "opt/app/bin/run").chmod(0o755)
    for name in CLOSED:
        (root / name).chmod(0o700)
    for name in ("bin", "sbin", "lib"):
        (root / f"usr/{name}").mkdir(exist_ok=True)
        (root / name).symlink_to(f"usr/{name}")
    (root / "etc/link-to-secret").symlink_to("/etc/shadow")
    (root / "opt/link-home").symlink_to("/home/alice")
    os.mkfifo(root / "etc/fifo")
    (root / "var/log/web").mkdir(parents=True)
    (root / "var/log/web").chmod(0o2750)
    return root
