"""Restart rules: moby's numbers, decided without a clock."""

from __future__ import annotations

import json

import pytest

from stackup.engine.supervision import (
    HealthCheck,
    Hook,
    OutsideProbe,
    RestartPolicy,
    RestartState,
    Supervision,
    crash_text,
    decide_restart,
    restart_sick,
    sick_text,
)


def decide(
    policy: RestartPolicy, code: int | None, *, state: RestartState | None = None, ran: float = 1.0, user: bool = False
):
    return decide_restart(policy, state or RestartState(), exit_code=code, ran_for=ran, stopped_by_user=user)


@pytest.mark.parametrize(
    ("condition", "code", "restarts"),
    [
        ("no", 1, False),
        ("always", 0, True),
        ("unless-stopped", 0, True),
        ("on-failure", 0, False),
        ("on-failure", 3, True),
        ("on-failure", None, True),  # nobody saw the exit: not a success
    ],
)
def test_condition(condition: str, code: int | None, restarts: bool) -> None:
    assert decide(RestartPolicy(condition), code).restart is restarts


def test_a_stop_by_the_user_beats_every_policy() -> None:
    assert not decide(RestartPolicy("always"), 1, user=True).restart


def test_delay_doubles_from_100_ms_to_a_minute_and_starts_anew_after_a_long_run() -> None:
    policy, state, delays = RestartPolicy("always"), RestartState(), []
    for _ in range(12):
        decision = decide(policy, 1, state=state)
        state = decision.state
        delays.append(decision.delay)
    assert delays[:4] == [0.1, 0.2, 0.4, 0.8]
    assert delays[-1] == 60.0
    assert decide(policy, 1, state=state, ran=10.0).delay == 0.1


def test_on_failure_gives_up_after_its_attempts() -> None:
    policy, state = RestartPolicy("on-failure", max_attempts=2), RestartState()
    outcomes = []
    for _ in range(3):
        decision = decide(policy, 1, state=state)
        state = decision.state
        outcomes.append(decision.restart)
    assert outcomes == [True, True, False]


def test_supervision_survives_its_record() -> None:
    hook = Hook(("sh", "-c", "x"), "root", "/tmp", ("A=1",), privileged=True)
    restart = RestartPolicy("on-failure", 3, success_codes=(0, 7))
    health = HealthCheck((), outside=OutsideProbe("http", 80, "/", status=(200, 204), headers={"A": "b"}))
    supervision = Supervision(restart=restart, stop_signal="SIGQUIT", post_start=(hook,), health=health)
    assert Supervision.from_dict(json.loads(json.dumps(supervision.to_dict()))) == supervision


def test_a_record_from_before_there_were_hooks() -> None:
    old = {key: value for key, value in Supervision().to_dict().items() if key not in ("post_start", "pre_stop")}
    assert Supervision.from_dict(old) == Supervision()


def test_a_crash_loop_is_said_from_the_third_restart_on() -> None:
    policy, state, texts = RestartPolicy("on-failure", max_attempts=4), RestartState(), []
    for _ in range(5):
        decision = decide(policy, 1, state=state)
        state = decision.state
        texts.append(crash_text(decision, "exited with code 1", "no such table"))
    assert texts == [
        "",
        "",
        "crash loop: it exited with code 1, restart 3 in 0.4 s; last output: no such table",
        "crash loop: it exited with code 1, restart 4 in 0.8 s; last output: no such table",
        "gave up after 4 restarts: it exited with code 1; last output: no such table",
    ]


def test_what_ends_as_it_should_is_no_crash() -> None:
    assert not crash_text(decide(RestartPolicy("no"), 1), "exited with code 1", "x")
    assert not crash_text(decide(RestartPolicy("on-failure"), 0, state=RestartState(7, 1.0)), "exited", "x")
    assert len(crash_text(decide(RestartPolicy("always"), 1, state=RestartState(7, 1.0)), "exited", "x" * 999)) < 300


def test_one_that_is_sick_again_and_again_is_restarted_ever_later() -> None:
    policy, state, delays = RestartPolicy("no", delay=1.0, max_delay=5.0), RestartState(), []
    for _ in range(6):
        decision = restart_sick(policy, state, well_for=0.5)
        assert decision.restart
        state = decision.state
        delays.append(decision.delay)
    assert delays == [0.0, 1.0, 2.0, 4.0, 5.0, 5.0]
    assert crash_text(decision, sick_text("trying\nno\n"), "") == (
        "crash loop: it was unhealthy (its last probe said: no), restart 6 in 5 s"
    )
    assert restart_sick(policy, state, well_for=10.0).state == RestartState(1, 0.0)
    assert sick_text("") == "was unhealthy"
