"""Words, sizes, times, tables, log lines, errors: everything that is only text."""

from __future__ import annotations

import json
import re

import pytest
from cli_support import Capture, console, exited, log

from stackup.base import clock
from stackup.base.errors import Bug, ContainerFault, Position, StackFileError, UsageError
from stackup.cli import containers, moments, report
from stackup.cli.changes import command, image_config
from stackup.cli.containers import Port, Row
from stackup.cli.imagelists import age, until
from stackup.cli.loglines import LogPrinter
from stackup.cli.plantext import text as plan_text
from stackup.cli.table import ago, elapsed, human_size, table
from stackup.cli.terminal import Console
from stackup.model.plan import CreateNetwork, Notice, Plan, StartContainer
from stackup.oci.image import Healthcheck, ImageConfig

NOW = 1_700_000_000 * 10**9


@pytest.fixture(autouse=True)
def _now(monkeypatch: pytest.MonkeyPatch) -> None:
    for module in (clock, moments, containers):
        monkeypatch.setattr(module, "now_ns", lambda: NOW)


@pytest.mark.parametrize(
    ("seconds", "words"),
    [
        (0.2, "Less than a second"),
        (1, "1 second"),
        (59, "59 seconds"),
        (60, "About a minute"),
        (150, "2 minutes"),
        (3600, "About an hour"),
        (7200, "2 hours"),
        (86400 * 3, "3 days"),
        (86400 * 21, "3 weeks"),
        (86400 * 90, "3 months"),
        (86400 * 800, "2 years"),
    ],
)
def test_ago(seconds: float, words: str) -> None:
    assert ago(seconds) == words


@pytest.mark.parametrize(
    ("count", "words"), [(0, "0B"), (999, "999B"), (1000, "1kB"), (83_400_000, "83.4MB"), (1_234_000_000, "1.23GB")]
)
def test_human_size(count: int, words: str) -> None:
    assert human_size(count) == words


@pytest.mark.parametrize(("seconds", "words"), [(0.04, "0.0s"), (12.34, "12.3s"), (65, "1m05s"), (3700, "1h01m")])
def test_elapsed(seconds: float, words: str) -> None:
    assert elapsed(seconds) == words


def test_table() -> None:
    assert table(("A", "LONG"), [("xyz", "1"), ("x", "")]) == "A     LONG\nxyz   1\nx\n"


@pytest.mark.parametrize(
    ("text", "ns"),
    [
        ("1700000000", NOW),
        ("1700000000.5", NOW + 500_000_000),
        ("2023-11-14T22:13:20Z", NOW),
        ("2023-11-14T23:13:20.000000001+01:00", NOW + 1),
        ("42m", NOW - 42 * 60 * 10**9),
        ("1h30m1.5s", NOW - 5401_500_000_000),
    ],
)
def test_moments(text: str, ns: int) -> None:
    assert moments.moment_ns(text) == ns


@pytest.mark.parametrize("text", ["", "soon", "5", "5x", "m5", "2023-13-14", "2023-11-14 22:13"])
def test_no_moments(text: str) -> None:
    if text == "5":
        assert moments.moment_ns(text) == 5 * 10**9  # seconds since the epoch, as in docker
    else:
        with pytest.raises(ValueError):
            moments.moment_ns(text)


def row(**more: object) -> Row:
    data = {
        "id": "0123456789abcdef",
        "name": "shop-web-1",
        "service": "web",
        "phase": "running",
        "image": "nginx",
        "command": "nginx -g 'daemon off;'",
        "created_ns": NOW - 300 * 10**9,
        "started_ns": NOW - 60 * 10**9,
        "finished_ns": NOW - 5 * 10**9,
    }
    return Row.from_dict({**data, **more})


