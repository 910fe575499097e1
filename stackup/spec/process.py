"""The process: command, environment, user, limits; and further processes in the same container."""

from __future__ import annotations

import posixpath
from collections.abc import Iterable, Sequence
from dataclasses import replace

from stackup.base.capabilities import ALL_CAPABILITIES
from stackup.base.errors import ContainerFault, UsageError
from stackup.model.stack import Service
from stackup.oci.image import ImageConfig
from stackup.oci.runtime import DEFAULT_PATH, Process, Rlimit, Spec, User
from stackup.spec.context import RenderContext, UserIds
from stackup.spec.defaults import INFINITY
from stackup.spec.security import capabilities, capability_names, security_options


def render_process(service: Service, context: RenderContext) -> Process:
    options = security_options(service)
    names = capability_names(service, context.known_capabilities)
    return Process(
        args=command_of(service, context.image),
        cwd=posixpath.normpath(service.working_dir or context.image.working_dir or "/"),
        env=environment(service, context.image, home=context.user.home, hostname=context.hostname),
        terminal=service.tty,
        user=_user(context.user),
        capabilities=capabilities(names, context.user.uid),
        rlimits=_rlimits(service),
        no_new_privileges=options.no_new_privileges,
        oom_score_adj=service.oom_score_adj or 0,
        apparmor_profile="" if options.apparmor == "unconfined" else options.apparmor,
    )


def command_of(service: Service, image: ImageConfig) -> tuple[str, ...]:
    """What is run, as Docker combines file and image (moby daemon/commit.go, merge).

    An entrypoint in the file also drops the image's command; an empty one, ``[]``, keeps it and drops the image's
    entrypoint only. Raises ContainerFault when there is nothing to run.
    """
    entrypoint = service.entrypoint
    command = service.command or ()
    if not entrypoint and not command:
        command = image.cmd or ()
    if entrypoint is None:
        entrypoint = image.entrypoint or ()
    if tuple(entrypoint) == ("",):
        entrypoint = ()
    args = (*entrypoint, *command)
    if not args:
        raise ContainerFault(
            f"cannot create a container of service {service.name}: neither the file nor the image says what to run",
            step="command",
            hint="give the service a command",
            about=".command",
        )
    return args


def environment(service: Service, image: ImageConfig, *, home: str, hostname: str) -> tuple[str, ...]:
    """Image, then file; a variable that the file names without value is unset. PATH, HOSTNAME, TERM (with a terminal)
    and HOME have defaults. A HOME that was chosen never stands last, so that ``render_exec`` knows a default one."""
    variables = dict(image.environment)
    for name, value in service.environment.items():
        if value is None:
            variables.pop(name, None)
        else:
            variables[name] = value
    if "HOME" in variables:
        variables = {"HOME": variables.pop("HOME"), **variables}
    chosen_home = "HOME" in variables
    variables.setdefault("PATH", DEFAULT_PATH)
    variables.setdefault("HOSTNAME", hostname)
    if service.tty:
        variables.setdefault("TERM", "xterm")
    if not chosen_home:
        variables["HOME"] = home or "/"
    return _joined(variables)


def render_exec(
    spec: Spec,
    command: Sequence[str],
    *,
    user: UserIds | None = None,
    env: Iterable[str] = (),
    cwd: str = "",
    tty: bool = False,
    privileged: bool = False,
    known: Sequence[str] = (),
) -> Process:
    """A process beside the container's own: its environment, user and limits unless others are given.

    ``env`` entries read ``NAME=value``. ``cwd`` may be relative to the container's. ``known``: the capabilities that
    ``privileged`` means (empty: all that there are). Raises UsageError for no command.
    """
    if not command:
        raise UsageError("cannot execute: no command given")
    own = spec.process
    ids = _user(user) if user is not None else own.user
    bounding = own.capabilities.bounding if own.capabilities else ()
    names = (tuple(known) or ALL_CAPABILITIES) if privileged else bounding
    allowed = capabilities(names, ids.uid)
    if privileged:
        allowed = replace(allowed, effective=names, permitted=names)
    return replace(
        own,
        args=tuple(command),
        cwd=posixpath.normpath(posixpath.join(own.cwd, cwd)),
        env=_exec_environment(own.env, env, user, tty),
        terminal=tty,
        console_size=None,
        user=ids,
        capabilities=allowed,
    )


def _exec_environment(own: Sequence[str], given: Iterable[str], user: UserIds | None, tty: bool) -> tuple[str, ...]:
    variables = dict(item.partition("=")[::2] for item in own)
    if user is not None and own and own[-1].startswith("HOME="):
        variables["HOME"] = user.home or "/"
    if tty:
        variables.setdefault("TERM", "xterm")
    variables.update(item.partition("=")[::2] for item in given)
    return _joined(variables)


def _joined(variables: dict[str, str]) -> tuple[str, ...]:
    return tuple(f"{name}={value}" for name, value in variables.items())


def _user(ids: UserIds) -> User:
    """The primary group is also a supplementary one (moby daemon/oci_linux.go, getUser)."""
    return User(ids.uid, ids.gid, additional_gids=tuple(dict.fromkeys((ids.gid, *ids.groups))))


def _rlimits(service: Service) -> tuple[Rlimit, ...]:
    return tuple(
        Rlimit(f"RLIMIT_{name.upper()}", _limit(item.soft), _limit(item.hard))
        for name, item in sorted(service.ulimits.items())
    )


def _limit(value: int) -> int:
    return INFINITY if value < 0 else value
