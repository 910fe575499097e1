"""The end of a container: its files, its places in networks, its groups and volumes go, and its record last."""

from __future__ import annotations

import asyncio
import os
import shutil
from collections.abc import Sequence

from stackup.engine.container import Container
from stackup.engine.stopping import Stopper
from stackup.engine.tasks import done, to_the_end
from stackup.runtime.cgroups import remove_cgroups


class Remover(Stopper):
    """Part of ``runner``."""

    async def remove(self, container: Container, *, volumes: bool = False) -> None:
        """Removes a container and everything that only it used. It is stopped first where it still runs."""
        for step in self._world.steps_of(container):
            await self.remove(step, volumes=True)
        await self.stop(container, 0 if container.alive else None)
        async with container.lock:
            container.removing()
            await to_the_end(self._cleanup(container, volumes=volumes))

    async def _cleanup(self, container: Container, *, volumes: bool) -> None:
        world = self._world
        await done(container.tidying)
        for writer in container.writers:
            writer.close()
        container.writers.clear()
        await world.desk.release(container)
        paths = world.container_paths(container.id)
        await asyncio.to_thread(_remove_files, [paths.run, paths.state])
        remove_cgroups(container.definition.cgroup)
        if volumes:
            parent = world.containers.get(container.definition.parent)
            shared = parent.definition.anonymous_volumes if parent else ()
            for name in set(container.definition.anonymous_volumes).difference(shared):
                await asyncio.to_thread(world.volumes.remove, name)
        world.containers.pop(container.id, None)
        container.removed()


def _remove_files(paths: Sequence[os.PathLike[str]]) -> None:
    for path in paths:
        shutil.rmtree(path, ignore_errors=False, onerror=_ignore_missing)


def _ignore_missing(_function: object, _path: object, info: tuple[object, BaseException, object]) -> None:
    if not isinstance(info[1], FileNotFoundError):
        raise info[1]
