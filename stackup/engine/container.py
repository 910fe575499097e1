"""One container's life: a single writer of its state, one method per event.

Each method writes the record first and tells the world after it. Effects (launching, signalling, removing) are
``runner``'s; policy (restart or not, healthy or not) is decided by the pure rules in ``supervision`` and ``health``.
"""

from __future__ import annotations

import asyncio
import signal
from collections import deque
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from stackup.base.clock import boot_id, now_ns, process_age
from stackup.base.values import changed
from stackup.engine import faults
from stackup.engine.logwriter import LogWriter
from stackup.engine.records import Definition, PortRecord, Records, State
from stackup.engine.supervision import RestartDecision
from stackup.model.observed import Phase

if TYPE_CHECKING:
    from stackup.oci.runtime import Spec

PROBES = 5  # that are kept, as Docker does

ALIVE = frozenset({Phase.RUNNING, Phase.PAUSED, Phase.STOPPING})


class Container:
    """Live side of a record. Created by ``runner`` and ``recovery`` only; ``state`` is replaced, never changed."""

    def __init__(
        self, definition: Definition, state: State, records: Records, publish: Callable[[Container, str], None]
    ) -> None:
        self.definition = definition
        self.state = state
        self.lock = asyncio.Lock()  # held by start, stop and remove, so that they never overlap
        self.writers: list[LogWriter] = []
        self.pidfd = -1
        self.watching: asyncio.Task[None] | None = None  # probes its health
        self.overlap: asyncio.Task[None] | None = None  # ends a run that lasts into the next one
        self.tidying: asyncio.Task[None] | None = None  # takes back what only a running container needs
        self.aftermath: asyncio.Task[None] | None = None  # after an exit: restarts where that is due
        self.spec: tuple[int, Spec] | None = None  # incarnation and what it was started from, once somebody asked
        self.probe: tuple[Spec, tuple[str, ...], bytes] | None = None  # a command, and the request that runs it
        self.probes: deque[dict[str, Any]] = deque(maxlen=PROBES)  # of this incarnation: begin_ns, end_ns, code, output
        self.failing = 0  # probes in a row that have failed, as the rules count them
        self.well_for = 0.0  # seconds between the first and the last probe of this incarnation that succeeded
        self.began_ns = 0  # what was printed since is this incarnation's; 0: a predecessor of ours started it
        self.stop_tried = -1  # incarnation that was last asked to stop
        self.early_exit: Any = None  # an exit that was told before the start's answer was handled
        self._records = records
        self._publish = publish

    @property
    def id(self) -> str:
        return self.definition.id

    @property
    def name(self) -> str:
        return self.definition.name

    @property
    def service(self) -> str:
        return self.definition.service

    @property
    def names(self) -> tuple[str, ...]:
        """By which others find it in its networks. What only prepares a container does not answer for the service."""
        return (self.name,) if self.definition.parent else (self.name, self.service)

    @property
    def phase(self) -> Phase:
        return Phase(self.state.phase)

    @property
    def alive(self) -> bool:
        return self.phase in ALIVE

    @property
    def waits_for_its_time(self) -> bool:
        """It has a schedule, and does not run now."""
        return self.phase is Phase.RESTARTING and self.definition.supervision.schedule is not None

    @property
    def succeeded(self) -> bool:
        """Its last run ended with 0, or another exit code that counts as success."""
        return self.state.exit_code in self.definition.supervision.restart.success_codes

    @property
    def may_run(self) -> bool:
        """Its process was started under this boot, as far as the record knows, and its end was not seen."""
        return self.phase in ALIVE | {Phase.STARTING} and self.state.boot_id == boot_id()

    @property
    def age(self) -> float:
        """Seconds that its process has lived; 0 when there is none."""
        return process_age(self.state.start_time) if self.state.start_time else 0.0

    @property
    def short_name(self) -> str:
        """``web-1``: the name without the project, as log prefixes show it; an explicit container_name as it is."""
        generated = f"{self.service}-{self.definition.number}"
        if self.definition.parent:
            generated += f"-pre_start-{self.definition.step + 1}"
        return generated if self.name.endswith(f"-{generated}") else self.name

    def scheduled(self, due_ns: int) -> None:
        """It is to run, but at its time. Raises HostUnfit when that cannot be recorded."""
        self._set(
            "scheduled",
            must_be_recorded=True,
            phase=Phase.RESTARTING.value,
            restart_at_ns=due_ns,
            due_ns=due_ns,
            boot_id=boot_id(),
            stopped_by_user=False,
            attempts=0,
            restart_delay=0.0,
            error="",
        )

    def starting(self, host_ports: tuple[PortRecord, ...], attachments: tuple[dict[str, Any], ...]) -> None:
        """``attachments`` are made for the incarnation that begins here. Raises HostUnfit when it cannot be recorded:
        then nothing may be started, since nobody could find it again."""
        self._set(
            "starting",
            must_be_recorded=True,
            phase=Phase.STARTING.value,
            incarnation=self.state.incarnation + 1,
            host_ports=host_ports,
            attachments=attachments,
            pid=0,
            start_time=0,
            boot_id=boot_id(),
            exit_code=None,
            exit_unknown=False,
            oom_killed=False,
            stopped_by_user=False,
            returns=False,
            restart_at_ns=0,
            health="starting" if self.definition.supervision.health else "none",
            health_output="",
            health_code=None,
            unprepared="",
            error="",
            attempts=self.state.attempts if self.phase is Phase.RESTARTING else 0,
            restart_delay=self.state.restart_delay if self.phase is Phase.RESTARTING else 0.0,
            post_start_due=bool(self.definition.supervision.post_start),
        )

    def started(self, pid: int, start_time: int, pidfd: int) -> None:
        self.pidfd = pidfd
        self.well_for = 0.0
        self.failing = 0
        self.probes.clear()
        self._set("started", phase=Phase.RUNNING.value, pid=pid, start_time=start_time, started_ns=now_ns())

    def start_failed(self, error: str, exit_code: int) -> None:
        self._set(
            "start failed",
            phase=Phase.EXITED.value,
            exit_code=exit_code,
            finished_ns=now_ns(),
            error=error,
            health="none",
        )

    def pausing(self) -> None:
        """Raises HostUnfit when it cannot be recorded: who came after us would not know that it is to be resumed."""
        self._set("pausing", must_be_recorded=True, phase=Phase.PAUSED.value)

    def paused(self) -> None:
        self._set("paused")

    def unpaused(self, *, never_was: bool = False) -> None:
        """``never_was``: the kernel did not pause it."""
        self._set("not paused" if never_was else "unpaused", phase=Phase.RUNNING.value)

    def stopping(self, *, by_user: bool = True, returns: bool = False) -> None:
        """``returns``: whoever stops it starts it afterwards."""
        self._set("stopping", phase=Phase.STOPPING.value, stopped_by_user=by_user, returns=returns)

    def stop_abandoned(self) -> None:
        """Whoever wanted it stopped has changed his mind, and it still runs."""
        self._set("stop abandoned", phase=Phase.RUNNING.value, stopped_by_user=False, returns=False)

    def stop_wanted(self) -> None:
        """The user stopped a container that was waiting for its restart, or is not running."""
        phase = Phase.EXITED if self.phase is Phase.RESTARTING else self.phase
        self._set("stopped", phase=phase.value, stopped_by_user=True, returns=False, restart_at_ns=0, error="")

    def ended(
        self,
        *,
        exit_code: int | None,
        oom_killed: bool,
        at_ns: int,
        decision: RestartDecision,
        by_user: bool,
        error: str = "",
    ) -> None:
        """The process is gone, or could not be started again (``error``); ``decision`` says what follows.

        ``exit_code`` None: nobody could observe it.
        """
        restart = decision.restart
        schedule = self.definition.supervision.schedule
        runs = self.state.runs
        if schedule and schedule.history and self.alive:
            seconds = round(max(0, at_ns - self.state.started_ns) / 1e9, 3)
            run = {"at_ns": self.state.started_ns, "seconds": seconds, "code": exit_code}
            runs = (*runs, run)[-schedule.history :]
        self._set(
            "exited",
            phase=(Phase.RESTARTING if restart else Phase.EXITED).value,
            pid=0,
            start_time=0,
            finished_ns=at_ns,
            exit_code=exit_code,
            exit_unknown=exit_code is None,
            oom_killed=oom_killed,
            stopped_by_user=by_user,
            attempts=decision.state.attempts,
            restart_delay=decision.state.delay,
            restarts=self.state.restarts + (1 if restart and not decision.due_ns else 0),
            restart_at_ns=(decision.due_ns or at_ns + int(decision.delay * 1e9)) if restart else 0,
            runs=runs,
            due_ns=decision.due_ns or self.state.due_ns,
            host_ports=(),
            health="none",
            unprepared="",
            error=error,
        )

    def crashes(self, text: str) -> None:
        """It ends again and again, or nobody starts it any more; ``text`` says so."""
        self._set("crash loop" if self.phase is Phase.RESTARTING else "gave up", error=text)

    def damaged(self, text: str) -> None:
        """Something of it was deleted that cannot be put back while it runs; ``text`` says what to do."""
        self._set("damaged", error=text)

    def found_running(self, incarnation: int, pid: int, start_time: int) -> None:
        """The launcher has a process of it that the record does not know: the disk was full when it was started."""
        self._set(
            "started",
            phase=Phase.RUNNING.value,
            incarnation=incarnation,
            pid=pid,
            start_time=start_time,
            boot_id=boot_id(),
            started_ns=now_ns(),
        )

    def lost_by_reboot(self) -> None:
        """The machine was restarted: its process is gone, and nobody could see how it ended."""
        self._set(
            "exited",
            phase=Phase.EXITED.value,
            pid=0,
            start_time=0,
            exit_code=None,
            exit_unknown=True,
            health="none",
            host_ports=(),
            returns=False,
            restart_at_ns=0,
            finished_ns=self.state.finished_ns if self.state.finished_ns > self.state.started_ns else now_ns(),
        )

    def step_done(self, step: int) -> None:
        self._set("prepared", prepared=step + 1)

    def post_start_done(self, incarnation: int) -> None:
        if self.state.incarnation == incarnation and self.state.post_start_due:
            self._set("prepared", post_start_due=False)

    def post_start_failed(self, incarnation: int, text: str) -> None:
        """It runs, and is not what it should be: the next ``up`` starts it anew."""
        if self.state.incarnation == incarnation and self.state.post_start_due:
            self._set("not prepared", post_start_due=False, unprepared=text)

    def updating(self) -> None:
        """Something of it is about to be changed in place."""
        self._set("updating", must_be_recorded=True, updating=True)

    def updated(self, definition: Definition, **changes: Any) -> None:
        """It is what ``definition`` says from now on; ``changes`` of its state go with it. Raises HostUnfit."""
        state = changed(self.state, updating=False, **changes)
        faults.instant(f"before record {self.name} updated")
        self._records.redefine(definition, state)
        faults.instant(f"after record {self.name} updated")
        self.definition, self.state = definition, state
        self._publish(self, "updated")

    def proved(self) -> None:
        """A rolling update has found it good."""
        if self.state.trial_for:
            self._set("proved", trial_for="")

    def probed(self, *, begin_ns: int, code: int, output: str, failing: int) -> None:
        """Kept for whoever asks, not recorded."""
        self.probes.append({"begin_ns": begin_ns, "end_ns": now_ns(), "code": code, "output": output})
        self.failing = failing

    def health_changed(self, status: str, output: str, code: int | None = None) -> None:
        state = self.state
        if (status, output, code) != (state.health, state.health_output, state.health_code):
            what = "health" if status != state.health else "probe"
            self._set(what, health=status, health_output=output, health_code=code)

    def removing(self) -> None:
        self._set("removing", phase=Phase.REMOVING.value)

    def removed(self) -> None:
        faults.instant(f"before record {self.name} removed")
        self._records.note_removal(self.id)
        faults.instant(f"after record {self.name} removed")
        self._publish(self, "removed")

    def _set(self, event: str, *, must_be_recorded: bool = False, **changes: Any) -> None:
        state = changed(self.state, **changes)
        faults.instant(f"before record {self.name} {event}")
        if must_be_recorded:
            self._records.set_state(self.id, state)
        else:
            self._records.note_state(self.id, state)
        faults.instant(f"after record {self.name} {event}")
        self.state = state
        self._publish(self, event)


def exit_text(state: State) -> str:
    """``exited with code 137 (SIGKILL)`` in the words of ``ps`` and error texts."""
    if state.exit_unknown:
        return "ended while nobody watched (exit code unknown)"
    code = state.exit_code
    text = f"exited with code {code}"
    if code is not None and code > 128:
        try:
            text += f" ({signal.Signals(code - 128).name})"
        except ValueError:
            pass
    return text + (", out of memory" if state.oom_killed else "")
