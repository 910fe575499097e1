"""The instructions that change the image's configuration only. Each is a function from a state to the next."""

from __future__ import annotations

import json
import posixpath
import re
import signal
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace

from stackup.base.values import frozen
from stackup.build import arguments
from stackup.build.dockerfile import Instruction, json_list
from stackup.build.stages import parse_arguments
from stackup.build.state import State
from stackup.build.words import expand, expand_words
from stackup.oci.image import Healthcheck

# Known without ARG; the first group never counts for the cache (BuildKit, "Predefined ARGs").
PROXIES = tuple(
    name
    for base in ("HTTP_PROXY", "HTTPS_PROXY", "FTP_PROXY", "NO_PROXY", "ALL_PROXY")
    for name in (base, base.lower())
)


@frozen
class Scope:
    """What surrounds a stage: the user's arguments, those before the first FROM, the escape character."""

    given: Mapping[str, str]
    inherited: Mapping[str, str]
    escape: str = "\\"


def _told(keyword: str, pairs: Sequence[tuple[str, str | None]]) -> str:
    """As BuildKit writes it into the history: what variables have become."""
    return " ".join([keyword, *(name if value is None else f"{name}={value}" for name, value in pairs)])


def _quoted(keyword: str, words: Sequence[str]) -> str:
    """As Go's ``%q`` writes a list."""
    return f"{keyword} [{' '.join(json.dumps(word, ensure_ascii=False) for word in words)}]"


def _env(state: State, item: Instruction, scope: Scope) -> State:
    """All values are expanded with what was before; an ARG of the name means the variable from here on."""
    env, given = state.config.environment, dict(state.arguments)
    pairs = arguments.pairs(item, state.variables, scope.escape)
    for name, value in pairs:
        env[name] = value
        given.pop(name, None)
    text = _told("ENV", pairs)
    changed = state.configured(text, env=tuple(f"{name}={value}" for name, value in env.items()))
    return replace(changed, arguments=given)


def _label(state: State, item: Instruction, scope: Scope) -> State:
    found = arguments.pairs(item, state.variables, scope.escape)
    return state.configured(_told("LABEL", found), labels={**state.config.labels, **dict(found)})


def _maintainer(state: State, item: Instruction, scope: Scope) -> State:
    return replace(state.configured(f"MAINTAINER {item.rest}"), author=item.rest)


def _arg(state: State, item: Instruction, scope: Scope) -> State:
    """The user's value, else the default, else that of the ARG before the first FROM; one without any changes
    nothing. It counts more than an ENV of its name above it."""
    found = dict(state.arguments)
    told: list[tuple[str, str | None]] = []
    for word, default in parse_arguments(item):
        name = expand(word, state.variables, scope.escape)
        value = scope.given.get(name)
        if value is None and default is not None:
            value = expand(default, {**state.config.environment, **found}, scope.escape)
        if value is None:
            value = scope.inherited.get(name)
        if value is not None:
            found.pop(name, None)
            found[name] = value
        told.append((name, value))
    return replace(state.configured(_told("ARG", told)), arguments=found)


def _workdir(state: State, item: Instruction, scope: Scope) -> State:
    """Only the configuration; the directory is made by ``filesystem``."""
    path = posixpath.join(state.working_dir, expand(item.rest, state.variables, scope.escape))
    return replace(state, config=replace(state.config, working_dir=posixpath.normpath("/" + path.lstrip("/"))))


def _user(state: State, item: Instruction, scope: Scope) -> State:
    user = expand(item.rest, state.variables, scope.escape)
    return state.configured(f"USER {user}", user=user)


def _expose(state: State, item: Instruction, scope: Scope) -> State:
    found = arguments.ports(item.rest, state.variables, scope.escape)
    ports = dict.fromkeys((*state.config.exposed_ports, *found))
    return state.configured(f"EXPOSE [{' '.join(found)}]", exposed_ports=tuple(ports))


def _volume(state: State, item: Instruction, scope: Scope) -> State:
    words = item.json if item.json is not None else tuple(expand_words(item.rest, state.variables, scope.escape))
    paths = [expand(word, state.variables, scope.escape) for word in words] if item.json is not None else list(words)
    if not paths or not all(paths):
        raise ValueError("VOLUME names an empty path" if paths else "VOLUME needs at least one path")
    volumes = dict.fromkeys((*state.config.volumes, *paths))
    return state.configured(f"VOLUME [{' '.join(paths)}]", volumes=tuple(volumes))


