"""Beside other firewalls: accept rules of ours inside their forward chains.

A packet must pass every base chain of its hook: an accept in our own table does not outvote Docker's ``policy drop``
or a reject of ufw, firewalld or an administrator. So each bridge gets two rules at the head of every foreign forward
chain that may refuse something. What our containers may do is decided in our own table alone; these rules only keep
others from deciding it too. They carry the project's table name as a comment, by which they are found again: to be
put back when somebody flushed them, and to be taken away at the end.

nft tables (iptables-nft's too: it reads plain interface matches with counter and comment as its own) are changed
through libnftables; tables of the older kernel interface through iptables-legacy. firewalld 2.3 and later may own its
table exclusively; then the bridge joins its zone ``trusted``.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Sequence
from pathlib import Path
from typing import Any

from stackup.base.errors import HostUnfit
from stackup.base.names import NFT_TABLE_PREFIX
from stackup.base.values import frozen
from stackup.linux.nftables import Nft, NftError

_TOOL_SECONDS = 20


@frozen
class Rule:
    """A rule of ours in a foreign nft chain."""

    handle: int
    direction: str
    bridge: str


@frozen
class Chain:
    """A forward base chain that is not ours. ``refuses``: its policy is drop, or it holds rules of others."""

    family: str
    table: str
    name: str
    refuses: bool
    ours: tuple[Rule, ...]

    @property
    def place(self) -> str:
        return f"{self.family} {self.table} {self.name}"


def sync(nft: Nft, tag: str, bridges: Collection[str], *, ipv6: bool) -> list[str]:
    """Makes the accept rules marked ``tag`` exactly those that ``bridges`` need; answers what was changed, in words."""
    changed = _sync_nft(nft, tag, bridges, ipv6=ipv6)
    changed += _sync_legacy("iptables-legacy", "/proc/net/ip_tables_names", tag, bridges)
    if ipv6 or not bridges:
        changed += _sync_legacy("ip6tables-legacy", "/proc/net/ip6_tables_names", tag, bridges)
    return changed


def _wanted(bridges: Collection[str]) -> set[tuple[str, str]]:
    return {(direction, bridge) for bridge in bridges for direction in ("iifname", "oifname")}


def _sync_nft(nft: Nft, tag: str, bridges: Collection[str], *, ipv6: bool) -> list[str]:
    changed = []
    for chain in _chains(nft, tag):
        wanted = _wanted(bridges) if chain.refuses and (ipv6 or chain.family != "ip6") else set()
        present = {(rule.direction, rule.bridge) for rule in chain.ours}
        commands = [
            f'insert rule {chain.place} {direction} "{bridge}" counter accept comment "{tag}"'
            for direction, bridge in sorted(wanted - present)
        ]
        stale = [rule for rule in chain.ours if (rule.direction, rule.bridge) not in wanted]
        commands += [f"delete rule {chain.place} handle {rule.handle}" for rule in stale]
        if not commands:
            continue
        try:
            nft.run("\n".join(commands))
        except NftError as error:
            _by_other_means(chain, bridges, error)
        changed.append(f"{len(commands)} rules in {chain.place}")
    return changed


def _chains(nft: Nft, tag: str) -> list[Chain]:
    found = []
    for item in nft.query("list chains"):
        chain = item.get("chain", {})
        if chain.get("hook") != "forward" or chain.get("type") != "filter" or chain["family"] not in _FAMILIES:
            continue
        if not chain["table"].startswith(NFT_TABLE_PREFIX):
            found.append(_chain(nft, chain, tag))
    return found


_FAMILIES = ("ip", "ip6", "inet")


def _chain(nft: Nft, chain: dict[str, Any], tag: str) -> Chain:
    family, table, name = chain["family"], chain["table"], chain["name"]
    listed = nft.query(f"list chain {family} {table} {name}")
    rules = [item["rule"] for item in listed if "rule" in item]
    ours = tuple(_rule(rule) for rule in rules if rule.get("comment") == tag)
    foreign = [rule for rule in rules if not str(rule.get("comment", "")).startswith(NFT_TABLE_PREFIX)]
    return Chain(family, table, name, chain.get("policy") == "drop" or bool(foreign), ours)


def _rule(rule: dict[str, Any]) -> Rule:
    for expression in rule["expr"]:
        match = expression.get("match") if isinstance(expression, dict) else None
        if match and "meta" in match["left"]:
            return Rule(rule["handle"], match["left"]["meta"]["key"], str(match["right"]))
    return Rule(rule["handle"], "", "")


def _by_other_means(chain: Chain, bridges: Collection[str], error: NftError) -> None:
    """The chain cannot be changed: let firewalld do it, when it is its owner, or say what stands in the way."""
    tool = _find("firewall-cmd")
    if chain.table != "firewalld" or tool is None:
        raise HostUnfit(
            f"cannot let containers through the firewall chain {chain.place}: {str(error).splitlines()[0]}",
            hint="allow forwarding for interfaces named skb* in that firewall",
        ) from error
    for bridge in bridges:
        _tool([tool, "--zone=trusted", f"--change-interface={bridge}"])


_LEGACY_RULE = re.compile(r"-A FORWARD (?:-([io]) (\S+) )?.*--comment (\"[^\"]*\"|\S+)")


def _sync_legacy(tool: str, names: str, tag: str, bridges: Collection[str]) -> list[str]:
    """Nothing is run unless the kernel has a legacy filter table: listing one would make it."""
    if not _legacy_in_use(names):
        return []
    path = _find(tool) or _older(tool.replace("-legacy", ""))
    if path is None:
        raise HostUnfit(
            "cannot let containers through the firewall: the kernel holds legacy iptables rules, but there is no "
            f"{tool} to change them with",
            hint="install iptables (Debian, Ubuntu) or iptables-legacy (Fedora)",
        )
    lines = _tool([path, "-w", "-S", "FORWARD"]).splitlines()
    present = [found for found in map(_legacy_rule, lines) if found and found[2] == tag]
    foreign = [line for line in lines if line.startswith("-A") and NFT_TABLE_PREFIX not in line]
    wanted = {
        (direction, bridge) for bridge in bridges for direction in ("i", "o") if "-P FORWARD DROP" in lines or foreign
    }
    comment = f"-m comment --comment {tag} -j ACCEPT"
    missing = sorted(wanted - {(direction, bridge) for direction, bridge, _ in present})
    stale = [(direction, bridge) for direction, bridge, _ in present if (direction, bridge) not in wanted]
    commands = [f"-I FORWARD 1 -{direction} {bridge} {comment}" for direction, bridge in missing]
    commands += [f"-D FORWARD -{direction} {bridge} {comment}" for direction, bridge in stale]
    if not commands:
        return []
    restore = _find(f"{tool}-restore") or f"{path}-restore"
    _tool([restore, "-w", "--noflush"], "\n".join(["*filter", *commands, "COMMIT", ""]))
    return [f"{len(commands)} rules in {tool} FORWARD"]


def _legacy_in_use(names: str) -> bool:
    try:
        return "filter" in Path(names).read_text().split()
    except OSError:
        return False


def _legacy_rule(line: str) -> tuple[str, str, str] | None:
    match = _LEGACY_RULE.match(line)
    return (match[1], match[2], match[3].strip('"')) if match and match[1] else None


def _older(tool: str) -> str | None:
    """The plain tool, where it still is the legacy one."""
    path = _find(tool)
    return path if path and "nf_tables" not in _tool([path, "--version"]) else None


def _find(tool: str) -> str | None:
    """Also where sbin is not in the PATH of whoever started this."""
    import shutil  # here and below: few machines need a tool, and every start would pay for the imports

    return shutil.which(tool) or shutil.which(tool, path="/usr/sbin:/sbin")


def _tool(command: Sequence[str], text: str = "") -> str:
    import subprocess

    try:
        done = subprocess.run(command, input=text, capture_output=True, text=True, timeout=_TOOL_SECONDS, check=False)
    except (OSError, subprocess.TimeoutExpired) as error:
        raise HostUnfit(f"cannot let containers through the firewall: {command[0]}: {error}") from error
    if done.returncode:
        reason = done.stderr.strip().splitlines()
        raise HostUnfit(
            f"cannot let containers through the firewall: {' '.join(command)}: {reason[0] if reason else 'failed'}"
        )
    return done.stdout