@pytest.mark.parametrize(
    ("more", "words"),
    [
        ({}, "Up About a minute"),
        ({"health": "healthy"}, "Up About a minute (healthy)"),
        ({"health": "starting"}, "Up About a minute (health: starting)"),
        ({"phase": "exited", "exit_code": 3}, "Exited (3) 5 seconds ago"),
        ({"phase": "exited", "exit_unknown": True}, "Exited (unknown) 5 seconds ago"),
        ({"phase": "restarting", "exit_code": 1}, "Restarting (1) 5 seconds ago"),
        ({"phase": "created"}, "Created"),
        ({"phase": "exited", "exit_code": 137, "oom_killed": True}, "Exited (137) 5 seconds ago, out of memory"),
        ({"phase": "exited", "exit_code": 0, "oom_killed": True}, "Exited (0) 5 seconds ago"),
        (
            {"phase": "restarting", "exit_code": 137, "oom_killed": True},
            "Restarting (137) 5 seconds ago, out of memory",
        ),
        ({"oom_killed": True}, "Up About a minute"),
    ],
)
def test_status(more: dict[str, object], words: str) -> None:
    assert row(**more).status() == words


def test_cells() -> None:
    ports = [{"host_ip": "::", "host_port": 80, "container_port": 8080, "protocol": "tcp"}]
    assert containers.cells(row(ports=ports)) == (
        "shop-web-1",
        "nginx",
        '"nginx -g \'daemon of…"',
        "web",
        "5 minutes ago",
        "Up About a minute",
        "[::]:80->8080/tcp",
    )


def test_ports() -> None:
    assert str(Port("", 8080, 80, "tcp")) == "0.0.0.0:8080->80/tcp"
    assert str(Port("", 0, 53, "udp")) == "53/udp"


def ports(*numbers: int, host: int = 0, ip: str = "", protocol: str = "tcp") -> list[Port]:
    """Published under the same numbers, or all from ``host`` on; a negative ``host`` publishes none."""
    return [
        Port(ip, 0 if host < 0 else (host + index if host else number), number, protocol)
        for index, number in enumerate(numbers)
    ]


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        ([], ""),
        (ports(*range(8000, 8010)), "0.0.0.0:8000-8009->8000-8009/tcp"),
        (ports(8002, 8000, 8001, 8005), "0.0.0.0:8000-8002->8000-8002/tcp, 0.0.0.0:8005->8005/tcp"),
        (ports(80, 81, host=-1), "80-81/tcp"),
        (ports(80, 81, host=-1) + ports(80, protocol="udp", host=-1), "80-81/tcp, 80/udp"),
        (ports(80, 81) + ports(80, 81, ip="::"), "0.0.0.0:80-81->80-81/tcp, [::]:80-81->80-81/tcp"),
        (ports(80, 81) + ports(82, host=-1), "0.0.0.0:80-81->80-81/tcp, 82/tcp"),
        (ports(80, 81, host=8080), "0.0.0.0:8080->80/tcp, 0.0.0.0:8081->81/tcp"),  # as docker: only equal numbers
    ],
)
def test_ports_that_follow_each_other_are_one_entry(given: list[Port], expected: str) -> None:
    assert containers.port_list(given) == expected


def test_json_has_dockers_keys() -> None:
    data = json.loads(containers.as_docker_json(row(), "shop"))
    assert (data["Name"], data["State"], data["Project"], data["Publishers"]) == ("shop-web-1", "running", "shop", [])
    assert data["OOMKilled"] is False
    assert json.loads(containers.as_docker_json(row(oom_killed=True), "shop"))["OOMKilled"] is True


def printed(printer: LogPrinter) -> tuple[str, str]:
    assert isinstance(printer.console.out, Capture) and isinstance(printer.console.err, Capture)
    return printer.console.out.text(), printer.console.err.text()


def test_log_lines_are_prefixed_and_padded() -> None:
    printer = LogPrinter(console(), "shop")
    printer.announce([("shop-web-1", "web"), ("shop-longer-1", "longer")])
    printer.log(log("web-1", "hello"))
    printer.log(log("longer-1", "oops", "stderr"))
    printer.exited(exited("web-1", 3))
    printer.exited(exited("web-1", None, restarting=True))
    printer.exited({**exited("web-1", 137), "oom": True})
    printer.exited({**exited("web-1", 0), "oom": True})
    assert printed(printer) == (
        "web-1     | hello\nweb-1 exited with code 3\nweb-1 exited with an unknown code (restarting)\n"
        "web-1 exited with code 137, out of memory\nweb-1 exited with code 0\n",
        "longer-1  | oops\n",
    )


