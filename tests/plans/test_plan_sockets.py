"""A mount of an engine's socket is a question of the plan, as long as a container with it is to be made."""

from __future__ import annotations

from typing import Any

from stackup.model.stack import Stack
from stackup.planner import Answers
from tests.plans.texts import expect
from tests.plans.world import World, make_stack

SOCKET = {"type": "bind", "source": "/var/run/docker.sock", "target": "/var/run/docker.sock"}


def stack(**top: Any) -> Stack:
    return make_stack({"agent": {"volumes": [SOCKET]}, "web": {}}, **top)


def test_it_is_asked_for_before_the_container_is_made() -> None:
    plan = World().plan(stack())
    (question,) = plan.questions
    assert question.id == "give /var/run/docker.sock to agent" and not question.default
    assert question.about == "services.agent.volumes.0"
    assert "--yes" in question.hint and "x-stackup: {allow: [docker.sock]}" in question.hint
    assert "  ? service agent mounts /var/run/docker.sock" in plan.text()
    assert type(plan).from_dict(plan.to_dict()) == plan


def test_not_when_it_is_allowed_or_answered_or_there_already() -> None:
    assert not World().plan(stack(stackup={"allow": ["docker.sock"]})).questions
    answered = World().plan(stack(), answers=Answers({"give /var/run/docker.sock to agent": True}))
    assert answered and not answered.questions
    world = World().up(stack(stackup={"allow": ["docker.sock"]}))
    expect(world.plan(stack()), "shop: nothing to do")
