"""What holds for every plan: order, convergence, nothing left behind. Random stacks, histories and interruptions."""

from __future__ import annotations

from copy import deepcopy
from dataclasses import replace
from typing import Any

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from stackup.model.observed import Health, Phase
from stackup.model.plan import CreateContainer, Plan, StartContainer
from stackup.model.stack import Stack
from stackup.planner import Answers
from tests.plans.world import World, make_stack, volume

NAMES = ("a", "b", "c", "d", "e")
CONDITIONS = ("service_started", "service_healthy", "service_completed_successfully")
QUICK = settings(max_examples=120, deadline=None, suppress_health_check=[HealthCheck.too_slow])


Raw = tuple[dict[str, dict[str, Any]], dict[str, Any], dict[str, Any]]


@st.composite
def raw_stacks(draw: st.DrawFn) -> Raw:
    """Up to five services; each may need those before it in a random order of the names."""
    names = draw(st.permutations(NAMES[: draw(st.integers(1, len(NAMES)))]))
    services: dict[str, dict[str, Any]] = {}
    for index, name in enumerate(names):
        services[name] = draw(raw_services(names[:index]))
    networks = {key: {"internal": draw(st.booleans())} for key in ("n1", "n2")}
    volumes = {key: {"labels": {"l": draw(st.sampled_from("12"))}} for key in ("v1", "v2")}
    return services, networks, volumes


@st.composite
def raw_services(draw: st.DrawFn, earlier: list[str]) -> dict[str, Any]:
    needed = draw(st.lists(st.sampled_from(earlier), unique=True)) if earlier else []
    item: dict[str, Any] = {
        "image": draw(st.sampled_from(["x", "y"])),
        "environment": {"V": draw(st.sampled_from("12"))},
        "scale": draw(st.sampled_from([0, 1, 1, 1, 2])),
        "depends_on": {
            other: {
                "condition": draw(st.sampled_from(CONDITIONS)),
                "required": draw(st.booleans()),
                "restart": draw(st.booleans()),
            }
            for other in needed
        },
    }
    if earlier and draw(st.integers(0, 3)) == 0:
        item["network_mode"] = f"service:{draw(st.sampled_from(earlier))}"
    else:
        item["networks"] = dict.fromkeys(draw(st.sampled_from([("n1",), ("n2",), ("n1", "n2")])))
        if draw(st.integers(0, 4)) == 0:
            item["networks"] = {key: {"ipv4_address": "10.0.0.5"} for key in item["networks"]}
    if draw(st.booleans()):
        item["volumes"] = [volume(draw(st.sampled_from(["v1", "v2", None])), "/data")]
    if draw(st.booleans()):
        item["ports"] = [{"target": 80, "published": draw(st.sampled_from(["1", "2"]))}]
    return item


def finished(raw: Raw) -> Stack:
    """A namespace has an owner, and only one."""
    services, networks, volumes = deepcopy(raw)
    for item in services.values():
        owner = item.get("network_mode", "").removeprefix("service:")
        if owner:
            services[owner]["scale"] = max(1, services[owner]["scale"])
    return make_stack(services, networks=networks, volumes=volumes)


@st.composite
def edits(draw: st.DrawFn) -> tuple[Stack, Stack]:
    """A stack, and what somebody made of it with a few edits."""
    before = draw(raw_stacks())
    after = services, networks, volumes = deepcopy(before)
    for name, key in draw(st.lists(st.tuples(st.sampled_from(sorted(services)), st.integers(0, 7)), max_size=3)):
        item = services.get(name)
        if item is None:
            continue
        if key == 0:
            item["environment"] = {"V": "3"}
        elif key == 1:
            item["scale"] = draw(st.integers(0, 3))
        elif key == 2:
            networks["n1"]["internal"] ^= True
        elif key == 3:
            volumes["v1"]["labels"] = {"l": "3"}
        elif key == 4:
            item["image"] = "z"
        elif key == 5 and "networks" in item:
            item["networks"] = {"n2": None}
        elif key == 6:
            item["depends_on"] = {}
        elif key == 7 and not any(
            name in (*other["depends_on"], other.get("network_mode", "")[8:]) for other in services.values()
        ):
            del services[name]
    return (finished(before), finished(after)) if services else (finished(before), finished(before))


@st.composite
def stacks(draw: st.DrawFn) -> Stack:
    return finished(draw(raw_stacks()))


PAIRS = st.one_of(edits(), edits(), edits(), st.tuples(stacks(), stacks()))


YES = Answers({"remake volume shop_v1": True, "remake volume shop_v2": True})
OPTIONS = st.fixed_dictionaries(
    {},
    optional={
        "force_recreate": st.booleans(),
        "remove_orphans": st.just(True),
        "answers": st.just(YES),
        "wait": st.booleans(),
        "renew_anonymous_volumes": st.booleans(),
    },
)


