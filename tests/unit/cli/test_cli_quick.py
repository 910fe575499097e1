"""The quick parser and typer understand the same command lines in the same way."""

from __future__ import annotations

import re
from typing import Any

import pytest
import typer

from stackup.base.errors import Bug, UsageError
from stackup.cli import app, execute, quick
from stackup.cli.globals import Globals
from stackup.cli.options import Option, options_of
from stackup.cli.registry import GROUPS, load, names
from stackup.cli.verbs import plan


@pytest.fixture(scope="module")
def command() -> Any:
    return typer.main.get_command(app.build())


def declared(option: Option) -> dict[str, Any]:
    return {
        "flags": sorted(option.flags),
        "switch": option.kind is bool,
        "many": option.many,
        "required": option.required,
        "choices": "|".join(option.choices),
        "hidden": option.hidden,
    }


def seen(parameter: Any) -> dict[str, Any]:
    is_option = parameter.param_type_name == "option"
    return {
        "flags": sorted(parameter.opts) if is_option else [],
        "switch": is_option and bool(parameter.is_flag),
        "many": parameter.multiple if is_option else parameter.nargs == -1,
        "required": parameter.required,
        "choices": parameter.metavar if "|" in (parameter.metavar or "") else "",
        "hidden": is_option and parameter.hidden,
    }


def table(parameters: list[Any]) -> dict[str, Any]:
    ours = [item for item in parameters if item.name not in ("install_completion", "show_completion", "help")]
    return {str(item.name): seen(item) for item in ours}


def test_global_flags_agree(command: Any) -> None:
    assert table(command.params) == {option.name: declared(option) for option in options_of(Globals)}


@pytest.mark.parametrize("name", names())
def test_every_flag_of_a_verb_agrees(command: Any, name: str) -> None:
    verb = load(name)
    for word in name.split():
        command = command.commands[word]
    assert table(command.params) == {option.name: declared(option) for option in verb.options}
    assert all(not item.secondary_opts for item in command.params)


@pytest.mark.parametrize("name", names())
def test_flags_are_unique(name: str) -> None:
    flags = [flag for option in load(name).options for flag in option.flags]
    assert len(flags) == len(set(flags))


COMMANDS = [
    "ps",
    "ps -aq web db",
    "ps --format json --status exited --status=running",
    "-f a.yaml -f b.yaml -p shop --profile x ps -a",
    "--file=a.yaml --project-name=shop --ansi never up -d",
    "logs -fn5 web",
    "logs -f -n 5 --since 10m -t --no-log-prefix",
    "logs --tail=all web -f db",
    "exec web ls -l -a",
    "exec -T -e A=1 -eB=2 -u root web sh -c ls",
    "exec -it --index 2 web -- ls",
    "exec --no-TTY -w /tmp web env",
    "up -d --build --scale web=3 --scale db=1 -t 5",
    "up --exit-code-from web --abort-on-container-exit -- web",
    "up --wait --wait-timeout 1.5 -yV",
    "down -v -t 0 --remove-orphans",
    "stop -t3 web",
    "kill -s HUP web",
    "kill -sHUP",
    "plan --format json",
    "config --services",
    "config -q",
    "images -q",
    "import - base:1 -c USER=1",
    "version --short",
    "create --scale web=2 --no-build",
    "scale web=3 db=0 --no-deps",
    "rm -fsv web",
    "wait --down-project web",
    "port --protocol udp web 53",
    "top web",
    "up -d=1 --wait=true --build=false",
    "up -d --detach=false -yV=f -d",
    "--version=false commit --pause=false web new -c=USER=1",
    "exec --tty=false -i=false -e A=1 web ls --color=false",
    "image prune -af=0",
    "rm -fs=TRUE -- web",
]


@pytest.mark.parametrize("line", COMMANDS)
def test_same_request_from_both(line: str, monkeypatch: pytest.MonkeyPatch) -> None:
    argv = line.split()
    found: list[Any] = []
    monkeypatch.setattr(app, "execute", lambda options, verb, request: found.append((options, verb, request)) or 0)
    assert app.main(argv) == 0
    parsed = quick.parse(argv)
    assert found == [(parsed.options, parsed.verb, parsed.request)]


@pytest.mark.parametrize(
    "line",
    [
        "",
        "--help",
        "up --help",
        "upp",
        "up --nope",
        "up --detach=yes",
        "up -d=",
        "up --scale web",
        "up --scale web=x",
        "up -t",
        "up -t soon",
        "logs -n some",
        "ps --format yaml",
        "exec",
        "exec web",
        "version extra",
        "-f",
    ],
)
def test_everything_else_is_left_to_typer(line: str) -> None:
    with pytest.raises(quick.NotQuickError):
        quick.parse(line.split())


