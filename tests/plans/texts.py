"""How a plan is compared with its text."""

from __future__ import annotations

from stackup.model.plan import Plan
from tests.plans.world import lines


def expect(plan: Plan, text: str) -> None:
    """The plan reads exactly like ``text``, and survives JSON."""
    assert plan.text() == lines(text)
    assert Plan.from_dict(plan.to_dict()) == plan
