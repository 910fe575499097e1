"""What has happened in a project: events of its containers, networks and volumes, and the commands that people gave.

Both are files of JSON lines beside the projects, so that they outlive ``down``: who took a project away is what people
want to know afterwards. They are bounded (a file and its predecessor, 1 MiB each) and kept until somebody deletes them.
What a full disk does not take is left out: nothing waits for a chronicle. Standard library only: the CLI reads these
files itself when nobody must be asked.
"""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Iterable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

from stackup.base.clock import now_ns
from stackup.base.names import LABEL_PREFIX
from stackup.base.paths import Layout

if TYPE_CHECKING:
    from stackup.engine.container import Container

Entry = dict[str, Any]
LIMIT = 1 << 20  # bytes of one file
STEPS = 100  # of a plan that are kept
EXEC = "exec"  # the verb that changes nothing of a project itself
_OBJECTS = {
    "CreateNetwork": ("network", "create"),
    "RemoveNetwork": ("network", "destroy"),
    "CreateVolume": ("volume", "create"),
    "RemoveVolume": ("volume", "destroy"),
}


def events_path(layout: Layout, project: str) -> Path:
    return layout.state / "history" / f"{project}.events"


def commands_path(layout: Layout, project: str) -> Path:
    return layout.state / "history" / f"{project}.commands"


def execs_path(layout: Layout, project: str) -> Path:
    """Beside the others, so that a check that is executed every minute does not push out who changed the project."""
    return layout.state / "history" / f"{project}.execs"


class Journal:
    """A bounded file of JSON lines with one writer."""

    def __init__(self, path: Path, limit: int = LIMIT) -> None:
        self._path = path
        self._limit = limit
        self._fd = -1
        self._size = 0

    def append(self, entry: Entry) -> None:
        data = json.dumps(entry, separators=(",", ":")).encode() + b"\n"
        with suppress(OSError):
            if self._fd < 0 or self._size + len(data) > self._limit:
                self._open(rotate=self._fd >= 0)
            self._size += os.write(self._fd, data)

    def _open(self, *, rotate: bool) -> None:
        if self._fd >= 0:
            os.close(self._fd)
            self._fd = -1
        os.makedirs(self._path.parent, mode=0o711, exist_ok=True)
        if rotate:
            os.replace(self._path, f"{self._path}.1")
        self._fd = os.open(self._path, os.O_RDWR | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC, 0o600)
        self._size = os.fstat(self._fd).st_size
        if self._size and os.pread(self._fd, 1, self._size - 1) != b"\n":
            self._size += os.write(self._fd, b"\n")  # a predecessor was killed, or the disk was full


def entries(path: Path) -> list[Entry]:
    """Oldest first; what is damaged is passed over."""
    found = []
    for name in (f"{path}.1", str(path)):
        try:
            with open(name, "rb") as file:
                lines = file.read().split(b"\n")
        except FileNotFoundError:
            continue
        for line in lines:
            with suppress(ValueError):
                entry = json.loads(line) if line else None
                if isinstance(entry, dict):
                    found.append(entry)
    return found


def chosen(events: Iterable[Entry], services: Iterable[str], since_ns: int, until_ns: int) -> Iterator[Entry]:
    """Those of the given services (none: of all, and of networks and volumes), between two times (0: no bound)."""
    wanted = set(services)
    for event in events:
        if event["time_ns"] < since_ns or (until_ns and event["time_ns"] > until_ns):
            continue
        if not wanted or event["service"] in wanted:
            yield event


