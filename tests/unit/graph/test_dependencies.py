"""The dependency graph: order, generations, what needs what, circles."""

from __future__ import annotations

import pytest

from stackup.graph import Dependencies, Edge, find_cycle
from stackup.model.stack import Stack


def stack(**needs: str) -> Stack:
    services = {
        name: {"name": name, "image": "i", "depends_on": {other: {} for other in others.split()}}
        for name, others in needs.items()
    }
    return Stack.model_validate({"name": "shop", "services": services})


def test_order_generations_and_reach() -> None:
    graph = Dependencies(stack(web="app", app="db cache", db="", cache="", alone=""))
    assert graph.order() == ("alone", "cache", "db", "app", "web")
    assert graph.generations() == (("alone", "cache", "db"), ("app",), ("web",))
    assert graph.dependencies(["web"]) == {"app", "db", "cache"}
    assert graph.dependants(["db"]) == {"app", "web"}
    assert graph.needs("web") == (Edge("web", "app"),)


def test_services_that_are_not_there_make_no_edges() -> None:
    assert Dependencies(stack(web="gone")).edges == ()


def test_circles() -> None:
    assert find_cycle(stack(a="b", b="c", c="a", d="").services)[0] == "a"
    assert find_cycle(stack(a="b", b="").services) == ()
    with pytest.raises(ValueError, match="in a circle: a -> b -> a"):
        Dependencies(stack(a="b", b="a"))
