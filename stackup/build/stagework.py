"""The stages of one build: each in a thread of its own, so that those that do not need each other go on together."""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from concurrent.futures import Future

from stackup.base.errors import StackFileError
from stackup.build.state import State
from stackup.build.steps import Stopped

_PATIENCE = 10.0  # seconds


class StageWork:
    """``build`` makes the stage of a number; it asks ``require`` for others. ``stop`` is called at the first failure,
    to end what the others have under way."""

    def __init__(self, build: Callable[[int], State], stop: Callable[[], None]) -> None:
        self._build = build
        self._stop = stop
        self._lock = threading.Lock()
        self._done: dict[int, Future[State]] = {}
        self._waits: dict[int, int] = {}  # stage -> stage that it waits for just now
        self._threads: list[threading.Thread] = []

    def run(self, numbers: Sequence[int]) -> State:
        """Builds these, the last of which is wanted. Raises what the first stage that failed raised."""
        *others, last = numbers
        try:
            for number in others:
                self._start(number)
            if others:
                self._start(last)
                return self._result(last)
            self._done[last] = Future()
            return self._build(last)
        except BaseException:
            self._stop()
            raise
        finally:
            self._join()

    def require(self, number: int, by: int) -> State:
        """The state of another stage, waited for. Stages that turn out to need each other are refused."""
        with self._lock:
            self._waits[by] = number
            at = number
            while at in self._waits:
                at = self._waits[at]
                if at == by:
                    del self._waits[by]
                    raise StackFileError("cannot build: stages need each other")
        try:
            return self._start(number).result()
        except Exception:  # noqa: BLE001
            raise Stopped from None  # what went wrong there is told there
        finally:
            with self._lock:
                self._waits.pop(by, None)

    def _start(self, number: int) -> Future[State]:
        with self._lock:
            if number in self._done:
                return self._done[number]
            future: Future[State] = Future()
            self._done[number] = future
            thread = threading.Thread(target=self._work, args=(number, future), name=f"stage {number}", daemon=True)
            self._threads.append(thread)
        thread.start()
        return future

    def _work(self, number: int, future: Future[State]) -> None:
        try:
            future.set_result(self._build(number))
        except BaseException as error:  # noqa: BLE001 - handed over to whoever waits for the stage
            self._stop()
            future.set_exception(error)

    def _join(self) -> None:
        """One that waits for another process's build cannot be woken; it ends with this process."""
        for thread in list(self._threads):
            thread.join(_PATIENCE)

    def _result(self, last: int) -> State:
        """Of the wanted stage; when it has none, the first stage's own reason."""
        try:
            return self._done[last].result()
        except Exception:  # noqa: BLE001 - the one that explains it is looked for
            self._stop()
            self._join()
            causes = [error for future in self._done.values() if future.done() and (error := future.exception())]
            own = [error for error in causes if not isinstance(error, Stopped)]
            raise (own or causes)[0] from None
