"""Which services come back when the machine starts."""

from __future__ import annotations

from pathlib import Path

from stackup.base.paths import Layout
from stackup.engine import boot
from stackup.engine.records import ContainerRecord, Definition, State
from stackup.model.stack import Service, Stack

STACK = Stack(
    name="shop",
    services={
        "web": Service(name="web", restart="always"),
        "db": Service(name="db", restart="unless-stopped"),
        "job": Service(name="job"),
        "retry": Service(name="retry", restart="on-failure"),
    },
)


def record(service: str, phase: str = "exited", *, stopped: bool = False, number: int = 1) -> ContainerRecord:
    name = f"shop-{service}-{number}"
    definition = Definition(
        id=name,
        name=name,
        service=service,
        number=number,
        created_ns=1,
        config_hash="",
        config={},
        image="",
        image_id="",
    )
    return ContainerRecord(definition, State(phase, incarnation=4, stopped_by_user=stopped))


ALL = [record(name, "running") for name in STACK.services]


def test_everything_where_nothing_was_ever_up() -> None:
    assert boot.returning(STACK, [], {}) is None


def test_after_a_crash_what_restarts_always_comes_back() -> None:
    assert boot.returning(STACK, ALL, {}) == ("web", "db")


def test_what_was_stopped_does_not() -> None:
    assert boot.returning(STACK, [record("web"), record("db", stopped=True)], {}) == ("web",)
    assert boot.returning(STACK, [record("web", stopped=True), record("db", stopped=True)], {}) == ()


def test_a_new_service_and_one_of_two_replicas() -> None:
    found = [record("web", stopped=True), record("web", number=2)]
    assert boot.returning(STACK, found, {}) == ("web", "db")


def test_the_shutdown_is_nobodys_wish(tmp_path: Path) -> None:
    layout = Layout.at(tmp_path)
    layout.project("shop").state.mkdir(parents=True)
    boot.write_note(layout, "shop", [record("web", "running"), record("db", stopped=True)])
    boot.write_note(
        layout, "shop", [record("web", stopped=True), record("db", stopped=True)]
    )  # the unit is stopped again
    note = boot.read_note(layout, "shop")
    assert note == {"shop-web-1": 4}
    assert boot.returning(STACK, [record("web", stopped=True), record("db", stopped=True)], note) == ("web",)
    assert boot.returning(STACK, [record("web", stopped=True)], {"shop-web-1": 3}) == ("db",), "started again since"
    boot.drop_note(layout, "shop")
    boot.drop_note(layout, "shop")
    assert boot.read_note(layout, "shop") == {}
