"""How long the stack file takes: 450 services, about 5,000 lines, read, validated and completed in a fresh process.

What counts is the processor time of the loader itself: the imports are over when the clock starts, nothing is warm yet.
"""

from __future__ import annotations

import statistics
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

from tests.bench.report import Bound, shown

SERVICES = 450
LIMIT = 0.2  # seconds
_PROGRAM = """
import sys, time
from pathlib import Path
from stackup.stackfile import LoadRequest, load
request = LoadRequest(Path(sys.argv[1]), environment={"HOME": "/root", "TAG": "1.27"})
begin = time.process_time()
loaded = load(request)
print(time.process_time() - begin, len(loaded.stack.services))
"""


def stack_file(services: int = SERVICES) -> str:
    """Every service with a bit of everything that people write, in short and long forms."""
    return "\n".join(_lines(services)) + "\n"


def _lines(services: int) -> Iterator[str]:
    yield "x-logging: &logging {driver: json-file, options: {max-size: 10m, max-file: '3'}}"
    yield "services:"
    for index in range(services):
        yield f"  s{index:03}:"
        yield f'    image: "registry.example.org/team/app-{index % 20}:${{TAG:-latest}}"'
        yield "    environment:"
        yield f"      NAME: s{index:03}"
        yield '      URL: "http://${HOST:-localhost}:8080/path"'
        yield f'    ports: ["{20000 + index}:80"]'
        yield "    logging: *logging"
        yield f'    volumes: ["data{index % 50}:/var/lib/data", "./conf:/etc/app:ro"]'
        yield "    networks: [front, back]"
        yield "    healthcheck: {test: curl -f http://localhost, interval: 30s, retries: 3}"
        if index:
            yield f"    depends_on: [s{index - 1:03}]"
    yield "networks: {front: {}, back: {internal: true}}"
    yield f"volumes: {{{', '.join(f'data{index}: {{}}' for index in range(min(50, services)))}}}"


def measure(repeat: int = 5) -> list[float]:
    """Seconds of each run."""
    with tempfile.TemporaryDirectory(prefix="skbench") as directory:
        Path(directory, "compose.yaml").write_text(stack_file())
        return [_once(directory) for _ in range(repeat)]


def _once(directory: str) -> float:
    done = subprocess.run([sys.executable, "-c", _PROGRAM, directory], capture_output=True, text=True, check=True)
    seconds, services = done.stdout.split()
    assert int(services) == SERVICES
    return float(seconds)


def bound(seconds: list[float]) -> Bound:
    lines = stack_file().count("\n")
    text = f"milliseconds to read, validate and complete a stack file of {SERVICES} services in {lines:,} lines"
    return Bound(text, statistics.median(seconds) * 1000, LIMIT * 1000)


def row(seconds: list[float], columns: int) -> str:
    """A line of the table of stacks, which has ``columns`` after the first three."""
    cells = [str(SERVICES), "reading the stack file", shown(statistics.median(seconds)), *[""] * columns]
    return "| " + " | ".join(cells) + " |"
