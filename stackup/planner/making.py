"""``build`` and ``pull``: images only."""

from __future__ import annotations

from dataclasses import replace

from stackup.base.errors import PlanRefused
from stackup.model.observed import Observed
from stackup.model.plan import Plan
from stackup.model.stack import Stack
from stackup.oci.reference import is_host
from stackup.planner.desired import Desired
from stackup.planner.draft import Draft
from stackup.planner.images import NOT_PULLED, Images
from stackup.planner.order import graph_of
from stackup.planner.selection import active_services, check_names, selected


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
    """Every service that names an image, unless its policy, or that of the command line, is against it.

    An image that could be built as well need not be there (docker compose says then how to build it).
    """
    services = active_services(desired, stack)
    check_names(desired, services)
    graph = graph_of(services)
    chosen = selected(desired, graph, services)
    draft = Draft()
    images = Images(draft, desired, observed, services, [name for name in graph if name in chosen])
    for name in graph:
        service = services[name]
        if name not in chosen or service.provider is not None or not service.image or is_host(service.image):
            continue
        policy = desired.pull or service.pull_policy or ""
        buildable = service.build is not None
        if policy in NOT_PULLED:
            draft.notice(f"{name}: image {service.image} is not pulled, because pull_policy is {policy}")
            continue
        if buildable and desired.ignore_buildable:
            continue
        if policy == "missing" and not images.absent(name):
            continue
        images.pull(name, "asked for", required=not buildable)
    return draft.finish(observed.project)
