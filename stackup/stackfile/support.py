"""What stackup does with each attribute beyond reading it: carry it out, warn, or refuse to run without it.

Reading and ``config`` accept the whole language. Before anything runs, an attribute that is not carried out yet gets
one warning; one whose omission would weaken isolation, lose data or run a service at the wrong time is an error.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from enum import StrEnum

from stackup.base.values import frozen
from stackup.stackfile.nodes import Node
from stackup.stackfile.problems import Problems, did_you_mean


class Support(StrEnum):
    """``NOT_YET`` and ``NEVER`` are warned about, ``REFUSED`` stops; everything that has no entry is carried out."""

    NOT_YET = "not yet"
    NEVER = "never"
    REFUSED = "refused"


@frozen
class Entry:
    """``path`` below a service (or a section), with ``*`` for items. ``unless`` tells values that need nothing."""

    path: str
    support: Support
    reason: str
    unless: Callable[[Node], bool] | None = None
    hint: str = ""


def _is(*values: object) -> Callable[[Node], bool]:
    return lambda node: node.value in values


_WINDOWS = "it exists on Windows only"
_SWARM = "it means something to a cluster only"
_UNSAFE = "it is not carried out yet, and leaving it out would"
NOT_YET, NEVER, REFUSED = Support.NOT_YET, Support.NEVER, Support.REFUSED

SERVICE_ENTRIES = (
    Entry("userns_mode", REFUSED, f"{_UNSAFE} weaken isolation", _is("host", "")),
    Entry("pre_start", REFUSED, f"{_UNSAFE} start the service unprepared"),
    Entry("pre_stop", REFUSED, f"{_UNSAFE} stop the service without what it needs to save its data"),
    Entry("x-stackup.schedule", REFUSED, f"{_UNSAFE} run the service all the time"),
    Entry("post_start", NOT_YET, "the commands are not run"),
    Entry("cgroup_parent", NOT_YET, "containers stay in stackup's own control groups"),
    Entry("external_links", NOT_YET, "the names are not added"),
    Entry("gpus", NOT_YET, "no GPU is handed in"),
    Entry("deploy.resources.reservations.devices", NOT_YET, "no device is handed in"),
    Entry("models", NOT_YET, "there is no model runner"),
    Entry("storage_opt", NOT_YET, "the writable layer has no limit"),
    Entry("use_api_socket", NOT_YET, "there is no engine socket to hand in"),
    Entry("pull_refresh_after", NOT_YET, "images are not refreshed by age"),
    Entry(
        "runtime", NOT_YET, "containers run under stackup's own runtime", _is("runc", "crun", "io.containerd.runc.v2")
    ),
    Entry("logging.driver", NOT_YET, "output goes to stackup's own log", _is("json-file", "local", "journald")),
    Entry("networks.*.link_local_ips", NOT_YET, "the addresses are not added"),
    Entry("volumes.*.bind.selinux", NOT_YET, "files are not relabelled"),
    Entry("build.cache_from", NOT_YET, "the local build cache is used"),
    Entry("build.cache_to", NOT_YET, "the local build cache is used"),
    Entry("build.provenance", NOT_YET, "no attestation is made", _is("false")),
    Entry("build.sbom", NOT_YET, "no attestation is made", _is("false")),
    Entry("cpu_count", NEVER, _WINDOWS),
    Entry("cpu_percent", NEVER, _WINDOWS),
    Entry("credential_spec", NEVER, _WINDOWS),
    Entry("isolation", NEVER, _WINDOWS, _is("default", "")),
    Entry("build.isolation", NEVER, _WINDOWS, _is("default", "")),
    Entry("deploy.placement", NEVER, _SWARM),
    Entry("deploy.endpoint_mode", NEVER, _SWARM),
    Entry("deploy.update_config", NEVER, _SWARM),
    Entry("deploy.rollback_config", NEVER, _SWARM),
    Entry("deploy.mode", NEVER, _SWARM, _is("replicated", "")),
    Entry("deploy.resources.reservations.generic_resources", NEVER, _SWARM),
)
SECTION_ENTRIES: Mapping[str, tuple[Entry, ...]] = {
    "volumes": (
        Entry(
            "driver",
            REFUSED,
            "there is no such volume driver, and data would go elsewhere",
            _is("local", "default", ""),
        ),
    ),
    "secrets": (Entry("template_driver", NOT_YET, "the content is taken as it is"),),
    "configs": (Entry("template_driver", NOT_YET, "the content is taken as it is"),),
}
_RESTART = re.compile(r"(no|always|unless-stopped|on-failure(:[0-9]+)?)?\Z")
_POLICIES = ("no", "always", "unless-stopped", "on-failure")


def check_support(services: Mapping[str, Node], tree: Node, problems: Problems) -> None:
    """Warns once for each attribute, however many services have it; refuses each place where that is due."""
    for entry in SERVICE_ENTRIES:
        _check("services", services, entry, problems)
    for section, entries in SECTION_ENTRIES.items():
        items = tree.get(section)
        if items is not None and type(items.value) is dict:
            for entry in entries:
                _check(section, items.value, entry, problems)
    for name, service in services.items():
        _check_values(name, service, problems)


def _check(section: str, items: Mapping[str, Node], entry: Entry, problems: Problems) -> None:
    found = [
        (f"{section}.{name}.{path}", node)
        for name, item in items.items()
        for path, node in _matches(item, entry.path.split("."), "")
        if node.value not in (None, [], {}, False) and not (entry.unless is not None and entry.unless(node))
    ]
    if not found:
        return
    if entry.support is Support.REFUSED:
        for path, node in found:
            problems.add(node, f"cannot use {path}: {entry.reason}", hint=entry.hint, at_key=True)
        return
    path, node = found[0]
    more = f" (and {len(found) - 1} more like it)" if len(found) > 1 else ""
    words = "is not carried out yet" if entry.support is Support.NOT_YET else "has no effect here"
    problems.warn(node, f"{path}{more} {words}: {entry.reason}", at_key=True)


def _matches(node: Node, names: list[str], path: str) -> Iterator[tuple[str, Node]]:
    if not names:
        yield path.removeprefix("."), node
        return
    first, rest = names[0], names[1:]
    children: list[tuple[object, Node]] = []
    if type(node.value) is dict:
        children = (
            list(node.value.items()) if first == "*" else [(first, node.value[first])] if first in node.value else []
        )
    elif first == "*" and type(node.value) is list:
        children = list(enumerate(node.value))
    for key, child in children:
        yield from _matches(child, rest, f"{path}.{key}")


def _check_values(name: str, service: Node, problems: Problems) -> None:
    """Values that Compose passes on unread and an engine would refuse."""
    restart = service.get("restart")
    if restart is not None and type(restart.value) is str and not _RESTART.match(restart.value):
        word = restart.value.partition(":")[0]
        hint = did_you_mean(word, _POLICIES) or f"one of {', '.join(_POLICIES)}, or on-failure:<number>"
        problems.add(restart, f"cannot use services.{name}.restart: there is no policy {restart.value!r}", hint=hint)
    volumes = service.get("volumes")
    for index, mount in enumerate(volumes.value if volumes is not None and type(volumes.value) is list else ()):
        target = mount.text("target")
        if target and not target.startswith("/"):
            hint = "a letter before a colon is read as a Windows drive: give the volume a longer name"
            problems.add(
                mount,
                f"cannot use services.{name}.volumes.{index}: the target {target!r} is no absolute path",
                hint=hint if target[1:2] == ":" else "",
            )
        if mount.text("type") in ("cluster", "npipe"):
            kind = mount.text("type")
            problems.add(
                mount, f"cannot use services.{name}.volumes.{index}: {kind} mounts do not exist on one Linux machine"
            )
