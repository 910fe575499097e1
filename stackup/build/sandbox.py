"""Runs one command in a container of its own, isolated like a service's, through a private launcher.

The launcher is started at the first RUN and ends with the build, or with the process that builds: whatever it started
is killed then.
"""

from __future__ import annotations

import asyncio
import codecs
import os
import socket
import threading
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import replace
from pathlib import Path

from stackup.base import names
from stackup.base.errors import ContainerFault
from stackup.base.paths import Layout, ProjectPaths
from stackup.base.workroom import delete
from stackup.build.buildnet import BuildNetwork, address_of, veth
from stackup.build.command import Command, OnLines
from stackup.images import resolve_user
from stackup.linux import capabilities
from stackup.linux.overlay import Overlay
from stackup.model.build import Ulimit
from stackup.model.stack import Service
from stackup.network.resolv import host_resolver, hosts_file, plain_resolv_conf, resolv_conf
from stackup.network.types import Attachment
from stackup.oci.image import ImageConfig
from stackup.oci.runtime import Mount
from stackup.runtime.boot import spawn_launcher
from stackup.runtime.bundle import Launch, write_bundle
from stackup.runtime.cgroups import kill_all, remove_cgroups
from stackup.runtime.client import Exit, LauncherClient
from stackup.runtime.seccomp import compiled_filter
from stackup.spec import RenderContext, capability_names, render

_HOSTNAME = "buildsandbox"  # the same for every build: what a command writes must not depend on it
_DRAIN_SECONDS = 5.0
_LONGEST_LINE = 64 << 10
_HOST_HOSTS = Path("/etc/hosts")

Talk = Callable[[int], None]  # gets the terminal's descriptor, owns it, and answers when the other side has gone


