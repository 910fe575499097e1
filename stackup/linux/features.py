"""Which newer kernel calls may be used. Each has a fallback; ``STACKUP_WITHOUT`` forces it, which is how it is tested.

STACKUP_WITHOUT=overlay_fsconfig,mount_setattr,pidfd_info,clone_into_cgroup,nft stackup up
"""

from __future__ import annotations

import os

OVERLAY_FSCONFIG = "overlay_fsconfig"  # lowerdir+ through fsconfig: Linux 6.5
MOUNT_SETATTR = "mount_setattr"  # 5.12
PIDFD_INFO = "pidfd_info"  # exit status through PIDFD_GET_INFO: 6.15
CLONE_INTO_CGROUP = "clone_into_cgroup"  # 5.7, cgroup v2 only
CGROUP2_FREEZE = "cgroup2_freeze"  # 5.2
NFT = "nft"  # nf_tables inside the container's network namespace

_without = {name.strip() for name in os.environ.get("STACKUP_WITHOUT", "").split(",") if name.strip()}


def usable(feature: str) -> bool:
    return feature not in _without


def give_up(feature: str) -> None:
    """The kernel has said that it has no such thing: do not ask again."""
    _without.add(feature)
