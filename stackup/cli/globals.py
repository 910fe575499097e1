"""Options that stand before the verb: which project, and how to print."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from stackup.cli.options import switch, value, values

ANSI = ("auto", "always", "never")
PROGRESS = ("auto", "tty", "plain", "json", "rawjson", "quiet")


@dataclass(frozen=True)
class Globals:
    """Run multi-container applications from a Compose file, without a daemon."""

    file: tuple[str, ...] = values("-f", "--file", help="Compose file; can be given several times.", metavar="PATH")
    project_name: str = value("-p", "--project-name", help="Project name.", default="", metavar="NAME")
    project_directory: str = value(
        "--project-directory",
        help="Directory that relative paths start from (default: that of the first file).",
        default="",
        metavar="PATH",
    )
    env_file: tuple[str, ...] = values("--env-file", help="Environment file instead of .env.", metavar="PATH")
    profile: tuple[str, ...] = values("--profile", help="Profile to enable.", metavar="NAME")
    ansi: str | None = value("--ansi", help="Colours and cursor movement.", choices=ANSI)
    progress: str | None = value("--progress", help="How progress is shown.", choices=PROGRESS)
    parallel: int | None = value(
        "--parallel", help="So many actions at a time at most; -1: no limit.", kind=int, metavar="NUMBER"
    )
    version: bool = switch("-v", "--version", help="Print the version.")

    def files(self) -> dict[str, Any]:
        """What the supervisor needs to read the same stack file."""
        return {
            "files": list(self.file),
            "project_name": self.project_name,
            "project_directory": self.project_directory,
            "env_files": list(self.env_file),
            "profiles": list(self.profile),
        }
