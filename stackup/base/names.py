"""Names of the things that stackup makes on a machine, so that leftovers are found even when all records are gone.

Kernel link names hold 15 bytes, so links carry ``sk`` plus a short hash and the full identity in their ifalias.
"""

from __future__ import annotations

import os
import re

LABEL_PREFIX = "com.docker.compose"
LINK_PREFIX = "sk"
CGROUP_PARENT = "stackup"
NFT_TABLE_PREFIX = "stackup_"

_PROJECT = re.compile(r"[a-z0-9][a-z0-9_-]*\Z")


def is_project_name(name: str) -> bool:
    """True for what the Compose Specification allows as an explicit project name."""
    return bool(_PROJECT.match(name))


def normalize_project_name(name: str) -> str:
    """A directory's base name made into a project name (compose-go loader.NormalizeProjectName)."""
    return re.sub(r"[^a-z0-9_-]", "", name.lower()).lstrip("_-")


def new_container_id() -> str:
    """64 hexadecimal digits, as OCI engines use."""
    return os.urandom(32).hex()


def short_hash(*parts: str, digits: int = 8) -> str:
    import hashlib  # loads OpenSSL: commands that only ask do without

    return hashlib.sha256("\0".join(parts).encode()).hexdigest()[:digits]


def project_id(project: str, root: str = "") -> str:
    """Short identity of a project on this machine; two state roots may hold projects of the same name."""
    return short_hash("project", root, project)


def bridge_name(project: str, network: str, root: str = "") -> str:
    return f"{LINK_PREFIX}b{short_hash('bridge', root, project, network, digits=10)}"


def veth_name(container_id: str, network: str, incarnation: int) -> str:
    """New at every start: the link of the incarnation before may live on for 100 ms after its container died."""
    return f"{LINK_PREFIX}v{short_hash('veth', container_id, network, str(incarnation), digits=10)}"


def nft_table(project: str, root: str = "") -> str:
    return f"{NFT_TABLE_PREFIX}{project_id(project, root)}"


def container_name(project: str, service: str, number: int) -> str:
    return f"{project}-{service}-{number}"


def image_name(project: str, service: str) -> str:
    return f"{project}-{service}"


def project_cgroup(project: str, root: str = "") -> str:
    """Path below every cgroup hierarchy's mount point; projects of another state root carry that root's hash."""
    name = f"{project}@{short_hash('root', root, digits=6)}" if root else project
    return f"{CGROUP_PARENT}/{name}"


def container_cgroup(project: str, container_id: str, root: str = "") -> str:
    return f"{project_cgroup(project, root)}/{container_id[:12]}"
