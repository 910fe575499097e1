"""Kernel switches under /proc/sys/net. Those of a bridge vanish with it; ``ip_forward`` is put back by hand.

Whether it was on before the first network is kept in the ifalias of every bridge (``Forwarding.text``): that record
lives exactly as long as it is needed, is shared by all state roots, and cannot be lost in a crash.
"""

from __future__ import annotations

from pathlib import Path

from stackup.base.errors import HostUnfit
from stackup.base.values import frozen

_NET = Path("/proc/sys/net")
_FORWARD4 = "ipv4/ip_forward"
_FORWARD6 = "ipv6/conf/all/forwarding"


def read(name: str) -> str:
    """The value of ``net/<name>``; empty where this kernel has no such switch."""
    try:
        return (_NET / name).read_text().strip()
    except OSError:
        return ""


def write(name: str, value: str, *, needed_for: str = "") -> None:
    """With ``needed_for`` a refusal is an error; without, a switch that is missing or read-only is left alone."""
    if read(name) == value:
        return
    try:
        (_NET / name).write_text(value)
    except OSError as error:
        if needed_for:
            key = f"net.{name.replace('/', '.')}"
            raise HostUnfit(
                f"cannot {needed_for}: setting {key} to {value} was refused ({error.strerror})",
                hint=f"set it on the machine: sysctl -w {key}={value}",
            ) from error


@frozen
class Forwarding:
    """The machine's forwarding switches as they were before any stack came; empty: not touched by us."""

    ipv4: str = ""
    ipv6: str = ""

    @property
    def text(self) -> str:
        return f"was={self.ipv4 or '-'},{self.ipv6 or '-'}"

    @classmethod
    def from_text(cls, text: str) -> Forwarding:
        first, _, second = text.removeprefix("was=").partition(",")
        return cls(first.strip("-"), second.strip("-"))


def forwarding_now() -> Forwarding:
    return Forwarding(read(_FORWARD4), read(_FORWARD6))


def enable_forwarding(*, ipv6: bool) -> None:
    write(_FORWARD4, "1", needed_for="connect containers to the outside")
    if ipv6 and read(_FORWARD6) == "0":
        _keep_learned_routes()
        write(_FORWARD6, "1", needed_for="connect containers to the outside over IPv6")


def restore_forwarding(before: Forwarding) -> None:
    """Only ever switches off what ``before`` says was off."""
    if before.ipv4 == "0":
        write(_FORWARD4, "0")
    if before.ipv6 == "0" and read(_FORWARD6) == "1":
        write(_FORWARD6, "0")
        for interface in _interfaces():
            if read(f"ipv6/conf/{interface}/accept_ra") == "2":
                write(f"ipv6/conf/{interface}/accept_ra", "1")


def prepare_bridge(bridge: str, *, ipv6: bool, localhost: bool) -> None:
    """Before the bridge comes up. ``localhost``: packets from 127/8 may leave through it (published ports).

    Without IPv6 the bridge gets none at all: no link-local address, no duplicate address detection, no chatter.
    """
    write(f"ipv6/conf/{bridge}/disable_ipv6", "0" if ipv6 else "1")
    write(f"ipv6/conf/{bridge}/accept_ra", "0")
    # Until its link-local address has passed duplicate address detection, a bridge forwards nothing to a neighbour it
    # does not know yet: published ports would be dead for the first seconds.
    write(f"ipv6/conf/{bridge}/accept_dad", "0")
    if localhost:
        write(f"ipv4/conf/{bridge}/route_localnet", "1", needed_for="publish ports on localhost")


def _keep_learned_routes() -> None:
    """A forwarding host ignores router advertisements, and with them its own default route, unless accept_ra is 2."""
    for interface in _interfaces():
        if read(f"ipv6/conf/{interface}/accept_ra") == "1":
            write(f"ipv6/conf/{interface}/accept_ra", "2")


def _interfaces() -> list[str]:
    try:
        names = [path.name for path in (_NET / "ipv6/conf").iterdir()]
    except OSError:
        return []
    return sorted(name for name in names if name not in ("all", "default", "lo") and not name.startswith("sk"))