class Chronicle:
    """Turns what happens in a supervisor into events, as Docker's engine has them."""

    def __init__(self, layout: Layout, project: str, publish: Callable[[Entry], None]) -> None:
        self.events = Journal(events_path(layout, project))
        self.commands = Journal(commands_path(layout, project))
        self.execs = Journal(execs_path(layout, project))
        self.restarting = 0  # ``restart`` commands under way
        self._publish = publish

    def container(self, container: Container, what: str) -> None:
        """``what`` is a change of state, in the words of ``engine.container``."""
        state = container.state
        if what == "created":
            self._tell(container, "create")
        elif what == "started":
            self._tell(container, "start")
            if self.restarting and state.incarnation > 1:
                self._tell(container, "restart")
        elif what == "starting":
            self._places(container, "connect")
        elif what in ("paused", "unpaused"):
            self._tell(container, what.removesuffix("d"))
        elif what in ("exited", "start failed"):
            if state.oom_killed:
                self._tell(container, "oom")
            code = "unknown" if state.exit_code is None else str(state.exit_code)
            self._tell(container, "die", exitCode=code, **({"error": state.error} if state.error else {}))
            if state.stopped_by_user:
                self._tell(container, "stop")
            self._places(container, "disconnect")
        elif what == "health" and state.health in ("healthy", "unhealthy"):
            about = {} if state.health_code is None else {"exitCode": str(state.health_code)}
            if state.health_output.strip():
                about["output"] = state.health_output.rstrip("\n")
            self._tell(container, f"health_status: {state.health}", **about)
        elif what == "removed":
            self._tell(container, "destroy")

    def thing(self, kind: str, action: str, name: str, **more: str) -> None:
        """Of a network or a volume."""
        self._record(kind, action, name, "", {"name": name, **more})

    def _places(self, container: Container, action: str) -> None:
        """Its networks, as the engine tells of them."""
        for place in container.definition.endpoints:
            attributes = {"container": container.definition.id, "name": place.name, "type": "bridge"}
            self._record("network", action, place.name, "", attributes)

    def of_container(self, container: Container, action: str, **more: str) -> None:
        """What is no change of its state."""
        self._tell(container, action, **more)

    def _tell(self, container: Container, action: str, **more: str) -> None:
        definition = container.definition
        own = {key: text for key, text in definition.labels.items() if not key.startswith(f"{LABEL_PREFIX}.")}
        attributes = {**own, "image": definition.image, "name": definition.name, **more}
        self._record("container", action, definition.id, definition.service, attributes)

    def _record(self, kind: str, action: str, name: str, service: str, attributes: dict[str, str]) -> None:
        event = {
            "time_ns": now_ns(),
            "type": kind,
            "action": action,
            "id": name,
            "service": service,
            "attributes": attributes,
        }
        self.events.append(event)
        self._publish({"event": "happened", **event})


class Command:
    """One command that changes a project, noted while it runs; ``hear`` is told what its user is told."""

    def __init__(
        self, chronicle: Chronicle, verb: str, who: str, cwd: str, env: dict[str, str], user: str = ""
    ) -> None:
        """``user`` empty: whoever the process of ``who`` belongs to."""
        self._chronicle = chronicle
        self._verb = verb
        self._journal = chronicle.execs if verb == EXEC else chronicle.commands
        self._begun_ns = now_ns()
        self._actions: dict[str, Entry] = {}
        self._places: dict[str, tuple[int, int]] = {}  # of an action: its plan and its place there, where they are kept
        self._plans = 0
        command, _, process = who.strip("`").partition("` (process ")
        self._id = f"{self._begun_ns:x}"
        pid = process.rstrip(")")
        self._note(
            "begin",
            time_ns=self._begun_ns,
            verb=verb,
            command=command,
            user=user or user_of(pid, env),
            pid=int(pid) if pid.isdecimal() else 0,
            cwd=cwd,
        )
        chronicle.restarting += verb == "restart"

    def hear(self, event: Entry) -> None:
        kind = event.get("event")
        place = self._places.get(event.get("id", ""))
        at = {"at": place} if place else {}
        if kind == "plan":
            self._actions = {action["id"]: action for action in event["actions"]}
            self._places = {name: (self._plans, index) for index, name in enumerate([*self._actions][:STEPS])}
            self._plans += 1
            steps = [[item["text"], item["reason"], *item.get("changes", ())] for item in event["actions"]]
            self._note("plan", steps=steps[:STEPS], count=len(steps), followed=True)
        elif kind == "did":
            self._note("did", step=[event["text"], event["reason"]])
        elif kind == "action":
            if at:
                self._note("step", **at, state=event["state"])
            action = self._actions.get(event["id"], {})
            if event["state"] == "done" and action.get("type") in _OBJECTS:
                self._chronicle.thing(*_OBJECTS[action["type"]], action["name"])
        if event.get("error"):
            step = self._actions.get(event.get("id", ""), {}).get("text", "")
            self._note("error", step=step, text=event["error"].get("message", ""), **at)

    def ended(self, exit_code: int) -> None:
        self._chronicle.restarting -= self._verb == "restart"
        self._note("end", time_ns=now_ns(), exit=exit_code)

    def _note(self, what: str, **more: Any) -> None:
        self._journal.append({"id": self._id, "what": what, **more})