def one_shots(stack: Stack) -> set[str]:
    return {
        name
        for service in stack.services.values()
        for name, item in service.depends_on.items()
        if item.condition == "service_completed_successfully"
    }


def cut(plan: Plan, share: float) -> Plan:
    """What was done when somebody pulled the plug."""
    return Plan(plan.project, plan.actions[: int(len(plan.actions) * share)])


def disturb(world: World, data: st.DataObject) -> None:
    for key, item in list(world.containers.items()):
        event = data.draw(st.sampled_from(["", "", "", "exit", "unknown", "unhealthy", "removing"]))
        if event == "exit":
            world.containers[key] = replace(item, phase=Phase.EXITED, exit_code=1, health=Health.NONE)
        elif event == "unknown":
            world.containers[key] = replace(item, phase=Phase.EXITED, exit_code=None, exit_unknown=True)
        elif event == "unhealthy" and item.phase is Phase.RUNNING:
            world.containers[key] = replace(item, health=Health.UNHEALTHY)
        elif event == "removing" and not item.live:
            world.containers[key] = replace(item, phase=Phase.REMOVING)


@QUICK
@given(PAIRS, st.data())
def test_up_converges_whatever_happened_before(pair: tuple[Stack, Stack], data: st.DataObject) -> None:
    """From any earlier stack, cut short anywhere, with any accidents: one ``up`` and there is nothing left to do."""
    before, after = pair
    world = World(ending=one_shots(before)).pull(before).pull(after)
    first = world.plan(before, **data.draw(OPTIONS))
    world.perform(cut(first, data.draw(st.sampled_from([0.0, 0.5, 0.8, 1.0, 1.0, 1.0]))), before)
    disturb(world, data)
    options = {**data.draw(OPTIONS), "remove_orphans": True, "answers": YES}
    chosen = data.draw(st.lists(st.sampled_from(sorted(after.services)), unique=True))
    second = world.plan(after, "up", *chosen, **options)
    world.ending = one_shots(after)
    world.perform(cut(second, data.draw(st.sampled_from([0.0, 0.3, 0.6, 0.9, 1.0]))), after)
    options["force_recreate"] = False
    world.run(after, **options)
    world.change("", health=Health.NONE)
    for service in after.services:
        world.change(service, health=Health.HEALTHY)
    again = world.plan(after, **options)
    assert not again, again.text()
    world.check(after)


@QUICK
@given(PAIRS, OPTIONS)
def test_every_start_comes_after_its_creation(pair: tuple[Stack, Stack], options: dict[str, Any]) -> None:
    before, after = pair
    world = World(ending=one_shots(before)).up(before).pull(after)
    plan = world.plan(after, **{**options, "remove_orphans": True})
    position = {action.id: index for index, action in enumerate(plan)}
    created = {action.name: action.id for action in plan if isinstance(action, CreateContainer)}
    reach: dict[str, set[str]] = {}
    for action in plan:
        reach[action.id] = set(action.after).union(*(reach[other] for other in action.after))
        assert all(position[other] < position[action.id] for other in action.after)
        if isinstance(action, StartContainer) and not action.container_id:
            assert created[action.name] in reach[action.id]


@QUICK
@given(stacks(), st.data())
def test_down_leaves_nothing(stack: Stack, data: st.DataObject) -> None:
    world = World(ending=one_shots(stack)).pull(stack)
    world.perform(cut(world.plan(stack), data.draw(st.floats(0, 1))), stack)
    disturb(world, data)
    world.run(None, "down")
    assert not world.containers
    assert not world.networks
    world.run(None, "down", remove_volumes=True)
    assert not world.volumes


@QUICK
@given(stacks(), st.sampled_from(["stop", "restart", "start", "kill"]), st.data())
def test_running_verbs_are_sound(stack: Stack, verb: str, data: st.DataObject) -> None:
    world = World(ending=one_shots(stack)).up(stack)
    disturb(world, data)
    if not world.containers:
        return
    plan = world.plan(data.draw(st.sampled_from([stack, None])), verb)
    world.perform(plan, stack)
    if verb == "stop":
        assert not any(item.live for item in world.containers.values())


@QUICK
@given(PAIRS, OPTIONS)
def test_plans_survive_json_and_are_deterministic(pair: tuple[Stack, Stack], options: dict[str, Any]) -> None:
    before, after = pair
    world = World(ending=one_shots(before)).up(before).pull(after)
    plan = world.plan(after, **options, **({} if "remove_orphans" in options else {"remove_orphans": True}))
    assert Plan.from_dict(plan.to_dict()) == plan
    assert world.plan(after, **{**options, "remove_orphans": True}) == plan
