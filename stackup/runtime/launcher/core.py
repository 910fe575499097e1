"""The launcher at work: loop, server and supervision tied together, and the decision when to end."""

from __future__ import annotations

import gc
import os
import signal
from _socket import socket as Socket

from stackup.linux import capabilities, cgroups, mounts, nfnetlink, process
from stackup.linux.cgroups import Hierarchies
from stackup.runtime.launcher import reaper
from stackup.runtime.launcher.loop import Loop
from stackup.runtime.launcher.operations.network import DNS_PORT
from stackup.runtime.launcher.plan import Surroundings
from stackup.runtime.launcher.server import Server

TYPE_CHECKING = False
if TYPE_CHECKING:
    from stackup.runtime.launcher.main import Settings
    from stackup.runtime.launcher.supervision import Supervision

_OOM_SCORE = -900
_TERM_PATIENCE = 5.0
_TERM_DELAY = 0.3  # seconds for a supervisor that was asked to end at the same time to do so


def _shutting_down() -> bool:
    """systemd has become what ends all processes (systemd-shutdown(8)); the kernel cuts names to 15 characters."""
    return cgroups.read_file("/proc/1/comm").strip() == "systemd-shutdow"


class Launcher:
    """Ties loop, server and supervision together, and decides when to end: told to quit, or its only client gone."""

    def __init__(self, settings: Settings, hierarchies: Hierarchies, supervision: Supervision | None) -> None:
        """``supervision`` None: a private launcher, which ends with its only client."""
        self._settings = settings
        self._hierarchies = hierarchies
        self._supervision = supervision
        self._quitting = False
        self._loop = Loop()
        self._loop.on_signal(signal.SIGCHLD, self._reap)
        self._loop.on_signal(signal.SIGTERM, self._terminate)
        signal.signal(signal.SIGHUP, signal.SIG_IGN)
        signal.signal(signal.SIGINT, signal.SIG_IGN)
        self._settle_in()
        self._server = Server(
            self._loop, self._surroundings(), hierarchies, on_gone=self._client_gone, on_quit=self._quit
        )

    def run(self, channel: Socket) -> None:
        """Serves ``channel``, and those of later supervisors, until it is time to go; then cleans up."""
        self._server.serve(channel)
        if self._supervision:
            self._supervision.attach(self._loop.after, self._server.serve, self._without_supervisor)
        gc.collect()
        gc.freeze()
        gc.disable()
        self._reap()  # what ended before anybody listened
        self._loop.run()
        self._leave()

    def _settle_in(self) -> None:
        """A mount namespace of our own: what containers mount never propagates to the host, what the host mounts is
        seen here; made once instead of in each child."""
        process.become_subreaper()
        process.unshare(process.CLONE_NEWNS)
        mounts.set_propagation("/", mounts.MS_REC | mounts.MS_SLAVE)
        os.makedirs(self._settings.mount_point, 0o700, exist_ok=True)
        if self._supervision:
            cgroups.move_self(self._hierarchies, self._supervision.group)
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

    def _without_supervisor(self) -> None:
        """None can be had. Where containers live, the next attempt may go better; where none does, nothing is left."""
        if not self._server.living:
            self._quit()

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
        """SIGTERM: this process ends, and the supervisor starts another launcher, which adopts the containers. Not so
        when the machine goes down: then the supervisor ends first, and containers are left to whoever is next."""
        if self._supervision and _shutting_down():
            self._supervision.wanted = False
            if self._supervision.pid:
                os.kill(self._supervision.pid, signal.SIGTERM)
            self._loop.after(_TERM_PATIENCE, self._loop.stop)
            self._loop.after(0.01, self._stop_when_alone)
        elif self._supervision:
            self._loop.after(_TERM_DELAY, self._depart)
        else:
            self._loop.stop()

    def _depart(self) -> None:
        """There must be a supervisor to notice that we are gone: it may have been asked to end at the same time."""
        self._reap()
        if self._supervision and not self._supervision.pid and self._supervision.wanted:
            self._server.serve(self._supervision.start())
        self._loop.stop()

    def _stop_when_alone(self) -> None:
        if self._supervision and self._supervision.pid:
            self._loop.after(0.05, self._stop_when_alone)
        else:
            self._loop.stop()

    def _leave(self) -> None:
        """What would otherwise stay behind: the socket, and the cgroup that we sit in."""
        if self._supervision:
            cgroups.move_self(self._hierarchies, "")
            cgroups.remove_tree(self._hierarchies, self._supervision.group)
        else:
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
