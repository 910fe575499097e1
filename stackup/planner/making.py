"""``build`` and ``pull``: images only."""

from __future__ import annotations

from dataclasses import replace

from stackup.base.errors import PlanRefused
from stackup.model.observed import Observed
from stackup.model.plan import Plan
from stackup.model.stack import Stack
from stackup.planner.desired import Desired
from stackup.planner.draft import Draft
from stackup.planner.images import Images
from stackup.planner.order import graph_of
from stackup.planner.selection import active_services, check_names


def plan_build(desired: Desired, stack: Stack, observed: Observed) -> Plan:
    """Every service with a build section; naming one that has none is refused."""
    services = active_services(desired, stack)
    check_names(desired, services)
    for name in desired.services:
        if services[name].build is None:
            raise PlanRefused(f"cannot build service {name}: it has no build section")
    chosen = [name for name in graph_of(services) if not desired.services or name in desired.services]
    draft = Draft()
    images = Images(draft, replace(desired, build=True), observed, services, chosen)
    for name in chosen:
        if services[name].build is not None:
            images.build(name, "asked for")
    return draft.finish(observed.project)


def plan_pull(desired: Desired, stack: Stack, observed: Observed) -> Plan:
    """Every service that has an image and no build section."""
    services = active_services(desired, stack)
    check_names(desired, services)
    chosen = [name for name in graph_of(services) if not desired.services or name in desired.services]
    draft = Draft()
    images = Images(draft, desired, observed, services, chosen)
    for name in chosen:
        service = services[name]
        if service.build is None and service.provider is None and service.image:
            images.pull(name, "asked for")
    return draft.finish(observed.project)
