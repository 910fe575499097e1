"""Attributes that are not carried out: warned about once, refused where omission would do harm."""

from __future__ import annotations

from pathlib import Path

from stackfile_support import errors_of, load_text

from stackup.stackfile.grammar_service import SERVICE_FIELDS
from stackup.stackfile.support import SERVICE_ENTRIES

TEXT = "services: {a: {image: i, %s}, b: {image: i, %s}}\n"


def test_one_warning_for_all_services(tmp_path: Path) -> None:
    warnings = load_text(tmp_path, TEXT % (("storage_opt: {size: 1g}",) * 2)).warnings
    assert [warning.message for warning in warnings] == [
        "services.a.storage_opt (and 1 more like it) is not carried out yet: the writable layer has no limit"
    ]


def test_refused_at_each_place(tmp_path: Path) -> None:
    text = TEXT % (("userns_mode: remap",) * 2)
    assert len(errors_of(tmp_path, text)) == 2
    assert load_text(tmp_path, text, run=False).stack.services["a"].userns_mode == "remap"
    assert not errors_of(tmp_path, TEXT % (("userns_mode: host",) * 2))


def test_restart_policies(tmp_path: Path) -> None:
    assert not errors_of(tmp_path, TEXT % ("restart: on-failure:3", "restart: 'no'"))
    (error,) = errors_of(tmp_path, TEXT % ("restart: alway", "restart: always"))
    assert error.hint == "did you mean 'always'?"


def test_the_table_speaks_of_attributes_that_exist() -> None:
    assert {entry.path.split(".")[0] for entry in SERVICE_ENTRIES} <= set(SERVICE_FIELDS)
