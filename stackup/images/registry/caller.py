"""Whose files and variables count: those of the person who typed the command, also behind sudo and in a worker."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path

from stackup.base.values import frozen

# What of a user's environment matters to transfers; the rest stays with the user.
VARIABLES = (
    "CONTAINERS_REGISTRIES_CONF",
    "DOCKER_CONFIG",
    "HOME",
    "PATH",
    "SSL_CERT_DIR",
    "SSL_CERT_FILE",
    "SUDO_GID",
    "SUDO_UID",
    "XDG_CONFIG_HOME",
    "XDG_RUNTIME_DIR",
    "DBUS_SESSION_BUS_ADDRESS",  # credential helpers ask the desktop's key ring
    "GNUPGHOME",
    "PASSWORD_STORE_DIR",
    *(name for upper in ("HTTP_PROXY", "HTTPS_PROXY", "NO_PROXY", "ALL_PROXY") for name in (upper, upper.lower())),
)


def relevant(environment: Mapping[str, str]) -> dict[str, str]:
    """The part of a user's environment that is handed to the worker."""
    return {name: environment[name] for name in VARIABLES if name in environment}


@frozen
class Caller:
    """``environment``: see ``relevant``. ``root`` is where /etc is found; another directory than / is for tests."""

    environment: Mapping[str, str]
    root: Path = Path("/")

    @property
    def home(self) -> Path:
        return Path(self.environment.get("HOME") or "/root")

    @property
    def etc(self) -> Path:
        return self.root / "etc"

    @property
    def configuration(self) -> Path:
        """Where containers' own tools keep a user's settings."""
        return Path(self.environment.get("XDG_CONFIG_HOME") or self.home / ".config") / "containers"

    @property
    def docker_config(self) -> Path:
        directory = self.environment.get("DOCKER_CONFIG")
        return Path(directory) / "config.json" if directory else self.home / ".docker" / "config.json"

    @property
    def owner(self) -> tuple[int, int] | None:
        """User and group that files in the home directory belong to, where that is not the process's own."""
        if os.geteuid() != 0:
            return None
        try:
            return int(self.environment["SUDO_UID"]), int(self.environment["SUDO_GID"])
        except (KeyError, ValueError):
            return None
