"""A command goes on with the successor of a supervisor that went away in the middle of its answer.

A supervisor says that it begins with a request before it does anything for it (``BEGUN``). What none has begun is sent
again, whatever it is. Of the rest, what makes something so is asked for again: the successor has recovered, and does
what is left. What shows something goes on where it was, nothing twice and nothing left out. What would do something a
second time (``restart``, ``exec``) is not repeated. Nobody else decides about this. Standard library only.
"""

from __future__ import annotations

import time
from typing import Any

Event = dict[str, Any]

_AGAIN = frozenset({"ps", "plan", "wait", "up", "create", "down", "stop", "start", "rm", "logs", "events"})
_ONCE = ("force_recreate", "always_recreate_deps", "renew_anon_volumes", "now")  # a second time is another time
BEGUN = "begun"  # the first event of a request that is carried out; not shown
RESTARTING = "restarting"  # the only event of one that is not: this supervisor makes way for another one
GONE_ON = "the supervisor went away; its successor goes on with this"


class Progress:
    """What of one request has been seen so far."""

    def __init__(self, verb: str, args: dict[str, Any]) -> None:
        self._verb = verb
        self._args = args
        self.begun = False  # somebody may have done something of it
        self.shown = False  # something has come of it that a user sees
        self._began_ns = time.time_ns()
        self._undone: set[str] = set()
        self._settled = False
        self._shown_ns = 0  # everything printed before has been sent
        self._positions: dict[tuple[str, str], tuple[int, int]] = {}  # of a stream: its last time, lines of that time
        self._latest: list[Event] = []  # events that have the same, latest time
        self._repeated: dict[tuple[str, str], tuple[int, int]] = {}
        self._known: list[Event] = []

    def take(self, event: Event) -> Event | None:
        """What is left of ``event`` for somebody who has seen what came before; None when nothing is."""
        self.begun = True
        if event["event"] == BEGUN:
            return None
        self.shown = True
        match event["event"]:
            case "plan":
                self._undone = {action["id"] for action in event["actions"]}
                self._settled = not self._undone
            case "action" if event["state"] in ("done", "failed", "skipped"):
                self._undone.discard(event["id"])
                self._settled = not self._undone
            case "shown":
                self._shown_ns = event["time_ns"]
            case "log":
                return self._log(event)
            case "happened":
                return self._happened(event)
        return event

    def again(self) -> dict[str, Any] | None:
        """The arguments with which the request goes on; None when it is not one to be repeated."""
        args = self._args
        if self._verb not in _AGAIN or any(args.get(name) for name in _ONCE):
            return None if self.begun else args
        if self._verb == "up" and not args.get("detach"):
            # Once everything runs, to do it again would start what has ended meanwhile: there is only output to show.
            return None if self._settled else {**args, "since_ns": self._shown_ns or self._began_ns}
        if self._verb == "events":
            self._known = list(self._latest)
            latest = self._latest[0]["time_ns"] if self._latest else 0
            return {**args, "since_ns": latest or args.get("since_ns") or self._began_ns}
        if self._verb == "logs":
            self._repeated = dict(self._positions)
            if self._shown_ns or args.get("tail") == 0:
                return {**args, "tail": None, "since_ns": self._shown_ns or self._began_ns}
        return args

    def _log(self, event: Event) -> Event | None:
        """Chunks of lines may be cut in another way when they are read again."""
        stream, at_ns = (event["name"], event["stream"]), event["time_ns"]
        if stream in self._repeated:
            last_ns, seen = self._repeated[stream]
            if at_ns < last_ns:
                return None
            if at_ns == last_ns and seen:
                lines = event["text"].split("\n")
                self._repeated[stream] = (last_ns, max(0, seen - len(lines)))
                if len(lines) <= seen:
                    return None
                event = {**event, "text": "\n".join(lines[seen:])}
        before_ns, before = self._positions.get(stream, (0, 0))
        lines_here = event["text"].count("\n") + 1
        self._positions[stream] = (at_ns, lines_here + (before if at_ns == before_ns else 0))
        return event

    def _happened(self, event: Event) -> Event | None:
        if event in self._known:
            self._known.remove(event)
            return None
        if self._latest and self._latest[0]["time_ns"] != event["time_ns"]:
            self._latest.clear()
        self._latest.append(event)
        return event
