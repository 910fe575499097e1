"""Starts a launcher: ``spawn_launcher``. Standard library only and quick to import: the command line calls it.

The launcher's lock and its control socket are made here and handed over, so that a command can connect at once (its
request waits in the backlog while launcher and supervisor boot) and so that two commands that race start one launcher.

Defence against CVE-2019-5736, first half: the launcher runs from a detached read-only clone of the interpreter's file,
so that no process that gets hold of /proc/PID/exe can write to the host's Python. (Second half, in the launcher: it is
not dumpable.) See tests/security.
"""

from __future__ import annotations

import fcntl
import os
import signal
import sys
from _socket import AF_UNIX, SOCK_CLOEXEC, SOCK_STREAM
from _socket import socket as Socket

from stackup.base.names import project_cgroup
from stackup.linux import mounts

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    from stackup.base.paths import ProjectPaths

_LOCK_FD, _CONTROL_FD, _CHANNEL_FD = 3, 4, 5
_FIRST_FREE = 100
_BACKLOG = 128
_BOOT = "import sys; sys.path.insert(0, sys.argv[1]); from stackup.runtime.launcher.main import main; main()"
# What a long-lived process may keep of the environment of the command that happened to start it.
_KEPT = ("PATH", "HOME", "USER", "LANG", "TZ", "TMPDIR", "VIRTUAL_ENV", "LD_LIBRARY_PATH")
_KEPT_PREFIXES = ("LC_", "STACKUP_", "PYTHON", "COVERAGE")
_MFD_ALLOW_SEALING, _MFD_CLOEXEC = 2, 1


def spawn_launcher(
    paths: ProjectPaths,
    project: str,
    root: str,
    supervisor_argv: Sequence[str] | None,
    channel: Socket | None = None,
    control_fd: int | None = None,
    environment: Mapping[str, str] | None = None,
) -> int:
    """Starts ``stackup launcher PROJECT`` and answers its pid; 0 when the project's launcher already lives.

    ``root`` is the state root as in ``Layout.root``. With ``supervisor_argv`` None it is a private launcher (for
    builds): ``channel`` is its only client, and it ends with it, killing what it started; it takes no lock and has no
    control socket. ``control_fd``: a listening control socket that outlived the launcher before, to be used instead of
    a new one. ``environment`` is the launcher's and its supervisor's; without it, a harmless part of the caller's.
    Raises OSError.
    """
    _make_directory(paths.run)
    _make_directory(paths.state)
    passed: dict[int, int] = {}
    ours: list[int] = []
    try:
        if supervisor_argv is not None:
            lock = _try_lock(paths)
            if lock < 0:
                return 0
            ours.append(lock)
            passed[_LOCK_FD] = lock
            if control_fd is None:
                control_fd = listen(str(paths.control_socket))
                ours.append(control_fd)
            passed[_CONTROL_FD] = control_fd
        else:
            assert channel is not None, "a launcher needs a supervisor or a channel"
            passed[_CHANNEL_FD] = channel.fileno()
        arguments = [
            project,
            project_cgroup(project, root),
            # Private launchers may run beside the project's own one.
            str(paths.run / ("rootfs" if supervisor_argv is not None else f"rootfs-{os.urandom(4).hex()}")),
            str(paths.control_socket) if supervisor_argv is not None else "",
            str(paths.launcher_lock),
            str(paths.supervisor_log),
            str(_CONTROL_FD if _CONTROL_FD in passed else -1),
            str(_CHANNEL_FD if _CHANNEL_FD in passed else -1),
            *(supervisor_argv or ()),
        ]
        return _spawn(arguments, passed, str(paths.launcher_log), dict(environment or _environment()))
    finally:
        for fd in ours:
            os.close(fd)


def listen(path: str) -> int:
    """A listening socket bound at ``path`` (mode 0600), of any length; what was there before is replaced."""
    directory, name = os.path.split(path)
    dirfd = os.open(directory, os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
    sock = Socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC)
    try:
        try:
            os.unlink(name, dir_fd=dirfd)
        except FileNotFoundError:
            pass
        umask = os.umask(0o177)
        try:
            # sun_path holds 108 bytes; the path through the directory's descriptor is always short.
            sock.bind(f"/proc/self/fd/{dirfd}/{name}")
        finally:
            os.umask(umask)
        sock.listen(_BACKLOG)
        return sock.detach()
    finally:
        sock.close()
        os.close(dirfd)


