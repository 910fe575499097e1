"""The built-in image ``host``: this machine's own userland as read-only lower layers.

* "/" stands on a private layer: copies of what nobody (uid 65534) could read in /etc and /opt, the package manager's
  state, and fresh /var, /tmp, /run, /root and /home. See ``hostrules`` for what is never in it.
* /usr (and /bin, /lib, /sbin where they are directories of their own) are overlays directly over the host's; every
  real mount of the host below them gets one too, since an overlay does not see its lower directory's submounts.
* A private layer is made once per state of the host (``hoststate``) and deleted when nothing stands on it any more.

/opt may be huge: its files are reflinked where the file system can, else copied up to 256 MiB, else hard-linked when
they are root's and nobody else may write them. A hard-linked file that the host changes in place changes in the image
too; package managers and installers replace files instead, which does not.
"""

from __future__ import annotations

import json
import os
import time
from dataclasses import dataclass, field
from pathlib import Path

from stackup.base.errors import HostUnfit
from stackup.base.files import locked
from stackup.base.paths import Layout
from stackup.base.workroom import Workroom
from stackup.images import fitness, hostroot, usage
from stackup.images.hoststate import HostState, read_state, targets
from stackup.images.tree import Tree

_CACHE_SECONDS = 1.0
_GRACE_SECONDS = 600.0  # between computing overlays and writing the bundle that proves the use
STATE_LABEL = "dev.stackup.host.packages"


@dataclass(slots=True)
class HostBase:
    """``root`` is / except in tests."""

    layout: Layout
    root: Path = Path("/")
    _state: HostState | None = None
    _targets: tuple[str, ...] = ()
    _read_at: float = field(default=0.0)

    def state(self) -> HostState:
        """The host's state now (not older than a second)."""
        now = time.monotonic()
        if self._state is None or now - self._read_at > _CACHE_SECONDS:
            self._targets = targets(self.root, fitness.mounts())
            self._state = read_state(self.root, self._targets)
            self._read_at = now
        return self._state

    def labels(self) -> dict[str, str]:
        return {STATE_LABEL: self.state().packages}

    def trees(self) -> tuple[Tree, ...]:
        """Where the image's parts lie in the present state. ``materialize`` makes them."""
        version = self._version(self.state().version)
        found = [Tree("/", (str(version / "root"),))]
        for target in self._targets:
            mask = version / "mask" / target.strip("/").replace("/", "+")
            found.append(Tree(target, (str(mask), str(self.root / target.strip("/")))))
        return tuple(found)

    def _version(self, version: str) -> Path:
        return self.layout.host_images / version[:16]

    def ready(self, version: str) -> bool:
        return self._version(version).is_dir()

    def materialize(self, version: str) -> tuple[str, ...]:
        """Makes the private layer of ``version`` unless it is there; answers notes (what was left out).

        When the host changed since ``version`` was computed, what is copied is the newer state: fine for a first use.
        """
        place = self._version(version)
        if not place.is_dir():
            self.state()
            self._check()
            self.layout.host_images.mkdir(parents=True, exist_ok=True)
            os.chmod(self.layout.host_images, 0o700)  # hard-linked setuid programs must not stay reachable
            with locked(self.layout.host_images / ".lock"):
                if not place.is_dir():
                    self._build(place)
                    self._collect(keep=place.name)
        os.utime(place)
        return tuple(json.loads((place / "notes.json").read_bytes()))

    def _build(self, place: Path) -> None:
        with self._workroom().directory() as temporary:
            os.chmod(temporary, 0o755)
            notes = hostroot.build(self.root, temporary, self._targets, self._own_directories())
            (temporary / "notes.json").write_text(json.dumps(notes), encoding="utf-8")
            os.rename(temporary, place)

    def _own_directories(self) -> frozenset[tuple[int, int]]:
        """Stackup's own state, which may lie in /opt, must not be copied into itself."""
        found = set()
        for path in (self.layout.state, self.layout.run):
            try:
                info = os.stat(path)
            except OSError:
                continue
            found.add((info.st_dev, info.st_ino))
        return frozenset(found)

    def _check(self) -> None:
        for target in self._targets:
            lower = self.root / target.strip("/")
            if fitness.inside(self.layout.state, lower):
                raise HostUnfit(
                    f"cannot use the image 'host': stackup's state {self.layout.state} lies inside {lower}, which is "
                    "part of the image",
                    hint="Set STACKUP_ROOT to a directory outside, e.g. STACKUP_ROOT=/var/lib/stackup.",
                )

    def _workroom(self) -> Workroom:
        return Workroom(self.layout.host_images / ".work")

    def _collect(self, keep: str) -> None:
        """Deletes versions that no container stands on and that were not asked for lately."""
        used = "\n".join(text for _, text in usage.launches(self.layout))
        for name in os.listdir(self.layout.host_images):
            path = self.layout.host_images / name
            if name.startswith(".") or name == keep or str(path) in used:
                continue
            if time.time() - path.stat().st_mtime > _GRACE_SECONDS:
                with self._workroom().directory() as grave:
                    os.rename(path, grave / name)

    def sweep(self) -> None:
        self._workroom().sweep()

    def changed_since(self, packages: str) -> str:
        """A sentence for the user when the host's packages are no longer those of ``packages``
        (``HostState.packages``, as in the image's label), else ""."""
        if self.state().packages == packages:
            return ""
        return (
            "the host's packages have changed since containers on the image 'host' were started; "
            "they see the new files already, recreate them to be sure (stackup up --force-recreate)"
        )
