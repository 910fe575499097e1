"""One user's view of the output: everything, in order; after Ctrl-C only the last of what piles up."""

from __future__ import annotations

import asyncio
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

from stackup.engine import follow
from stackup.engine.container import Container
from stackup.engine.follow import BACKLOG, HURRY, LAST_LINES, Follower
from stackup.engine.logreader import ENTRY


class User:
    """A session whose reader presses Ctrl-C when so many events have come."""

    def __init__(self, leaves_at: int = -1) -> None:
        self.events: list[dict[str, Any]] = []
        self.closed = asyncio.Event()
        self.messages: asyncio.Queue[dict[str, Any]] = asyncio.Queue()
        self._leaves_at = leaves_at

    def emit(self, event: dict[str, Any]) -> None:
        self.events.append(event)
        if len(self.events) == self._leaves_at:
            self.messages.put_nowait({HURRY: True})

    async def drain(self) -> None:
        await asyncio.sleep(0)

    def texts(self, name: str) -> list[str]:
        chosen = [event["text"] for event in self.events if event["event"] == "log" and event["name"] == name]
        return "\n".join(chosen).split("\n")


def container(name: str) -> Container:
    state = SimpleNamespace(exit_code=0, oom_killed=False)
    return cast(Container, SimpleNamespace(id=name, short_name=name, service=name, state=state))


def write(directory: Path, *pieces: tuple[bytes, int]) -> None:
    directory.mkdir(exist_ok=True)
    end = (directory / "stdout.log").stat().st_size if (directory / "stdout.log").exists() else 0
    with (directory / "stdout.log").open("ab") as log, (directory / "stdout.idx").open("ab") as index:
        for data, time_ns in pieces:
            end += len(data)
            log.write(data)
            index.write(ENTRY.pack(end, time_ns))


def numbered(start: int, end: int) -> bytes:
    return b"".join(b"line %07d\n" % number for number in range(start, end))


def shown(tmp_path: Path, user: User) -> None:
    """Two containers, of which one has far more to say; both end."""

    async def main() -> None:
        follower = Follower(cast(Any, user), lambda name: tmp_path / name, wants=lambda item: True)
        for name in ("loud", "still"):
            follower.add(container(name))
        showing = asyncio.get_running_loop().create_task(follower.show_all())
        while len(user.texts("loud")) < 1000:
            await asyncio.sleep(0)
        for name in ("loud", "still"):
            write(tmp_path / name, (f"bye from {name}\n".encode(), 10_000))
            follower.ended(container(name), restarting=False)
        follower.stop()
        await showing

    asyncio.run(main())


LINES = 4 * BACKLOG // len(numbered(0, 1))


def test_everything_is_shown_in_pieces(tmp_path: Path) -> None:
    write(tmp_path / "loud", (numbered(0, 1000), 1), (numbered(1000, LINES), 3))
    write(tmp_path / "still", (b"ready\n", 2))
    user = User()
    shown(tmp_path, user)
    assert user.texts("loud") == [*numbered(0, LINES).decode().splitlines(), "bye from loud"]
    assert [event["name"] for event in user.events if event["event"] == "log"][:3] == ["loud", "still", "loud"]
    assert user.texts("still") == ["ready", "bye from still"]
    assert [event["event"] for event in user.events].count("exited") == 2


def test_after_ctrl_c_what_piles_up_is_passed_over_and_last_words_are_not(tmp_path: Path, monkeypatch: Any) -> None:
    monkeypatch.setattr(follow, "BEFORE_DRAIN", 1)
    pieces = [(numbered(number, number + 100), number) for number in range(0, LINES, 100)]
    write(tmp_path / "loud", *pieces)
    write(tmp_path / "still", *((b"still %d\n" % number, LINES + number) for number in range(50)))
    user = User(leaves_at=15)
    shown(tmp_path, user)
    loud = user.texts("loud")
    passed = sum(event["bytes"] for event in user.events if event["event"] == "passed over")
    last = numbered(0, pieces[-1][1] + 100).decode().splitlines()
    assert loud[-1] == "bye from loud" and passed > 2 * BACKLOG
    assert set(last[-LAST_LINES + 1 :]) <= set(loud)
    assert passed + sum(len(text) + 1 for text in loud) == len(numbered(0, len(last))) + len("bye from loud\n")
    assert user.texts("still") == [*(f"still {number}" for number in range(50)), "bye from still"]
