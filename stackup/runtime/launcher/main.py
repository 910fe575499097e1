"""Boot of the launcher, and its end. ``runtime.boot`` starts it isolated (-I -S -E) with ``Settings`` as arguments.

The supervisor is started before anything else that costs time: its imports take ten times as long as ours.
"""

from __future__ import annotations

import gc
import os
import signal
import sys
from _socket import socket as Socket

from stackup.linux import capabilities, cgroups, mounts, nfnetlink, process
from stackup.linux.cgroups import Hierarchies
from stackup.runtime.launcher import reaper
from stackup.runtime.launcher.loop import Loop
from stackup.runtime.launcher.operations.network import DNS_PORT
from stackup.runtime.launcher.plan import Surroundings
from stackup.runtime.launcher.server import Server
from stackup.runtime.launcher.supervision import Supervision

_OOM_SCORE = -900
_TERM_PATIENCE = 5.0


class Settings:
    """The argument vector after the boot code, in this order; ``supervisor`` takes the rest. -1: no such descriptor."""

    __slots__ = (
        "cgroup",
        "channel_fd",
        "control_fd",
        "control_path",
        "lock_path",
        "log",
        "mount_point",
        "project",
        "supervisor",
    )

    def __init__(self, argv: list[str]) -> None:
        self.project, self.cgroup, self.mount_point, self.control_path, self.lock_path, self.log = argv[:6]
        self.control_fd, self.channel_fd = int(argv[6]), int(argv[7])
        self.supervisor = argv[8:]


class Launcher:
    """Ties loop, server and supervision together, and decides when to end: told to quit, or its only client gone."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._quitting = False
        self._loop = Loop()
        self._hierarchies = Hierarchies.of_this_host()
        self._group = f"{settings.cgroup}/_stackup" if settings.supervisor else ""
        if self._group:
            cgroups.make_everywhere(self._hierarchies, self._group)
        self._supervision: Supervision | None = None
        self._loop.on_signal(signal.SIGCHLD, self._reap)
        self._loop.on_signal(signal.SIGTERM, self._terminate)
        signal.signal(signal.SIGHUP, signal.SIG_IGN)
        signal.signal(signal.SIGINT, signal.SIG_IGN)

    def run(self) -> None:
        settings = self._settings
        waiting: list[Socket] = []
        server: Server | None = None
        if settings.supervisor:
            self._supervision = Supervision(
                self._loop,
                settings.supervisor,
                control_fd=settings.control_fd,
                log=settings.log,
                group=self._group,
                hierarchies=self._hierarchies,
                on_channel=lambda channel: server.serve(channel) if server else waiting.append(channel),
            )
            self._supervision.start()
        else:
            waiting.append(Socket(fileno=settings.channel_fd))
        self._settle_in()
        server = Server(
            self._loop, self._surroundings(), self._hierarchies, on_gone=self._client_gone, on_quit=self._quit
        )
        self._server = server
        for channel in waiting:
            channel.setblocking(False)
            server.serve(channel)
        gc.collect()
        gc.freeze()
        gc.disable()
        self._loop.run()
        self._leave()

    def _settle_in(self) -> None:
        """A mount namespace of our own: what containers mount never propagates to the host, what the host mounts is
        seen here; made once instead of in each child."""
        process.become_subreaper()
        process.unshare(process.CLONE_NEWNS)
        mounts.set_propagation("/", mounts.MS_REC | mounts.MS_SLAVE)
        os.makedirs(self._settings.mount_point, 0o700, exist_ok=True)
        if self._group:
            cgroups.move_self(self._hierarchies, self._group)
        try:
            with open("/proc/self/oom_score_adj", "w", encoding="ascii") as file:
                file.write(str(_OOM_SCORE))
        except OSError:  # without CAP_SYS_RESOURCE the score stays
            return

    def _surroundings(self) -> Surroundings:
        last = capabilities.last_capability()
        nfnetlink.prepare(DNS_PORT)
        by_mount: dict[str, list[str]] = {}
        for controller, point in self._hierarchies.v1.items():
            by_mount.setdefault(point, []).append(controller)
        return Surroundings(
            mount_point=self._settings.mount_point,
            last_capability=last,
            oom_score=int(cgroups.read_file("/proc/self/oom_score_adj") or 0),
            reap=lambda: reaper.reap(last),
            unified=not self._hierarchies.v1,
            cgroup_v1=[
                (os.path.basename(point), "none,name=" + names[0][5:] if names[0][:5] == "name=" else ",".join(names))
                for point, names in by_mount.items()
            ],
        )

    def _reap(self) -> None:
        while True:
            try:
                pid, status = os.waitpid(-1, os.WNOHANG)
            except ChildProcessError:
                break
            if pid == 0:
                break
            if self._supervision and pid == self._supervision.pid:
                self._supervision.ended(status)
            else:
                self._server.reaped(pid, status)
        if self._quitting and not (self._supervision and self._supervision.pid):
            self._finish()

    def _quit(self) -> None:
        """The project is over: end together with the supervisor that said so."""
        self._quitting = True
        if self._supervision:
            self._supervision.wanted = False

    def _client_gone(self) -> None:
        """A supervisor's death is heard of by its pid. A private launcher ends with its client, and all it started."""
        if self._supervision:
            return
        self._quitting = True
        for child in self._server.living:
            try:
                signal.pidfd_send_signal(child.pidfd, signal.SIGKILL)
            except (ProcessLookupError, OSError):
                continue
        self._finish()

    def _finish(self) -> None:
        if self._supervision or not self._server.living:
            self._loop.stop()

    def _terminate(self) -> None:
        """SIGTERM (the machine goes down): the supervisor flushes, both end, containers are left to whoever is next."""
        if self._supervision and self._supervision.pid:
            self._supervision.wanted = False
            os.kill(self._supervision.pid, signal.SIGTERM)
            self._loop.after(_TERM_PATIENCE, self._loop.stop)
            self._loop.after(0.01, self._stop_when_alone)
        else:
            self._loop.stop()

    def _stop_when_alone(self) -> None:
        if self._supervision and self._supervision.pid:
            self._loop.after(0.05, self._stop_when_alone)
        else:
            self._loop.stop()

    def _leave(self) -> None:
        """What would otherwise stay behind: the socket, and the cgroup that we sit in."""
        if self._group:
            cgroups.move_self(self._hierarchies, "")
            cgroups.remove_tree(self._hierarchies, self._group)
        if not self._supervision:
            self._server.remove_groups()
        if self._quitting:
            cgroups.remove_if_empty(self._hierarchies, self._settings.cgroup)
            self._remove_files()

    def _remove_files(self) -> None:
        """The lock last: from then on another launcher may start and make the same files anew."""
        settings = self._settings
        removals = [(os.rmdir, settings.mount_point)]
        if settings.control_path:
            run = os.path.dirname(settings.mount_point)
            removals = [(os.unlink, settings.control_path), *removals, (os.unlink, settings.lock_path), (os.rmdir, run)]
        for remove, path in removals:
            try:
                remove(path)
            except OSError:  # gone already, or somebody has put something there
                continue


def main() -> None:
    """Never returns."""
    settings = Settings(sys.argv[2:])
    os.chdir("/")
    os.umask(0o022)
    process.set_dumpable(False)
    process.reset_internal_signals()
    process.set_title(f"stackup launcher {settings.project}")
    Launcher(settings).run()
    os._exit(0)
