"""Pulls and pushes that a command carries out itself, without a supervisor: a worker process for each image."""

from __future__ import annotations

import json
import queue
import signal
import subprocess
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from typing import Any

from stackup.base.errors import ImageError, StackupError
from stackup.cli.board import Event
from stackup.cli.progress import Progress, progress
from stackup.cli.session import Session

AT_ONCE = 3  # images; each has several layers under way at a time
GRACE = 2.0  # seconds for all workers together to end, before they are killed
_KEPT = {
    "pull": "what has arrived is kept",
    "push": "what has been sent is kept",
    "publish": "what has been sent is kept",
}


@dataclass
class Job:
    """``verb`` and ``reference`` name it for people. ``error`` or ``result`` (the worker's ``done`` event) come
    when it has ended."""

    verb: str
    reference: str
    request: dict[str, Any]
    result: Event | None = None
    error: StackupError | None = None
    process: subprocess.Popen[bytes] | None = field(default=None, repr=False)

    @property
    def id(self) -> str:
        return f"{self.verb} {self.reference}"

    @property
    def target(self) -> str:
        return f"{'stack' if self.verb == 'publish' else 'image'} {self.reference}"


class Transfers:
    """Runs jobs, a few at a time, and shows how far they are."""

    def __init__(
        self, session: Session, title: str, jobs: Sequence[Job], *, quiet: bool = False, at_once: int = 0
    ) -> None:
        console = session.console._replace(progress="quiet") if quiet else session.console
        self._session = session
        self._jobs = jobs
        self._shown: Progress = progress(console, title)
        self._events: queue.SimpleQueue[tuple[Job, Event] | None] = queue.SimpleQueue()  # None: interrupted
        number = at_once or session.at_once or AT_ONCE
        self._slots = threading.Semaphore(number if number > 0 else max(1, len(jobs)))  # -1: no limit
        self._stopped = False
        self._starting = threading.Lock()  # a worker either sees that all is over, or is among those that are ended

    def run(self) -> None:
        """Returns when all have ended. KeyboardInterrupt, with a text, when the user has ended it."""
        actions = [
            {"id": job.id, "verb": job.verb, "target": job.target, "text": f"{job.verb} {job.target}"}
            for job in self._jobs
        ]
        self._shown.plan({"event": "plan", "actions": actions})
        threads = [threading.Thread(target=self._carry_out, args=(job,), daemon=True) for job in self._jobs]
        with self._interruptible():
            try:
                for thread in threads:
                    thread.start()
                self._show(len(threads))
            except BaseException:
                self._stop()
                raise
            finally:
                self._shown.finish()

    def _show(self, waiting: int) -> None:
        while waiting:
            found = self._events.get()
            if found is None:
                kept = _KEPT.get(self._jobs[0].verb, "what has arrived is kept")
                raise KeyboardInterrupt(f"interrupted; {kept}, run again to continue")
            job, event = found
            if event["event"] == "progress":
                self._shown.detail({**event, "action": job.id})
            else:
                self._shown.action(event)
                waiting -= event["state"] in ("done", "failed", "cancelled")

    @contextmanager
    def _interruptible(self) -> Iterator[None]:
        """SIGINT is one event among the others: an exception out of nowhere may be lost, or break what is drawn."""
        if threading.current_thread() is not threading.main_thread():
            yield
            return
        before = signal.getsignal(signal.SIGINT)
        if before is not signal.default_int_handler:
            yield
            return
        signal.signal(signal.SIGINT, lambda _signum, _frame: self._events.put(None))
        try:
            yield
        finally:
            signal.signal(signal.SIGINT, before)

    def _stop(self) -> None:
        """All at once, and within ``GRACE``."""
        with self._starting:
            self._stopped = True
            running = [job.process for job in self._jobs if job.process is not None]
        for process in running:
            process.terminate()
        end = time.monotonic() + GRACE
        for process in running:
            try:
                process.wait(max(0.0, end - time.monotonic()))
            except subprocess.TimeoutExpired:
                process.kill()

    def _carry_out(self, job: Job) -> None:
        with self._slots:
            if self._stopped:
                return
            began = time.monotonic()
            self._state(job, "started", 0)
            try:
                job.result = self._converse(job)
            except StackupError as error:
                job.error = error
            except Exception as error:  # noqa: BLE001 - whoever waits for it must not wait for ever
                from stackup.cli.execute import bug

                job.error = bug(error)
            ms = (time.monotonic() - began) * 1000
            self._state(job, "failed" if job.error else "done", ms)

    def _state(self, job: Job, state: str, ms: float) -> None:
        self._events.put((job, {"event": "action", "id": job.id, "state": state, "ms": ms}))

    def _converse(self, job: Job) -> Event:
        from stackup.images import transfers

        with self._starting:
            if self._stopped:
                raise ImageError(f"cannot {job.verb} {job.reference}: interrupted")
            process = job.process = subprocess.Popen(
                transfers.command(),
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                env=transfers.environment(self._session.layout.root),
                start_new_session=True,  # the terminal's signals are this process's affair
            )
        with process:
            assert process.stdin and process.stdout
            with suppress(BrokenPipeError):  # it has ended already: its code is told below
                process.stdin.write(json.dumps(job.request).encode() + b"\n")
                process.stdin.close()
            for line in process.stdout:
                event: Event = json.loads(line)
                if event["event"] == "error":
                    raise StackupError.from_dict(event["error"])
                if event["event"] == "done":
                    return event
                self._events.put((job, event))
        raise transfers.silent_end(f"{job.verb} {job.reference}", process.returncode)
