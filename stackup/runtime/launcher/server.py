"""The launcher's table of containers, and what it does on each request and each death."""

from __future__ import annotations

import os
import signal
import sys
import time

from stackup.base.version import VERSION
from stackup.linux import cgroups, pidfd
from stackup.runtime import packets
from stackup.runtime.launcher import adoption, ending
from stackup.runtime.launcher.channel import Channel, close_all
from stackup.runtime.launcher.container import Child, Container, Life
from stackup.runtime.launcher.operations.base import Refusal
from stackup.runtime.launcher.starting import Starter

TYPE_CHECKING = False
if TYPE_CHECKING:
    from _socket import socket as Socket
    from collections.abc import Callable
    from typing import Any

    from stackup.linux.cgroups import Hierarchies
    from stackup.runtime.launcher.loop import Loop
    from stackup.runtime.launcher.plan import Surroundings

    Fds = list[int]

_ESRCH, _EEXIST, _EINVAL = 3, 17, 22
_LIST_FDS = packets.MAX_FDS - 10
_STATUS_RETRY, _STATUS_PATIENCE = 0.02, 2.0


class Server:
    """``on_gone``: the client has closed its end; ``on_quit``: it asked the launcher to end with it."""

    def __init__(
        self,
        loop: Loop,
        around: Surroundings,
        hierarchies: Hierarchies,
        *,
        on_gone: Callable[[], None],
        on_quit: Callable[[], None],
    ) -> None:
        self._loop = loop
        self._hierarchies = hierarchies
        self._on_gone = on_gone
        self._on_quit = on_quit
        self._channel: Channel | None = None
        self._containers: dict[str, Container] = {}
        self._execs: dict[str, Child] = {}
        self._by_pid: dict[int, Child] = {}
        self._store: dict[str, int] = {}
        self._starter = Starter(
            loop,
            around,
            hierarchies,
            is_alive=self._is_alive,
            register=self._register,
            on_ready=self._ready,
            on_refused=self._refuse,
        )
        self._operations: dict[str, Callable[[int, dict[str, Any], Fds], None]] = {
            "start": self._start,
            "exec": self._exec,
            "signal": self._signal,
            "list": self._list,
            "drained": self._drained,
            "store": self._keep,
            "unstore": self._unkeep,
            "fetch": self._fetch,
            "adopt": self._adopt,
            "dns": self._dns,
            "ping": self._ping,
            "quit": self._quit,
        }

    def serve(self, sock: Socket) -> None:
        """A new client takes the place of the one before."""
        if self._channel:
            self._channel.close()
        self._channel = Channel(self._loop, sock, self._request, self._client_gone)

    @property
    def living(self) -> list[Child]:
        return [child for child in self._by_pid.values() if child.life is not Life.ENDED]

    def remove_groups(self) -> None:
        """The cgroups of all containers: nobody else will, when the client of a private launcher is gone."""
        for container in self._containers.values():
            if container.cgroup:
                cgroups.remove_tree(self._hierarchies, container.cgroup)

    def reaped(self, pid: int, status: int) -> None:
        """One of our children is gone. Others (orphans of the supervisor's) are of no interest."""
        child = self._by_pid.pop(pid, None)
        if child is None:
            return
        self._starter.hear(child)
        if child.life is Life.SETTING_UP:
            self._came_to_nothing(child, status)
        elif isinstance(child, Container):
            self._ended(child, status)
        else:
            del self._execs[child.id]
            child.close()
            code, number = ending.decode(status)
            self._event(
                {
                    "event": "exit",
                    "id": child.id,
                    "status": code,
                    "signal": number,
                    "oom": False,
                    "at_ns": time.time_ns(),
                }
            )

    # requests

    def _request(self, message: dict[str, Any], fds: Fds) -> None:
        tag = message.get("tag", 0)
        handler = self._operations.get(message.get("op", ""))
        try:
            if handler is None:
                close_all(fds)
                raise Refusal("request", _EINVAL, "", f"unknown request {message.get('op')!r}")
            handler(tag, message, fds)
        except Refusal as refusal:
            fault = {"step": refusal.step, "errno": refusal.errno, "path": refusal.path, "text": str(refusal)}
            self._refuse(tag, {**fault, **refusal.more})
        except (KeyError, TypeError, ValueError) as error:
            sys.excepthook(*sys.exc_info())
            text = f"malformed request: {type(error).__name__} {error}"
            self._refuse(tag, {"step": "request", "errno": _EINVAL, "path": "", "text": text})
        except OSError as error:
            self._refuse(
                tag,
                {
                    "step": message.get("op", ""),
                    "errno": error.errno or 0,
                    "path": str(error.filename or ""),
                    "text": error.strerror or str(error),
                },
            )

    def _start(self, tag: int, message: dict[str, Any], fds: Fds) -> None:
        self._starter.start(tag, message["bundle"], fds)

    def _exec(self, tag: int, message: dict[str, Any], fds: Fds) -> None:
        try:
            container = self._running(message["id"])
            if message["exec_id"] in self._execs:
                raise Refusal("exec-id", _EEXIST, message["exec_id"], "this exec id is in use")
        except Refusal:
            close_all(fds)
            raise
        self._starter.exec(tag, container, message, fds)

    def _signal(self, tag: int, message: dict[str, Any], fds: Fds) -> None:
        target = self._containers.get(message["id"]) or self._execs.get(message["id"])
        if target and target.pidfd >= 0:
            try:
                signal.pidfd_send_signal(target.pidfd, message["signal"])
            except ProcessLookupError:
                pass
        self._answer(tag, {})

    def _list(self, tag: int, message: dict[str, Any], fds: Fds) -> None:
        containers = [item for item in self._containers.values() if item.life is not Life.SETTING_UP]
        listed: list[dict[str, Any]] = []
        handed: Fds = []
        for container in containers[message["skip"] :]:
            about, named = container.listed()
            if len(handed) + len(named) > _LIST_FDS:
                break
            listed.append(about)
            handed += named
        more = message["skip"] + len(listed) < len(containers)
        self._answer(tag, {"containers": listed, "more": more}, handed)

    def _drained(self, tag: int, message: dict[str, Any], fds: Fds) -> None:
        container = self._containers.get(message["id"])
        if container and container.life is Life.ENDED:
            container.release()
            del self._containers[message["id"]]
        self._answer(tag, {})

    def _keep(self, tag: int, message: dict[str, Any], fds: Fds) -> None:
        if len(fds) != 1:
            close_all(fds)
            raise Refusal("store", _EINVAL, message["name"], "one descriptor is expected")
        self._drop(message["name"])
        self._store[message["name"]] = fds[0]
        self._answer(tag, {})

    def _unkeep(self, tag: int, message: dict[str, Any], fds: Fds) -> None:
        self._drop(message["name"])
        self._answer(tag, {})

    def _drop(self, name: str) -> None:
        if name in self._store:
            os.close(self._store.pop(name))

    def _fetch(self, tag: int, message: dict[str, Any], fds: Fds) -> None:
        names = list(self._store)[message["skip"] :][:_LIST_FDS]
        more = message["skip"] + len(names) < len(self._store)
        self._answer(tag, {"names": names, "more": more}, [self._store[name] for name in names])

    def _adopt(self, tag: int, message: dict[str, Any], fds: Fds) -> None:
        container = None
        if adoption.records_match(message):
            container = adoption.adopt(message["bundle"], message["pid"], message["start_time"], self._hierarchies)
        if container is None:
            self._answer(tag, {"container": None})
            return
        known = self._containers.get(container.id)
        if known and known.life is not Life.ENDED:
            container.release()
            container = known
        else:
            if known:
                known.release()
            self._containers[container.id] = container
            adopted = container
            self._loop.watch(container.pidfd, lambda: self._adopted_died(adopted, _STATUS_PATIENCE))
        about, named = container.listed()
        self._answer(tag, {"container": about}, named)

    def _dns(self, tag: int, message: dict[str, Any], fds: Fds) -> None:
        container = self._running(message["id"])
        if "dns_udp" not in container.fds:
            sockets = adoption.make_resolver(container)
            if sockets is None:
                self._answer(tag, {"dns": False})
                return
            container.fds["dns_udp"], container.fds["dns_tcp"] = (socket.detach() for socket in sockets)
        self._answer(tag, {"dns": True}, [container.fds["dns_udp"], container.fds["dns_tcp"]])

    def _ping(self, tag: int, message: dict[str, Any], fds: Fds) -> None:
        self._answer(tag, {"pid": os.getpid(), "protocol": packets.PROTOCOL, "version": VERSION})

    def _quit(self, tag: int, message: dict[str, Any], fds: Fds) -> None:
        self._answer(tag, {})
        self._on_quit()

    # what happens

    def _is_alive(self, container_id: str) -> bool:
        known = self._containers.get(container_id)
        return known is not None and known.life is not Life.ENDED

    def _register(self, child: Child) -> None:
        self._by_pid[child.pid] = child
        if not isinstance(child, Container):
            self._execs[child.id] = child
            return
        known = self._containers.get(child.id)
        if known:
            known.release()
        self._containers[child.id] = child

    def _ready(self, child: Child) -> None:
        if isinstance(child, Container):
            about, named = child.listed()
            self._answer(child.tag, about, named)
        elif not child.quiet:
            self._answer(child.tag, {"pid": child.pid}, [child.fds["console"]] if "console" in child.fds else [])
            child.close("console")

    def _came_to_nothing(self, child: Child, status: int) -> None:
        """Before its command ran. Told only now, when nothing of it is left."""
        if isinstance(child, Container):
            if self._containers.get(child.id) is child:
                del self._containers[child.id]
            child.release()
            cgroups.remove_tree(self._hierarchies, child.cgroup)
        else:
            self._execs.pop(child.id, None)
            child.close()
        code, number = ending.decode(status)
        how = f"killed by signal {number}" if number else f"ended with status {code}"
        died = {"step": "start", "errno": 0, "path": "", "text": f"its process was {how} while it was set up"}
        self._refuse(child.tag, child.fault or died)

    def _ended(self, container: Container, status: int | None) -> None:
        self._event(ending.end(container, status, self._hierarchies))
        ending.let_go(container)

    def _adopted_died(self, container: Container, patience: float) -> None:
        """Not our child: its status can be read once somebody has reaped it, or from its zombie."""
        self._loop.forget(container.pidfd)
        status = ending.observed_status(container)
        if status is None and patience > 0 and pidfd.start_time(container.pid) == container.start_time:
            self._loop.after(_STATUS_RETRY, lambda: self._adopted_died(container, patience - _STATUS_RETRY))
            return
        self._ended(container, status)

    def _client_gone(self) -> None:
        self._starter.forget_waiting()
        self._on_gone()

    def _running(self, container_id: str) -> Container:
        container = self._containers.get(container_id)
        if container is None or container.life is not Life.RUNNING:
            raise Refusal("find", _ESRCH, container_id[:12], "it is not running")
        return container

    def _answer(self, tag: int, ok: dict[str, Any], fds: Fds | None = None) -> None:
        if self._channel:
            self._channel.answer(tag, ok, fds)

    def _refuse(self, tag: int, fault: dict[str, Any]) -> None:
        if self._channel:
            self._channel.fault(tag, fault)

    def _event(self, message: dict[str, Any]) -> None:
        if self._channel:
            self._channel.event(message)
