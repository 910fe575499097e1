"""The grammar of a whole stack file. ``STACK`` is the root that reading and merging start from."""

from __future__ import annotations

from stackup.stackfile.forms import Form, MapOf, Record, merge, replacing
from stackup.stackfile.grammar_extras import STACK_EXTRAS
from stackup.stackfile.grammar_parts import FLAG, LABELS, NAME, OPTIONS, TEXT, TEXTS
from stackup.stackfile.grammar_service import SERVICE
from stackup.stackfile.listforms import ListOf, Pairs
from stackup.stackfile.mounts import HostPath
from stackup.stackfile.nodes import Node
from stackup.stackfile.reader import Reader, show
from stackup.stackfile.scalars import Text, Whole
from stackup.stackfile.wrappers import Short, Typed


class ExternalForm(Form):
    """True, false, or the old {name: ...}, which ``_Resource`` takes apart."""

    expected = "true or false"

    def read(self, node: Node, path: str, reader: Reader) -> Node | None:
        if type(node.value) is dict:
            return Record("external", {"name": TEXT}).read(node, path, reader)
        return FLAG.read(node, path, reader)


class _Resource(Record):
    """A network, volume, secret or config: ``external: {name: x}`` is the old way to write name and external."""

    def read(self, node: Node, path: str, reader: Reader) -> Node | None:
        item = super().read(node, path, reader)
        external = None if item is None else item.get("external")
        if item is None or external is None or type(external.value) is not dict:
            return item
        fields = {**item.value, "external": external.with_value(True)}
        old, name = external.get("name"), item.get("name")
        if old is not None:
            reader.problems.warn(old, f"{path}: external.name is deprecated", hint="write name and external: true")
            if name is not None and name.value != old.value:
                reader.refuse(old, path, f"name and external.name differ ({show(name)}, {show(old)})")
            fields["name"] = name or old
        return item.with_value(fields)


_POOL = Record(
    "an address pool",
    {"subnet": TEXT, "gateway": TEXT, "ip_range": TEXT, "aux_addresses": MapOf(TEXT, "a mapping of addresses")},
)


class _Pools(ListOf):
    """A later list replaces the earlier one, but a pool of the same subnet keeps what the later does not say."""

    def __init__(self) -> None:
        super().__init__(_POOL, "a list of address pools")

    def merge(self, base: Node, over: Node) -> Node:
        known = {pool.text("subnet"): pool for pool in base.value}
        pools = [
            (merge(_POOL, known[pool.text("subnet")], pool) or pool) if pool.text("subnet") in known else pool
            for pool in over.value
        ]
        return replacing(base, over.with_value(pools))


NETWORK = _Resource(
    "a network",
    {
        "name": TEXT,
        "driver": TEXT,
        "driver_opts": OPTIONS,
        "ipam": Record(
            "ipam",
            {
                "driver": TEXT,
                "config": _Pools(),
                "options": MapOf(TEXT, "a mapping of texts"),
            },
        ),
        "external": ExternalForm(),
        "internal": FLAG,
        "attachable": FLAG,
        "enable_ipv4": FLAG,
        "enable_ipv6": FLAG,
        "labels": LABELS,
    },
    null=True,
)


class _Volume(_Resource):
    """A bind in disguise (driver local, o=bind) has a host path in its options."""

    def read(self, node: Node, path: str, reader: Reader) -> Node | None:
        item = super().read(node, path, reader)
        options = None if item is None else item.get("driver_opts")
        if item is None or options is None or options.text("o") != "bind" or item.text("driver") != "local":
            return item
        device = options.get("device")
        if device is None:
            return item
        read = HostPath(blank=True).read(device, f"{path}.driver_opts.device", reader)
        if read is None:
            return item
        return item.with_value({**item.value, "driver_opts": options.with_value({**options.value, "device": read})})


