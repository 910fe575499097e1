"""What a container is called and what it finds in /etc/hosts, /etc/hostname and /etc/resolv.conf."""

from __future__ import annotations

import os
import socket
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


def hostname_of(service: Service, container_id: str) -> str:
    """As Docker: with the host's network or names, the host's own name; else the short id."""
    if service.hostname:
        return service.hostname
    shares = service.network_mode == "host" or service.uts == "host"
    return socket.gethostname() if shares else container_id[:12]


def naming_of(stack: Stack, service: Service) -> Naming:
    return Naming(
        domainname=service.domainname or "",
        extra_hosts={name: list(targets) for name, targets in service.extra_hosts.items()},
        dns=service.dns,
        links=dict(_link(stack, item) for item in service.links),
    )


def _link(stack: Stack, text: str) -> tuple[str, str]:
    """``SERVICE:ALIAS``: the alias is this container's name for the service."""
    name, _, alias = text.partition(":")
    return alias or name, name


def write_etc_files(directory: Path, service: Service, definition: Definition) -> EtcFiles:
    """``hosts`` of a container with networks is written at every start, with the addresses of the incarnation."""
    host = host_resolver()
    shared = definition.network_mode == "host"
    own = bool(definition.endpoints)
    hosts = hosts_file(
        definition.hostname, (), domain=definition.naming.domainname, extra=definition.naming.extra_hosts
    )
    if shared and not definition.naming.extra_hosts:
        hosts = HOST_HOSTS.read_text(errors="replace") if HOST_HOSTS.exists() else hosts
    search, options = service.dns_search, service.dns_opt
    resolv = (
        resolv_conf(host, search=search, options=options)
        if own
        else plain_resolv_conf(host, dns=service.dns, search=search, options=options)
    )
    files = {"hosts": hosts, "hostname": f"{definition.hostname}\n", "resolv.conf": resolv}
    for name, text in files.items():
        if name != "hosts" or not own:
            write_shared(f"{directory}/{name}", text)
    return EtcFiles(*(f"{directory}/{name}" for name in files))


def write_shared(path: str, text: str) -> None:
    """In place, since the file may be bound into a running container; readable for every user in there."""
    fd = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o644)
    try:
        os.write(fd, text.encode("utf-8", "surrogateescape"))
    finally:
        os.close(fd)
