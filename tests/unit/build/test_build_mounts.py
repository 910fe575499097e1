"""RUN --mount as it is written."""

from __future__ import annotations

from pathlib import Path

import pytest

from stackup.base.errors import StackFileError
from stackup.base.paths import Layout
from stackup.build.dockerfile import Instruction, parse_dockerfile
from stackup.build.mounting import Supplies
from stackup.build.mounts import MountRequest, origins, read_mounts
from stackup.build.request import Secret
from stackup.build.sources import Source
from stackup.build.words import expand


def item(*mounts: str) -> Instruction:
    flags = " ".join(f"--mount={mount}" for mount in mounts)
    return parse_dockerfile(f"FROM x\nRUN {flags} true\n", "D").instructions[1]


def read(mount: str, **variables: str) -> MountRequest:
    (found,) = read_mounts(item(mount), lambda text: expand(text, variables), "/work")
    return found


@pytest.mark.parametrize(
    ("mount", "wanted"),
    [
        ("target=/x", MountRequest("bind", "/x", read_only=True)),
        ("type=bind,dst=/x,src=a/b/,from=stage", MountRequest("bind", "/x", "/a/b", "stage", read_only=True)),
        ("type=bind,target=/x,rw", MountRequest("bind", "/x")),
        ("type=bind,target=/x,readonly=false", MountRequest("bind", "/x")),
        ("type=cache,target=/x", MountRequest("cache", "/x", mode=0o755)),
        ("type=CACHE,target=rel/x,ro", MountRequest("cache", "/work/rel/x", mode=0o755, read_only=True)),
        ("type=cache,target=/x,id=i,sharing=locked,mode=0700,uid=1,gid=2,from=s,source=/c",
         MountRequest("cache", "/x", "/c", "s", "i", sharing="locked", mode=0o700, owner=(1, 2))),
        ("type=tmpfs,target=/x,size=2m", MountRequest("tmpfs", "/x", size=2 << 20)),
        ("type=tmpfs,target=/x,size=100", MountRequest("tmpfs", "/x", size=100)),
        ("type=secret,id=a/b", MountRequest("secret", "/run/secrets/b", id="a/b", read_only=True, mode=0o400)),
        ("type=secret,target=/k/key", MountRequest("secret", "/k/key", id="key", read_only=True, mode=0o400)),
        ("type=secret,id=t,env=TOKEN", MountRequest("secret", "", id="t", read_only=True, mode=0o400, env="TOKEN")),
        ("type=secret,id=t,env=T,target=/t,required",
         MountRequest("secret", "/t", id="t", read_only=True, mode=0o400, env="T", required=True)),
        ("type=ssh", MountRequest("ssh", "", id="default", read_only=True, mode=0o600)),
        ("type=ssh,id=git,target=/a,mode=0666,required=true",
         MountRequest("ssh", "/a", id="git", read_only=True, mode=0o666, required=True)),
        ('type=bind,"target=/a,b"', MountRequest("bind", "/a,b", read_only=True)),
    ],
)  # fmt: skip
def test_written(mount: str, wanted: MountRequest) -> None:
    assert read(mount.replace('"', '\\"')) == wanted


def test_variables() -> None:
    assert read("type=cache,target=/$A/x,id=${B:-c}", A="a") == MountRequest("cache", "/a/x", id="c", mode=0o755)


@pytest.mark.parametrize(
    ("mount", "reason"),
    [
        ("type=cach,target=/x", "unknown, did you mean cache"), ("type=bind", "needs a target"),
        ("type=bind,target=/", "the root itself"), ("type=bind,target=/x,from=$S", "knows no variables"),
        ("type=secret", "needs an id"), ("type=secret,id=a,source=b", "mean the same"),
        ("type=tmpfs,target=/x,size=big", "not a size"), ("type=cache,target=/x,mode=9", "not an octal mode"),
        ("type=bind,target=/x,rw=perhaps", "neither true nor false"), ("type=cache,target", "target needs a value"),
        ("type=bind,target=/x,mode=0755", "has no option 'mode'"),
    ],
)  # fmt: skip
def test_refused(mount: str, reason: str) -> None:
    with pytest.raises(StackFileError, match=reason) as caught:
        read(mount)
    assert caught.value.where and caught.value.where.line == 2


def test_origins() -> None:
    assert origins(item("type=bind,target=/x,from=a", "type=cache,target=/y", "target=/z,from=b")) == ["a", "b"]


def test_names_of_secrets_are_quoted(tmp_path: Path) -> None:
    def find(reference: str) -> Source:
        raise AssertionError(reference)

    supplies = Supplies(Layout.at(tmp_path), find, {"one": Secret(content="x")}, {}, tmp_path / "hidden")
    assert supplies.secrets_hint.startswith("its secrets are 'one'; ")
    (missing,) = supplies.lacking([read("type=secret,id=other")])
    assert missing.startswith("there was no secret 'other': ")
