"""What a container is called and what it finds in /etc/hosts, /etc/hostname and /etc/resolv.conf."""

from __future__ import annotations

import os
import socket
from collections.abc import Sequence
from pathlib import Path

from stackup.base.values import frozen
from stackup.engine.records import Definition, Naming
from stackup.model.stack import Service, Stack
from stackup.network.resolv import host_resolver, hosts_file, plain_resolv_conf, resolv_conf

HOST_HOSTS = Path("/etc/hosts")


@frozen
class EtcFiles:
    """Paths of the three files; empty where the container keeps what the image has."""

    hosts: str
    hostname: str
    resolv_conf: str


def hostname_of(service: Service, container_id: str, network_of: Definition | None) -> str:
    """As Docker: with the host's network or names, the host's own name; that of the container whose network it shares;
    else the short id."""
    if service.hostname:
        return service.hostname
    if network_of is not None:
        return network_of.hostname
    shares = service.network_mode == "host" or service.uts == "host"
    return socket.gethostname() if shares else container_id[:12]


def naming_of(stack: Stack, service: Service) -> Naming:
    return Naming(
        domainname=service.domainname or "",
        extra_hosts={name: list(targets) for name, targets in service.extra_hosts.items()},
        dns=service.dns,
        dns_search=service.dns_search,
        dns_options=service.dns_opt,
        links=dict(_link(stack, item) for item in service.links),
    )


def _link(stack: Stack, text: str) -> tuple[str, str]:
    """``SERVICE:ALIAS``: the alias is this container's name for the service."""
    name, _, alias = text.partition(":")
    return alias or name, name


def etc_files(directory: Path) -> EtcFiles:
    """Where the three files of a container lie: among its run-time files, which are in memory as a rule."""
    return EtcFiles(f"{directory}/hosts", f"{directory}/hostname", f"{directory}/resolv.conf")


def shared_etc_files(own: EtcFiles, other: EtcFiles, naming: Naming) -> EtcFiles:
    """Of a container in the network of another one: names and the resolver are that network's, so their files are the
    other container's (as moby has it), but for what the service says itself."""
    says_resolver = naming.dns or naming.dns_search or naming.dns_options
    return EtcFiles(
        own.hosts if naming.extra_hosts else other.hosts,
        own.hostname,
        own.resolv_conf if says_resolver else other.resolv_conf,
    )


def write_etc_files(directory: Path, definition: Definition, addresses: Sequence[str], gateway: str) -> None:
    """At every start. ``hosts`` leads to the ``addresses`` of this incarnation; the two others are written only where
    they are missing, for what the container changed in them is its own."""
    files = etc_files(directory)
    if not os.path.exists(files.hostname):
        write_shared(files.hostname, f"{definition.hostname}\n")
    if not os.path.exists(files.resolv_conf):
        write_shared(files.resolv_conf, _resolv_conf(definition))
    if definition.endpoints or definition.network_mode == "none" or not os.path.exists(files.hosts):
        write_shared(files.hosts, _hosts(definition, addresses, gateway))


def _resolv_conf(definition: Definition) -> str:
    host, naming = host_resolver(), definition.naming
    if definition.endpoints:
        return resolv_conf(host, search=naming.dns_search, options=naming.dns_options)
    return plain_resolv_conf(host, dns=naming.dns, search=naming.dns_search, options=naming.dns_options)


def _hosts(definition: Definition, addresses: Sequence[str], gateway: str) -> str:
    naming = definition.naming
    if definition.network_mode == "host" and not naming.extra_hosts and HOST_HOSTS.exists():
        return HOST_HOSTS.read_text(errors="replace")
    return hosts_file(
        definition.hostname, addresses, domain=naming.domainname, extra=naming.extra_hosts, gateway=gateway
    )


def write_shared(path: str, text: str) -> None:
    """In place, since the file may be bound into a running container; readable for every user in there."""
    fd = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o644)
    try:
        os.write(fd, text.encode("utf-8", "surrogateescape"))
    finally:
        os.close(fd)
