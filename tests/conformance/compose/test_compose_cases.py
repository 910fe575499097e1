"""Stack files of other projects with the answers that docker compose 2.40.3 gave for them.

The files are other people's data and stay outside of this repository. STACKUP_COMPOSE_CASES names the directory that
holds ``compose-cases.jsonl`` and ``stacks.jsonl``; by default it is looked for beside the repository.
"""

from __future__ import annotations

import os
from collections import Counter
from pathlib import Path

import pytest
from compose_cases import CASE_FILES, cases, judge

ROOT = Path(__file__).parents[3]
DIRECTORY = Path(os.environ.get("STACKUP_COMPOSE_CASES", ROOT.parent / "shared" / "cases"))
ACCEPTED_EQUAL = 0.99
REFUSED = 0.97


def known_differences() -> set[str]:
    """``differences.txt``: one case a line, with the reason why it differs on purpose."""
    text = Path(__file__).with_name("differences.txt").read_text(encoding="utf-8")
    return {line.split(":")[0] for line in text.splitlines() if line and not line.startswith("#")}


@pytest.mark.skipif(
    not all((DIRECTORY / name).exists() for name in CASE_FILES),
    reason=f"NO COMPOSE CASES in {DIRECTORY}: conformance with docker compose is NOT checked",
)
def test_answers_equal_those_of_docker_compose(capsys: pytest.CaptureFixture[str]) -> None:
    verdicts: Counter[str] = Counter()
    unexpected = []
    known = known_differences()
    for file, case in cases(DIRECTORY):
        for outcome in judge(case):
            verdicts[outcome.verdict] += 1
            name = f"{file}#{outcome.case}"
            if outcome.verdict not in ("equal", "refused") and name not in known:
                unexpected.append(f"{name} {outcome.verdict}: {outcome.detail}")
    accepted = verdicts["equal"] + verdicts["different"] + verdicts["wrongly-refused"]
    refused = sum(verdicts[name] for name in ("refused", "refused-otherwise", "wrongly-accepted"))
    equal_rate, refused_rate = verdicts["equal"] / accepted, verdicts["refused"] / refused
    with capsys.disabled():
        print(
            f"\ncompose cases: {verdicts['equal']} of {accepted} accepted ones equal ({equal_rate:.1%}), "
            f"{verdicts['refused']} of {refused} refusals refused, naming the same ({refused_rate:.1%})"
        )
    assert not unexpected, "\n".join(unexpected[:20])
    assert verdicts["crashed"] == 0
    assert equal_rate >= ACCEPTED_EQUAL
    assert refused_rate >= REFUSED
