"""The one registry of what stackup does with each attribute: carry it out, warn, or refuse to run without it.

Everything that has no entry is carried out. Reading and ``config`` accept the whole language; ``verdict`` applies the
registry before anything runs. ``docs/attributes.md`` is generated from here and from the grammar.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import replace
from enum import StrEnum

from stackup.base.values import frozen
from stackup.stackfile.nodes import Node

SELINUX = "/sys/fs/selinux/enforce"


class Support(StrEnum):
    """``NOT_YET`` and ``NEVER`` are warned about, ``REFUSED`` stops; ``DONE`` entries only carry a note for people."""

    DONE = "carried out"
    NOT_YET = "not yet"
    NEVER = "no effect here"
    REFUSED = "refused"


@frozen
class Entry:
    """``path`` has ``*`` for names and items. ``unless`` tells values that need nothing (``but`` says which, for
    people); ``keys`` are the names below a final ``*`` that are carried out, ``only`` those that the entry is about."""

    path: str
    support: Support
    reason: str
    unless: Callable[[Node], bool] | None = None
    but: str = ""
    keys: frozenset[str] = frozenset()
    only: frozenset[str] = frozenset()
    hint: str = ""
    late: bool = False  # said by whoever would carry it out, when that is due


def _is(*values: object) -> Callable[[Node], bool]:
    return lambda node: node.value in values


def _no_selinux(_node: Node) -> bool:
    """Nothing is labelled on this machine, so there is nothing to leave out (docker says nothing there, either)."""
    return not os.path.exists(SELINUX)


def _no_label(node: Node) -> bool:
    text = str(node.value)
    return not text.startswith("label") or text[len("label") + 1 :] == "disable"


_WINDOWS = "it exists on Windows only"
_SWARM = "it means something to a cluster only"
_UNSAFE = "it is not carried out yet, and leaving it out would"
DONE, NOT_YET, NEVER, REFUSED = Support.DONE, Support.NOT_YET, Support.NEVER, Support.REFUSED
_BRIDGE_OPTIONS = frozenset(
    f"com.docker.network.{name}"
    for name in ("bridge.name", "driver.mtu", "bridge.enable_ip_masquerade", "bridge.enable_icc")
)

# Options that shut a network more than stackup does: without them ports would be open to more of the world.
_GUARDS = frozenset(
    f"com.docker.network.bridge.{name}"
    for name in ("host_binding_ipv4", "gateway_mode_ipv4", "gateway_mode_ipv6", "trusted_host_interfaces")
)

_SERVICE = (
    Entry("userns_mode", REFUSED, f"{_UNSAFE} weaken isolation", _is("host", ""), "host"),
    Entry("security_opt.*", REFUSED, f"{_UNSAFE} weaken isolation", _no_label, "all but label=..."),
    Entry("provider", NOT_YET, "its program is not run, and nothing is started in its place"),
    Entry("platform", DONE, "what is pulled; programs of another machine run where the kernel knows how"),
    Entry("pull_policy", DONE, "an image's age counts from when its registry was last asked"),
    Entry("develop", NOT_YET, "no files are watched"),
    Entry("network_mode", DONE, "bridge (and default) joins the project's default network: there is no docker0 here"),
    Entry("blkio_config.weight_device", NOT_YET, "weights are set for all devices only"),
    Entry("cgroup_parent", NOT_YET, "containers stay in stackup's own control groups"),
    Entry("external_links", NOT_YET, "the names are not added"),
    Entry("gpus", NOT_YET, "no GPU is handed in"),
    Entry("models", NOT_YET, "there is no model runner"),
    Entry("oom_kill_disable", DONE, "with cgroup v1; version 2 has no such setting"),
    Entry("storage_opt", NOT_YET, "the writable layer has no limit"),
    Entry("use_api_socket", NOT_YET, "there is no engine socket to hand in"),
    Entry(
        "runtime",
        NOT_YET,
        "containers run under stackup's own runtime",
        _is("runc", "crun", "io.containerd.runc.v2"),
        "runc, crun",
    ),
    Entry("logging.driver", DONE, "json-file, local, none, journald and syslog; none is silent in `up`, too"),
    Entry("logging.options", DONE, "see docs/logs.md"),
    Entry("networks.*.link_local_ips", NOT_YET, "the addresses are not added"),
    Entry("networks.*.driver_opts", NOT_YET, "the options are not applied"),
    Entry("volumes.*.bind.selinux", NOT_YET, "files are not relabelled", _no_selinux, "machines without SELinux"),
    Entry("volumes.*.volume.labels", NOT_YET, "the volume gets no labels"),
    Entry("deploy.resources.reservations.devices", NOT_YET, "no device is handed in"),
    Entry("deploy.update_config", DONE, "a batch is good when its containers are healthy, or run, for monitor"),
    Entry("deploy.rollback_config", DONE, "for failure_action: rollback and for stackup rollback"),
    Entry("build.cache_from", DONE, "local and registry; other kinds are left out with a warning"),
    Entry("build.cache_to", DONE, "local and registry; other kinds are left out with a warning"),
    Entry("build.provenance", NOT_YET, "no attestation is made", _is("false"), "false", late=True),
    Entry("build.sbom", NOT_YET, "no attestation is made", _is("false"), "false", late=True),
    Entry("build.platforms", DONE, "RUN for other machines needs an emulator (binfmt_misc)"),
    Entry("cpu_count", NEVER, _WINDOWS),
    Entry("cpu_percent", NEVER, _WINDOWS),
    Entry("credential_spec", NEVER, _WINDOWS),
    Entry("isolation", NEVER, _WINDOWS, _is("default", ""), "default"),
    Entry("build.isolation", NEVER, _WINDOWS, _is("default", ""), "default"),
    Entry("deploy.placement", NEVER, _SWARM),
    Entry("deploy.endpoint_mode", NEVER, _SWARM),
    Entry("deploy.labels", NEVER, _SWARM),
    Entry("deploy.mode", NEVER, _SWARM, _is("replicated", ""), "replicated"),
    Entry("deploy.resources.reservations.cpus", NEVER, "one machine keeps no processors free; use cpu_shares"),
    Entry("deploy.resources.reservations.generic_resources", NEVER, _SWARM),
    Entry("pre_start", DONE, "a command that has succeeded is not run again for the same container"),
    Entry("post_start", DONE, "after every start, also those that the restart policy brings about"),
    Entry("pre_stop", DONE, "a failing command is told and stops nothing"),
    Entry("expose", DONE, "documentation: services reach all ports of one another"),
    Entry("ports.*.name", DONE, "documentation"),
    Entry("ports.*.app_protocol", DONE, "documentation"),
    Entry("ports.*.mode", DONE, "host and ingress are the same on one machine"),
    Entry("volumes.*.consistency", DONE, "Linux has only one kind"),
    Entry("volumes.*.type", DONE, "image is refused for now; cluster and npipe do not exist on one Linux machine"),
    Entry("mem_swappiness", DONE, "with cgroup v1; version 2 has no such setting"),
    Entry("cpu_rt_period", DONE, "with cgroup v1 and a kernel that has real-time groups"),
    Entry("cpu_rt_runtime", DONE, "with cgroup v1 and a kernel that has real-time groups"),
    Entry("build.pull", DONE, "for images that a registry has"),
)
_FILES = (
    Entry("external", REFUSED, "there is no store of external ones, and the service would run without it"),
    Entry("template_driver", NOT_YET, "the content is taken as it is"),
    Entry("labels", NEVER, _SWARM),
)
_SECTIONS: tuple[Entry, ...] = tuple(
    replace(entry, path=f"{section}.*.{entry.path}")
    for section, entries in (
        ("services", _SERVICE),
        (
            "networks",
            (
                Entry(
                    "driver",
                    REFUSED,
                    "there is no such network driver, and the network would be another one",
                    _is("bridge", "default", ""),
                    "bridge",
                ),
                Entry("driver_opts.*", NOT_YET, "the option is not applied", keys=_BRIDGE_OPTIONS | _GUARDS),
                Entry("driver_opts.*", REFUSED, f"{_UNSAFE} weaken isolation", only=_GUARDS),
                Entry("ipam.driver", NOT_YET, "stackup gives the addresses itself", _is("default", ""), "default"),
                Entry("ipam.options", NOT_YET, "stackup gives the addresses itself"),
                Entry("attachable", DONE, "others may always join"),
            ),
        ),
        (
            "volumes",
            (
                Entry(
                    "driver",
                    REFUSED,
                    "there is no such volume driver, and data would go elsewhere",
                    _is("local", "default", ""),
                    "local",
                ),
            ),
        ),
        ("secrets", (*_FILES, Entry("driver", NEVER, _SWARM), Entry("driver_opts", NEVER, _SWARM))),
        ("configs", _FILES),
    )
    for entry in entries
)
ENTRIES = (
    *_SECTIONS,
    Entry("models", NOT_YET, "there is no model runner"),
    Entry("version", DONE, "it is ignored"),
    Entry("include", DONE, "from git repositories and registries (oci://), too"),
)


def entries_for(path: str) -> list[Entry]:
    """``entry_for``, and others that speak of the same attribute."""
    first = entry_for(path)
    return [entry for entry in ENTRIES if first is not None and entry.path == first.path]


def entry_for(path: str) -> Entry | None:
    """What the registry says of an attribute (``services.*.deploy.labels``) or of one that holds it; None: all well."""
    asked = path
    while path:
        found = next((entry for entry in ENTRIES if entry.path in (path, f"{path}.*")), None)
        if found is not None and (path == asked or found.support is not DONE):  # notes speak of one attribute
            return found
        path = path.rpartition(".")[0]
    return None
