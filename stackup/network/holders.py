"""Who holds a port: for the sentence that a user reads. Looks through /proc only when a port is already refused."""

from __future__ import annotations

import os
import struct
from collections.abc import Iterator
from ipaddress import IPv4Address, IPv6Address, ip_address
from pathlib import Path

from stackup.base.errors import HostUnfit
from stackup.base.names import NFT_TABLE_PREFIX
from stackup.base.values import frozen
from stackup.linux.nftables import Nft, NftError

_COMMAND_MAX = 60


@frozen
class Bound:
    """One line of /proc/net/{tcp,udp}{,6}."""

    address: IPv4Address | IPv6Address
    port: int
    state: int
    inode: int


def describe_holder(protocol: str, host_ip: str, port: int) -> str:
    """``process 812 (nginx: master process)``, ``container shop-web-1 of another stack``, or empty when unknown."""
    container = _stackup_container(protocol, port)
    if container:
        return f"container {container}"
    inodes = {item.inode for item in bound_sockets(protocol) if item.port == port and _meets(item, host_ip)} - {0}
    for pid in _processes_holding(inodes):
        return f"process {pid} ({command_of(pid)})"
    return ""


def bound_sockets(protocol: str) -> Iterator[Bound]:
    """Sockets that keep others from binding: listening ones for TCP, all for UDP."""
    for family in ("", "6"):
        try:
            lines = Path(f"/proc/net/{protocol}{family}").read_text().splitlines()[1:]
        except OSError:
            continue
        for line in lines:
            found = parse_line(line)
            if found and (protocol != "tcp" or found.state == 0x0A):
                yield found


def parse_line(line: str) -> Bound | None:
    """Addresses are words in the machine's byte order, written in hexadecimal."""
    words = line.split()
    if len(words) < 10 or ":" not in words[1]:
        return None
    text, _, port = words[1].partition(":")
    packed = b"".join(struct.pack("=I", int(text[at : at + 8], 16)) for at in range(0, len(text), 8))
    address = IPv4Address(packed) if len(packed) == 4 else IPv6Address(packed)
    return Bound(address, int(port, 16), int(words[3], 16), int(words[9]))


def command_of(pid: int) -> str:
    try:
        arguments = Path(f"/proc/{pid}/cmdline").read_bytes().split(b"\0")
        arguments[0] = os.path.basename(arguments[0])
        text = " ".join(part.decode(errors="replace") for part in arguments if part)
        return (text or Path(f"/proc/{pid}/comm").read_text().strip())[:_COMMAND_MAX]
    except OSError:
        return "ended meanwhile"


def _meets(item: Bound, host_ip: str) -> bool:
    """Whether a socket bound there stands in the way of ``host_ip`` (empty: every address)."""
    if not host_ip or item.address.is_unspecified:
        return True
    wanted = ip_address(host_ip)
    return wanted.is_unspecified or wanted == item.address


def _processes_holding(inodes: set[int]) -> Iterator[int]:
    wanted = {f"socket:[{inode}]" for inode in inodes}
    if not wanted:
        return
    for name in os.listdir("/proc"):
        if not name.isdecimal():
            continue
        try:
            fds = os.listdir(f"/proc/{name}/fd")
        except OSError:
            continue
        for fd in fds:
            try:
                if os.readlink(f"/proc/{name}/fd/{fd}") in wanted:
                    yield int(name)
                    break
            except OSError:
                continue


def _stackup_container(protocol: str, port: int) -> str:
    """The container that a stack's table translates the port to; our reserved sockets do not show in /proc/net."""
    try:
        with Nft() as nft:
            for item in nft.query("list maps"):
                found = item.get("map", {})
                if str(found.get("table", "")).startswith(NFT_TABLE_PREFIX):
                    holder = _element_holder(nft, found["table"], found["name"], protocol, port)
                    if holder:
                        return holder
    except (NftError, HostUnfit):
        return ""
    return ""


def _element_holder(nft: Nft, table: str, name: str, protocol: str, port: int) -> str:
    for item in nft.query(f"list map inet {table} {name}"):
        for key, target in item.get("map", {}).get("elem", []):
            whole = key.get("elem", {})
            parts = (whole.get("val", key) if whole else key).get("concat", [])
            if parts[-2:] == [protocol, port]:
                return str(whole.get("comment", "")) or f"at {target['concat'][0]}"
    return ""
