"""Health rules: Docker's numbers, with early probes that can only turn a container healthy."""

from __future__ import annotations

from stackup.engine.health import HealthState, after_probe, first_state, is_early, resumed_state
from stackup.engine.supervision import HealthCheck

CHECK = HealthCheck(("true",), interval=30, retries=3)


def test_first_regular_probe_comes_after_one_interval_and_an_early_one_at_once() -> None:
    state = first_state(CHECK)
    assert state.next_regular == 30
    assert state.next_probe < 0.1


def test_an_early_success_turns_healthy_and_ends_early_probes() -> None:
    state = after_probe(CHECK, first_state(CHECK), ok=True, age=0.05, early=True)
    assert (state.status, state.next_early, state.next_probe) == ("healthy", None, 30.05)


def test_early_failures_never_count() -> None:
    state = first_state(CHECK)
    age = 0.0
    while state.next_probe < 30:
        age = state.next_probe
        assert is_early(state, age)
        state = after_probe(CHECK, state, ok=False, age=age, early=True)
    assert (state.status, state.failures) == ("starting", 0)
    assert age > 28, "early probes go on, at most a second apart, until the regular one"


def test_unhealthy_never_earlier_than_docker_would() -> None:
    state: HealthState = first_state(CHECK)
    ages = []
    while state.status == "starting":
        age = state.next_regular
        ages.append(age)
        state = after_probe(CHECK, state, ok=False, age=age, early=False)
    assert ages == [30, 60, 90]
    assert state.status == "unhealthy"


def test_failures_in_the_start_period_do_not_count() -> None:
    check = HealthCheck(("true",), interval=10, retries=1, start_period=25, start_interval=2)
    state = after_probe(check, first_state(check), ok=False, age=2, early=False)
    assert (state.status, state.next_regular) == ("starting", 4)
    state = after_probe(check, state, ok=False, age=26, early=False)
    assert state.status == "unhealthy"


def test_one_success_heals_and_resets_the_count() -> None:
    sick = HealthState("unhealthy", 3, 90, None)
    assert after_probe(CHECK, sick, ok=True, age=90, early=False) == HealthState("healthy", 0, 120, None)


def test_a_healthy_container_needs_all_retries_to_become_unhealthy() -> None:
    state = HealthState("healthy", 0, 30, None)
    seen = []
    for age in (30, 60, 90):
        state = after_probe(CHECK, state, ok=False, age=age, early=False)
        seen.append(state.status)
    assert seen == ["healthy", "healthy", "unhealthy"]


def test_a_new_supervisor_keeps_the_verdict_and_probes_at_once() -> None:
    assert resumed_state(CHECK, "healthy", 100.0).next_probe == 100.0
    assert resumed_state(CHECK, "unhealthy", 100.0).status == "unhealthy"
