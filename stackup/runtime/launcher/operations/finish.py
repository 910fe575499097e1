"""The last operations: who the process is, what it may do, and the command it becomes."""

from __future__ import annotations

import os

from stackup.runtime.launcher.operations.base import Operation, Refusal, Stage

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

_ENOENT, _EACCES, _EISDIR = 2, 13, 21
_DEFAULT_PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
_S_IFMT, _S_IFDIR = 0o170000, 0o040000


class BecomeInit(Operation):
    """Leaves this process behind as PID 1, which reaps and passes signals on; a fork of it goes on to the command."""

    __slots__ = ("reap",)
    step = "init"

    def __init__(self, reap: Callable[[], None]) -> None:
        self.reap = reap

    def describe(self) -> str:
        return "start the reaper"

    def execute(self, stage: Stage) -> None:
        self.reap()


class LoadFilter(Operation):
    """With no_new_privs as the very last step; without, it needs CAP_SYS_ADMIN and so comes before capabilities go."""

    __slots__ = ("program",)
    step = "seccomp"

    def __init__(self, program: bytes) -> None:
        self.program = program

    def describe(self) -> str:
        return f"load the seccomp filter ({len(self.program) // 8} instructions)"

    def execute(self, stage: Stage) -> None:
        stage.kernel.load_filter(self.program)


class BecomeUser(Operation):
    """Capabilities are kept over the change of user; ``LimitCapabilities`` follows at once."""

    __slots__ = ("gid", "groups", "uid")
    step = "user"

    def __init__(self, uid: int, gid: int, groups: list[int]) -> None:
        self.uid = uid
        self.gid = gid
        self.groups = groups

    @property
    def path(self) -> str:
        return f"{self.uid}:{self.gid}"

    def describe(self) -> str:
        return f"become user {self.uid}:{self.gid}"

    def execute(self, stage: Stage) -> None:
        kernel = stage.kernel
        kernel.setgroups(self.groups)
        kernel.setresgid(self.gid, self.gid, self.gid)
        if self.uid:
            kernel.set_keep_capabilities(True)
            kernel.setresuid(self.uid, self.uid, self.uid)
            kernel.set_keep_capabilities(False)
        # A change of identity may have made the process visible to others again.
        kernel.set_dumpable(False)


class LimitBounding(Operation):
    __slots__ = ("keep", "last")
    step = "capabilities"

    def __init__(self, keep: int, last: int) -> None:
        self.keep = keep
        self.last = last

    def describe(self) -> str:
        return f"limit the bounding set to {self.keep:#x}"

    def execute(self, stage: Stage) -> None:
        stage.kernel.drop_bounding(self.keep, self.last)


class LimitCapabilities(Operation):
    __slots__ = ("ambient", "effective", "inheritable", "permitted")
    step = "capabilities"

    def __init__(self, effective: int, permitted: int, inheritable: int, ambient: int) -> None:
        self.effective = effective
        self.permitted = permitted
        self.inheritable = inheritable
        self.ambient = ambient

    def describe(self) -> str:
        return f"limit capabilities to {self.permitted:#x}"

    def execute(self, stage: Stage) -> None:
        stage.kernel.set_capabilities(self.effective, self.permitted, self.inheritable)
        if self.ambient:
            stage.kernel.raise_ambient(self.ambient)


class EnterDirectory(Operation):
    """As the user, after the last change of root: a directory that the user may not enter is told by name."""

    __slots__ = ("directory", "umask")
    step = "cwd"

    def __init__(self, directory: str, umask: int) -> None:
        self.directory = directory
        self.umask = umask

    @property
    def path(self) -> str:
        return self.directory

    def describe(self) -> str:
        return f"enter {self.directory}"

    def execute(self, stage: Stage) -> None:
        stage.kernel.chdir(self.directory)
        stage.kernel.umask(self.umask)


class SetNoNewPrivileges(Operation):
    step = "no-new-privileges"

    def describe(self) -> str:
        return "give up gaining privileges"

    def execute(self, stage: Stage) -> None:
        stage.kernel.set_no_new_privileges()


class FindCommand(Operation):
    """Resolves the command in the container's PATH, as its user. The answer goes to ``Execute``."""

    __slots__ = ("args", "command", "env")
    step = "command"

    def __init__(self, args: list[str], env: dict[str, str]) -> None:
        self.args = args
        self.env = env
        self.command = args[0]

    @property
    def path(self) -> str:
        return self.args[0]

    def describe(self) -> str:
        return f"find {self.args[0]}"

    def execute(self, stage: Stage) -> None:
        name, search = self.args[0], self.env.get("PATH", _DEFAULT_PATH)
        if "/" in name:
            found = self._look(stage, name)
        else:
            found = _ENOENT
            for directory in search.split(":"):
                answer = self._look(stage, f"{directory or '.'}/{name}")
                found = answer if answer != _ENOENT else found
                if answer == 0:
                    break
        if found:
            raise Refusal("command", found, name, search=search)

    def _look(self, stage: Stage, path: str) -> int:
        try:
            mode = stage.kernel.path_mode(path)
        except PermissionError:
            return _EACCES
        if not mode:
            return _ENOENT
        if mode & _S_IFMT == _S_IFDIR:
            return _EISDIR if "/" in self.args[0] else _EACCES
        if not stage.kernel.access(path, os.X_OK):
            return _EACCES
        self.command = path
        return 0


class Execute(Operation):
    """Closes everything else and becomes the command; from here on it survives the launcher."""

    __slots__ = ("find", "program")
    step = "exec"

    def __init__(self, find: FindCommand, program: bytes) -> None:
        """``program``: a seccomp filter to load at the last moment, or nothing."""
        self.find = find
        self.program = program

    @property
    def path(self) -> str:
        return self.find.command

    def describe(self) -> str:
        filtered = " under seccomp" if self.program else ""
        return f"run {' '.join(self.find.args)}{filtered}"

    def execute(self, stage: Stage) -> None:
        kernel = stage.kernel
        kernel.close_on_exec_from(3)
        stage.report({"ready": True}, [])
        kernel.die_with_parent(0)
        if self.program:
            try:
                kernel.load_filter(self.program)
            except OSError as error:
                raise Refusal("seccomp", error.errno or 0, "", str(error.strerror)) from error
        kernel.execve(self.find.command, self.find.args, self.find.env)
