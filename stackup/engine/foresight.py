"""The plan as an event: made where the project's supervisor runs, or from what is on disk where none does.

Nothing is written, started or made here: not a file, not a process, not a link.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Iterable, Mapping
from dataclasses import replace
from typing import Any

from stackup.base.errors import StackFileError, StackupError
from stackup.base.paths import Layout
from stackup.base.values import changed
from stackup.engine.damage import damage
from stackup.engine.images_desk import marks_of
from stackup.engine.loading import LoadedStack
from stackup.engine.observe import observe
from stackup.engine.preflight import MAKING, beside, foresee
from stackup.engine.records import ContainerRecord
from stackup.engine.scoping import of_project, whole_project, without_file
from stackup.engine.status import offline_row, open_records, unreadable, unrecorded, unrecorded_text
from stackup.engine.wishes import desired_of, needs_stack, with_named_services
from stackup.images.store import ImageStore
from stackup.model.observed import Observed
from stackup.model.plan import Plan
from stackup.model.stack import Stack
from stackup.network.leases import Books
from stackup.network.standalone import StandaloneRecords
from stackup.planner import Desired, Verb, decide
from stackup.planner.fingerprint import fingerprint
from stackup.stackfile import LoadRequest, load
from stackup.volumes.store import VolumeStore

Args = Mapping[str, Any]


def saved_form(desired: Desired, observed: Observed, plan: Plan, request: Args) -> dict[str, Any]:
    """The plan with all that ``apply`` needs to know that it still holds, and to carry it out."""
    return {**plan.to_dict(), "fingerprint": fingerprint(desired, observed, plan), "request": dict(request)}


def plan_offline(
    layout: Layout, project: str, verb: Verb, args: Args, request: LoadRequest, where: Args
) -> dict[str, Any]:
    """The plan of a project whose supervisor does not run. ``where``: what the stack file was asked for with.

    Raises StackupError.
    """
    images = ImageStore(layout)
    try:
        loaded = _load(project, request) if needs_stack(verb) else None
    except StackFileError as error:
        raise beside(error, images.resolve) if verb in MAKING else error from None
    stack = with_named_services(loaded.stack, args.get("services") or ()) if loaded else None
    told: tuple[str, ...] = ()
    if verb is Verb.DOWN and not whole_project(where["files"], args):
        try:
            stack = of_project(load(changed(request, run=False)).stack, project)
        except StackFileError as error:
            told = (without_file(error, look_offline(layout, project, None)),)
    if loaded and stack and verb in MAKING:
        foresee(replace(loaded, stack=stack), images.resolve)
    if args.get("rollback") and stack is not None:
        desired = _back(layout, project, stack, args)
    else:
        desired = desired_of(verb, stack, args)
    observed = look_offline(layout, project, None if verb is Verb.DOWN else desired.stack)
    try:
        plan = decide(desired, observed)
    except StackupError as error:
        if loaded and error.about and error.where is None:
            loaded.point(error, error.about)
        raise
    event = saved_form(desired, observed, plan, where)
    strangers = unrecorded(layout, project, (item.id for item in observed.containers))
    if strangers:
        told = (*told, f"{unrecorded_text(strangers)}; what is carried out ends them first")
    event["notices"] = [*(loaded.warnings if loaded else ()), *told, *event["notices"]]
    return event


def _back(layout: Layout, project: str, stack: Stack, args: Args) -> Desired:
    from stackup.engine.rolling import desired_back

    images = ImageStore(layout)

    def image_id(reference: str) -> str | None:
        image = images.resolve(reference)
        return image.id if image else None

    found, _ = _recorded(layout, project)
    present = [item.definition for item in found if not item.definition.parent]
    records = open_records(layout, project)
    if records is None:
        return desired_back(stack, args, meta=lambda _key: None, image_id=image_id, present=present)
    try:
        return desired_back(stack, args, meta=records.meta, image_id=image_id, present=present)
    finally:
        records.close()


def _load(project: str, request: LoadRequest) -> LoadedStack:
    loaded = load(request)
    of_project(loaded.stack, project)
    return LoadedStack(loaded.stack, tuple(str(item) for item in loaded.warnings), loaded.environment, loaded)


def look_offline(layout: Layout, project: str, stack: Stack | None) -> Observed:
    """What is, from the records alone; a process counts as running only when it is there."""
    images, volumes, books = ImageStore(layout), VolumeStore(layout), Books(layout.leases)
    standalones = StandaloneRecords(layout)
    records, networks = _recorded(layout, project)

    def image_id(reference: str) -> str | None:
        image = images.resolve(reference)
        return image.id if image else None

    def external_network(name: str) -> str | None:
        found = books.find(name)
        return found.id if found else standalones.id_of(name)

    return observe(
        project,
        records,
        networks,
        volumes.list(project),
        stack=stack,
        image_id=image_id,
        external_network=external_network,
        any_volume=volumes.get,
        image_marks=lambda reference: marks_of(images.resolve(reference)),
        damage=lambda definition: damage(layout, layout.project(project).container(definition.id), definition),
    )


def _recorded(layout: Layout, project: str) -> tuple[Iterable[ContainerRecord], dict[str, dict[str, Any]]]:
    paths = layout.project(project)
    records = open_records(layout, project)
    if records is None:
        return (), {}
    try:
        settle: Callable[[ContainerRecord], ContainerRecord] = lambda item: _as_it_is(  # noqa: E731
            item, offline_row(item, paths.container(item.definition.id).exit_file)
        )
        return [settle(item) for item in records.containers()], records.networks()
    except (sqlite3.DatabaseError, ValueError, KeyError, TypeError) as error:
        raise unreadable(layout, project, error) from error
    finally:
        records.close()


def _as_it_is(record: ContainerRecord, row: dict[str, Any]) -> ContainerRecord:
    names = ("phase", "exit_code", "exit_unknown", "oom_killed", "health")
    return ContainerRecord(record.definition, changed(record.state, **{name: row[name] for name in names}))
