"""Does several things at a time, each in a thread of its own, and not too many: an image for several platforms."""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from concurrent.futures import Future
from typing import TypeVar

from stackup.build.steps import Stopped

T = TypeVar("T")
_PATIENCE = 10.0  # seconds


def side_by_side(tasks: Sequence[Callable[[], T]], stop: Callable[[], None], most: int) -> list[T]:
    """What they answer, in their order. At the first failure ``stop`` is called, to end the others; raised is what the
    first of them has failed for by itself. One alone is done in the calling thread."""
    if len(tasks) == 1:
        return [tasks[0]()]
    free = threading.Semaphore(most)
    stopped = threading.Event()
    results: list[Future[T]] = [Future() for _ in tasks]

    def end() -> None:
        stopped.set()
        stop()

    def work(task: Callable[[], T], result: Future[T]) -> None:
        with free:
            try:
                if stopped.is_set():
                    raise Stopped
                result.set_result(task())
            except BaseException as error:  # noqa: BLE001 - handed over to whoever waits for it
                end()
                result.set_exception(error)

    threads = [
        threading.Thread(target=work, args=pair, name=f"platform {number}", daemon=True)
        for number, pair in enumerate(zip(tasks, results, strict=True))
    ]
    try:
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    except BaseException:  # a signal: the calling thread only waits
        end()
        for thread in threads:
            if thread.ident is not None:
                thread.join(_PATIENCE)
        raise
    failures = [error for result in results if (error := result.exception())]
    own = [error for error in failures if not isinstance(error, Stopped)]
    if failures:
        raise (own or failures)[0]
    return [result.result() for result in results]
