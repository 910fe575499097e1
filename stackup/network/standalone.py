"""Networks that belong to no stack: made by ``stackup network create``, used with ``external: true``.

The record below ``Layout.networks`` is the network; bridge and firewall follow from it. They are made at once, and
again by the next user where they are gone: after a reboot, or when a command was killed between the two. Each has an
owner's name of its own, as a project has one; the dot keeps it apart from every project.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from stackup.base.clock import now_ns, rfc3339
from stackup.base.errors import HostUnfit, PlanRefused, UsageError
from stackup.base.files import locked, write_atomic
from stackup.base.paths import Layout
from stackup.base.values import as_mapping, changed, frozen
from stackup.network.types import NetworkState

if TYPE_CHECKING:
    from stackup.model.resources import Network
    from stackup.network.manager import NetworkManager

OWNER_PREFIX = "network."
KEY = "network"
_NAME = re.compile(r"[a-zA-Z0-9][a-zA-Z0-9_.-]*\Z")
_SUFFIX = ".json"


def owner_of(name: str) -> str:
    return f"{OWNER_PREFIX}{name}"


@frozen
class Standalone:
    """``config`` is a ``model.Network`` as JSON. ``state`` is how it was made last; None before the first time."""

    name: str
    created: str
    config: dict[str, Any]
    state: dict[str, Any] | None = None

    @property
    def labels(self) -> Mapping[str, str]:
        found: Mapping[str, str] = self.config.get("labels", {})
        return found


class StandaloneRecords:
    """Their records alone: quick to read, nothing of the kernel."""

    def __init__(self, layout: Layout) -> None:
        self._directory = layout.networks

    def get(self, name: str) -> Standalone | None:
        """Raises HostUnfit for a record that cannot be read."""
        path = self._path(name)
        try:
            data = json.loads(path.read_bytes())
            return Standalone(data["name"], data["created"], data["config"], data.get("state"))
        except FileNotFoundError:
            return None
        except (ValueError, KeyError, TypeError) as error:
            raise HostUnfit(
                f"cannot read the record of network {name}: {path}: {error!r}", hint=f"delete that file: rm {path}"
            ) from error

    def id_of(self, name: str) -> str | None:
        """Empty while it has never been made; None when there is no such network."""
        found = self.get(name) if _NAME.match(name) else None
        return (found.state or {}).get("id", "") if found else None

    def names(self) -> tuple[str, ...]:
        if not self._directory.is_dir():
            return ()
        return tuple(sorted(path.name.removesuffix(_SUFFIX) for path in self._directory.glob(f"*{_SUFFIX}")))

    def list(self) -> tuple[Standalone, ...]:
        return tuple(record for name in self.names() if (record := self.get(name)))

    def put(self, record: Standalone) -> None:
        self._directory.mkdir(parents=True, exist_ok=True)
        write_atomic(self._path(record.name), json.dumps(as_mapping(record), indent=1), durable=True)

    def drop(self, name: str) -> None:
        self._path(name).unlink(missing_ok=True)

    @contextmanager
    def locked(self) -> Iterator[None]:
        """One change at a time. Taken before the host's lock, never inside it."""
        with locked(self._directory / ".lock"):
            yield

    def _path(self, name: str) -> Path:
        return self._directory / f"{name}{_SUFFIX}"


class Standalones:
    """Makes, keeps and removes them. Synchronous; safe among processes."""

    def __init__(self, layout: Layout) -> None:
        self.records = StandaloneRecords(layout)
        self._layout = layout
        self._managers: dict[str, NetworkManager] = {}

    def create(self, network: Network) -> Standalone:
        """Raises UsageError (no name for a network), PlanRefused (it exists), and what ``NetworkManager.create`` does;
        then nothing is left of it."""
        name = network.name
        if not _NAME.match(name) or len(name) > 200:
            raise UsageError(
                f"cannot create network {name!r}: only letters, digits and _ . - are allowed, a letter or digit first"
            )
        with self.records.locked():
            holder = self._manager(name).find(name)
            if self.records.get(name) or holder:
                whose = f" of project {holder.owner}" if holder and not holder.owner.startswith(OWNER_PREFIX) else ""
                raise PlanRefused(f"cannot create network {name}: a network{whose} of that name exists already")
            self._manager(name).purge()  # what a deleted state directory left of one of the same name
            record = Standalone(name, rfc3339(now_ns()), network.model_dump(mode="json", exclude_defaults=True))
            self.records.put(record)
            try:
                return self._made(record)
            except BaseException:
                self._manager(name).purge()
                self.records.drop(name)
                raise

    def ensure(self, name: str) -> NetworkState | None:
        """The network as it is now, made again where it was gone. None when no record is of that name."""
        if self.records.id_of(name) is None:
            return None
        with self.records.locked():
            record = self.records.get(name)
            return NetworkState.from_dict(self._made(record).state or {}) if record else None

    def remove(self, name: str) -> None:
        """With all that belonged to it. The caller knows that nobody uses it."""
        with self.records.locked():
            self._manager(name).purge()
            self.records.drop(name)
            self._managers.pop(name, None)

    def verify(self, name: str) -> list[str]:
        """Puts back what others flushed of a network that was ensured; answers what was missing, in words."""
        return self._managers[name].verify() if name in self._managers else []

    def _made(self, record: Standalone) -> Standalone:
        manager = self._manager(record.name)
        if record.state is None:
            from stackup.model.resources import Network  # only for the first time

            manager.purge()
            state = manager.create(KEY, Network.model_validate(record.config))
        else:
            state = NetworkState.from_dict(record.state)
            if manager.stands(state):
                manager.verify()
            else:
                (state,) = manager.recover([state])
        made = changed(record, state=state.to_dict())
        if made != record:
            self.records.put(made)
        return made

    def _manager(self, name: str) -> NetworkManager:
        if name not in self._managers:
            from stackup.network.manager import NetworkManager  # commands that only list do without

            self._managers[name] = NetworkManager(self._layout, owner_of(name))
        return self._managers[name]
