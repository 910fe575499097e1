"""Short syntaxes, each turned into its long form: ports, volumes, devices, hosts, commands and the rest."""

from __future__ import annotations

import ipaddress
import os
import re
from collections.abc import Iterator

from stackup.stackfile import shellwords
from stackup.stackfile.forms import Form, ListOf, Reader, Record, show
from stackup.stackfile.nodes import Node

_PORT = "[[IP:]HOST:]CONTAINER[/PROTOCOL], such as 80, 8080:80, 127.0.0.1:8080:80/udp or 8000-8010:80"
_PROTOCOLS = ("tcp", "udp", "sctp")


class PortList(ListOf):
    """``ports``: a range such as ``8000-8002:80-82`` stands for several entries."""

    def __init__(self, long: Record) -> None:
        super().__init__(long, "a list of ports", key=_port_key)
        self.long = long

    def items(self, child: Node, path: str, reader: Reader) -> list[Node]:
        value = child.value
        if type(value) is dict:
            item = self.long.read(child, path, reader)
            return [] if item is None else [_with_mode(item)]
        if type(value) is int:
            value = str(value)
        if type(value) is not str:
            reader.wrong(child, path, f"a port: {_PORT}")
            return []
        if reader.open_text(child):
            return [child]
        try:
            return [
                child.with_value({name: child.under(part) for name, part in port.items()})
                for port in parse_ports(value)
            ]
        except ValueError as error:
            reader.wrong(child, path, f"a port: {_PORT}", str(error))
            return []


def _with_mode(item: Node) -> Node:
    """Compose fills in the mode and protocol before it compares ports of several files."""
    given = item.value
    filled = {name: given[name] if name in given else item.under(value) for name, value in _DEFAULTS.items()}
    return item.with_value({**given, **filled})


_DEFAULTS = {"mode": "ingress", "protocol": "tcp"}


def _port_key(node: Node) -> str | None:
    if type(node.value) is not dict:
        return None
    parts = {name: child.value for name, child in node.value.items() if not name.startswith("x-")}
    published, protocol = parts.get("published") or "", parts.get("protocol", "tcp")
    return f"{parts.get('host_ip') or '0.0.0.0'}:{published}:{parts.get('target')}/{protocol}"


def parse_ports(text: str) -> Iterator[dict[str, str | int]]:
    """The long forms of one short port. Raises ValueError with a sentence (docker/go-connections nat.ParsePortSpec)."""
    spec, slash, protocol = text.partition("/")
    protocol = protocol.lower() if slash and protocol else "tcp"
    parts = spec.split(":")
    container = parts[-1]
    host = parts[-2] if len(parts) > 1 else ""
    address = _address(":".join(parts[:-2]))
    if not container:
        raise ValueError("the container's port is missing")
    if protocol not in _PROTOCOLS:
        raise ValueError(f"the protocol {protocol!r} is none of tcp, udp, sctp")
    start, end = _port_range(container, "container")
    if not host:
        return iter(_long(address, "", port, protocol) for port in range(start, end + 1))
    first, last = _port_range(host, "host")
    if end - start != last - first:
        if end != start:
            raise ValueError(f"the ranges {host} and {container} differ in length")
        return iter([_long(address, f"{first}-{last}", start, protocol)])
    return iter(_long(address, str(first + port - start), port, protocol) for port in range(start, end + 1))


def _long(address: str, published: str, target: int, protocol: str) -> dict[str, str | int]:
    port: dict[str, str | int] = {"mode": "ingress", "target": target, "protocol": protocol}
    if published:
        port["published"] = published
    if address:
        port["host_ip"] = address
    return port


def _address(text: str) -> str:
    if not text:
        return ""
    plain = text[1:-1] if text[0] == "[" and text[-1] == "]" else text
    if not is_address(plain):
        raise ValueError(f"{text!r} is no IP address")
    return plain


def is_address(text: str) -> bool:
    try:
        ipaddress.ip_address(text.partition("%")[0])
    except ValueError:
        return False
    return True


