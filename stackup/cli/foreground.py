"""An attached ``up``: output until everything has ended, Ctrl-C, and what one container's end means for the others."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from stackup.base.clock import now_ns
from stackup.base.errors import PlanRefused
from stackup.cli.client import Event
from stackup.cli.follow import INTERRUPTED, STOPPING, Follower, Outcome
from stackup.cli.loglines import LogPrinter
from stackup.cli.session import Session
from stackup.control.client import SupervisorLost

if TYPE_CHECKING:
    from stackup.cli.verbs.up import Request


class Foreground:
    """An attached ``up``: prints output until everything has ended, or until it must stop because one container has."""

    def __init__(self, session: Session, request: Request) -> None:
        self.request = request
        self.session = session
        self.abort_code: int | None = None
        self.aborting = False
        self.logs = LogPrinter(
            session.console,
            session.project,
            prefix=not request.no_log_prefix,
            colour=not request.no_color,
            timestamps=request.timestamps,
            only=frozenset(request.attach or request.services),
            never=frozenset(request.no_attach),
        )
        self.logs.last_ns = now_ns()  # what was printed before is not ours to show
        self.follower = Follower(
            session,
            None,
            "up",
            logs=self.logs,
            on_exited=self.exited,
            interrupt_text=STOPPING,
            held_back=(PlanRefused,),
            hurries=True,
        )

    def run(self, args: dict[str, Any]) -> Outcome:
        try:
            outcome = self.follower.run("up", args)
        except SupervisorLost:
            if self.follower.outcome.interrupts or not self.follower.progress.board.settled:
                raise
            outcome = self.reattach(args)
        if self.abort_code is not None and not outcome.interrupts:
            outcome.exit_code = self.abort_code
        return outcome

    def reattach(self, args: dict[str, Any]) -> Outcome:
        """The supervisor was killed and is back by itself: the containers have not noticed, and nor should the user."""
        session, logs = self.session, self.logs
        wanted = {"services": list(self.request.services), "follow": True, "since_ns": logs.last_ns + 1}
        while True:
            follower = Follower(session, session.ensure(), "up", logs=logs, cancellable=False)
            try:
                return follower.run("logs", wanted)
            except SupervisorLost:
                wanted["since_ns"] = logs.last_ns + 1
            except KeyboardInterrupt:
                session.console.say(f"\n{STOPPING}")
                stopping = Follower(session, session.ensure(), "stop")
                outcome = stopping.run("stop", {"services": wanted["services"], "timeout": args.get("timeout")})
                outcome.exit_code = INTERRUPTED
                return outcome

    def exited(self, event: Event) -> None:
        """A container has ended: does that end the whole, and with which code?"""
        request = self.request
        if not request.aborts or event.get("restarting"):
            return
        code = 1 if event["code"] is None else int(event["code"])
        if request.exit_code_from:
            if self.abort_code is None and event["service"] == request.exit_code_from:
                self.abort_code = code
        elif not self.aborting and (code or not self._failures_only):
            self.abort_code = code
        if not self.aborting and (code or not self._failures_only):
            self.aborting = True
            self.follower.progress.interrupt(f"Aborting, because {event['name']} has ended...")
            self.follower.cancel("graceful")

    @property
    def _failures_only(self) -> bool:
        request = self.request
        return request.abort_on_container_failure and not (request.abort_on_container_exit or request.exit_code_from)
