"""What binfmt_misc has registered, read as the kernel writes it."""

from __future__ import annotations

from pathlib import Path

import pytest

from stackup.linux.binfmt import handler

ARM64 = """enabled
interpreter /usr/bin/qemu-aarch64-static
flags: POCF
offset 0
magic 7f454c460201010000000000000000000200b700
mask ffffffffffffff00fffffffffffffffffeffffff
"""
S390X = """enabled
interpreter /usr/bin/qemu-s390x-static
flags: 
offset 0
magic 7f454c4602020100000000000000000000020016
mask ffffffffffffff00fffffffffffffffffffeffff
"""  # noqa: W291 - so does the kernel
BY_EXTENSION = "enabled\ninterpreter /usr/bin/jar\nflags: \nextension .jar\n"


@pytest.fixture
def registered(tmp_path: Path) -> Path:
    (tmp_path / "register").touch()
    (tmp_path / "status").write_text("enabled\n")
    (tmp_path / "a-jar").write_text(BY_EXTENSION)
    (tmp_path / "qemu-aarch64").write_text(ARM64)
    (tmp_path / "qemu-s390x").write_text(S390X)
    return tmp_path


def test_the_one_that_takes_such_programs(registered: Path) -> None:
    arm64, s390x = handler("arm64", registered), handler("s390x", registered)
    assert arm64 and (arm64.interpreter, arm64.fixed) == ("/usr/bin/qemu-aarch64-static", True)
    assert s390x and not s390x.fixed
    assert handler("riscv64", registered) is None and handler("amd64", registered) is None
    assert handler("vax", registered) is None


def test_of_several_the_one_that_containers_can_reach(registered: Path) -> None:
    (registered / "another").write_text(S390X.replace("flags: ", "flags: F").replace("qemu-", "other-"))
    found = handler("s390x", registered)
    assert found and found.interpreter == "/usr/bin/other-s390x-static"


def test_what_is_switched_off_runs_nothing(registered: Path) -> None:
    (registered / "qemu-aarch64").write_text(ARM64.replace("enabled", "disabled"))
    assert handler("arm64", registered) is None
    (registered / "status").write_text("disabled\n")
    assert handler("s390x", registered) is None
    assert handler("s390x", registered / "not-mounted") is None