def _make_directory(path: Path) -> None:
    """Also while a launcher that ends removes it: it may be there for mkdir and gone for the look that follows."""
    while True:
        try:
            path.mkdir(parents=True, exist_ok=True)
            return
        except FileExistsError:
            if os.path.lexists(path) and not path.is_dir():
                raise


def _try_lock(paths: ProjectPaths) -> int:
    """-1 when a launcher has it. One that ends removes file and directory: then the next try makes new ones."""
    while True:
        try:
            fd = os.open(paths.launcher_lock, os.O_CREAT | os.O_RDWR | os.O_CLOEXEC, 0o600)
        except FileNotFoundError:
            _make_directory(paths.run)
            continue
        try:
            fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            os.close(fd)
            return -1
        try:
            if os.path.samestat(os.stat(paths.launcher_lock), os.fstat(fd)):
                return fd
        except FileNotFoundError:
            pass
        os.close(fd)


def _spawn(arguments: list[str], passed: dict[int, int], log: str, environment: dict[str, str]) -> int:
    interpreter = os.path.realpath(sys.executable)
    program = protected_copy(interpreter)
    # Out of the way of the numbers that the launcher gets them as.
    raised = {number: fcntl.fcntl(fd, fcntl.F_DUPFD_CLOEXEC, _FIRST_FREE) for number, fd in passed.items()}
    high_program = fcntl.fcntl(program, fcntl.F_DUPFD_CLOEXEC, _FIRST_FREE)
    package = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
    actions = [
        (os.POSIX_SPAWN_OPEN, 0, "/dev/null", os.O_RDONLY, 0),
        (os.POSIX_SPAWN_OPEN, 1, log, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600),
        (os.POSIX_SPAWN_DUP2, 1, 2),
        *((os.POSIX_SPAWN_DUP2, fd, number) for number, fd in raised.items()),
    ]
    try:
        return os.posix_spawn(
            f"/proc/self/fd/{high_program}",
            [interpreter, "-I", "-S", "-E", "-c", _BOOT, package, *arguments],
            {**environment, **_library_path(environment)},
            file_actions=actions,
            setsid=True,
            setsigmask=(),
            setsigdef=tuple(signal.valid_signals() - {signal.SIGKILL, signal.SIGSTOP}),
        )
    finally:
        for fd in (program, high_program, *raised.values()):
            os.close(fd)


def protected_copy(interpreter: str) -> int:
    """A descriptor to execute ``interpreter`` from, through which nobody can write to it."""
    try:
        fd = mounts.clone_tree(interpreter)
        try:
            mounts.set_attributes(fd, mounts.RDONLY | mounts.NOSUID | mounts.NODEV)
        except OSError:
            os.close(fd)
            raise
        return fd
    except OSError:
        return _sealed_copy(interpreter)


def _sealed_copy(interpreter: str) -> int:
    """In memory, sealed: for kernels before mount_setattr (5.12)."""
    fd = os.memfd_create("stackup-launcher", _MFD_CLOEXEC | _MFD_ALLOW_SEALING)
    with open(interpreter, "rb") as source:
        size = os.fstat(source.fileno()).st_size
        while size > 0:
            size -= os.sendfile(fd, source.fileno(), None, size)
    os.fchmod(fd, 0o500)
    fcntl.fcntl(fd, fcntl.F_ADD_SEALS, fcntl.F_SEAL_WRITE | fcntl.F_SEAL_SHRINK | fcntl.F_SEAL_GROW | fcntl.F_SEAL_SEAL)
    # A descriptor open for writing makes execution fail (ETXTBSY): hand out a read-only one.
    readable = os.open(f"/proc/self/fd/{fd}", os.O_RDONLY | os.O_CLOEXEC)
    os.close(fd)
    return readable


def _environment() -> dict[str, str]:
    kept = {name: value for name, value in os.environ.items() if name in _KEPT or name.startswith(_KEPT_PREFIXES)}
    kept.setdefault("PATH", "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin")
    return kept


def _library_path(environment: Mapping[str, str]) -> dict[str, str]:
    """Run from a detached mount the interpreter has no $ORIGIN to look for its libpython from: say where it is."""
    with open("/proc/self/maps", encoding="utf-8", errors="surrogateescape") as file:
        for line in file:
            path = line.rstrip("\n").partition("/")[2]
            if "/libpython" in path and not path.startswith("usr/lib/"):
                known = environment.get("LD_LIBRARY_PATH", "")
                return {"LD_LIBRARY_PATH": f"/{os.path.dirname(path)}{':' if known else ''}{known}"}
    return {}
