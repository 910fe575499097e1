"""The one entry: a verb to its rules."""

from __future__ import annotations

from stackup.base.errors import Bug
from stackup.model.observed import Observed
from stackup.model.plan import Plan
from stackup.planner.desired import Desired, Verb
from stackup.planner.down import plan_down, plan_remove
from stackup.planner.making import plan_build, plan_pull
from stackup.planner.running import plan_kill, plan_pause, plan_restart, plan_start, plan_stop
from stackup.planner.up import plan_up

_RECORDED = {
    Verb.DOWN: plan_down,
    Verb.REMOVE: plan_remove,
    Verb.START: plan_start,
    Verb.STOP: plan_stop,
    Verb.RESTART: plan_restart,
    Verb.KILL: plan_kill,
    Verb.PAUSE: plan_pause,
    Verb.UNPAUSE: plan_pause,
}
_FROM_FILE = {Verb.UP: plan_up, Verb.CREATE: plan_up, Verb.BUILD: plan_build, Verb.PULL: plan_pull}


def decide(desired: Desired, observed: Observed) -> Plan:
    """What has to be done so that ``observed`` becomes what ``desired`` asks for; nothing to do is an empty plan.

    Equal inputs give equal plans. Raises UsageError (a service that does not exist) and PlanRefused (an external
    network that is missing, an image that may not be fetched ...).
    """
    if desired.verb in _RECORDED:
        return _RECORDED[desired.verb](desired, observed)
    if desired.stack is None:
        raise Bug(f"cannot plan {desired.verb}: it needs a stack file")
    return _FROM_FILE[desired.verb](desired, desired.stack, observed)