def test_lines_that_come_together_are_prefixed_one_by_one() -> None:
    printer = LogPrinter(console(), "shop", timestamps=True)
    printer.log(log("web-1", "one\n\nthree\r"))
    stamp = "2023-11-14T22:13:20.000000001Z"
    assert printed(printer)[0] == f"web-1  | {stamp} one\nweb-1  | {stamp} \nweb-1  | {stamp} three\r\n"


def test_log_colours_are_dockers_in_order() -> None:
    printer = LogPrinter(console(colour=True), "shop")
    for name in ("a-1", "b-1"):
        printer.log(log(name, "x"))
    assert printed(printer)[0] == "\033[36ma-1  | \033[0mx\n\033[33mb-1  | \033[0mx\n"


def test_log_options() -> None:
    printer = LogPrinter(console(colour=True), "shop", prefix=False, timestamps=True, only=frozenset({"web"}))
    printer.log(log("web-1", "x"))
    printer.log(log("db-1", "y"))
    assert printed(printer)[0] == "2023-11-14T22:13:20.000000001Z x\n"


def test_log_bytes_survive() -> None:
    printer = LogPrinter(console(), "shop", prefix=False)
    printer.log(log("web-1", b"\xff\xfe".decode("utf-8", "surrogateescape")))
    printer.flush()
    assert printer.console.out.buffer.getvalue() == b"\xff\xfe\n"  # type: ignore[attr-defined]


PROBLEM = StackFileError(
    "unknown key 'prots'",
    where=Position("compose.yaml", 12, 5),
    snippet="    prots:\n    ^^^^^",
    hint="did you mean 'ports'?",
    details=(StackFileError("second", where=Position("compose.yaml", 14)), StackFileError("unknown key 'prots'",
    where=Position("compose.yaml", 12, 5))),
)  # fmt: skip


def test_an_error_is_one_block_and_shown_once() -> None:
    assert report.text(PROBLEM) == (
        "error: unknown key 'prots'\n"
        "   --> compose.yaml:12:5\n"
        "12 |     prots:\n"
        "   |     ^^^^^\n"
        "   = hint: did you mean 'ports'?\n"
        "\n"
        "error: second\n"
        "   --> compose.yaml:14\n"
        "\n"
        "2 errors\n"
    )


def test_a_bug_shows_its_traceback_first() -> None:
    assert report.text(Bug("KeyError: 'x'", snippet="Traceback", hint="report it")) == (
        "Traceback\n\nbug: KeyError: 'x'\n  hint: report it\n"
    )


def test_errors_as_json() -> None:
    made = console()
    report.show(PROBLEM, made, as_json=True)
    assert isinstance(made.err, Capture)
    assert [item["message"] for item in json.loads(made.err.text())["errors"]] == ["unknown key 'prots'", "second"]


def plan() -> Plan:
    create = CreateNetwork("create network shop_default", "not there yet", key="default", name="shop_default")
    start = StartContainer("start shop-web-1", "not running", (create.id,), service="web", number=1, name="shop-web-1")
    return Plan("shop", (create, start), (Notice("look out"),))


def test_plan_text_is_the_plans_own() -> None:
    assert plan_text(plan().to_dict() | {"event": "plan"}) == plan().text()


def test_plan_colours_change_nothing_but_colour() -> None:
    coloured = plan_text(plan().to_dict(), colour=True)
    assert "\033[32mcreate\033[0m" in coloured
    assert re.search(r"\033\[2m +after 1\033", coloured)
    assert re.sub(r"\033\[\d*m", "", coloured) == plan().text()