def request(line: str) -> Any:
    return quick.parse(line.split()).request


def test_switches_with_values() -> None:
    assert request("up -d=true --wait=T").detach is request("up --wait=1").wait is True
    assert request("up -d --detach=False").detach is request("up -yd=0").detach is False
    assert request("up -d=0 -d").detach is True
    assert request("commit --pause=false web").no_pause is True
    assert request("commit --pause=true web").no_pause is request("commit --no-pause=false web").no_pause is False
    assert request("exec -t=false web ls -a=false").command == ("ls", "-a=false")
    assert request("exec -t=false web ls").no_tty is True


@pytest.mark.parametrize("flag", ["--detach=maybe", "-d=yes", "-yd=2", "--wait="])
def test_a_switch_is_either_true_or_false(flag: str, capfd: pytest.CaptureFixture[str]) -> None:
    assert quick.main(["up", flag]) == UsageError.exit_code
    name, _, text = flag.replace("-yd", "-d").partition("=")
    assert capfd.readouterr().err == f"error: cannot use {name}={text}: it is either true or false\n"


def test_version_flag_is_the_verb() -> None:
    assert quick.parse(["-v"]).verb.name == "version"


def test_completion_is_left_to_typer(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("_STACKUP_COMPLETE", "complete_bash")
    with pytest.raises(quick.NotQuickError):
        quick.parse(["ps"])


@pytest.mark.parametrize(
    ("line", "words"),
    [
        ("upp", "Did you mean 'up'?"),
        ("up --scale web=x", "'web=x' is not SERVICE=NUMBER"),
        ("logs -n some", "neither a number nor 'all'"),
        ("logs --since whenever", "neither a time nor a duration"),
        ("ps --format yaml", "json"),
        ("up -d -f other.yaml", "stackup -f ... up"),
        ("ps --profile=x", "stackup --profile ... ps"),
    ],
)
def test_usage_errors_say_what_is_wrong(line: str, words: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert app.main(line.split()) == 64
    assert words in capsys.readouterr().err


def test_nothing_asked_is_help(capsys: pytest.CaptureFixture[str]) -> None:
    assert app.main([]) == 0
    text = " ".join(capsys.readouterr().out.split())
    assert "Usage: stackup" in text
    for code in (UsageError.exit_code, Bug.exit_code, plan.CHANGES, execute.INTERRUPTED):
        assert re.search(rf"Exit codes: .*\b{code} ", text), "the help names it"


@pytest.mark.parametrize("name", names())
def test_every_verb_has_help(name: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert app.main([*name.split(), "--help"]) == 0
    assert f"Usage: stackup {name}" in capsys.readouterr().out


@pytest.mark.parametrize("group", GROUPS)
def test_every_group_has_help(group: str, capsys: pytest.CaptureFixture[str]) -> None:
    for argv in ([group, "--help"], [group, "nonsense"]):
        code = app.main(argv)
        assert code == (0 if "--help" in argv else UsageError.exit_code)
    found = capsys.readouterr()
    assert all(name in found.out for name in GROUPS[group])
    assert "nonsense" in found.err


@pytest.mark.parametrize(("words", "name"), [("image list", "image ls"), ("image remove x", "image rm")])
def test_the_second_words_other_spellings(words: str, name: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert quick.parse(words.split()).verb.name == name
    assert app.main([*words.split(), "--help"]) == 0
    assert f"Usage: stackup {' '.join(words.split()[:2])}" in capsys.readouterr().out


def test_what_docker_has_below_image_too() -> None:
    for name in ("pull", "save", "import", "build"):
        assert load(f"image {name}").request is load(name).request
    assert load("image rm").request is load("rmi").request


def test_a_verb_of_two_words_and_a_global_flag_behind_it(capsys: pytest.CaptureFixture[str]) -> None:
    invocation = quick.parse(["-p", "shop", "network", "create", "--label", "a=b", "edge"])
    assert (invocation.verb.name, invocation.request.name, invocation.request.label) == (
        "network create",
        "edge",
        ("a=b",),
    )
    assert app.main(["volume", "create", "-p", "shop", "x"]) == UsageError.exit_code
    assert "cannot use -p behind volume create" in capsys.readouterr().err
