"""One container's life: a single writer of its state, one method per event.

Each method writes the record first and tells the world after it. Effects (launching, signalling, removing) are
``runner``'s; policy (restart or not, healthy or not) is decided by the pure rules in ``supervision`` and ``health``.
"""

from __future__ import annotations

import asyncio
import signal
from collections.abc import Callable
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from stackup.base.clock import boot_id, now_ns
from stackup.engine.logwriter import LogWriter
from stackup.engine.records import Definition, PortRecord, Records, State
from stackup.engine.supervision import RestartDecision
from stackup.model.observed import Phase

if TYPE_CHECKING:
    from stackup.oci.runtime import Spec

ALIVE = frozenset({Phase.RUNNING, Phase.STOPPING})


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
        self.aftermath: asyncio.Task[None] | None = None  # tidies up after an exit, then restarts where that is due
        self.spec: tuple[int, Spec] | None = None  # incarnation and what it was started from, once somebody asked
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
    def phase(self) -> Phase:
        return Phase(self.state.phase)

    @property
    def alive(self) -> bool:
        return self.phase in ALIVE

    @property
    def may_run(self) -> bool:
        """Its process was started under this boot, as far as the record knows, and its end was not seen."""
        return self.phase in ALIVE | {Phase.STARTING} and self.state.boot_id == boot_id()

    @property
    def short_name(self) -> str:
        """``web-1``: the name without the project, as log prefixes show it; an explicit container_name as it is."""
        generated = f"{self.service}-{self.definition.number}"
        return generated if self.name.endswith(f"-{generated}") else self.name

    def starting(self, host_ports: tuple[PortRecord, ...], attachments: tuple[dict[str, Any], ...]) -> None:
        """``attachments`` are made for the incarnation that begins here."""
        self._set(
            "starting",
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
            restart_at_ns=0,
            health="starting" if self.definition.supervision.health else "none",
            health_output="",
            error="",
        )

    def started(self, pid: int, start_time: int, pidfd: int) -> None:
        self.pidfd = pidfd
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

    def stopping(self, *, by_user: bool = True) -> None:
        self._set("stopping", phase=Phase.STOPPING.value, stopped_by_user=by_user)

    def stop_wanted(self) -> None:
        """The user stopped a container that was waiting for its restart, or is not running."""
        phase = Phase.EXITED if self.phase is Phase.RESTARTING else self.phase
        self._set("stopped", phase=phase.value, stopped_by_user=True, restart_at_ns=0)

    def ended(
        self, *, exit_code: int | None, oom_killed: bool, at_ns: int, decision: RestartDecision, by_user: bool
    ) -> None:
        """The process is gone; ``decision`` says what follows. ``exit_code`` None: nobody could observe it."""
        restart = decision.restart
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
            restarts=self.state.restarts + (1 if restart else 0),
            restart_at_ns=at_ns + int(decision.delay * 1e9) if restart else 0,
            host_ports=(),
            health="none",
        )

    def health_changed(self, status: str, output: str) -> None:
        if (status, output) != (self.state.health, self.state.health_output):
            what = "health" if status != self.state.health else "probe"
            self._set(what, health=status, health_output=output)

    def removing(self) -> None:
        self._set("removing", phase=Phase.REMOVING.value)

    def removed(self) -> None:
        self._records.drop_container(self.id)
        self._publish(self, "removed")

    def _set(self, event: str, **changes: Any) -> None:
        self.state = replace(self.state, **changes)
        self._records.set_state(self.id, self.state)
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
