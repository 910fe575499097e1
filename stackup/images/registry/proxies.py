"""Which proxy a URL goes through: HTTP_PROXY, HTTPS_PROXY and NO_PROXY as Go's programs read them
(golang.org/x/net/http/httpproxy)."""

from __future__ import annotations

import ipaddress
from collections.abc import Mapping
from urllib.parse import urlsplit


def proxy_for(url: str, environment: Mapping[str, str]) -> str:
    """The proxy's URL, or "" for a direct connection. This machine itself is never asked for through one."""
    parts = urlsplit(url)
    proxy = _variable(environment, f"{parts.scheme}_proxy") or _variable(environment, "all_proxy")
    host = (parts.hostname or "").lower()
    if not proxy or is_loopback(host) or _excepted(host, parts.port, _variable(environment, "no_proxy")):
        return ""
    return proxy if "://" in proxy else f"http://{proxy}"


def is_loopback(host: str) -> bool:
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def _variable(environment: Mapping[str, str], name: str) -> str:
    return environment.get(name.upper()) or environment.get(name) or ""


def _excepted(host: str, port: int | None, patterns: str) -> bool:
    return any(_matches(host, port, item.strip().lower()) for item in patterns.split(",") if item.strip())


def _matches(host: str, port: int | None, pattern: str) -> bool:
    if pattern == "*":
        return True
    try:
        return ipaddress.ip_address(host) in ipaddress.ip_network(pattern, strict=False)
    except ValueError:
        pass
    name, _, number = pattern.rpartition(":")
    if name and number.isdigit():
        if port != int(number):
            return False
        pattern = name
    pattern = pattern.removeprefix("*")
    return host.endswith(pattern) if pattern.startswith(".") else host == pattern or host.endswith(f".{pattern}")