class Sandbox:
    """``room``: a directory that lives as long as the build. ``owner``: its name in cgroups and networks. Commands of
    several threads run side by side; an event loop in a thread of its own serves them."""

    def __init__(self, layout: Layout, room: Path, owner: str) -> None:
        self._layout = layout
        self._room = room
        self._owner = owner
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name="sandbox", daemon=True)
        self._thread.start()
        self._client: LauncherClient | None = None
        self._starting = asyncio.Lock()
        self._launcher_pid = 0
        self._network = BuildNetwork(layout, owner)
        self._exits: dict[str, asyncio.Future[Exit]] = {}
        self._aborted = False

    def run(self, overlays: tuple[Overlay, ...], command: Command, on_lines: OnLines, talk: Talk | None = None) -> int:
        """The command's exit code. Raises ContainerFault when it could not be started. ``talk``: the command gets a
        terminal, and ``talk`` its other end."""
        return asyncio.run_coroutine_threadsafe(self._run(overlays, command, on_lines, talk), self._loop).result()

    def abort(self) -> None:
        """Ends all that runs; ``run`` then raises. Answers at once."""
        with suppress(RuntimeError):
            self._loop.call_soon_threadsafe(self._abort)

    def _abort(self) -> None:
        self._aborted = True
        if self._client is not None:
            self._client.close()
        self._lost()

    def close(self) -> None:
        """Ends the launcher and takes everything away. May be called at any point, also after an error."""
        try:
            asyncio.run_coroutine_threadsafe(self._close(), self._loop).result()
        finally:
            self._loop.call_soon_threadsafe(self._loop.stop)
            self._thread.join()
            self._loop.close()

    async def _close(self) -> None:
        self._abort()
        self._client = None
        if self._launcher_pid:
            pid, self._launcher_pid = self._launcher_pid, 0
            with suppress(ChildProcessError):
                await asyncio.to_thread(os.waitpid, pid, 0)
            group = names.project_cgroup(self._owner, self._layout.root)
            await asyncio.to_thread(kill_all, group)  # what a launcher that was killed has left
            remove_cgroups(group)
        await self._network.close()

    async def _launcher(self) -> LauncherClient:
        if self._aborted:
            raise ContainerFault("cannot run the command: the build has ended", step="launcher")
        if self._client is None:
            ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
            with theirs:
                paths = ProjectPaths(self._room / "launcher", self._room / "launcher")
                self._launcher_pid = spawn_launcher(paths, self._owner, self._layout.root, None, theirs)
            self._client = LauncherClient(ours, on_exit=self._exited, on_lost=self._lost)
        return self._client

    def _exited(self, end: Exit) -> None:
        future = self._exits.get(end.id)
        if future is not None and not future.done():
            future.set_result(end)

    def _lost(self) -> None:
        for future in self._exits.values():
            if not future.done():
                future.set_exception(ContainerFault("cannot run the command: its launcher has gone", step="launcher"))

    async def _run(self, overlays: tuple[Overlay, ...], command: Command, on_lines: OnLines, talk: Talk | None) -> int:
        client = await self._launcher()
        container_id = names.new_container_id()
        async with self._starting:  # the first one makes the network
            attachment = await self._network.attach(container_id) if command.network == "default" else None
        self._exits[container_id] = asyncio.get_running_loop().create_future()
        bundle = self._room / f"run-{container_id[:12]}"
        try:
            self._write_bundle(bundle, container_id, overlays, command, attachment, tty=talk is not None)
            if talk is not None:
                return await self._converse(client, container_id, bundle, talk)
            return await self._follow(client, container_id, bundle, _uid_gid(overlays, command), on_lines)
        finally:
            del self._exits[container_id]
            if attachment is not None:
                await self._network.detach(container_id)
            delete(bundle)

    async def _converse(self, client: LauncherClient, container_id: str, bundle: Path, talk: Talk) -> int:
        started = await client.start(bundle)
        os.close(started.pidfd)
        self._network.serve(container_id, started.dns_udp, started.dns_tcp)
        assert started.console is not None, "it was asked for"
        talking = asyncio.create_task(asyncio.to_thread(talk, started.console))
        end = await self._exits[container_id]
        await talking
        await client.drained(container_id)
        return 1 if end.status is None else end.status

    async def _follow(
        self, client: LauncherClient, container_id: str, bundle: Path, owner: tuple[int, int], on_lines: OnLines
    ) -> int:
        null = os.open("/dev/null", os.O_RDONLY | os.O_CLOEXEC)
        out_read, out_write = os.pipe()
        error_read, error_write = os.pipe()
        readers = [
            asyncio.create_task(_read_lines(out_read, lambda lines: on_lines("stdout", lines))),
            asyncio.create_task(_read_lines(error_read, lambda lines: on_lines("stderr", lines))),
        ]
        try:
            for fd in (out_write, error_write):
                os.fchown(fd, *owner)  # so that the command may open /dev/stdout anew
            try:
                started = await client.start(bundle, stdio=(null, out_write, error_write))
            finally:
                for fd in (null, out_write, error_write):
                    os.close(fd)
            os.close(started.pidfd)
            self._network.serve(container_id, started.dns_udp, started.dns_tcp)
            end = await self._exits[container_id]
            _, left = await asyncio.wait(readers, timeout=_DRAIN_SECONDS)
            if left:
                text = f"(the rest of its output is not shown: it did not come within {_DRAIN_SECONDS:g} s)"
                on_lines("stderr", [text])
            if not self._aborted:
                await client.drained(container_id)
        finally:
            for reader in readers:
                reader.cancel()
            await asyncio.gather(*readers, return_exceptions=True)
        if end.status is None:
            raise ContainerFault("cannot tell how the command ended: its launcher has gone", step="exit")
        if end.oom:
            on_lines("stderr", ["(killed: out of memory)"])
        return end.status

    def _write_bundle(
        self,
        bundle: Path,
        container_id: str,
        overlays: tuple[Overlay, ...],
        command: Command,
        attachment: Attachment | None,
        *,
        tty: bool,
    ) -> None:
        service = _service(command, tty=tty)
        cgroup = names.container_cgroup(self._owner, container_id, self._layout.root)
        files = bundle / "files"
        _write_etc_files(files, command, attachment)
        context = RenderContext(
            container_id=container_id,
            image=ImageConfig(
                env=tuple(f"{name}={value}" for name, value in command.environment.items()),
                working_dir=command.working_dir,
            ),
            user=resolve_user(overlays, command.user),
            hostname=_HOSTNAME,
            cgroup_path=f"/{cgroup}",
            hosts_file=str(files / "hosts"),
            hostname_file=str(files / "hostname"),
            resolv_conf_file=str(files / "resolv.conf"),
            known_capabilities=capabilities.present() if command.privileged else (),
        )
        launch = Launch(
            container_id=container_id,
            incarnation=1,
            cgroup=cgroup,
            exit_file=str(bundle / "exit.json"),
            overlays=overlays,
            veths=(veth(attachment),) if attachment else (),
            dns=attachment is not None,
            tty=tty,
            stdin_open=tty,
            seccomp_filter="" if command.privileged else str(compiled_filter(self._layout, capability_names(service))),
        )
        spec = render(service, context)
        mounts = [Mount(item.target, item.kind, item.source, item.options) for item in command.mounts]
        write_bundle(bundle, replace(spec, mounts=(*spec.mounts, *mounts)), launch)


