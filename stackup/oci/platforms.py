"""Which of several platforms an image is for suits the one that is wanted (containerd/platforms ``compare.go``)."""

from __future__ import annotations

import re
from collections.abc import Iterable

from stackup.base.errors import ImageError
from stackup.oci.image import Descriptor, Platform

_ARCHITECTURES = {
    "x86_64": "amd64",
    "x86-64": "amd64",
    "aarch64": "arm64",
    "i386": "386",
    "i686": "386",
    "armhf": "arm",
    "armel": "arm",
}
_KNOWN = {"amd64", "arm64", "arm", "386", "ppc64le", "s390x", "riscv64", "loong64", "mips64le", "ppc64", "mips64"}
_VARIANTS = {"armhf": "v7", "armel": "v6", "arm": "v7"}
_PART = re.compile(r"[A-Za-z0-9_.-]+\Z")


def parse_platform(text: str) -> Platform:
    """``linux/arm64/v8``, ``linux/amd64``, ``arm64``; ``linux`` alone names no architecture. Raises ImageError."""
    parts = text.strip().split("/")
    if not 1 <= len(parts) <= 3 or not all(_PART.match(part) for part in parts):
        raise ImageError(f"cannot use platform '{text}': it is not OS/ARCHITECTURE[/VARIANT], such as linux/arm64")
    if len(parts) == 1:
        if parts[0].lower() in ("linux", "windows", "darwin", "freebsd"):
            return Platform("", parts[0].lower())
        parts = ["linux", *parts]
    system, name, variant = parts[0].lower(), parts[1].lower(), parts[2].lower() if len(parts) == 3 else ""
    return normal(Platform(name, system, variant or (_VARIANTS.get(name, "") if name in _ARCHITECTURES else "")))


def is_architecture(name: str) -> bool:
    return name in _KNOWN


def normal(platform: Platform) -> Platform:
    """One spelling for what has several: arm64/v8 is arm64, amd64/v1 is amd64, arm alone is arm/v7."""
    name = _ARCHITECTURES.get(platform.architecture.lower(), platform.architecture.lower())
    variant = platform.variant.lower()
    variant = f"v{variant}" if variant.isdecimal() else variant
    if (name, variant) in (("arm64", "v8"), ("amd64", "v1")):
        variant = ""
    if name == "arm" and not variant:
        variant = "v7"
    return Platform(name, platform.os.lower() or "linux", variant)


def refined(platform: Platform, entry: Platform | None) -> Platform:
    """``platform`` of a configuration with the variant that the image's ``entry`` in an index names: builders have left
    it out of the former, and containerd believes the latter, too."""
    if entry is None or not entry.variant:
        return platform
    own, listed_as = normal(platform), normal(entry)
    same = (own.os, own.architecture) == (listed_as.os, listed_as.architecture)
    return Platform(platform.architecture, platform.os, entry.variant) if same else platform


def suits(offered: Platform, wanted: Platform) -> int:
    """How well: 0 not at all, else the more the better. An older variant of an architecture runs on a newer one."""
    offered, wanted = normal(offered), normal(wanted)
    if not wanted.architecture:
        return 1 if offered.os == wanted.os else 0
    if (offered.os, offered.architecture) != (wanted.os, wanted.architecture):
        return 0
    if offered.variant == wanted.variant:
        return 100
    there, here = _level(offered), _level(wanted)
    return 1 + there if there <= here else 0


def _level(platform: Platform) -> int:
    found = re.match(r"v(\d+)", platform.variant)
    if found:
        return int(found[1])
    return 8 if platform.architecture == "arm64" else 1


def choose(offered: Iterable[Descriptor], wanted: Platform) -> Descriptor | None:
    """The best of an index's manifests; of equals the first."""
    rated = [(suits(item.platform, wanted), item) for item in offered if item.platform]
    best = max(rated, key=lambda pair: pair[0], default=None)
    return best[1] if best and best[0] else None


def listed(offered: Iterable[Descriptor]) -> str:
    """For people: without the attestations that builders add, which are for no platform."""
    names = [str(item.platform) for item in offered if item.platform and item.platform.architecture != "unknown"]
    return ", ".join(dict.fromkeys(names)) or "no platform at all"