def _port_range(text: str, side: str) -> tuple[int, int]:
    first, dash, last = text.partition("-")
    numbers = [first, last if dash else first]
    if not all(re.fullmatch(r"[0-9]{1,5}", part) and int(part) <= 65535 for part in numbers):
        raise ValueError(f"the {side} port {text!r} is no number from 0 to 65535 and no range of them")
    start, end = int(numbers[0]), int(numbers[1])
    if end < start:
        raise ValueError(f"the {side} port range {text!r} ends before it begins")
    return start, end


# --- volumes


_PROPAGATIONS = ("rprivate", "private", "rshared", "shared", "rslave", "slave")
_VOLUME = "[SOURCE:]TARGET[:OPTIONS], such as ./data:/data:ro, db:/var/lib/db or /cache"


def expand_volume(node: Node, path: str, reader: Reader) -> Node | None:
    if reader.open_text(node):
        return node
    try:
        parts = parse_volume(node.value)
    except ValueError as error:
        reader.wrong(node, path, f"a volume: {_VOLUME}", str(error))
        return None
    fields = {name: node.under(value) for name, value in parts.items()}
    for name in ("bind", "volume"):
        if name in fields:
            inner = fields[name].value
            fields[name] = node.under({key: node.under(value) for key, value in inner.items()})
    return finish_volume(node.with_value(fields), path, reader)


def parse_volume(text: str) -> dict[str, object]:
    """The long form of a short volume, paths as written. Raises ValueError with a sentence."""
    if not text:
        raise ValueError("it is empty")
    if len(text) <= 2:
        return {"type": "volume", "target": text}
    fields: dict[str, object] = {}
    parts = list(_volume_parts(text))
    if any(not part for part in parts):
        raise ValueError("there is nothing between two colons" if text.strip(":") else "there are only colons")
    if len(parts) > 3:
        raise ValueError("there are too many colons")
    bind: dict[str, object] = {}
    volume: dict[str, object] = {}
    for option in parts[2].split(",") if len(parts) == 3 else ():
        if option in ("ro", "rw"):
            fields["read_only"] = option == "ro"
        elif option == "nocopy":
            volume["nocopy"] = True
        elif option in _PROPAGATIONS:
            bind["propagation"] = option
        elif option in ("z", "Z"):
            bind["selinux"] = option
    source = parts[0] if len(parts) > 1 else ""
    fields["target"] = parts[1] if len(parts) > 1 else parts[0]
    if source:
        fields["source"] = source
    if _is_path(source):
        fields |= {"type": "bind", "bind": {**bind, "create_host_path": True}}
        if volume:
            fields["volume"] = volume
    else:
        fields |= {"type": "volume", "volume": volume}
        if bind:
            fields["bind"] = bind
    return fields


def _volume_parts(text: str) -> Iterator[str]:
    """Splits at colons, but not at that of a Windows drive, nor inside ``${...}``."""
    start = level = 0
    for index, char in enumerate(text):
        if text.startswith("${", index):
            level += 1
        elif char == "}" and level:
            level -= 1
        elif char == ":" and not level and not (index - start == 1 and text[start].isalpha()):
            yield text[start:index]
            start = index + 1
    yield text[start:]


def _is_path(source: str) -> bool:
    if not source:
        return False
    return source[0] in "./~" or source.startswith("\\\\") or _is_drive(source)


def _is_drive(source: str) -> bool:
    return len(source) > 1 and source[0].isalpha() and source[1] == ":"


def finish_volume(node: Node, path: str, reader: Reader) -> Node | None:
    """Absolute sources for binds, clean targets."""
    fields = dict(node.value)
    kind, source, target = node.text("type"), fields.get("source"), fields.get("target")
    if kind == "bind" and not node.text("source"):
        reader.refuse(source or node, path, "a bind needs a source, the path on the host")
        return None
    if kind == "bind" and source is not None and not reader.open_text(source):
        fields["source"] = source.with_value(absolute(source, reader))
    if target is not None and target.value and not reader.open_text(target):
        fields["target"] = target.with_value(clean(target.value))
    return node.with_value(fields)


def clean(path: str) -> str:
    """Go's path.Clean: like normpath, and one slash only at the beginning."""
    normal = os.path.normpath(path) if path else "."
    return normal[1:] if normal.startswith("//") else normal


