"""Log lines into files, one for each service: ``stackup logs --files DIR``."""

from __future__ import annotations

import os
from dataclasses import dataclass, field
from typing import Any, BinaryIO

from stackup.base.errors import UsageError
from stackup.cli.loglines import LogPrinter
from stackup.cli.terminal import Console


@dataclass
class FilePrinter(LogPrinter):
    """Writes what ``LogPrinter`` would print, both streams, to ``DIR/SERVICE.log``; files of that name are replaced."""

    directory: str = ""
    opened: dict[str, BinaryIO] = field(default_factory=dict)

    @classmethod
    def into(cls, cwd: str, directory: str, console: Console, project: str, options: dict[str, Any]) -> FilePrinter:
        """Makes the directory. Raises UsageError where that cannot be."""
        path = os.path.join(cwd, directory)
        try:
            os.makedirs(path, exist_ok=True)
        except OSError as error:
            raise UsageError(f"cannot write logs to {path}: {error.strerror}") from None
        return cls(console, project, directory=path, **{**options, "colour": False})

    def flush(self) -> None:
        for file in self.opened.values():
            file.flush()

    def close(self) -> None:
        for file in self.opened.values():
            file.close()

    def _write(self, stream: str, data: bytes, service: str) -> None:
        file = self.opened.get(service)
        if file is None:
            path = os.path.join(self.directory, f"{service}.log")
            try:
                file = self.opened[service] = open(path, "wb")  # noqa: SIM115 - closed by close()
            except OSError as error:
                raise UsageError(f"cannot write logs to {path}: {error.strerror}") from None
        file.write(data)
        if self.eager:
            file.flush()
