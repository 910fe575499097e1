"""The last door: exit codes, root, and what becomes of errors that nobody expected."""

from __future__ import annotations

import errno
import json
import os
import sys
from pathlib import Path
from typing import Any

import pytest
from cli_support import DONE, Event, Link, err, log, out, plan, session, supervisor

from stackup.base.errors import HostUnfit, StackFileError, UsageError
from stackup.base.paths import Layout
from stackup.cli import execute, quick
from stackup.cli.globals import Globals
from stackup.cli.registry import Verb, load
from stackup.cli.verbs import up


def ending_with(error: BaseException | None, *, needs_root: bool = False) -> Verb:
    def run(of: Any, request: Any) -> int:
        if error is not None:
            raise error
        return 7

    return load("version")._replace(run=run, needs_root=needs_root)


def code_of(verb: Verb) -> int:
    return execute.execute(Globals(), verb, verb.request())


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (None, 7),
        (StackFileError("x"), 1),
        (UsageError("x"), 64),
        (HostUnfit("x"), 1),
        (KeyboardInterrupt(), 130),
        (ValueError("x"), 70),
        (OSError(errno.EBADF, "closed"), 70),
    ],
)
def test_exit_codes(error: BaseException | None, code: int) -> None:
    assert code_of(ending_with(error)) == code


def test_a_bug_asks_for_a_report(capsys: pytest.CaptureFixture[str]) -> None:
    code_of(ending_with(ZeroDivisionError("division by zero")))
    text = capsys.readouterr().err
    assert "Traceback" in text
    assert "bug: ZeroDivisionError: division by zero\n" in text
    assert "please report it" in text


@pytest.mark.parametrize(("error", "code"), [(BrokenPipeError(), 141), (OSError(errno.EIO, "hung up"), 129)])
def test_nobody_reads_any_more(error: OSError, code: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(execute, "_forget_output", lambda *streams: None)
    assert code_of(ending_with(error)) == code


def test_output_that_finds_no_room_is_no_bug(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(execute, "_forget_output", lambda *streams: None)
    assert code_of(ending_with(OSError(errno.ENOSPC, "No space left on device"))) == 1
    assert "cannot write: No space left on device" in capsys.readouterr().err


def test_without_root_the_exact_command_is_printed(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(os, "geteuid", lambda: 1000)
    monkeypatch.setattr(sys, "argv", ["/no/such/stackup", "-f", "my file.yaml", "up", "-d"])
    for name in [name for name in os.environ if name.startswith(("COMPOSE_", "STACKUP_"))]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("STACKUP_ROOT", "/tmp/x y")
    assert code_of(ending_with(None, needs_root=True)) == 1
    assert capsys.readouterr().err == (
        "error: cannot run stackup version as an ordinary user: namespaces, networks and mounts need root\n"
        "  hint: run: sudo 'STACKUP_ROOT=/tmp/x y' stackup -f 'my file.yaml' up -d\n"
    )
    monkeypatch.setattr(sys, "argv", ["/tree/stackup/__main__.py", "up"])
    monkeypatch.setenv("PYTHONPATH", "/tree")
    monkeypatch.delenv("STACKUP_ROOT")
    assert code_of(ending_with(None, needs_root=True)) == 1
    assert f"run: sudo PYTHONPATH=/tree {sys.executable} -m stackup up\n" in capsys.readouterr().err


def test_only_some_verbs_need_root() -> None:
    free = {name for name in ("version", "config", "ps", "up", "plan", "import") if not load(name).needs_root}
    assert free == {"version", "config"}


def test_under_sudo_home_is_the_callers(monkeypatch: pytest.MonkeyPatch) -> None:
    import pwd

    monkeypatch.setenv("HOME", "/root")
    monkeypatch.setenv("SUDO_UID", str(pwd.getpwnam("nobody").pw_uid))
    execute.caller_home()
    assert os.environ["HOME"] == pwd.getpwnam("nobody").pw_dir


def test_config_end_to_end(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("STACKUP_ROOT", str(tmp_path / "root"))
    (tmp_path / "compose.yaml").write_text(
        "name: shop\nservices:\n  web:\n    image: nginx\n    depends_on: [db]\n  db:\n    image: redis\n"
        "    volumes: ['data:/d']\n    labels: {octal: '0o17'}\n  job:\n    build: .\nvolumes: {data: {}}\n"
    )

    def config(*argv: str) -> str:
        assert quick.main(["config", *argv]) == 0
        return capsys.readouterr().out

    assert config("--services").split() == ["db", "job", "web"]
    assert config("--services", "web").split() == ["db", "web"]
    assert config("--images").split() == ["nginx", "redis", "shop-job"]
    assert config("--volumes", "job") == ""
    assert config("-q") == ""
    assert list(json.loads(config("--format", "json"))) == ["name", "services", "networks", "volumes"]
    text = config("web")
    assert 'octal: "0o17"' in text
    assert "job" not in text
    assert config("-o", "out.yaml") == ""
    assert (tmp_path / "out.yaml").read_text() == config()


def test_a_broken_file_shows_all_its_errors(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("STACKUP_ROOT", str(tmp_path / "root"))
    (tmp_path / "compose.yaml").write_text("services:\n  web:\n    imagee: x\n    ports: 5\n")
    assert quick.main(["config"]) == 1
    text = capsys.readouterr().err
    assert " --> compose.yaml:3:5\n3 |     imagee: x\n  |     ^^^^^^\n  = hint: did you mean 'image'?\n" in text
    assert text.endswith("2 errors\n")


def test_help_is_a_verb_too(capsys: pytest.CaptureFixture[str]) -> None:
    assert quick.main(["help", "up"]) == 0
    assert "Usage: stackup up" in capsys.readouterr().out


def test_a_lost_supervisor_is_a_pause(tmp_path: Path) -> None:
    """It is killed while an attached ``up`` shows output; its successor goes on with the lines that came meanwhile."""
    asked: list[Event] = []

    def script(request: Event, link: Link) -> None:
        asked.append(request)
        if request["verb"] == "up":
            link.send(plan(), log("web-1", "one", time_ns=2 * 10**18))
            return
        link.send(log("web-1", "two", time_ns=2 * 10**18 + 5), DONE)

    of = session(Layout.at(tmp_path))
    with supervisor(of.layout, script):
        assert up.run(of, up.Request()) == 0
    assert out(of) == "web-1  | one\nweb-1  | two\n"
    assert (asked[1]["verb"], asked[1]["args"]["since_ns"]) == ("logs", 2 * 10**18 + 1)
    assert err(of) == ""
