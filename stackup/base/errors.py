"""Errors, grouped by who must act. Only ``cli`` turns them into exit codes.

The text of every error reads "cannot <verb> <object>: <reason>"; the next step goes into ``hint``. Errors cross
process borders (supervisor to CLI, builder to supervisor) as plain dictionaries: ``to_dict`` and ``from_dict``.
"""

from __future__ import annotations

from dataclasses import asdict
from typing import Any, ClassVar

from stackup.base.values import frozen


@frozen
class Position:
    """A place in a text file. ``line`` and ``column`` count from 1; 0 means unknown."""

    file: str
    line: int = 0
    column: int = 0

    def __str__(self) -> str:
        if not self.line:
            return self.file
        return f"{self.file}:{self.line}:{self.column}" if self.column else f"{self.file}:{self.line}"


class StackupError(Exception):
    """Base of all errors that a user is meant to read. ``exit_code`` is what the CLI ends with.

    ``notices``: what was warned of in the same pass.
    """

    kind: ClassVar[str] = "error"
    notices: tuple[Any, ...] = ()
    exit_code: ClassVar[int] = 1
    registry: ClassVar[dict[str, type[StackupError]]] = {}

    def __init_subclass__(cls, **kwargs: Any) -> None:
        super().__init_subclass__(**kwargs)
        StackupError.registry[cls.kind] = cls

    def __init__(
        self,
        message: str,
        *,
        hint: str = "",
        where: Position | None = None,
        snippet: str = "",
        details: tuple[StackupError, ...] = (),
        about: str = "",
    ) -> None:
        """``snippet`` is the offending line with its caret; ``details`` are further errors found in the same pass.

        ``about`` names the value at fault for whoever knows its place: a path in the stack file (``volumes.a.driver``),
        or with a dot in front one below the service in question (``.cap_add``).
        """
        super().__init__(message)
        self.message = message
        self.hint = hint
        self.where = where
        self.snippet = snippet
        self.details = details
        self.about = about

    def to_dict(self) -> dict[str, Any]:
        return {
            "kind": self.kind,
            "message": self.message,
            "hint": self.hint,
            "where": asdict(self.where) if self.where else None,
            "snippet": self.snippet,
            "details": [error.to_dict() for error in self.details],
            **({"about": self.about} if self.about else {}),
        }

    @staticmethod
    def from_dict(data: dict[str, Any]) -> StackupError:
        cls = StackupError.registry.get(data["kind"], StackupError)
        error = cls.__new__(cls)
        StackupError.__init__(
            error,
            data["message"],
            hint=data.get("hint", ""),
            where=Position(**data["where"]) if data.get("where") else None,
            snippet=data.get("snippet", ""),
            details=tuple(StackupError.from_dict(item) for item in data.get("details", ())),
            about=data.get("about", ""),
        )
        error.restore(data)
        return error

    def restore(self, data: dict[str, Any]) -> None:
        """Takes back from ``to_dict``'s answer what a subclass added to it."""


class StackFileError(StackupError):
    """The stack file (or Dockerfile, or env file) must be edited.

    ``hidden``: how many errors this one stands for. ``loaded``: the stack, where all of it could be read and only
    running it is out of the question (``stackfile.Loaded``).
    """

    kind = "stack-file"
    hidden: int = 0
    loaded: Any = None

    def to_dict(self) -> dict[str, Any]:
        return super().to_dict() | ({"hidden": self.hidden} if self.hidden else {})

    def restore(self, data: dict[str, Any]) -> None:
        self.hidden = data.get("hidden", 0)


class UsageError(StackupError):
    """The command line must be changed."""

    kind = "usage"
    exit_code = 64  # EX_USAGE of sysexits.h; 2 is `plan`'s word for "there is something to do"


class NotFound(StackupError):
    """What the user names does not exist."""

    kind = "not-found"


class PlanRefused(StackupError):
    """The user must confirm, or choose: the plan would destroy or cannot be carried out as asked."""

    kind = "plan-refused"


class HostUnfit(StackupError):
    """The machine lacks something; ``hint`` says how to get it."""

    kind = "host-unfit"


class ImageError(StackupError):
    """An image cannot be found, read, pulled or built."""

    kind = "image"


class ImageNameError(ImageError):
    """What the user typed cannot be the name of an image."""

    kind = "image-name"
    exit_code = UsageError.exit_code


class ContainerFault(StackupError):
    """A container could not be made or entered. Names the step, the errno and the path where there is one."""

    kind = "container"

    def __init__(self, message: str, *, step: str = "", errno: int = 0, path: str = "", **more: Any) -> None:
        super().__init__(message, **more)
        self.step = step
        self.errno = errno
        self.path = path

    def to_dict(self) -> dict[str, Any]:
        return {**super().to_dict(), "step": self.step, "errno": self.errno, "path": self.path}

    def restore(self, data: dict[str, Any]) -> None:
        self.step, self.errno, self.path = data.get("step", ""), data.get("errno", 0), data.get("path", "")


class Bug(StackupError):
    """Something that should not be possible. Carries a traceback; please report."""

    kind = "bug"
    exit_code = 70
