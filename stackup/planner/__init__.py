"""Decides: ``decide(desired, observed) -> Plan``. Pure: no clock, no I/O, no logging, no prompts.

Called by ``engine`` for every verb, for ``plan`` and for ``--dry-run``; warnings and questions are data in the plan.
Rules for what is recreated follow docker compose (pkg/compose/reconcile.go, hash.go); each carries its reason.
"""

from stackup.planner.decide import decide
from stackup.planner.desired import Answers, Desired, Verb
from stackup.planner.hashing import config_hash, network_config, service_config, volume_config

__all__ = ["Answers", "Desired", "Verb", "config_hash", "decide", "network_config", "service_config", "volume_config"]
