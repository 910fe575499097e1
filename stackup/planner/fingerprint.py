"""What a saved plan was made for. It may be applied while that is the same and the same plan would be made."""

from __future__ import annotations

import hashlib
import json
from typing import Any

from stackup.model.observed import Observed
from stackup.model.plan import Action, Plan
from stackup.planner.desired import Desired

STACK, IMAGES, PLAN = "stack", "images", "plan"


def fingerprint(desired: Desired, observed: Observed, plan: Plan) -> dict[str, str]:
    """Digests: of the stack file with its variables resolved, of the images that it names, of the plan's actions."""
    stack = desired.stack.model_dump_json() if desired.stack else ""
    images = json.dumps(sorted((name, found or "") for name, found in observed.images.items()))
    actions = json.dumps([action.to_dict() for action in plan.actions], sort_keys=True)
    return {STACK: _digest(stack), IMAGES: _digest(images), PLAN: _digest(actions)}


def what_moved(saved: Plan, marks: dict[str, Any], now: Plan, found: dict[str, str]) -> str:
    """Why ``saved``, made with the fingerprint ``marks``, is not to be applied any more; "" when it may be."""
    if marks.get(STACK) != found[STACK]:
        return "the stack file, or a variable in it, has changed since it was made"
    if marks.get(IMAGES) != found[IMAGES]:
        return "an image has changed since it was made"
    if marks.get(PLAN) != _digest(json.dumps([action.to_dict() for action in saved.actions], sort_keys=True)):
        return "somebody has edited it"
    if marks.get(PLAN) == found[PLAN]:
        return ""
    return f"things have changed since it was made{_difference(saved, now)}"


def _difference(saved: Plan, now: Plan) -> str:
    """The first step that only one of the two has."""
    before, after = set(map(_step, saved)), set(map(_step, now))
    for action in saved:
        if _step(action) not in after:
            return f": there is no reason any more to {action.describe()} ({action.reason})"
    for action in now:
        if _step(action) not in before:
            return f": it would take also to {action.describe()} ({action.reason})"
    return ""


def _step(action: Action) -> tuple[object, ...]:
    return action.id, action.reason, action.changes, getattr(action, "container_id", "")


def _digest(text: str) -> str:
    return hashlib.sha256(text.encode("utf-8", "surrogateescape")).hexdigest()
