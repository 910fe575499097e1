"""``build`` and ``develop``: how a service's image is made and kept in step with its sources."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from stackup.model.strict import Bytes, Map, Strict


class Ulimit(Strict):
    """``single`` remembers that one number was written for both; soft and hard are always set. -1 is unlimited."""

    soft: int
    hard: int
    single: bool = False


class FileGrant(Strict):
    """A secret or config given to a service or a build. ``target`` empty: /run/secrets/SOURCE or /SOURCE."""

    source: str
    target: str | None = None
    uid: str | None = None
    gid: str | None = None
    mode: int | None = Field(default=None, description="Permission bits; 0444 when absent")


class SshKey(Strict):
    """An SSH agent socket or key given to the build; ``path`` None means the caller's agent."""

    id: str
    path: str | None = None


class Build(Strict):
    """How to make the service's image. ``context`` is an absolute path or a URL."""

    context: str | None = None
    dockerfile: str | None = None
    dockerfile_inline: str | None = None
    entitlements: tuple[str, ...] = ()
    args: Map[str | None] = Field(default_factory=dict)
    provenance: str | None = None
    sbom: str | None = None
    ssh: tuple[SshKey, ...] = ()
    labels: Map[str] = Field(default_factory=dict)
    cache_from: tuple[str, ...] = ()
    cache_to: tuple[str, ...] = ()
    no_cache: bool = False
    no_cache_filter: tuple[str, ...] = ()
    additional_contexts: Map[str] = Field(default_factory=dict)
    pull: bool = False
    extra_hosts: Map[tuple[str, ...]] = Field(default_factory=dict)
    isolation: str | None = None
    network: str | None = None
    target: str | None = None
    secrets: tuple[FileGrant, ...] = ()
    shm_size: Bytes | None = None
    tags: tuple[str, ...] = ()
    ulimits: Map[Ulimit] = Field(default_factory=dict)
    platforms: tuple[str, ...] = ()
    privileged: bool = False


class Hook(Strict):
    """A command run inside the container (post_start, pre_stop) or before it (pre_start, with its own image)."""

    command: tuple[str, ...] | None = None
    image: str | None = None
    user: str | None = None
    privileged: bool = False
    working_dir: str | None = None
    environment: Map[str | None] = Field(default_factory=dict)
    per_replica: bool = False


WatchAction = Literal["rebuild", "sync", "restart", "sync+restart", "sync+exec"]


class Watch(Strict):
    """One rule of ``develop.watch``: what to do when something below ``path`` changes."""

    path: str
    action: WatchAction
    target: str | None = None
    exec: Hook | None = None
    include: tuple[str, ...] = ()
    ignore: tuple[str, ...] = ()
    initial_sync: bool = False


class Develop(Strict):
    watch: tuple[Watch, ...] = ()
