"""pyroute2's classes without the package; each case in a fresh interpreter, because imports are what is tested."""

from __future__ import annotations

import subprocess
import sys

import pytest


def run(code: str) -> str:
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


ENCODE = "from stackup.network import links; print(links.set_up(7).data.hex(), links.delete_group(5).data.hex())"


def test_the_classes_come_without_the_package() -> None:
    code = f"import sys; {ENCODE}; print([name for name in sys.modules if name.startswith('pyroute2')])"
    assert run(code).endswith("[]")


@pytest.mark.parametrize("order", ["before", "after"])
def test_whoever_uses_pyroute2_gets_it_whole(order: str) -> None:
    use = (
        "import pyroute2; pyroute2.netlink.rtnl, pyroute2.IPRoute; from pyroute2.netlink.rtnl.ifinfmsg import ifinfmsg"
    )
    first, second = (use, ENCODE) if order == "before" else (ENCODE, use)
    assert run(f"{first}\n{second}") == run(ENCODE)


def test_nothing_of_it_is_imported_for_looking() -> None:
    code = (
        "import sys; from stackup.network.manager import NetworkManager; from stackup.network.links import Rtnl; "
        "found = Rtnl().links(); print([name for name in sys.modules if name.startswith(('pyroute2', 'pydantic'))])"
    )
    assert run(code) == "[]"