def _service(command: Command, *, tty: bool) -> Service:
    """Ours, not a user's: it needs no validator, which takes longer to be built than a RUN."""
    return Service.model_construct(
        name="build",
        command=command.argv,
        network_mode="host" if command.network == "host" else None,
        shm_size=command.shm_size or None,
        privileged=command.privileged,
        ulimits={name: Ulimit.model_construct(soft=soft, hard=hard) for name, (soft, hard) in command.ulimits.items()},
        tty=tty,
    )


def _uid_gid(overlays: tuple[Overlay, ...], command: Command) -> tuple[int, int]:
    user = resolve_user(overlays, command.user)
    return user.uid, user.gid


def _write_etc_files(directory: Path, command: Command, attachment: Attachment | None) -> None:
    directory.mkdir(parents=True, exist_ok=True)
    host = host_resolver()
    own = (address_of(attachment),) if attachment else ()
    elsewhere = "127.0.0.1" if command.network == "host" else ""  # with no network, no address is the host's
    gateway = attachment.gateway if attachment else elsewhere
    hosts = hosts_file(_HOSTNAME, own, extra=command.extra_hosts or {}, gateway=gateway)
    if command.network == "host" and not command.extra_hosts and _HOST_HOSTS.exists():
        hosts = _HOST_HOSTS.read_text(encoding="utf-8", errors="replace")
    texts = {
        "hosts": hosts,
        "hostname": f"{_HOSTNAME}\n",
        "resolv.conf": resolv_conf(host) if attachment else plain_resolv_conf(host),
    }
    for name, text in texts.items():
        (directory / name).write_text(text, encoding="utf-8")
        (directory / name).chmod(0o644)


async def _read_lines(fd: int, on_lines: Callable[[Sequence[str]], None]) -> None:
    """Hands out lines without their ends, all that there are at a time, also a last one without; what a carriage return
    overwrites is left out."""
    reader = asyncio.StreamReader()
    loop = asyncio.get_running_loop()
    transport, _ = await loop.connect_read_pipe(lambda: asyncio.StreamReaderProtocol(reader), os.fdopen(fd, "rb", 0))
    decoder = codecs.getincrementaldecoder("utf-8")("replace")
    pending = ""
    try:
        while data := await reader.read(65536):
            *lines, pending = (pending + decoder.decode(data)).split("\n")
            if b"\r" in data or any("\r" in line for line in lines[:1]):
                lines = [line.rstrip("\r").rpartition("\r")[2] for line in lines]
            if len(pending) > _LONGEST_LINE:
                lines.append(pending)
                pending = ""
            if lines:
                on_lines(lines)
    finally:
        pending += decoder.decode(b"", True)
        if pending:
            on_lines([pending])
        transport.close()
