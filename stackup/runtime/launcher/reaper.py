"""PID 1 of a container with ``init: true``: passes signals on to the command, reaps what is orphaned, ends with it.

It is the child of the container start itself, which stays behind while a fork of it becomes the command; so nothing has
to exist in the image and nothing is mounted into it. It keeps CAP_KILL only, is not dumpable, and its executable is the
launcher's read-only one. Exit codes as tini and docker-init give them: 128 + n for a command killed by signal n.
"""

from __future__ import annotations

import os
from signal import (
    SIG_BLOCK,
    SIG_SETMASK,
    SIGCHLD,
    SIGKILL,
    SIGSTOP,
    Signals,
    pthread_sigmask,
    sigwaitinfo,
    valid_signals,
)

from stackup.linux import capabilities, process

# Faults of its own, and job control, which concerns the sender's terminal.
_NOT_PASSED_ON = frozenset((4, 5, 7, 8, 11, 20, 21, 22, 31, SIGCHLD, SIGKILL, SIGSTOP))


def reap(last: int) -> None:
    """Returns in the fork that goes on to the command; never in the process that calls it. ``last`` capability."""
    everything = valid_signals()
    pthread_sigmask(SIG_BLOCK, everything)
    process.become_subreaper()
    process.set_title("stackup-init")  # before the command could look
    command = os.fork()
    if command == 0:
        pthread_sigmask(SIG_SETMASK, ())
        process.die_with_parent(SIGKILL)
        return
    _be_init(command, last, everything)


def _be_init(command: int, last: int, everything: set[Signals]) -> None:
    try:
        process.die_with_parent(0)
        process.close_from(0)
        kill = capabilities.mask(("CAP_KILL",))
        capabilities.drop_bounding(kill, last)
        capabilities.set_capabilities(kill, kill, 0)
        process.set_no_new_privileges()
        while True:
            number = sigwaitinfo(everything).si_signo
            if number == SIGCHLD:
                _reap_all(command)
            elif number not in _NOT_PASSED_ON:
                try:
                    os.kill(command, number)
                except ProcessLookupError:
                    continue
    finally:
        os._exit(125)


def _reap_all(command: int) -> None:
    while True:
        try:
            pid, status = os.waitpid(-1, os.WNOHANG)
        except ChildProcessError:
            os._exit(125)
        if pid == 0:
            return
        if pid == command:
            code = os.waitstatus_to_exitcode(status)
            os._exit(128 - code if code < 0 else code)
