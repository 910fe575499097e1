"""Where state lives, and who may go there. ``Layout`` is the only module that joins these paths.

State under /var/lib/stackup, run-time files under /run/stackup; ``STACKUP_ROOT`` moves both together.
"""

from __future__ import annotations

import os
from contextlib import suppress
from pathlib import Path

from stackup.base.values import frozen

ROOT_VARIABLE = "STACKUP_ROOT"


@frozen
class ProjectPaths:
    """Everything of one project. ``state`` survives a reboot, ``run`` does not."""

    state: Path
    run: Path

    @property
    def records(self) -> Path:
        return self.state / "records.db"

    @property
    def lock(self) -> Path:
        """flock held by the project's supervisor for life."""
        return self.state / "lock"

    @property
    def launcher_lock(self) -> Path:
        """flock held by the project's launcher for life."""
        return self.run / "launcher.lock"

    @property
    def control_socket(self) -> Path:
        """Bound and held by the launcher, served by the supervisor: SOCK_STREAM, JSON lines."""
        return self.run / "control.sock"

    @property
    def supervisor_log(self) -> Path:
        return self.state / "supervisor.log"

    @property
    def launcher_log(self) -> Path:
        return self.state / "launcher.log"

    def container(self, container_id: str) -> ContainerPaths:
        return ContainerPaths(self.state / "containers" / container_id, self.run / "containers" / container_id)


@frozen
class ContainerPaths:
    """Everything of one container. One flat directory: making and deleting files is what a short life costs most.

    ``state`` is its OCI bundle (config.json, and launch.json with what the OCI has no field for). Beside these two lie
    secrets, what it printed, and the upper and work directories of its overlays. In ``run``, in memory as a rule, are
    hosts, hostname and resolv.conf, which every start writes where they are missing, and the FIFOs of its output.
    """

    state: Path
    run: Path

    @property
    def exit_file(self) -> Path:
        """Written by the launcher before it tells anyone: JSON with status, incarnation and time."""
        return self.state / "exit.json"

    def fifo(self, stream: str) -> Path:
        return self.run / stream


@frozen
class Layout:
    """All paths of one state root. ``root`` is empty for the machine's default one."""

    state: Path
    run: Path
    root: str = ""

    @classmethod
    def from_environment(cls, environment: dict[str, str] | None = None) -> Layout:
        env = os.environ if environment is None else environment
        root = env.get(ROOT_VARIABLE, "")
        return cls.at(root) if root else cls(Path("/var/lib/stackup"), Path("/run/stackup"))

    @classmethod
    def at(cls, root: str | Path) -> Layout:
        path = Path(root).absolute()
        return cls(path / "lib", path / "run", str(path))

    def claim(self) -> None:
        """Called before anything is written: nobody but root may enter, for set-uid programs of containers, secrets and
        records lie below. A place that cannot be written to says so itself, later and better."""
        for place in (self.state, self.run):
            with suppress(OSError):
                place.parent.mkdir(parents=True, exist_ok=True)
                with suppress(FileExistsError):
                    place.mkdir(0o700)
        self.close()

    def close(self) -> None:
        """As ``claim``, for what is there already, and was left open by an earlier release or by somebody else."""
        for place in (self.state, self.run):
            with suppress(OSError):
                there = place.stat()
                if there.st_mode & 0o077 and there.st_uid == os.geteuid():
                    place.chmod(0o700)

    @property
    def images(self) -> Path:
        """OCI image layout: oci-layout, index.json, blobs/."""
        return self.state / "images"

    @property
    def layers(self) -> Path:
        """Each layer unpacked once: layers/<diff id>/."""
        return self.state / "layers"

    @property
    def host_images(self) -> Path:
        """Private copies that the built-in image ``host`` is made of."""
        return self.state / "host"

    @property
    def build_cache(self) -> Path:
        return self.state / "build"

    @property
    def volumes(self) -> Path:
        return self.state / "volumes"

    @property
    def networks(self) -> Path:
        """Records of networks that belong to no project."""
        return self.state / "networks"

    @property
    def cache(self) -> Path:
        """Things that may be deleted at any time: compiled seccomp filters, resolution caches."""
        return self.state / "cache"

    @property
    def leases(self) -> Path:
        """Host-wide leases (subnets, ports), under a short flock; rebuilt from the kernel after a crash."""
        return self.run / "leases"

    @property
    def projects(self) -> Path:
        return self.state / "projects"

    def project(self, name: str) -> ProjectPaths:
        return ProjectPaths(self.state / "projects" / name, self.run / "projects" / name)
