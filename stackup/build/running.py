"""RUN: the command, what decides its outcome, and what is shown when it fails."""

from __future__ import annotations

import json
import posixpath
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path

from stackup.base.diskroom import full_now
from stackup.base.errors import ImageError, StackFileError
from stackup.base.values import frozen
from stackup.base.workroom import delete, new_name
from stackup.build.cache import step_key
from stackup.build.command import Command, OnLines, RunCommand
from stackup.build.dockerfile import Instruction
from stackup.build.filedigests import FileDigests
from stackup.build.metadata import PROXIES
from stackup.build.mounting import ContextFiles, Mounted, Supplies, mounted
from stackup.build.mounts import MountRequest, read_mounts
from stackup.build.patience import Patience
from stackup.build.request import BuildRequest
from stackup.build.shown import Tail, exit_code, snippet
from stackup.build.snapshots import Bound, Snapshots
from stackup.build.sources import collect, digest
from stackup.build.state import State
from stackup.build.steps import BY, Overlays, Situation, Step
from stackup.build.stubs import Stubs
from stackup.build.words import expand
from stackup.build.writer import LayerWriter

NETWORKS = ("default", "host", "none")
_PIPES = "/dev/pipes"  # where BuildKit puts scripts


@frozen
class Run:
    """One RUN with everything read. ``texts``: a script that stands in a heredoc, by its path inside. ``bound``: what
    mounts of kind bind show."""

    step: Step
    command: Command
    mounts: tuple[MountRequest, ...]
    texts: dict[str, str]
    bound: Mapping[MountRequest, Bound]


@frozen
class Runner:
    """``on_lines`` gets the command's output."""

    request: BuildRequest
    run_command: RunCommand
    supplies: Supplies
    room: Path
    files: FileDigests
    snapshots: Snapshots
    on_lines: OnLines

    def read(self, now: Situation) -> Run:
        state, item, scope = now.state, now.item, now.scope
        argv, texts = _argv(state, item)
        mounts = read_mounts(item, lambda text: expand(text, state.variables, scope.escape), state.working_dir)
        environment = state.process_environment
        proxies = _proxies(self.request.args)
        command = Command(
            argv,
            {**proxies, **environment},
            state.config.user,
            state.working_dir,
            self._network(item),
            self.request.extra_hosts,
            self.request.shm_size,
            privileged=self._privileged(item),
            ulimits=self.request.ulimits,
        )
        with now.changes.watched():
            bound = {mount: self._bound(mount, now.patience) for mount in mounts if mount.kind == "bind"}
        key = step_key(
            "RUN",
            state.chain,
            json.dumps([argv, sorted(texts.items()), sorted(environment.items()), command.user, command.working_dir]),
            json.dumps([command.network, command.privileged, command.shm_size, sorted(command.ulimits.items())]),
            json.dumps([mount.identity for mount in mounts]),
            json.dumps([bound[mount].identity for mount in mounts if mount.kind == "bind"]),
            json.dumps(sorted((name, list(all_)) for name, all_ in self.request.extra_hosts.items())),
        )
        step = Step(key, item.text, told=_told(state, item), repeats=True, changes=now.changes)
        return Run(step, command, mounts, texts, bound)

    def _bound(self, mount: MountRequest, patience: Patience) -> Bound:
        """What a bound file or directory holds decides the outcome; what a cache holds does not."""
        source = self.supplies.find(mount.origin)
        if mount.source == "/" and source.chain:
            return Bound(source.chain, ())  # a whole image is not read for it
        items = tuple(collect(source, mount.source, ""))
        watch = patience.reading(mount.origin)
        return Bound(digest(items, self.files, owners=source.keep_owner, watch=watch), items)

    def _network(self, item: Instruction) -> str:
        network = written_network(item) or self.request.network or "default"
        if network not in NETWORKS:
            raise StackFileError(_wrong_network(network), about=".build.network")
        if network == "host" and not self.request.host_network:
            raise item.error(
                "cannot use --network=host: this build is not entitled to it",
                "write `entitlements: [network.host]` below `build`",
                word="--network",
            )
        return network

    def _privileged(self, item: Instruction) -> bool:
        security = written_security(item)
        if security == "insecure" and not self.request.insecure:
            raise item.error(
                "cannot use --security=insecure: this build is not entitled to it",
                "write `entitlements: [security.insecure]` or `privileged: true` below `build`",
                word="--security",
            )
        if item.flag("device"):
            raise item.error("cannot use --device: builds have no devices", word="--device")
        return security == "insecure"

    def run(self, run: Run, overlays: Overlays, item: Instruction) -> None:
        """Raises ImageError when the command fails."""
        room = self.room / f"mounts-{new_name()}"
        room.mkdir()
        try:
            with ExitStack() as stack:
                try:
                    files = ContextFiles(self.snapshots, run.bound, run.step.changes)
                    ready = stack.enter_context(mounted(run.mounts, self.supplies, files, room, run.texts))
                except ImageError as error:
                    placed = item.error(f"cannot RUN: {error.message}", word="--mount")
                    error.where, error.snippet = placed.where, placed.snippet
                    raise replace_message(error, placed.message) from None
                self._run(run, overlays, item, ready)
        finally:
            delete(room)

    def _run(self, run: Run, overlays: Overlays, item: Instruction, ready: Mounted) -> None:
        tail = Tail()

        def on_lines(stream: str, lines: Sequence[str]) -> None:
            tail.add(lines)
            self.on_lines(stream, lines)

        stubs = Stubs.before(overlays, ready.directories, ready.files)
        writer = LayerWriter(overlays)
        more = [replace(overlay, target=writer.directory(overlay.target)) for overlay in ready.overlays]
        command = replace(
            run.command,
            mounts=tuple(ready.mounts),
            environment={**ready.environment, **run.command.environment} | _secret_environment(run.mounts, ready),
            secret=frozenset(ready.environment),
        )
        code = self.run_command((*overlays, *more), command, on_lines)
        if code:
            raise self._failed(item, code, tail.lines, run.mounts)
        stubs.remove()

    def _failed(self, item: Instruction, code: int, tail: list[str], mounts: Sequence[MountRequest]) -> ImageError:
        shell = f"for a shell there: stackup build --shell-on-failure {self.request.service}".rstrip()
        hints = [
            full_now(self.supplies.layout),
            *self.supplies.lacking(mounts),
            "" if self.request.keep_failed else shell,
        ]
        return ImageError(
            f"cannot build: the command failed with {exit_code(code)}{'' if tail else ' and printed nothing'}",
            where=item.position,
            snippet=snippet(item, tail),
            hint="\n".join(filter(None, hints)),
        )


