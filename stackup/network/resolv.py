"""resolv.conf and hosts: what the host says, and what containers are given. Pure but for ``host_resolver``."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import lru_cache
from ipaddress import ip_address
from pathlib import Path

from stackup.base.values import frozen

RESOLVER = "127.0.0.11"
_HOST_FILE = Path("/etc/resolv.conf")
_MAX_SERVERS = 3


@frozen
class Resolver:
    """A resolv.conf, parsed. ``servers`` are IP addresses, an IPv6 zone kept (``fe80::1%eth0``)."""

    servers: tuple[str, ...] = ()
    search: tuple[str, ...] = ()
    options: tuple[str, ...] = ()


def parse_resolver(text: str) -> Resolver:
    """As glibc reads it: the last ``search`` or ``domain`` wins, options add up; what is not understood is ignored."""
    servers: list[str] = []
    search: tuple[str, ...] = ()
    options: list[str] = []
    for line in text.splitlines():
        if line.startswith(("#", ";")):
            continue
        words = line.split()
        if len(words) < 2:
            continue
        if words[0] == "nameserver" and _is_address(words[1]):
            servers.append(words[1])
        elif words[0] in ("search", "domain"):
            search = tuple(word for word in words[1:] if word != ".")
        elif words[0] == "options":
            options += words[1:]
    return Resolver(tuple(servers), search, tuple(options))


def host_resolver(path: Path = _HOST_FILE) -> Resolver:
    """Read again only when the file is another one."""
    try:
        info = path.stat()
        return _read_resolver(path, info.st_mtime_ns, info.st_ino, info.st_size)
    except OSError:
        return Resolver()


@lru_cache(maxsize=8)
def _read_resolver(path: Path, _mtime: int, _inode: int, _size: int) -> Resolver:
    return parse_resolver(path.read_text(errors="replace"))


def upstreams(host: Resolver, dns: Sequence[str] = ()) -> tuple[str, ...]:
    """Where a container's foreign questions go: its own ``dns:``, else the host's servers. At most three, as in glibc.

    A server on the host's loopback (systemd-resolved's 127.0.0.53) is fine: questions are asked from the host.
    """
    chosen = tuple(dns) or host.servers
    return tuple(item for item in chosen if item != RESOLVER)[:_MAX_SERVERS]


def resolv_conf(host: Resolver, *, search: Sequence[str] = (), options: Sequence[str] = ()) -> str:
    """For a container in networks of its own: the embedded resolver, and the host's search list unless it has one.

    A search list of "." means none. ``ndots:0`` as Docker: a bare service name is asked as it is.
    """
    domains = [item for item in (search or host.search) if item != "."]
    given = list(options or host.options)
    if not any(item.startswith("ndots:") for item in given):
        given.append("ndots:0")
    lines = [f"nameserver {RESOLVER}"]
    if domains:
        lines.append(f"search {' '.join(domains)}")
    lines.append(f"options {' '.join(given)}")
    return "\n".join(lines) + "\n"


def plain_resolv_conf(
    host: Resolver, *, dns: Sequence[str] = (), search: Sequence[str] = (), options: Sequence[str] = ()
) -> str:
    """For a container that shares the host's network: the host's file, with what the service overrides."""
    lines = [f"nameserver {item}" for item in (dns or host.servers)]
    domains = [item for item in (search or host.search) if item != "."]
    if domains:
        lines.append(f"search {' '.join(domains)}")
    if options or host.options:
        lines.append(f"options {' '.join(options or host.options)}")
    return "".join(f"{line}\n" for line in lines)


def hosts_file(
    hostname: str,
    addresses: Sequence[str],
    *,
    domain: str = "",
    extra: Mapping[str, Sequence[str]] | None = None,
    gateway: str = "",
    ipv6: bool = True,
) -> str:
    """``addresses`` are the container's own; ``extra`` maps names to addresses, where ``host-gateway`` stands for
    ``gateway``, the host as the container sees it (names without one are left out)."""
    lines = ["127.0.0.1\tlocalhost"]
    if ipv6:
        lines += [
            "::1\tlocalhost ip6-localhost ip6-loopback",
            "fe00::\tip6-localnet",
            "ff00::\tip6-mcastprefix",
            "ff02::1\tip6-allnodes",
            "ff02::2\tip6-allrouters",
        ]
    for name, targets in (extra or {}).items():
        for target in targets:
            address = gateway if target == "host-gateway" else target.strip("[]")
            if address:
                lines.append(f"{address}\t{name}")
    own = f"{hostname}.{domain} {hostname}" if domain else hostname
    lines += [f"{address}\t{own}" for address in addresses]
    return "\n".join(lines) + "\n"


def _is_address(text: str) -> bool:
    try:
        ip_address(text.partition("%")[0])
    except ValueError:
        return False
    return True
