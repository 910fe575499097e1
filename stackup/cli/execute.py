"""Runs a parsed command. The only place where errors become exit codes."""

from __future__ import annotations

import errno
import os
import sys
from collections.abc import Mapping
from typing import Any, TextIO

from stackup.base.errors import Bug, HostUnfit, StackupError
from stackup.base.paths import Layout
from stackup.cli.globals import Globals
from stackup.cli.registry import Verb
from stackup.cli.session import Session
from stackup.cli.terminal import Console

INTERRUPTED = 130  # 128 + SIGINT
HUNG_UP = 129  # 128 + SIGHUP
PIPE_CLOSED = 141  # 128 + SIGPIPE
NO_ROOM = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)


def execute(options: Globals, verb: Verb, request: Any) -> int:
    """Answers the exit code; everything that can go wrong has been printed."""
    console = Console.detect(options.ansi, options.progress, os.environ)
    as_json = getattr(request, "format", None) == "json"
    try:
        code = _run(options, verb, request, console)
        console.out.flush()
        return code
    except BrokenPipeError:
        _forget_output(sys.stdout, sys.stderr)
        return PIPE_CLOSED
    except OSError as error:
        if error.errno in NO_ROOM and error.filename is None:
            _forget_output(sys.stdout)
            _show(HostUnfit(f"cannot write: {error.strerror}"), console, as_json)
            return HostUnfit.exit_code
        if error.errno != errno.EIO or console.out.isatty():
            return _bug(error, console, as_json)
        _forget_output(sys.stdout, sys.stderr)  # the terminal is gone; the project is not ours to stop
        return HUNG_UP
    except KeyboardInterrupt as interrupt:
        console.err.write("\n" if console.err.isatty() or not interrupt.args else "")
        console.err.writelines(f"{text}\n" for text in interrupt.args)
        return INTERRUPTED
    except StackupError as error:
        _show(error, console, as_json)
        return error.exit_code
    except Exception as error:  # noqa: BLE001  the last door: whatever comes here is our mistake, and said so
        return _bug(error, console, as_json)


def _bug(error: Exception, console: Console, as_json: bool) -> int:
    _show(bug(error), console, as_json)
    return Bug.exit_code


def _show(error: StackupError, console: Console, as_json: bool) -> None:
    from stackup.cli import report

    report.show(error, console, as_json=as_json)


def _run(options: Globals, verb: Verb, request: Any, console: Console) -> int:
    if verb.needs_root and os.geteuid() != 0:
        raise no_root(verb.name)
    if os.geteuid() == 0 and os.environ.get("SUDO_UID"):
        caller_home()
    layout = Layout.from_environment()
    if verb.needs_root:
        layout.close()
    session = Session(options, layout, console, _environment(), _working_directory())
    return verb.run(session, request)


def no_root(verb: str) -> HostUnfit:
    """Names the exact command that would work."""
    return HostUnfit(
        f"cannot run stackup {verb} as an ordinary user: namespaces, networks and mounts need root",
        hint=f"run: {sudo_command()}",
    )


def sudo_command() -> str:
    """The running command behind sudo, with the variables that sudo would drop and that matter here."""
    import shlex

    as_module = sys.argv[0].endswith("__main__.py")
    wanted = {"STACKUP_ROOT", "PYTHONPATH"} if as_module else {"STACKUP_ROOT"}
    kept = [
        f"{name}={value}" for name, value in sorted(os.environ.items()) if name in wanted or name.startswith("COMPOSE_")
    ]
    if as_module:
        program = [sys.executable, *(["-P"] if sys.flags.safe_path else []), "-m", "stackup"]
    else:
        program = [os.path.realpath(sys.argv[0]) if os.path.exists(sys.argv[0]) else "stackup"]
    return shlex.join(["sudo", *kept, *program, *sys.argv[1:]])


def caller_home() -> None:
    """Under sudo, ``~`` and the credentials below it are those of the person who typed the command."""
    import pwd

    try:
        os.environ["HOME"] = pwd.getpwuid(int(os.environ["SUDO_UID"])).pw_dir
    except (KeyError, ValueError):
        return


def bug(error: BaseException) -> Bug:
    import traceback

    from stackup.cli.report import REPORT_HINT

    trace = "".join(traceback.format_exception(error))
    return Bug(f"{type(error).__name__}: {error}", snippet=trace, hint=REPORT_HINT)


def _environment() -> Mapping[str, str]:
    """The caller's. Python adds LC_CTYPE where the locale is C (PEP 538), which no stack file should see."""
    if os.environ.get("LC_CTYPE", "").startswith("C."):
        try:
            with open("/proc/self/environ", "rb") as file:
                given = file.read()
        except OSError:
            return os.environ
        if b"LC_CTYPE=" not in given:
            return {name: value for name, value in os.environ.items() if name != "LC_CTYPE"}
    return os.environ


def _working_directory() -> str:
    try:
        return os.getcwd()
    except FileNotFoundError:
        raise HostUnfit("cannot read the working directory: it was removed", hint="cd to one that exists") from None


def _forget_output(*streams: TextIO) -> None:
    """Nobody reads any more: keeps the interpreter from complaining about it at exit."""
    nowhere = os.open(os.devnull, os.O_WRONLY)
    for stream in streams:
        try:
            os.dup2(nowhere, stream.fileno())
        except (OSError, ValueError):
            continue