def absolute(node: Node, reader: Reader) -> str:
    """A path of the host: ``~`` is the caller's home, relative ones start at the directory of the file they are in."""
    path: str = node.value
    if not reader.resolve_paths:
        return path
    if path.startswith("~"):
        return clean(os.path.join(reader.home, path[1:].lstrip("/"))) if reader.home else path
    if path.startswith("/"):
        return path
    if _is_drive(path) or path.startswith("\\\\"):
        return path
    return clean(os.path.join(node.source.directory, path))


class HostPath(Form):
    """A path on the host, made absolute. ``url``: texts that name something else than a path stay as they are."""

    expected = "a path"

    def __init__(self, *, url: bool = False, real: bool = False) -> None:
        self.url = url
        self.real = real

    def read(self, node: Node, path: str, reader: Reader) -> Node | None:
        value = node.value
        if type(value) is not str:
            reader.wrong(node, path, self.expected)
            return None
        if reader.open_text(node) or (self.url and is_remote(value)):
            return node
        result = absolute(node, reader)
        if self.real and reader.resolve_paths:
            result = os.path.realpath(result)
        return node.with_value(clean(result) if result else result)


def is_remote(context: str) -> bool:
    """Build contexts that are no local path: URLs, git addresses, ``service:NAME``, ``docker-image://``."""
    return "://" in context or context.startswith(("service:", "git@", "github.com/", "target:"))


# --- the rest


def expand_device(node: Node, path: str, reader: Reader) -> Node | None:
    parts = node.value.split(":")
    if len(parts) > 3 or not parts[0]:
        reader.wrong(
            node, path, "a device: HOST[:CONTAINER[:PERMISSIONS]], such as /dev/ttyUSB0 or /dev/sda:/dev/xvda:r"
        )
        return None
    target = parts[1] if len(parts) > 1 and parts[1] else parts[0]
    permissions = parts[2] if len(parts) > 2 else "rwm"
    fields = {"source": parts[0], "target": target, "permissions": permissions}
    return node.with_value({name: node.under(value) for name, value in fields.items()})


def expand_command(node: Node, path: str, reader: Reader) -> Node | None:
    """A command line to a list of words."""
    if reader.open_text(node):
        return node
    result = shellwords.split(node.value)
    if result is None:
        reader.refuse(node, path, f"a quote or bracket in {show(node)} is not closed")
        return None
    words, rest = result
    if rest:
        reader.problems.warn(
            node,
            f"{path} runs without a shell, so everything from {rest[:1]!r} on is dropped",
            hint="write [sh, -c, '...'] to have a shell run it",
        )
    return node.with_value([node.under(word) for word in words])


def expand_test(node: Node, path: str, reader: Reader) -> Node | None:
    return node.with_value([node.under("CMD-SHELL"), node.under(node.value)])


class Hosts(Form):
    """``extra_hosts``: names to lists of addresses."""

    expected = "a mapping of names to addresses, or a list of NAME=ADDRESS"

    def read(self, node: Node, path: str, reader: Reader) -> Node | None:
        hosts: dict[str, Node] = {}
        if type(node.value) is dict:
            for name, child in node.value.items():
                values = child.value if type(child.value) is list else [child]
                if not all(type(item.value) is str for item in values):
                    reader.wrong(child, f"{path}.{name}", "an address or a list of addresses")
                    continue
                self.put(hosts, name, child, [item.value for item in values])
        elif type(node.value) is list:
            for index, child in enumerate(node.value):
                match = re.match(r"([^=]*)=(.*)\Z|([^:]*):(.*)\Z", child.value) if type(child.value) is str else None
                name, addresses = (match[1] or match[3], match[2] or match[4]) if match else ("", "")
                if not name or not addresses:
                    reader.wrong(child, f"{path}.{index}", "NAME=ADDRESS, such as db=10.0.0.5")
                    continue
                self.put(hosts, name, child, addresses.split(","))
        else:
            reader.wrong(node, path, self.expected)
            return None
        return node.with_value(hosts)

    def put(self, hosts: dict[str, Node], name: str, node: Node, addresses: list[str]) -> None:
        bare = [item[1:-1] if len(item) > 2 and item[0] == "[" and item[-1] == "]" else item for item in addresses]
        before = hosts[name].value if name in hosts else []
        hosts[name] = node.with_value([*before, *(node.under(item) for item in bare)])

    def merge(self, base: Node, over: Node) -> Node:
        hosts = dict(base.value)
        for name, child in over.value.items():
            known = {item.value for item in hosts[name].value} if name in hosts else set()
            added = [item for item in child.value if item.value not in known]
            hosts[name] = child.with_value([*hosts[name].value, *added]) if name in hosts else child
        return over.with_value(hosts)


