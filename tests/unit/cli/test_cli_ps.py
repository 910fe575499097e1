"""Which containers ``ps`` shows, and by which template."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from cli_support import having, out, session, supervisor

from stackup.base.errors import UsageError
from stackup.base.paths import Layout
from stackup.cli.verbs import ps


@pytest.fixture
def layout(tmp_path: Path) -> Iterator[Layout]:
    found = Layout.at(tmp_path / "root")
    with supervisor(found, having(["web", "store"])):
        yield found


def shown(layout: Layout, **request: Any) -> str:
    of = session(layout)
    assert ps.run(of, ps.Request(**request)) == 0
    return out(of)


def test_a_template(layout: Layout) -> None:
    assert shown(layout, format="{{.Service}} {{.State}}") == "store running\nweb running\n"
    table = shown(layout, format=r"table {{.ID}}\t{{.Name}}").splitlines()
    assert table[0].split() == ["CONTAINER", "ID", "NAME"] and table[1].split()[1] == "shop-store-1"


def test_states(layout: Layout) -> None:
    assert shown(layout, filter=("status=running",), format="{{.Service}}") == "store\nweb\n"
    assert shown(layout, filter=("status=exited",), format="{{.Service}}") == ""
    for word, reason in (("status=gone", "there is no such state"), ("name=x", "there is no such filter")):
        with pytest.raises(UsageError, match=reason):
            shown(layout, filter=(word,))
