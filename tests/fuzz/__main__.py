"""``python -m tests.fuzz``: the long form. Exit code 1, and the case that failed in a file, when something is found."""

from __future__ import annotations

import argparse
import importlib.util
import os
import platform
import re
import resource
import secrets
import subprocess
import sys
import tempfile
from datetime import UTC, datetime
from pathlib import Path

from tests.fuzz.hunting import hunt, keep
from tests.fuzz.loading import CORPUS, NAMES

MEMORY = 2 << 30  # of address space for the whole process: a load that takes more ends in a MemoryError
KEPT = Path(os.environ.get("STACKUP_DEV_CACHE", ".cache")) / "fuzz"


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="./dev fuzz", description=__doc__)
    parser.add_argument("seconds", nargs="?", type=float, default=600, help="how long (default: 600)")
    parser.add_argument("--seed", type=int, help="of the first round, to repeat a run of Hypothesis")
    parser.add_argument("--no-atheris", action="store_true", help="Hypothesis alone")
    return parser.parse_args()


class Guided:
    """Atheris beside this process, with a corpus that grows from ours and is kept for the next time."""

    def __init__(self, seconds: float) -> None:
        self.seconds = seconds
        grown = KEPT / "corpus"
        grown.mkdir(parents=True, exist_ok=True)
        self.words = tempfile.NamedTemporaryFile("w", suffix=".dict")  # noqa: SIM115 - as long as the process
        self.words.writelines(f'"{word}"\n' for word in words())
        self.words.flush()
        self.log = (KEPT / "atheris.log").open("w+", errors="replace")
        options = [f"-max_total_time={round(seconds)}", "-timeout=10", "-rss_limit_mb=2048", "-max_len=20000"]
        options += [f"-artifact_prefix={KEPT}/failed-", f"-dict={self.words.name}", "-print_final_stats=1"]
        self.process = subprocess.Popen(
            [sys.executable, "-m", "tests.fuzz.guided", *options, str(grown), str(CORPUS)],
            stdout=self.log,
            stderr=self.log,
        )

    def finish(self) -> tuple[bool, str]:
        """Whether all went well, and a line or the end of the log about it."""
        try:
            code = self.process.wait(self.seconds + 120)
        except subprocess.TimeoutExpired:
            self.process.kill()
            return False, "atheris did not end"
        finally:
            self.words.close()
        self.log.seek(0)
        text = self.log.read()
        self.log.close()
        if code:
            return False, "\n".join(text.splitlines()[-60:])
        runs = re.findall(r"number_of_executed_units: (\d+)", text)
        coverage = re.findall(r"cov: (\d+)", text)
        return True, f"atheris {int(runs[-1]):,} loads, {coverage[-1]} branches" if runs and coverage else "atheris"


def words() -> list[str]:
    """libFuzzer's dictionary: attributes, and what means something in YAML and in variables."""
    from stackup.stackfile.grammar_service import SERVICE_FIELDS

    tokens = ["services:", "networks:", "include:", "<<: *a", "&a ", "!reset ", "!override ", "${", ":-", ":?", "$$"]
    others = [f"\\x0a=== {name}\\x0a" for name in NAMES]
    return [*(f"{name}: " for name in SERVICE_FIELDS), *tokens, *others]


def main() -> int:
    options = arguments()
    first = options.seed if options.seed is not None else secrets.randbelow(1 << 32)
    guided = None
    if options.no_atheris or not importlib.util.find_spec("atheris"):
        print("without atheris: Hypothesis alone", flush=True)
    else:
        guided = Guided(options.seconds)
    print(f"fuzzing the loader for {options.seconds:.0f} s, first seed {first}", flush=True)
    resource.setrlimit(resource.RLIMIT_AS, (MEMORY, MEMORY))
    result = hunt(options.seconds, first)
    fine = result.failure is None
    if result.failure is not None:
        print(f"{result.trace}\nthe case: {keep(result.failure, KEPT)}", flush=True)
    told = [
        f"hypothesis {result.loads:,} loads, {result.stacks:,} stacks, the slowest {result.slowest:.2f} s, "
        f"{resource.getrusage(resource.RUSAGE_SELF).ru_maxrss >> 10} MiB at most"
    ]
    if guided:
        well, line = guided.finish()
        told.append(line)
        fine = fine and well
    day = datetime.now(UTC).strftime("%Y-%m-%d")
    verdict = "nothing but StackFileError came out" if fine else "FAILED"
    print(f"{day}, Python {platform.python_version()}, {options.seconds:.0f} s: {'; '.join(told)}: {verdict}")
    return 0 if fine else 1


if __name__ == "__main__":
    sys.exit(main())