class Names(Form):
    """A list of names, or a mapping of names to details. Canonical: the mapping; ``default`` fills in for the list."""

    def __init__(self, mapping: Form, default: dict[str, object] | None, noun: str) -> None:
        self.mapping = mapping
        self.default = default
        self.expected = f"a list of {noun}s, or a mapping of {noun}s to details"
        self.noun = noun

    def read(self, node: Node, path: str, reader: Reader) -> Node | None:
        if type(node.value) is not list:
            if type(node.value) is dict:
                return self.mapping.read(node, path, reader)
            reader.wrong(node, path, self.expected)
            return None
        result: dict[str, Node] = {}
        for index, child in enumerate(node.value):
            below = f"{path}.{index}"
            if type(child.value) is not str:
                hint = "write all of them with details, or none" if type(child.value) is dict else ""
                reader.wrong(child, below, f"the name of a {self.noun}", hint)
            elif child.value in result:
                first = result[child.value].line
                reader.refuse(child, below, f"{child.value!r} is listed twice; the first one is in line {first}")
            else:
                details = None if self.default is None else {k: child.under(v) for k, v in self.default.items()}
                result[child.value] = child.with_value(details)
        return node.with_value(result)

    def merge(self, base: Node, over: Node) -> Node:
        return self.mapping.merge(base, over)


class SshKeys(Form):
    """``build.ssh``: ``default``, or ids with paths. Canonical: a list of {id, path}."""

    expected = "default, or a list of ID=PATH"

    def read(self, node: Node, path: str, reader: Reader) -> Node | None:
        value = node.value
        keys: list[Node] = []
        if type(value) is str:
            keys = [self.key(node, value, None)]
        elif type(value) is dict:
            for name, child in value.items():
                if child.value is not None and type(child.value) is not str:
                    reader.wrong(child, f"{path}.{name}", "a path")
                    continue
                keys.append(self.key(child, name, child.value))
        elif type(value) is list:
            for index, child in enumerate(value):
                if type(child.value) is not str:
                    reader.wrong(child, f"{path}.{index}", "a text ID=PATH")
                    continue
                name, equals, target = child.value.partition("=")
                keys.append(self.key(child, name, target if equals else None))
        else:
            reader.wrong(node, path, self.expected)
            return None
        return node.with_value(keys)

    def key(self, node: Node, name: str, target: str | None) -> Node:
        fields = {"id": node.under(name)}
        if target:
            fields["path"] = node.under(target)
        return node.with_value(fields)

    def merge(self, base: Node, over: Node) -> Node:
        return over.with_value([*base.value, *over.value])


class UlimitForm(Form):
    """One number for both limits, or {soft, hard}."""

    expected = "a whole number (-1: unlimited), or a mapping with soft and hard"

    def __init__(self, long: Record, number: Form) -> None:
        self.long = long
        self.number = number

    def read(self, node: Node, path: str, reader: Reader) -> Node | None:
        if type(node.value) is dict:
            item = self.long.read(node, path, reader)
            if item is not None and not {"soft", "hard"} <= set(node.value):
                reader.refuse(node, path, "both soft and hard must be given")
                return None
            return item
        if type(node.value) not in (int, str):
            reader.wrong(node, path, self.expected)
            return None
        single = self.number.read(node, path, reader)
        if single is None:
            return None
        fields = {"soft": single.value, "hard": single.value, "single": True}
        return node.with_value({name: node.under(value) for name, value in fields.items()})
