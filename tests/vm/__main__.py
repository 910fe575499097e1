"""``./dev vm``: the short suites, a suite by name, or any command, in a virtual machine. See docs/vm.md."""

from __future__ import annotations

import argparse
import shlex
import sys

from tests.vm.image import RECIPES, VmUnavailable, image, make_image
from tests.vm.machine import boot
from tests.vm.suites import SUITES


def main() -> int:
    parser = argparse.ArgumentParser(
        prog="./dev vm",
        description="Runs tests, or any shell command, in a virtual machine of Debian's own kernel with cgroup v2.",
    )
    parser.add_argument("--image", choices=sorted(RECIPES), default="debian12")
    parser.add_argument("--suite", choices=sorted(SUITES), action="append", help="(default: kernel and systemd)")
    parser.add_argument("--systemd", action="store_true", help="boot with systemd as init (for a COMMAND)")
    parser.add_argument("--timeout", type=float, default=3600, metavar="SECONDS", help="of each boot")
    parser.add_argument("--only-make", action="store_true", help="make the image and end")
    parser.add_argument("command", nargs="*", metavar="COMMAND", help="run by bash in the tree, as root")
    given = parser.parse_args()
    try:
        make_image(given.image, lambda text: print(text, file=sys.stderr, flush=True))
        if given.only_make:
            return 0
        if given.command:
            command = given.command[0] if len(given.command) == 1 else shlex.join(given.command)
            return run(given.image, command, "systemd" if given.systemd else "plain", given.timeout)
        suites = {name: SUITES[name] for name in given.suite or ("kernel", "systemd")}
        codes = [
            run(given.image, suite.command(), suite.init, given.timeout, reboots=bool(suite.script))
            for suite in suites.values()
        ]
        return max(codes)
    except VmUnavailable as error:
        print(f"NO VIRTUAL MACHINE, NOTHING WAS TESTED: {error}", file=sys.stderr)
        return 125


def run(image_name: str, command: str, init: str, timeout: float, *, reboots: bool = False) -> int:
    """The command's exit code; 124 when there was no answer in time."""

    def tell(text: str) -> None:
        sys.stdout.write(text.replace("\r\n", "\n"))
        sys.stdout.flush()

    outcome = boot(image(image_name), command, init=init, timeout=timeout, tell=tell, reboots=reboots)
    if outcome.code is None:
        print(outcome, file=sys.stderr)
        return 124
    print(f"(exit code {outcome.code} after {outcome.seconds:.0f} s)", file=sys.stderr, flush=True)
    return outcome.code


if __name__ == "__main__":
    sys.exit(main())