def test_a_plan_is_wrapped_on_a_terminal_and_loses_nothing() -> None:
    keys = tuple(f'environment.{name}: "{name * 9}" -> "{name * 30}"' for name in "abcd")
    create = CreateNetwork("n", "config changed: 4 keys; " + "x" * 200, key="n", name="shop_default", shown=keys)
    long = Plan("shop", (create,), (Notice("what is to be known " * 9),))
    for colour in (False, True):
        shown = plan_text(long.to_dict(), colour=colour, width=60)
        plain = re.sub(r"\033\[\d*m", "", shown)
        assert [line for line in plain.splitlines() if len(line) > 60] == [f"{'':16}{'x' * 200}"]  # no value is torn
        assert plain.split() == long.text().split()
        assert f'{"":14}environment.a: "aaaaaaaaa" ->\n{"":16}"{"a" * 30}"\n' in plain
    assert plan_text(long.to_dict(), width=20) == long.text()


@pytest.mark.parametrize(
    ("ansi", "environment", "expected"),
    [
        (None, {}, (False, "plain")),
        ("always", {}, (True, "plain")),
        (None, {"COMPOSE_ANSI": "always"}, (True, "plain")),
        ("never", {"COMPOSE_PROGRESS": "quiet"}, (False, "quiet")),
    ],
)
def test_console_in_a_pipe(
    ansi: str | None, environment: dict[str, str], expected: tuple[bool, str], capsys: pytest.CaptureFixture[str]
) -> None:
    found = Console.detect(ansi, None, environment)
    assert (found.colour_out, found.progress) == expected


@pytest.mark.parametrize(
    ("environment", "expected"),
    [
        ({}, (True, "tty")),
        ({"NO_COLOR": "1"}, (False, "tty")),
        ({"TERM": "dumb"}, (False, "plain")),
        ({"COMPOSE_ANSI": "never"}, (False, "plain")),
    ],
)
def test_console_on_a_terminal(
    environment: dict[str, str], expected: tuple[bool, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("stackup.cli.terminal._is_terminal", lambda stream: True)
    found = Console.detect(None, None, environment)
    assert (found.colour_err, found.progress) == expected


@pytest.mark.parametrize("created", ["9" * 400 + "h", "9" * 5000, "0001-01-01T00:00:00", "\x1b[2J", "1e9", "nan", ""])
def test_ages_that_an_image_makes_up(created: str) -> None:
    """One such image must not keep all others from being listed."""
    assert age(created) == "-"
    assert not until(["2026-01-01"])(created)


def test_errors_do_not_act_on_the_terminal() -> None:
    """An image names its user and its command; nothing that it says looks like a line of stackup's own."""
    error = ContainerFault("cannot run as user '\x1b[2J\nerror: fake'", hint="one\ntwo\x07")
    assert report.text(error) == "error: cannot run as user '\\x1b[2J\n  error: fake'\n  hint: one\n        two\\x07\n"


def test_changes() -> None:
    base = ImageConfig(env=("PATH=/bin", "A=1"), cmd=("/bin/sh",))
    changed = image_config(
        ['CMD ["redis-server"]', "ENV A=2 B='x y'", "EXPOSE 80 53/udp", "USER 1:1", "WORKDIR /w", "LABEL a=b"], base
    )
    assert changed.cmd == ("redis-server",)
    assert changed.env == ("PATH=/bin", "A=2", "B=x y")
    assert changed.exposed_ports == ("80/tcp", "53/udp")
    assert (changed.user, changed.working_dir, dict(changed.labels)) == ("1:1", "/w", {"a": "b"})
    assert command("echo $HOME") == ("/bin/sh", "-c", "echo $HOME")
    changed = image_config(["HEALTHCHECK --interval=5s CMD true", "ONBUILD COPY . /app", "ONBUILD RUN make"], base)
    assert changed.healthcheck == Healthcheck(("CMD-SHELL", "true"), interval=5 * 10**9)
    assert changed.on_build == ("COPY . /app", "RUN make") and changed.env == base.env


@pytest.mark.parametrize(
    "change",
    ["RUN ls", "CMD", "ENV A", "ENV A=1 B", "HEALTHCHECK ls", "HEALTHCHECK --when=5s CMD x", "ONBUILD FROM x"],
)
def test_wrong_changes(change: str) -> None:
    with pytest.raises(UsageError):
        image_config([change], ImageConfig())
