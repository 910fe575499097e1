"""The door's recording twin: same methods as ``Kernel``, no effects, a readable line per call. For tests."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from stackup.linux.kernel import Kernel
from stackup.linux.netlink import Batch

_FD_ANSWERS = {"filesystem", "clone_tree", "clone_tree_of", "open", "link_index", "netlink_socket"}
_METHODS = tuple(name for name in vars(Kernel) if not name.startswith("_"))


class Recorder(Kernel):
    """``calls`` holds the lines. ``answers`` gives results: by "method" or, more exactly, "method first-argument".

    Descriptors count up from 100 and read as what made them in later lines: ``attach <proc> /proc``.
    """

    def __init__(self, answers: dict[str, Any] | None = None) -> None:
        self.calls: list[str] = []
        self._answers = {"getpid": 1, "file_kind": (1, 0o040000, 0), "path_mode": 0o040755, **(answers or {})}
        self._made: dict[int, str] = {}
        for name in _METHODS:
            setattr(self, name, self._recording(name))

    def _recording(self, name: str) -> Callable[..., Any]:
        def record(*args: Any, **kwargs: Any) -> Any:
            words = [self._word(item) for item in args]
            words += [f"{key}={self._word(value)}" for key, value in kwargs.items()]
            self.calls.append(" ".join([name, *words]))
            return self._answer(name, args)

        return record

    def _answer(self, name: str, args: tuple[Any, ...]) -> Any:
        first = f"{name} {self._word(args[0])}" if args else name
        answer = self._answers.get(first, self._answers.get(name))
        if isinstance(answer, Exception):
            raise answer
        if answer is None and name == "real_path":
            return args[0]
        if answer is None and name in _FD_ANSWERS:
            answer = 100 + len(self._made)
            self._made[answer] = str(args[0] or "clone") if args else name
        return answer

    def _word(self, value: Any) -> str:
        if isinstance(value, int) and value in self._made:
            return f"<{self._made[value]}>"
        if isinstance(value, Batch):
            return "; ".join(value.names)
        if isinstance(value, list | tuple):
            return ",".join(self._word(item) for item in value)
        return str(value)
