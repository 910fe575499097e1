"""Records whose file was deleted under whoever writes them."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from stackup.base.errors import HostUnfit
from stackup.base.paths import Layout
from stackup.engine.records import Records
from stackup.engine.rewriting import is_gone, write_anew
from stackup.engine.status import open_records


@pytest.mark.parametrize("whole", [False, True], ids=["the file", "the directory"])
def test_what_was_written_and_what_is_written_then_are_found(tmp_path: Path, *, whole: bool) -> None:
    path = tmp_path / "shop" / "records.db"
    records = Records(path)
    records.put_network("default", {"name": "before"})
    assert not is_gone(records)
    shutil.rmtree(path.parent) if whole else path.unlink()
    assert is_gone(records)
    records.put_network("back", {"name": "nobody would find it"})
    write_anew(records)
    records.put_network("front", {"name": "after"})
    reader = Records(path, readonly=True)
    assert set(reader.networks()) == {"default", "back", "front"}
    reader.close()
    records.close()
    assert set(Records(path).networks()) == {"default", "back", "front"}


def test_records_for_reading_are_there_or_are_not_or_cannot_be_read(tmp_path: Path) -> None:
    layout = Layout.at(tmp_path)
    path = layout.project("shop").records
    assert open_records(layout, "shop") is None
    Records(path).close()
    found = open_records(layout, "shop")
    assert found is not None
    found.close()
    path.write_bytes(b"this is no database" * 1000)
    with pytest.raises(HostUnfit, match=r"cannot read .*records\.db"):
        open_records(layout, "shop")
    path.write_bytes(b"")  # made a moment ago
    assert open_records(layout, "shop") is None
