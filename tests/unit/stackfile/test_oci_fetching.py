"""The program that fetches published stacks, when it ends without a word."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from stackup.stackfile import ocifetch
from stackup.stackfile.gitaddress import AddressError


@pytest.mark.parametrize(("code", "how"), [(-9, r"was killed \(signal 9\)"), (3, "has failed")])
def test_its_end_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, code: int, how: str) -> None:
    ended = subprocess.CompletedProcess([], code, b"", b"")
    monkeypatch.setattr(subprocess, "run", lambda *_args, **_options: ended)
    with pytest.raises(AddressError, match=f"the program that fetches it {how}"):
        ocifetch.fetch(ocifetch.parse_oci("oci://a.example/team/stack:1"), tmp_path, {})
