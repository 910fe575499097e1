"""``python -m tests.bench``: measures, prints a Markdown table. Needs root; see ``--help``."""

from __future__ import annotations

import argparse
import os
import shlex
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path

from tests.bench import buildah, builds, images, loader, pulls
from tests.bench.engines import IMAGE, BenchError, Compose, Engine, Floor, Stackup, docker_on_this_machine
from tests.bench.numbers import MEASURES
from tests.bench.report import Bound, Results, bounds, machine, table
from tests.support.rootfs import make_busybox_root, make_tar

INSIDE = "STACKUP_BENCH_INSIDE"
SETTLING = 2.0  # seconds in which the kernel takes apart the namespaces of what was measured before


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="./dev bench", description=__doc__)
    parser.add_argument("--docker", default="", metavar="COMMAND", help="docker compose, however it is reached here")
    parser.add_argument("--podman", default="", metavar="COMMAND", help="podman-compose, however it is reached here")
    parser.add_argument("--no-docker", action="store_true", help="do not look for docker compose")
    parser.add_argument("--stacks", default="1,10,50,chain", help="numbers of services, and chain (10, one by one)")
    parser.add_argument("--repeat", type=int, default=5, help="runs of each; medians are shown")
    parser.add_argument("--output", default="", metavar="FILE", help="also write the table there")
    parser.add_argument(
        "--numbers", nargs="?", const=",".join(MEASURES), default="", metavar="NAMES",
        help=f"instead: what stackup promises of itself while it runs ({', '.join(MEASURES)})",
    )  # fmt: skip
    parser.add_argument("--quick", action="store_true", help="of --numbers: shorter and rougher")
    parser.add_argument("--loader", action="store_true", help="instead: only reading a large stack file, without root")
    parser.add_argument("--images", action="store_true", help="instead: only unpacking a layer of 300 MB, without root")
    parser.add_argument(
        "--build", action="store_true", help="instead: only builds: all in the cache, and beside buildah"
    )
    parser.add_argument("--pull", action="store_true", help="instead: only a pull from a registry, beside skopeo")
    parser.add_argument("--check", action="store_true", help="exit code 1 when a promised ratio does not hold")
    return parser.parse_args()


def services(stack: str) -> int:
    return 10 if stack == "chain" else int(stack)


def compose_file(stack: str) -> str:
    """Services that do nothing, and end at once when told to: what is measured is the engine."""
    lines = ["services:"]
    for index in range(services(stack)):
        lines += [f"  s{index:02}:", f"    image: {IMAGE}", "    command: [sleep, '1000']", "    stop_signal: SIGKILL"]
        if stack == "chain" and index:
            lines += [f"    depends_on: [s{index - 1:02}]"]
    return "\n".join(lines) + "\n"


def measure(engine: Engine, stack: str, results: Results) -> None:
    """One life of a stack. What it leaves when something fails is taken down."""
    compose, project = compose_file(stack), f"bench{stack}"
    try:
        results.add(engine.name, stack, "up", engine.up(compose, project))
        results.add(engine.name, stack, "no-op", engine.no_op_up(compose, project))
        results.add(engine.name, stack, "ps", engine.ps(compose, project))
        results.add(engine.name, stack, "exec", engine.exec(compose, project, "s00"))
    finally:
        seconds = engine.down(compose, project)
    results.add(engine.name, stack, "down", seconds)


def engines(options: argparse.Namespace, work: Path, tar: Path, on_exit: ExitStack) -> list[Engine]:
    stackup = Stackup(work)
    on_exit.callback(stackup.close)
    stackup.take(tar)
    found: list[Engine] = [stackup]
    docker = shlex.split(options.docker) or ([] if options.no_docker else docker_on_this_machine())
    for name, command in (("docker compose", docker), ("podman-compose", shlex.split(options.podman))):
        if command:
            compose = Compose(name, command)
            client = ["podman" if part == "podman-compose" else part for part in command if part != "compose"]
            compose.import_image(tar, client)
            found.append(compose)
    return found


def run_numbers(options: argparse.Namespace, work: Path, on_exit: ExitStack) -> int:
    stackup = Stackup(work)
    on_exit.callback(stackup.close)
    stackup.take(make_tar(make_busybox_root(work / "busybox"), work / "busybox.tar"))
    found = []
    for name in options.numbers.split(","):
        print(f"measuring {name}", file=sys.stderr)
        found += MEASURES[name](stackup, options.quick)
    return finish(options, [], found)


