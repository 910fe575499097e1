"""Where state lives, and who may go there."""

from __future__ import annotations

from pathlib import Path

from stackup.base.paths import Layout


def test_what_is_claimed_is_closed_to_others_also_when_it_was_open(tmp_path: Path) -> None:
    layout = Layout.at(tmp_path / "root")
    layout.claim()
    assert (mode(layout.state), mode(layout.run)) == (0o700, 0o700)
    layout.state.chmod(0o755)
    layout.claim()
    assert mode(layout.state) == 0o700


def mode(path: Path) -> int:
    return path.stat().st_mode & 0o777
