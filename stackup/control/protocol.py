"""What goes over the control socket: one JSON line for a request, JSON lines of events for the answer.

Every event is an object with the key ``event``; the last one is ``done`` with the exit code. Descriptors travel by
SCM_RIGHTS beside the request line (stdin, stdout, stderr of ``exec``) and beside an event that says ``"fds": n``.
"""

from __future__ import annotations

import json
from dataclasses import field
from typing import Any

from stackup.base.values import frozen

PROTOCOL = 1
MAX_REQUEST = 8 << 20  # bytes; an environment and an argument list fit many times over
MAX_FDS = 8


@frozen
class Request:
    """One command of a user. Nothing of the supervisor's own environment is used for it.

    ``files`` are the global file options (see ``stackfile.LoadRequest``), ``args`` what the verb takes.
    """

    verb: str
    args: dict[str, Any] = field(default_factory=dict)
    files: dict[str, Any] = field(default_factory=dict)
    cwd: str = "/"
    env: dict[str, str] = field(default_factory=dict)
    argv: tuple[str, ...] = ()
    umask: int = 0o022
    protocol: int = PROTOCOL
    version: str = ""

    def encode(self) -> bytes:
        data = {
            "v": self.protocol,
            "version": self.version,
            "verb": self.verb,
            "args": self.args,
            "files": self.files,
            "cwd": self.cwd,
            "env": self.env,
            "argv": self.argv,
            "umask": self.umask,
        }
        return encode(data)

    @classmethod
    def decode(cls, line: bytes) -> Request:
        """Raises ValueError for anything that is not a request."""
        data = json.loads(line)
        if not isinstance(data, dict) or not isinstance(data.get("verb"), str):
            raise ValueError("not a request")
        return cls(
            verb=data["verb"],
            args=data.get("args", {}),
            files=data.get("files", {}),
            cwd=data.get("cwd", "/"),
            env=data.get("env", {}),
            argv=tuple(data.get("argv", ())),
            umask=data.get("umask", 0o022),
            protocol=data.get("v", 0),
            version=data.get("version", ""),
        )


def encode(event: dict[str, Any]) -> bytes:
    """One line. Surrogates (bytes that are not UTF-8) survive as escapes."""
    return json.dumps(event, separators=(",", ":")).encode() + b"\n"
