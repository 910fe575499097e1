"""Stack files of other projects with the answers that docker compose 2.40.3 gave for them.

The files are other people's data and stay outside of this repository. STACKUP_COMPOSE_CASES names the directory that
holds ``compose-cases.jsonl`` and ``stacks.jsonl``; by default it is looked for beside the repository.
"""

from __future__ import annotations

import json
import os
from collections import Counter
from pathlib import Path

import pytest
from compose_cases import CASE_FILES, cases, compared, judge, written

from stackup.cli import quick

ROOT = Path(__file__).parents[3]
DIRECTORY = Path(os.environ.get("STACKUP_COMPOSE_CASES", ROOT.parent / "shared" / "cases"))
ACCEPTED_EQUAL = 0.99
REFUSED = 0.97


def known_differences() -> set[str]:
    """``differences.txt``: one case a line, with the reason why it differs on purpose."""
    text = Path(__file__).with_name("differences.txt").read_text(encoding="utf-8")
    return {line.split(":")[0] for line in text.splitlines() if line and not line.startswith("#")}


needs_cases = pytest.mark.skipif(
    not all((DIRECTORY / name).exists() for name in CASE_FILES),
    reason=f"NO COMPOSE CASES in {DIRECTORY}: conformance with docker compose is NOT checked",
)


@needs_cases
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


EVERY = 5  # of the cases go through the command, too: some hundred


@needs_cases
def test_the_command_prints_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """What a user types, from the words of the command line to what is printed; the loader alone is judged above."""
    known, wrong, ran = known_differences(), [], 0
    variables = dict(os.environ)
    for number, (file, case) in enumerate(cases(DIRECTORY)):
        if number % EVERY or f"{file}#{case['id']}" in known:
            continue
        scratch = tmp_path / str(number)
        scratch.mkdir()
        root = written(case, scratch)
        with monkeypatch.context() as patch:
            for name in variables:
                patch.delenv(name, raising=False)
            given = {"PATH": variables["PATH"], "HOME": "/home/u", "STACKUP_ROOT": str(scratch / "root")}
            for name, value in (given | case["env"]).items():
                patch.setenv(name, value)
            patch.chdir(root)
            words = [word for name in case["args"] for word in ("-f", name)]
            words += [word for name in case.get("profiles") or () for word in ("--profile", name)]
            code = quick.main([*words, "config", "--format", "json"])
        printed, told = capsys.readouterr()
        ran += 1
        if not case["expect"]["accept"]:
            refused = code and json.loads(told.splitlines()[-1])["errors"][0]["message"]
            wrong += [] if refused else [f"{file}#{case['id']} is accepted"]
        elif code:
            wrong.append(f"{file}#{case['id']} is refused: {told[:300]}")
        else:
            wrong += [f"{file}#{case['id']} {line}" for line in compared(printed, root, case["expect"])]
    assert ran > 90
    assert not wrong, "\n".join(wrong[:20])