def written_network(item: Instruction) -> str:
    """Of ``--network``; empty where there is none. Raises StackFileError."""
    network = item.flag("network")
    if network and network not in NETWORKS:
        raise item.error(_wrong_network(network), word="--network")
    return network


def _wrong_network(network: str) -> str:
    return f"cannot use network '{network}' in a build: it must be one of {', '.join(NETWORKS)}"


def written_security(item: Instruction) -> str:
    """Of ``--security``. Raises StackFileError."""
    security = item.flag("security") or "sandbox"
    if security not in ("sandbox", "insecure"):
        raise item.error(f"cannot use --security={security}: it is sandbox or insecure", word="--security")
    return security


def _proxies(arguments: Mapping[str, str]) -> dict[str, str]:
    """Each in both spellings, whichever was given."""
    given = {name: value for name, value in arguments.items() if name in PROXIES}
    spelled = {other: value for name, value in given.items() for other in (name.lower(), name.upper())}
    return {**spelled, **given}


def _secret_environment(mounts: Sequence[MountRequest], ready: Mounted) -> dict[str, str]:
    names = {mount.env for mount in mounts if mount.env}
    return {name: value for name, value in ready.environment.items() if name in names}


def replace_message(error: ImageError, message: str) -> ImageError:
    error.message = message
    error.args = (message,)
    return error


def _argv(state: State, item: Instruction) -> tuple[tuple[str, ...], dict[str, str]]:
    """A heredoc alone is a script; behind a command it is that command's input, which the shell arranges. A script
    that names its interpreter is a file, read-only, and is executed."""
    if item.json is not None:
        return item.json, {}
    if not item.heredocs:
        return (*state.shell, item.rest), {}
    first = item.heredocs[0]
    alone = item.pieces == (first.word,)
    if alone and first.content.startswith("#!"):
        path = posixpath.join(_PIPES, first.name)
        return (path,), {path: first.content}
    if alone:
        return (*state.shell, first.content), {}
    bodies = "".join(f"{heredoc.content}{heredoc.name}\n" for heredoc in item.heredocs)
    return (*state.shell, f"{item.rest}\n{bodies}"), {}


def _told(state: State, item: Instruction) -> str:
    """As BuildKit writes it into the history: arguments in force behind their number, the command with its shell, and
    the mark by which tools know this form from that of the builder before it."""
    given = [f"{name}={value}" for name, value in state.arguments.items() if name not in PROXIES]
    words = " ".join(item.json if item.json is not None else (*state.shell, item.rest))
    return " ".join(["RUN", *([f"|{len(given)}", *given] if given else []), words, BY])
