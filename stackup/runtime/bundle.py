"""What a container is started from: an OCI bundle plus ``launch.json`` with what the OCI has no field for.

The same ``config.json`` runs under crun or runc once the overlays are mounted at ``bundle/rootfs``.
"""

from __future__ import annotations

import json
import os
from contextlib import suppress
from pathlib import Path
from typing import Any

from stackup.base.files import write_atomic
from stackup.base.values import as_mapping, frozen
from stackup.linux.overlay import Overlay
from stackup.oci.runtime import Spec

CONFIG = "config.json"
LAUNCH = "launch.json"

_compact = json.JSONEncoder(separators=(",", ":")).encode


@frozen
class Veth:
    """One endpoint. The child makes the pair itself: ``host_name`` as a port of ``bridge``, ``container_name`` inside.

    ``addresses`` read "10.0.0.2/16" or "fd00::2/64"; ``gateway`` is for the first endpoint only, at most one per
    address family, separated by a comma. ``group`` is the link group (one message deletes it); ``alias`` the ifalias.
    """

    host_name: str
    container_name: str
    bridge: str
    mac: str = ""
    addresses: tuple[str, ...] = ()
    gateway: str = ""
    alias: str = ""
    group: int = 0
    mtu: int = 0


@frozen
class Launch:
    """``overlays`` "/" first (empty: ``root.path`` of the bundle is the tree). FIFO paths empty: /dev/null.

    ``dns``: make UDP and TCP sockets on 127.0.0.11 in the container's network namespace and hand them out.
    ``cgroup`` is relative to each hierarchy's mount point. ``volatile``: the kernel need not sync the upper layer when
    the overlay goes. ``init``: PID 1 is a reaper that passes signals on to the command.
    """

    container_id: str
    incarnation: int
    cgroup: str
    exit_file: str
    overlays: tuple[Overlay, ...] = ()
    veths: tuple[Veth, ...] = ()
    dns: bool = False
    stdout: str = ""
    stderr: str = ""
    tty: bool = False
    stdin_open: bool = False
    seccomp_filter: str = ""
    volatile: bool = True
    init: bool = False


def write_bundle(bundle_dir: Path, spec: Spec, launch: Launch) -> None:
    """Writes both files, each whole or absent. Makes the directory and the (empty) ``rootfs`` mount point."""
    (bundle_dir / spec.root.path).mkdir(parents=True, exist_ok=True)
    write_config(bundle_dir, spec.to_json())
    write_launch(bundle_dir, launch)


def write_config(bundle_dir: Path, config: dict[str, Any]) -> None:
    """config.json from its JSON form. (Only runtimes that mount nothing themselves need a ``rootfs`` beside it.)"""
    write_atomic(f"{bundle_dir}/{CONFIG}", _compact(config), mode=0o600)


def write_launch(bundle_dir: Path, launch: Launch) -> None:
    """The one of the incarnation before is taken away first: nobody needs it any more, and ext4 would write the new
    one out before it takes its place."""
    data = as_mapping(launch)
    data["overlays"] = [as_mapping(item) for item in launch.overlays]
    data["veths"] = [as_mapping(item) for item in launch.veths]
    with suppress(FileNotFoundError):
        os.unlink(f"{bundle_dir}/{LAUNCH}")
    write_atomic(f"{bundle_dir}/{LAUNCH}", _compact(data), mode=0o600)


def read_bundle(bundle_dir: Path) -> tuple[Spec, Launch]:
    """Raises FileNotFoundError, or ValueError when the files do not hold a bundle."""
    spec = Spec.from_json(json.loads((bundle_dir / CONFIG).read_bytes()))
    data: dict[str, Any] = json.loads((bundle_dir / LAUNCH).read_bytes())
    overlays = tuple(Overlay(**{**item, "lowers": tuple(item["lowers"])}) for item in data.pop("overlays"))
    veths = tuple(Veth(**{**item, "addresses": tuple(item["addresses"])}) for item in data.pop("veths"))
    return spec, Launch(**data, overlays=overlays, veths=veths)