def run_loader(options: argparse.Namespace) -> int:
    return finish(options, [], [loader.bound(loader.measure(options.repeat))])


def run_images(options: argparse.Namespace) -> int:
    with tempfile.TemporaryDirectory(prefix="skbench", dir="/var/tmp") as work:  # a disk, as the store has
        found = images.measure(Path(work), options.repeat)
    return finish(options, [*images.rows(found), ""], [images.bound(found)])


def run_build(options: argparse.Namespace, work: Path, _on_exit: ExitStack) -> int:
    cached = builds.measure(work, options.repeat)
    lines, promised = [*builds.rows(cached), ""], [builds.bound(cached)]
    if missing := buildah.why_not():
        lines += [f"NOT MEASURED beside buildah: {missing}. `./dev bench --build` sees to what it needs.", ""]
        return finish(options, lines, promised)
    with tempfile.TemporaryDirectory(prefix="skbench", dir="/var/tmp") as disk:
        found = buildah.measure(Path(disk), options.repeat)
    return finish(options, [*lines, *buildah.rows(found), ""], [*promised, buildah.bound(found)])


def run_pull(options: argparse.Namespace, _work: Path, _on_exit: ExitStack) -> int:
    with tempfile.TemporaryDirectory(prefix="skbench", dir="/var/tmp") as work:  # a disk, as the store has
        found = pulls.measure(Path(work), options.repeat)
    return finish(options, [*pulls.rows(found), ""], [pulls.bound(found)])


def chosen(options: argparse.Namespace) -> Callable[[argparse.Namespace, Path, ExitStack], int]:
    asked = ((options.numbers, run_numbers), (options.build, run_build), (options.pull, run_pull))
    return next((measure for given, measure in asked if given), run)


def finish(options: argparse.Namespace, lines: list[str], promised: list[Bound]) -> int:
    lines = [*lines, *(f"* {bound}" for bound in promised), "", f"{machine()}."]
    print("\n".join(lines))
    if options.output:
        Path(options.output).write_text("\n".join(lines) + "\n")
    return 1 if options.check and not all(bound.holds for bound in promised) else 0


def run(options: argparse.Namespace, work: Path, on_exit: ExitStack) -> int:
    rootfs = make_busybox_root(work / "busybox")
    tar = make_tar(rootfs, work / "busybox.tar")
    measured, floor, results = engines(options, work, tar, on_exit), Floor(rootfs), Results()
    stacks: list[str] = options.stacks.split(",")
    for turn in range(options.repeat + 1):
        kept = Results() if turn == 0 else results  # the first round warms everyone up and is thrown away
        for stack in stacks if turn else stacks[:1]:
            up, down = floor.run(services(stack))
            time.sleep(SETTLING)
            if stack != "chain":
                kept.add(floor.name, stack, "up", up)
                kept.add(floor.name, stack, "down", down)
            for engine in measured:
                print(f"round {turn}/{options.repeat}: {stack} with {engine.name}", file=sys.stderr)
                measure(engine, stack, kept)
                time.sleep(SETTLING)
    names = [engine.name for engine in measured[1:]]
    reading = loader.measure(options.repeat)
    lines = [*table(results, stacks, names), loader.row(reading, 2 + 2 * len(names))]
    promised = [*bounds(results, "docker compose"), loader.bound(reading)]
    return finish(options, [*lines, "", f"Medians of {options.repeat}.", ""], promised)


def main() -> int:
    options = arguments()
    if options.loader:
        return run_loader(options)
    if options.images:
        return run_images(options)
    if os.geteuid() != 0:
        sys.exit("the bench needs root: ./dev bench prints the sudo command")
    if not os.environ.get(INSIDE):
        # A network namespace of its own: nothing of the machine is touched, and every run finds the same.
        isolated = [
            "unshare",
            "--net",
            "--mount",
            "--propagation",
            "private",
            "sh",
            "-c",
            'ip link set lo up; exec "$@"',
            "sh",
        ]
        os.execvpe(
            "unshare", [*isolated, sys.executable, "-m", "tests.bench", *sys.argv[1:]], {**os.environ, INSIDE: "1"}
        )
    work = Path(tempfile.mkdtemp(prefix="skbench", dir="/tmp"))
    try:
        with ExitStack() as on_exit:
            return chosen(options)(options, work, on_exit)
    except (BenchError, subprocess.CalledProcessError) as error:
        print(f"bench: {error}", file=sys.stderr)
        return 1
    finally:
        shutil.rmtree(work, ignore_errors=True)


if __name__ == "__main__":
    sys.exit(main())