VOLUME = _Volume(
    "a volume",
    {"name": TEXT, "driver": TEXT, "driver_opts": OPTIONS, "external": ExternalForm(), "labels": LABELS},
    null=True,
)
_FILE_OBJECT: dict[str, Form] = {
    "name": TEXT,
    "environment": TEXT,
    "file": HostPath(blank=True),
    "external": ExternalForm(),
    "labels": LABELS,
    "template_driver": TEXT,
}
SECRET = _Resource("a secret", {**_FILE_OBJECT, "driver": TEXT, "driver_opts": OPTIONS})
CONFIG = _Resource("a config", {**_FILE_OBJECT, "content": TEXT})
MODEL = Record(
    "a model",
    {"name": TEXT, "model": TEXT, "context_size": Whole(), "runtime_flags": TEXTS},
    required=("model",),
)

_PATHS = ListOf(TEXT, "a path or a list of paths", single=True)
INCLUDE = Short(
    Record("an include", {"path": _PATHS, "env_file": _PATHS, "project_directory": TEXT}, open=False),
    lambda node, path, reader: node.with_value({"path": node.with_value([node.under(node.value)])}),
    "a path, or a mapping with path, env_file and project_directory",
)

_BESIDE = ("networks", "volumes", "secrets", "configs")


class _Services(MapOf):
    """``services``; knows what is often put there by a wrong indentation."""

    def read(self, node: Node, path: str, reader: Reader) -> Node | None:
        if type(node.value) is not dict:
            return super().read(node, path, reader)
        nameless = next(
            (
                name
                for name, child in node.value.items()
                if name in SERVICE.fields and child.value is not None and type(child.value) is not dict
            ),
            "",
        )
        if nameless:
            words = f"{nameless} is an attribute of a service; the service's name is missing above it"
            hint = f"write services: {{NAME: {{{nameless}: ...}}}}, each level indented two spaces more"
            reader.refuse(node.value[nameless], f"{path}.{nameless}", words, hint, at_key=True)
            return node.with_value({})
        inner = {}
        for name, child in node.value.items():
            if name in _BESIDE and type(child.value) is dict and child.value and not {*child.value} & {*SERVICE.fields}:
                hint = f"write {name}: one level further out, at the indentation of services:"
                reader.refuse(child, f"{path}.{name}", "this looks like the section of that name", hint, at_key=True)
            else:
                inner[name] = child
        return super().read(node.with_value(inner), path, reader)


SECTIONS: dict[str, Form] = {
    "services": _Services(SERVICE, "a mapping of services", names=NAME),
    "networks": MapOf(NETWORK, "a mapping of networks", names=NAME),
    "volumes": MapOf(VOLUME, "a mapping of volumes", names=NAME),
    "secrets": MapOf(SECRET, "a mapping of secrets", names=NAME),
    "configs": MapOf(CONFIG, "a mapping of configs", names=NAME),
    "models": MapOf(MODEL, "a mapping of models", names=NAME),
}
_HINTS = {
    "service": "did you mean 'services'?",
    "apiVersion": "this is a Kubernetes file, not a Compose file",
    "kind": "this is a Kubernetes file, not a Compose file",
}


class _Stack(Record):
    """The whole file; knows services whose section is missing."""

    def unknown(self, key: str, child: Node, path: str, reader: Reader) -> None:
        if type(child.value) is dict and ("image" in child.value or "build" in child.value):
            words = f"this looks like a service: write it below services:, as services: {{{key}: ...}}"
            reader.refuse(child, key, "a stack file has no such attribute", words, at_key=True)
        else:
            super().unknown(key, child, path, reader)


STACK = _Stack(
    "a stack file",
    {
        "version": Text(),
        "name": Text(),
        "include": ListOf(INCLUDE, "a list of files to include"),
        **SECTIONS,
        "x-stackup": Typed(STACK_EXTRAS),
    },
    hints=_HINTS,
)
__all__ = ["CONFIG", "INCLUDE", "MODEL", "NETWORK", "SECRET", "SECTIONS", "SERVICE", "STACK", "VOLUME", "Pairs"]
