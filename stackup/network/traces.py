"""What the kernel has of stackup's networks, by names alone: links by their ifalias, firewall tables by their comment.

Reads only; for ``doctor``, and for whoever takes away what no record tells of. ``NetworkManager.purge`` removes it.
"""

from __future__ import annotations

import re
import socket
from collections.abc import Iterable

from stackup.base.names import LINK_PREFIX, NFT_TABLE_PREFIX
from stackup.base.values import frozen
from stackup.network.links import Link, Rtnl

_COMMENT = re.compile(r'comment "stackup project ([^"]*)"')


@frozen
class Trace:
    """Of one owner: a project, a network that belongs to none, or a build. ``owner`` is empty where only its
    ``identity`` (``names.project_id``) is known; ``table`` and the rest where there is none."""

    identity: str
    owner: str = ""
    bridges: tuple[str, ...] = ()
    veths: tuple[str, ...] = ()
    table: str = ""


def links_present() -> bool:
    """Quick: is there any link that may be of stackup?"""
    return any(name.startswith(LINK_PREFIX) for _, name in socket.if_nameindex())


def traces(*, tables: bool = True) -> tuple[Trace, ...]:
    """All of this network namespace, by identity. Without ``tables``, links only, which takes less than a millisecond.

    Raises HostUnfit where nftables cannot be asked.
    """
    with Rtnl() as rtnl:
        links = rtnl.links()
    return joined(links, _tables() if tables else {})


def joined(links: Iterable[Link], tables: dict[str, str]) -> tuple[Trace, ...]:
    """``tables``: names of firewall tables with their owners, or "" for those that tell none."""
    owners: dict[str, str] = {}
    bridges: dict[str, list[str]] = {}
    veths: dict[str, list[str]] = {}
    for link in links:
        words = link.alias.split(" ")
        if len(words) == 5 and words[0] == "stackup":
            owners[words[1]] = words[3]
            (bridges if link.kind == "bridge" else veths).setdefault(words[1], []).append(link.name)
    found = {name.removeprefix(NFT_TABLE_PREFIX): owner for name, owner in tables.items()}
    return tuple(
        Trace(
            identity,
            owners.get(identity) or found.get(identity, ""),
            tuple(sorted(bridges.get(identity, ()))),
            tuple(sorted(veths.get(identity, ()))),
            f"{NFT_TABLE_PREFIX}{identity}" if identity in found else "",
        )
        for identity in sorted({*owners, *found})
    )


def _tables() -> dict[str, str]:
    from stackup.linux.nftables import Nft  # loads libnftables

    with Nft() as nft:
        names = [item.get("table", {}) for item in nft.query("list tables inet")]
        mine = [str(item["name"]) for item in names if str(item.get("name", "")).startswith(NFT_TABLE_PREFIX)]
        return {name: _owner(nft.text(f"list table inet {name}")) for name in mine}


def _owner(listing: str) -> str:
    found = _COMMENT.search(listing)
    return found.group(1) if found else ""
