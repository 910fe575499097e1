"""Floors that may not import each other keep the same list of names: the two must not drift apart."""

from __future__ import annotations

from stackup.linux.capabilities import NAMES
from stackup.oci.capabilities import ALL_CAPABILITIES


def test_both_lists_of_capabilities_are_the_same() -> None:
    assert ALL_CAPABILITIES == NAMES
