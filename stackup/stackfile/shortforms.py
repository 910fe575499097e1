"""Short syntaxes, each turned into its long form: devices, commands, hosts, names, keys, limits."""

from __future__ import annotations

from stackup.stackfile import shellwords
from stackup.stackfile.advice import for_list
from stackup.stackfile.forms import Form, Record
from stackup.stackfile.mounts import absolute
from stackup.stackfile.nodes import RESET, Node
from stackup.stackfile.reader import Reader, show


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
    item = "NAME=ADDRESS, such as db=10.0.0.5"

    def read(self, node: Node, path: str, reader: Reader) -> Node | None:
        hosts: dict[str, Node] = {}
        if type(node.value) is dict:
            for name, child in node.value.items():
                values = child.value if type(child.value) is list else [child]
                wrong = [index for index, item in enumerate(values) if type(item.value) is not str]
                for index in wrong:
                    if values[index] is child:
                        reader.wrong(child, f"{path}.{name}", "an address or a list of addresses")
                    else:
                        reader.wrong(values[index], f"{path}.{name}[{index}]", "an address")
                if wrong:
                    continue
                self.put(hosts, name, child, [item.value for item in values])
        elif type(node.value) is list:
            written: dict[str, Node] = {}
            for index, child in enumerate(node.value):
                if type(child.value) is not str:
                    reader.wrong(child, f"{path}[{index}]", self.item)
                    continue
                if child.value in written:
                    first = written[child.value].line
                    reader.refuse(child, path, f"{child.value!r} is listed twice; the first one is in line {first}")
                written.setdefault(child.value, child)
                name, sign, addresses = child.value.partition("=" if "=" in child.value else ":")
                if not name or not sign or ":" in name:
                    reader.wrong(child, f"{path}[{index}]", self.item)
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
            reader.wrong(node, path, self.expected, for_list(node))
            return None
        result: dict[str, Node] = {}
        for index, child in enumerate(node.value):
            below = f"{path}[{index}]"
            if child.tag == RESET:
                reader.resets_nothing(child, below)
                continue
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

    expected = "a list of default and ID=PATH, or a mapping of ids to paths"

    def read(self, node: Node, path: str, reader: Reader) -> Node | None:
        value = node.value
        keys: list[Node] = []
        if type(value) is dict:
            for name, child in value.items():
                if child.value is not None and type(child.value) is not str:
                    reader.wrong(child, f"{path}.{name}", "a path")
                    continue
                keys.append(self.key(child, name, child.value, reader))
        elif type(value) is list:
            for index, child in enumerate(value):
                if type(child.value) is not str:
                    reader.wrong(child, f"{path}[{index}]", "a text ID=PATH")
                    continue
                name, equals, target = child.value.partition("=")
                if not equals and name != "default":
                    reader.wrong(child, f"{path}[{index}]", "default, or ID=PATH")
                    continue
                keys.append(self.key(child, name, target if equals else None, reader))
        else:
            reader.wrong(node, path, self.expected)
            return None
        return node.with_value(keys)

    def key(self, node: Node, name: str, target: str | None, reader: Reader) -> Node:
        fields = {"id": node.under(name)}
        if target:
            fields["path"] = node.under(absolute(node.under(target), reader))
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
