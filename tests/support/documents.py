"""Documentation as a reader takes it: stack files, and command lines to type."""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterator
from pathlib import Path

TREE = Path(__file__).resolve().parents[2]
DOCUMENTS = [TREE / "README.md", *sorted(TREE.glob("examples/*/README.md"))]


def stack_files(text: str) -> list[str]:
    """YAML fences that hold services."""
    fences = re.findall(r"^```yaml\n(.*?)^```", text, re.MULTILINE | re.DOTALL)
    return [fence for fence in fences if re.search(r"^services:", fence, re.MULTILINE)]


def typed(text: str) -> list[str]:
    """Lines of indented blocks and shell fences, without the remark behind them; a sample session's after its $."""
    fences = re.findall(r"^```(?:sh|bash|console)\n(.*?)^```", text, re.MULTILINE | re.DOTALL)
    without_fences = re.sub(r"^```.*?^```", "", text, flags=re.MULTILINE | re.DOTALL)
    lines = [*re.findall(r"^ {4}(\S.*)$", without_fences, re.MULTILINE), *"\n".join(fences).splitlines()]
    return [re.sub(r"\s+#\s.*", "", line).removeprefix("$ ") for line in lines]


def command_lines(text: str) -> Iterator[list[str]]:
    """The arguments of every ``stackup`` (or ``./dev run``) command in code blocks and in backticks."""
    spans = re.findall(r"`([^`\n]+)`", re.sub(r"^```.*?^```", "", text, flags=re.MULTILINE | re.DOTALL))
    for line in (*typed(text), *spans):
        found = re.match(r"(?:sudo )?(?:-E )?(?:stackup|\S*/dev run)(?: (?P<rest>[^(].*))?$", line)
        if found:
            yield shlex.split(found["rest"] or "")


def block_after(text: str, fence: str) -> list[str]:
    """What is to be typed below a stack file: the lines of the next indented block."""
    return typed(re.split(r"\n\n(?! {4})", text.partition(fence)[2].partition("```\n")[2].lstrip("\n"))[0])