def user_of(pid: str, env: dict[str, str]) -> str:
    """Who was logged in, as the kernel's audit knows it, else as sudo says, else root."""
    import pwd

    with suppress(OSError, ValueError, KeyError):
        with open(f"/proc/{pid}/loginuid", encoding="ascii") as file:
            uid = int(file.read())
        if uid != 2**32 - 1:
            return pwd.getpwuid(uid).pw_name
    if env.get("SUDO_USER"):
        return env["SUDO_USER"]
    with suppress(KeyError):
        return pwd.getpwuid(os.geteuid()).pw_name
    return str(os.geteuid())


def commands(layout: Layout, project: str) -> list[Entry]:
    """Oldest first: id, time_ns, ended_ns (0: not yet), verb, command, user, pid, cwd, exit (None: not known), plans
    (lists of [step, reason, changes...]), outcomes, errors (step, text, at: its plan and place there, or None).

    ``outcomes`` has for each step of each plan what became of it: "started", "done", "failed", "skipped", "cancelled",
    "" for what was not begun; None where that was not noted, as by older versions. What was done without having been
    planned (a failed change is taken back) stands among the plans, too.
    """
    found = [*_commands(commands_path(layout, project)), *_commands(execs_path(layout, project))]
    return sorted(found, key=lambda command: command["time_ns"])


def _commands(path: Path) -> list[Entry]:
    found: dict[str, Entry] = {}
    planned: dict[str, list[int]] = {}  # by command: where its plans stand among all that was done
    before = ""
    for entry in entries(path):
        what, name = entry.get("what"), entry.get("id", "")
        if what == "begin":
            found[name] = {
                **{key: entry[key] for key in ("id", "time_ns", "verb", "command", "user", "pid", "cwd")},
                "ended_ns": 0,
                "exit": None,
                "plans": [],
                "outcomes": [],
                "errors": [],
            }
            planned[name] = []
        command = found.get(name)
        if command is None:
            continue
        if what == "plan":
            planned[name].append(len(command["plans"]))
            command["plans"].append(entry["steps"])
            command["outcomes"].append(["" if entry.get("followed") else None] * len(entry["steps"]))
        elif what == "did":
            if before != "did":
                command["plans"].append([])
                command["outcomes"].append([])
            command["plans"][-1].append(entry["step"])
            command["outcomes"][-1].append("done")
        elif what == "step":
            plan, index = entry["at"]
            command["outcomes"][planned[name][plan]][index] = entry["state"]
        elif what == "error":
            plan, index = entry.get("at") or (None, None)
            at = None if plan is None else [planned[name][plan], index]
            command["errors"].append({"step": entry["step"], "text": entry["text"], "at": at})
        elif what == "end":
            command |= {"ended_ns": entry["time_ns"], "exit": entry["exit"]}
        before = what or ""
    return list(found.values())