def _command(item: Instruction, state: State) -> tuple[str, ...]:
    """The exec form as it is, the shell form behind the shell."""
    if item.json is not None:
        return item.json
    return (*state.shell, item.rest) if item.rest else ()


def _cmd(state: State, item: Instruction, scope: Scope) -> State:
    command = _command(item, state)
    return replace(state.configured(_quoted("CMD", command), cmd=command), own_command=True)


def _entrypoint(state: State, item: Instruction, scope: Scope) -> State:
    """A new entrypoint drops the base image's command, which was meant for the base's."""
    command = _command(item, state)
    changes: dict[str, object] = {"entrypoint": command}
    if not state.own_command:
        changes["cmd"] = None
    return state.configured(_quoted("ENTRYPOINT", command), **changes)


def _shell(state: State, item: Instruction, scope: Scope) -> State:
    if not item.json:
        raise ValueError('SHELL must be a JSON list, such as SHELL ["/bin/bash", "-c"]')
    return state.configured(f"SHELL [{' '.join(item.json)}]", shell=item.json)


def _stopsignal(state: State, item: Instruction, scope: Scope) -> State:
    name = expand(item.rest, state.variables, scope.escape)
    if not _is_signal(name):
        raise ValueError(f"'{name}' is not a signal such as SIGTERM or 15")
    return state.configured(f"STOPSIGNAL {name}", stop_signal=name)


def _is_signal(text: str) -> bool:
    if text.isdigit():
        return 0 < int(text) <= 64
    return re.fullmatch(r"(SIG)?(RT(MIN(\+\d+)?|MAX(-\d+)?))", text.upper()) is not None or (
        f"SIG{text.upper().removeprefix('SIG')}" in signal.Signals.__members__
    )


def _onbuild(state: State, item: Instruction, scope: Scope) -> State:
    if item.rest.split()[0].upper() in ("ONBUILD", "FROM", "MAINTAINER"):
        raise ValueError(f"{item.rest.split()[0].upper()} is not allowed behind ONBUILD")
    text = "\n".join([item.rest, *(f"{heredoc.content}{heredoc.name}" for heredoc in item.heredocs)])
    return state.configured(item.text, on_build=(*state.config.on_build, text))


def _healthcheck(state: State, item: Instruction, scope: Scope) -> State:
    kind, _, rest = item.rest.partition(" ")
    if kind.upper() == "NONE":
        if rest.strip():
            raise ValueError("HEALTHCHECK NONE takes nothing behind it")
        return state.configured(item.text, healthcheck=Healthcheck(("NONE",)))
    if kind.upper() == "CMD" and not rest.strip():
        raise ValueError("HEALTHCHECK CMD needs a command")
    if kind.upper() != "CMD":
        raise ValueError(f"HEALTHCHECK must be HEALTHCHECK [flags] CMD command, or NONE, not '{kind}'")
    behind = replace(item, rest=rest.strip(), json=json_list(rest.strip()))
    if behind.json == ():
        raise ValueError("HEALTHCHECK CMD needs a command")
    test = ("CMD", *behind.json) if behind.json is not None else ("CMD-SHELL", behind.rest)
    names = ("interval", "timeout", "start-period", "start-interval")
    times = {name.replace("-", "_"): arguments.duration(item.flag(name)) for name in names if item.flag(name)}
    retries = item.flag("retries")
    if retries and not retries.isdigit():
        raise ValueError(f"--retries={retries} is not a number")
    check = Healthcheck(test, retries=int(retries or 0), **times)
    return state.configured(item.text, healthcheck=check)


Handler = Callable[[State, Instruction, Scope], State]

HANDLERS: Mapping[str, Handler] = {
    "ARG": _arg, "CMD": _cmd, "ENTRYPOINT": _entrypoint, "ENV": _env, "EXPOSE": _expose, "HEALTHCHECK": _healthcheck,
    "LABEL": _label, "MAINTAINER": _maintainer, "ONBUILD": _onbuild, "SHELL": _shell, "STOPSIGNAL": _stopsignal,
    "USER": _user, "VOLUME": _volume, "WORKDIR": _workdir,
}  # fmt: skip
