"""Operations on the process itself, before and around the new root: cgroups, namespaces, keyring, names, limits."""

from __future__ import annotations

import os

from stackup.linux.process import CLONE_NEWCGROUP, NAMESPACE_FLAGS
from stackup.runtime.launcher.operations.base import Operation, Stage

_ENOSYS, _EPERM, _EDQUOT = 38, 1, 122
_SIGKILL = 9


class DieWithLauncher(Operation):
    """A half-made container is nobody's: it goes when the launcher goes. Taken back right before the command runs."""

    def describe(self) -> str:
        return "die with the launcher"

    def execute(self, stage: Stage) -> None:
        stage.kernel.die_with_parent(_SIGKILL)


class ClearUmask(Operation):
    """Until the container's own one is set, what is made gets the mode that is given."""

    def describe(self) -> str:
        return "clear the umask"

    def execute(self, stage: Stage) -> None:
        stage.kernel.umask(0)


class SetOomScore(Operation):
    __slots__ = ("score",)
    step = "oom-score"

    def __init__(self, score: int) -> None:
        self.score = score

    def describe(self) -> str:
        return f"set oom_score_adj to {self.score}"

    def execute(self, stage: Stage) -> None:
        stage.kernel.write("/proc/self/oom_score_adj", str(self.score))


class SetApparmor(Operation):
    """The profile for the command: it takes effect with the exec, and is set through the host's /proc."""

    __slots__ = ("profile",)
    step = "apparmor"

    def __init__(self, profile: str) -> None:
        self.profile = profile

    @property
    def path(self) -> str:
        return self.profile

    def describe(self) -> str:
        return f"set the AppArmor profile {self.profile}"

    def execute(self, stage: Stage) -> None:
        stage.kernel.write("/proc/self/attr/apparmor/exec", f"exec {self.profile}")


class JoinCgroup(Operation):
    """By ``tasks``, on cgroup v1: a thread that moves itself waits for nobody. (v2 is joined by clone3.)"""

    __slots__ = ("directory", "file")
    step = "cgroup"

    def __init__(self, directory: str, file: str = "tasks") -> None:
        self.directory = directory
        self.file = file

    @property
    def path(self) -> str:
        return self.directory

    def describe(self) -> str:
        return f"join the cgroup {self.directory}"

    def execute(self, stage: Stage) -> None:
        stage.kernel.write(f"{self.directory}/{self.file}", "0")


class UnshareCgroup(Operation):
    """After the last join: the groups of now become the roots that the container sees."""

    step = "cgroup"

    def describe(self) -> str:
        return "create the cgroup namespace"

    def execute(self, stage: Stage) -> None:
        stage.kernel.unshare(CLONE_NEWCGROUP)


class JoinNamespace(Operation):
    __slots__ = ("file", "kind")
    step = "namespace"

    def __init__(self, kind: str, file: str) -> None:
        self.kind = kind
        self.file = file

    @property
    def path(self) -> str:
        return self.file

    def describe(self) -> str:
        return f"join the {self.kind} namespace {self.file}"

    def execute(self, stage: Stage) -> None:
        fd = stage.kernel.open(self.file, os.O_RDONLY | os.O_CLOEXEC)
        stage.kernel.setns(fd, NAMESPACE_FLAGS[self.kind])
        stage.kernel.close(fd)


class EnterContainer(Operation):
    """All namespaces of a running container at once, through its pidfd. Root and current directory become its root."""

    __slots__ = ("flags", "pidfd")
    step = "namespace"

    def __init__(self, pidfd: int, flags: int) -> None:
        self.pidfd = pidfd
        self.flags = flags

    def describe(self) -> str:
        return "enter the container's namespaces"

    def execute(self, stage: Stage) -> None:
        stage.kernel.setns(self.pidfd, self.flags)


class NewKeyring(Operation):
    __slots__ = ("name",)
    step = "keyring"

    def __init__(self, name: str) -> None:
        self.name = name

    def describe(self) -> str:
        return "create a session keyring"

    def execute(self, stage: Stage) -> None:
        try:
            stage.kernel.new_session_keyring(self.name)
        except OSError as error:
            if error.errno not in (_ENOSYS, _EPERM, _EDQUOT):
                raise


class SetHostname(Operation):
    __slots__ = ("name",)
    step = "hostname"

    def __init__(self, name: str) -> None:
        self.name = name

    def describe(self) -> str:
        return f"set the hostname to {self.name}"

    def execute(self, stage: Stage) -> None:
        stage.kernel.set_hostname(self.name)


class SetDomainname(Operation):
    __slots__ = ("name",)
    step = "hostname"

    def __init__(self, name: str) -> None:
        self.name = name

    def describe(self) -> str:
        return f"set the domain name to {self.name}"

    def execute(self, stage: Stage) -> None:
        stage.kernel.set_domainname(self.name)


class SetRlimit(Operation):
    __slots__ = ("hard", "name", "soft")
    step = "rlimits"

    def __init__(self, name: str, soft: int, hard: int) -> None:
        self.name = name
        self.soft = soft
        self.hard = hard

    @property
    def path(self) -> str:
        return f"{self.name.removeprefix('RLIMIT_').lower()}={self.soft}:{self.hard}"

    def describe(self) -> str:
        return f"set ulimit {self.path}"

    def execute(self, stage: Stage) -> None:
        stage.kernel.set_rlimit(self.name, self.soft, self.hard)
