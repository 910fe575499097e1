"""Where news of changes behind stackup's back comes from, as far as it is about single containers: mounts and files.

Links and the firewall have watchers of their own in ``network``. All of them are told by the kernel; none looks by the
clock.
"""

from __future__ import annotations

import asyncio
import os
import select
from collections.abc import Callable, Hashable

from stackup.linux import inotify


class MountWatch:
    """Calls ``changed`` with the id of a container in which something was mounted or unmounted.

    The kernel says so of /proc/PID/mountinfo as an exceptional condition; the file is always readable besides, so the
    descriptors are in an epoll set of their own, which the loop watches. It says so once, and usually that is to the
    loop as it looks at the set: then nobody knows in which of them it was. The descriptors keep their container's
    mounts alive: they must be dropped when it ends.
    """

    def __init__(self, loop: asyncio.AbstractEventLoop, changed: Callable[[str], object]) -> None:
        self._loop = loop
        self._changed = changed
        self._set = select.epoll()
        self._fds: dict[str, int] = {}
        self._ids: dict[int, str] = {}
        loop.add_reader(self._set.fileno(), self._heard)

    def add(self, container_id: str, pid: int) -> None:
        """Raises OSError when the process has gone."""
        self.drop(container_id)
        fd = os.open(f"/proc/{pid}/mountinfo", os.O_RDONLY | os.O_CLOEXEC)
        self._fds[container_id], self._ids[fd] = fd, container_id
        self._set.register(fd, select.EPOLLPRI)

    def drop(self, container_id: str) -> None:
        fd = self._fds.pop(container_id, -1)
        if fd >= 0:
            del self._ids[fd]
            os.close(fd)  # which takes it out of the set, too

    def close(self) -> None:
        self._loop.remove_reader(self._set.fileno())
        for container_id in list(self._fds):
            self.drop(container_id)
        self._set.close()

    def _heard(self) -> None:
        told = [self._ids[fd] for fd, _ in self._set.poll(0) if fd in self._ids]
        for container_id in told or list(self._fds):
            self._changed(container_id)


class FileWatch:
    """Calls ``changed`` with the key under which a file, or a directory and a name in it, is watched."""

    def __init__(self, loop: asyncio.AbstractEventLoop, changed: Callable[[str, Hashable, str], object]) -> None:
        """``changed`` gets owner, key, and for a directory the name inside it."""
        self._loop = loop
        self._changed = changed
        self._queue = -1
        self._keys: dict[int, tuple[str, Hashable]] = {}
        self._numbers: dict[str, list[int]] = {}

    def add(self, owner: str, key: Hashable, path: str, mask: int) -> bool:
        """False when the machine allows no more watches, or the file has gone. What is watched already may be added
        once more, since another file may be there now: nothing that was about to be told is lost."""
        try:
            if self._queue < 0:
                self._queue = inotify.open_queue()
                self._loop.add_reader(self._queue, self._heard)
            number = inotify.watch(self._queue, path, mask)
        except OSError:
            return False
        self._keys[number] = (owner, key)
        numbers = self._numbers.setdefault(owner, [])
        if number not in numbers:  # the same file has the same number
            numbers.append(number)
        return True

    def drop(self, owner: str) -> None:
        for number in self._numbers.pop(owner, ()):
            inotify.unwatch(self._queue, number)
            self._keys.pop(number, None)

    def close(self) -> None:
        if self._queue >= 0:
            self._loop.remove_reader(self._queue)
            os.close(self._queue)
            self._queue = -1

    def _heard(self) -> None:
        for number, mask, name in inotify.read(self._queue):
            if mask & inotify.OVERFLOW:
                for owner, key in list(self._keys.values()):
                    self._changed(owner, key, "")
            elif number in self._keys and not mask & inotify.IGNORED:
                self._changed(*self._keys[number], name)
