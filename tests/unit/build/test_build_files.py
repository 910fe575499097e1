"""Builds without RUN: COPY, ADD, WORKDIR and configuration, their cache, and their errors. Layers are real."""

from __future__ import annotations

import io
import os
import stat
import tarfile
from pathlib import Path

import pytest
from build_support import Bench, View, no_registry

from stackup.build.progress import StepDone, Warned
from stackup.images.catalog import listed
from stackup.images.comparing import bases
from stackup.images.outdated import subjects
from tests.support.archives import Archive

pytestmark = pytest.mark.skipif(os.geteuid() != 0, reason="owners of files in layers need root")


@pytest.fixture
def bench(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Bench:
    no_registry(monkeypatch)
    return Bench(tmp_path)


def test_copy_files_and_directories(bench: Bench) -> None:
    bench.file("a.txt", "a", 0o600)
    bench.file("run.sh", "#!", 0o755)
    bench.file("dir/sub/deep", "deep")
    (bench.context / "dir/link").symlink_to("sub/deep")
    os.chown(bench.context / "a.txt", 1234, 1234)
    view = View(bench, bench.build("""
        FROM base
        COPY a.txt /one
        COPY a.txt run.sh /many/
        COPY dir /tree
        COPY dir/sub /full
        COPY a.txt /full
        """))  # fmt: skip
    assert view.text("/one") == "a"
    assert (view.owner("/one"), view.mode("/one")) == ((0, 0), 0o600)
    assert view.names("/many") == ["a.txt", "run.sh"]
    assert view.mode("/many/run.sh") == 0o755
    assert view.text("/tree/sub/deep") == "deep"
    assert os.readlink(view.place("/tree/link").paths[0]) == "sub/deep"
    assert view.names("/full") == ["a.txt", "deep", "old"]


def test_copy_goes_through_the_images_links_and_keeps_directories(bench: Bench) -> None:
    bench.file("x", "x")
    image = bench.build("FROM base\nCOPY x /lib/new/x\n")
    view = View(bench, image)
    assert view.text("/usr/lib/new/x") == "x"
    assert view.stat("/lib") and stat.S_ISLNK(view.stat("/lib").st_mode)
    assert view.mode("/usr/lib") == 0o711
    assert [path.name for path in image.layers[-1].path.iterdir()] == ["usr"]


def test_wildcards(bench: Bench) -> None:
    for name in ("a.py", "b.py", "c.txt", "sub/d.py", "x1", "x2", ".hidden"):
        bench.file(name, name)
    view = View(bench, bench.build("FROM base\nCOPY *.py /py/\nCOPY x? /x/\nCOPY */d.py /deep/\nCOPY none* /none/\n"))
    assert view.names("/py") == ["a.py", "b.py"]
    assert view.names("/x") == ["x1", "x2"]
    assert view.names("/deep") == ["d.py"]
    everything = View(bench, bench.build("FROM base\nCOPY * /all/\n"))
    assert everything.names("/all") == [".hidden", "a.py", "b.py", "c.txt", "d.py", "x1", "x2"]


def test_chown_and_chmod(bench: Bench) -> None:
    bench.file("dir/f", "x", 0o644)
    view = View(bench, bench.build("""
        FROM base
        COPY --chown=alice dir /a
        COPY --chown=alice:staff dir/f /b
        COPY --chown=12 dir/f /c
        COPY --chown=7:8 --chmod=0750 dir /d
        """))  # fmt: skip
    assert (view.owner("/a/f"), view.owner("/b"), view.owner("/c")) == ((1000, 1001), (1000, 50), (12, 12))
    assert (view.owner("/d/f"), view.mode("/d/f")) == ((7, 8), 0o750)
    bob = "COPY --chown=bob dir /x\n"
    reason = "cannot COPY: --chown=bob: the image's /etc/passwd has no such user"
    assert bench.refused(f"FROM base\n{bob}", reason, 2).snippet == f"{bob}     ^^^^^^^"
    bench.refused("FROM base\nCOPY --chmod=rwx dir /x\n", "not an octal mode", 2)


def test_copy_from_a_stage_keeps_owners(bench: Bench) -> None:
    bench.file("dir/f")
    view = View(bench, bench.build("""
        FROM base AS one
        COPY --chown=5:6 dir /made
        FROM scratch
        COPY --from=one /made /kept
        COPY --from=one --chown=0:0 /made/f /root-owned
        COPY --from=0 /lib/../etc/passwd /passwd
        COPY --from=base /etc/group /group
        """))  # fmt: skip
    assert view.owner("/kept/f") == (5, 6)
    assert view.owner("/root-owned") == (0, 0)
    assert "alice" in (view.text("/passwd") or "") and "staff" in (view.text("/group") or "")


def test_the_context_is_a_border(bench: Bench) -> None:
    (bench.context.parent / "secret").write_text("secret")
    (bench.context / "out").symlink_to("../secret")
    (bench.context / "absolute").symlink_to(bench.context.parent / "secret")
    (bench.context / "up").symlink_to("..")
    for name in ("../secret", "out", "absolute", "up/secret", "/../secret"):
        bench.refused(f"FROM base\nCOPY {name} /x\n", "there is no", 2)


def test_dockerignore(bench: Bench) -> None:
    for name in ("a.log", "b.txt", "sub/c.log", "keep/d.log", "keep/e", "node_modules/x/y"):
        bench.file(name, name)
    bench.file(".dockerignore", "**/*.log\n!keep/d.log\nnode_modules\n.dockerignore\n")
    view = View(bench, bench.build("FROM base\nCOPY . /all\n"))
    assert view.names("/all") == ["b.txt", "keep", "sub"]
    assert view.names("/all/keep") == ["d.log", "e"]
    assert view.names("/all/sub") == []
    bench.refused("FROM base\nCOPY a.log /x\n", "excluded by .dockerignore:1", 2)


def test_a_dockerignore_of_its_own(bench: Bench) -> None:
    bench.file("a")
    bench.file("b")
    bench.file(".dockerignore", "a\n")
    bench.file("other.Dockerfile", "FROM base\nCOPY . /all/\n")
    bench.file("other.Dockerfile.dockerignore", "b\n*ocker*\n")
    view = View(bench, bench.build("", dockerfile="other.Dockerfile", inline=""))
    assert view.names("/all") == ["a"]
    bench.file("other.Dockerfile", "FROM base\nCOPY b /all/\n")
    bench.refused("", "excluded by other.Dockerfile.dockerignore:1", 2, dockerfile="other.Dockerfile", inline="")
    assert "CopyIgnoredFile: other.Dockerfile.dockerignore:1 excludes 'b'" in str(bench.events)


def test_the_history_tells_what_variables_became(bench: Bench) -> None:
    """As BuildKit writes it (dockerfile2llb/convert.go), white space and all."""
    text = """FROM scratch
ARG A=1 B
ENV C=$A  D="x  y"
WORKDIR /w$A
VOLUME /data ["/x"]
EXPOSE 80 53/udp
USER u$A
STOPSIGNAL SIG${S:-TERM}
SHELL ["/bin/ash", "-c"]
CMD exec $HOME  "x  y"
ENTRYPOINT ["/e"]
LABEL l=$C
"""
    text = text.replace('/data ["/x"]', '["/data", "/$C"]')
    view = View(bench, bench.build(text))
    assert [entry.created_by for entry in view.document.history] == [
        "ARG A=1 B", "ENV C=1 D=x  y", "WORKDIR /w1", "VOLUME [/data /1]", "EXPOSE [80/tcp 53/udp]", "USER u1",
        "STOPSIGNAL SIGTERM", "SHELL [/bin/ash -c]", r'CMD ["/bin/ash" "-c" "exec $HOME  \"x  y\""]',
        'ENTRYPOINT ["/e"]', "LABEL l=1",
    ]  # fmt: skip
    times = [entry.created for entry in view.document.history]
    assert times == sorted(times) and times[0] == times[2], "what is done before a step is not younger than it"


def test_bytes_that_are_no_utf8_and_line_ends(bench: Bench) -> None:
    """As Go has it: files get the bytes, and what becomes JSON gets U+FFFD."""
    text = (
        b'FROM base\r\nLABEL a="caf\xe9"\r\nENV B=\xe9 C=\xc3\xa9\r\nMAINTAINER Jos\xe9\r\nCOPY <<E /x\r\n\xe9\r\nE\r\n'
    )
    (bench.context / "Dockerfile").write_bytes(text)
    view = View(bench, bench.build("", inline=""))
    assert view.stack.read("/x") == b"\xe9\r\n"
    assert view.fact("labels.a") == "caf\ufffd" and view.fact("author") == "Jos\ufffd"
    assert (view.fact("env.B"), view.fact("env.C")) == ("\ufffd", "\xe9")
    assert bench.build("", inline="").id == view.image.id


def test_copy_problems(bench: Bench) -> None:
    bench.file("a")
    bench.file("dir/f")
    bench.refused("FROM base\n\nCOPY missing /x\n", "there is no 'missing' in the build context", 3)
    bench.refused("FROM base\nCOPY a dir /x\n", "several sources need a directory", 2)
    bench.refused("FROM base\nCOPY a\n", "at least one source", 2)
    bench.refused("FROM base\nCOPY a /file/x\n", "there is a file of that name", 2)
    bench.refused("FROM base\nCOPY dir /file\n", "there is a file of that name", 2)
    bench.refused("FROM base\nCOPY --from=nothere a /x\n", "no such image", 0)
    bench.refused("FROM base\nCOPY https://example.org/x /x\n", "is not in the build context", 2)
    assert bench.store.resolve("out") is None


def test_files_replace_files_and_links(bench: Bench) -> None:
    bench.file("d/link", "now a file")
    first = bench.build("FROM base\nCOPY d /lib-like\n", tags=("first",))
    assert first
    bench.file("e/old", "new")
    view = View(bench, bench.build("FROM first\nCOPY e /full\nCOPY e/old /file\n"))
    assert view.text("/full/old") == "new"
    assert view.text("/file") == "new"


def test_add_unpacks_archives(bench: Bench) -> None:
    for name, mode in (("plain.tar", "w"), ("zipped.tgz", "w:gz"), ("xz.data", "w:xz")):
        with tarfile.open(bench.context / name, mode) as archive:
            info = tarfile.TarInfo(f"in/{name}")
            info.size, info.uid = 1, 77
            archive.addfile(info, io.BytesIO(b"x"))
    bench.file("not.tar", "text")
    image = bench.build("FROM base\nADD plain.tar zipped.tgz xz.data not.tar /to/\nCOPY plain.tar /copied/\n")
    view = View(bench, image)
    assert view.names("/to/in") == ["plain.tar", "xz.data", "zipped.tgz"]
    assert view.owner("/to/in/plain.tar") == (77, 0)
    assert view.text("/to/not.tar") == "text"
    assert view.names("/copied") == ["plain.tar"]


def test_a_hostile_archive_in_add(bench: Bench) -> None:
    (bench.context / "evil.tar").write_bytes(Archive().add("../../escaped", b"x").data())
    bench.refused("FROM base\nADD evil.tar /x/\n", "leads out", 2)
    (bench.context / "link.tar").write_bytes(Archive().symlink("l", "/").add("l/etc/passwd", b"evil").data())
    before = Path("/etc/passwd").read_bytes()
    bench.build("FROM base\nADD link.tar /x/\n")
    assert Path("/etc/passwd").read_bytes() == before


def test_heredoc_files(bench: Bench) -> None:
    view = View(bench, bench.build("""FROM base
ENV NAME=world
COPY <<a <<"b" /made/
hello $NAME
a
hello $NAME
b
COPY --chmod=755 <<EOF /script
#!/bin/sh
EOF
"""))  # fmt: skip
    assert view.text("/made/a") == "hello world\n"
    assert view.text("/made/b") == "hello $NAME\n"
    assert view.mode("/script") == 0o755


def test_configuration(bench: Bench) -> None:
    image = bench.build("""
        FROM base
        ARG WHO=nobody
        ENV A=1 B="two words" C=$A
        ENV LEGACY all of it
        ENV A=2 D=$A-$C
        LABEL one=1 "two three"='4 5'
        WORKDIR /srv
        WORKDIR app
        WORKDIR $LEGACY
        USER $WHO
        EXPOSE 80 53/udp 8000-8002/TCP
        VOLUME /data $A
        VOLUME ["/x y"]
        STOPSIGNAL SIGINT
        SHELL ["/bin/bash", "-c"]
        ENTRYPOINT run $A
        CMD ["a", "$A"]
        HEALTHCHECK --interval=1m30s --timeout=500ms --retries=5 --start-period=2s CMD test -e /x
        """)
    config = image.config
    assert config.environment == {
        "PATH": "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin",
        "A": "2",
        "B": "two words",
        "C": "",
        "LEGACY": "all of it",
        "D": "1-",
    }
    assert dict(config.labels) == {"one": "1", "two three": "4 5"}
    assert config.working_dir == "/srv/app/all of it"
    assert config.user == "nobody"
    assert set(config.exposed_ports) == {"80/tcp", "53/udp", "8000/tcp", "8001/tcp", "8002/tcp"}
    assert set(config.volumes) == {"/data", "2", "/x y"}
    assert (config.stop_signal, config.shell) == ("SIGINT", ("/bin/bash", "-c"))
    assert config.entrypoint == ("/bin/bash", "-c", "run $A")
    assert config.cmd == ("a", "$A")
    check = config.healthcheck
    assert check and check.test == ("CMD-SHELL", "test -e /x")
    assert (check.interval, check.timeout, check.retries, check.start_period) == (90 * 10**9, 5 * 10**8, 5, 2 * 10**9)


def test_entrypoint_drops_the_bases_command(bench: Bench) -> None:
    first = bench.build('FROM base\nCMD ["base"]\n', tags=("first",))
    assert first.config.cmd == ("base",)
    assert bench.build('FROM first\nENTRYPOINT ["x"]\n').config.cmd is None
    assert bench.build('FROM first\nCMD ["own"]\nENTRYPOINT ["x"]\n').config.cmd == ("own",)
    assert bench.build("FROM first\nENTRYPOINT []\nHEALTHCHECK NONE\n").config.entrypoint == ()


def test_argument_scopes(bench: Bench) -> None:
    text = """
        ARG GLOBAL=g
        ARG UNUSED=u
        FROM base AS one
        ARG GLOBAL
        ARG OWN=${GLOBAL}1
        ARG NOTHING
        ENV SEEN=$GLOBAL-$OWN-$UNUSED-$NOTHING
        FROM one
        ENV CHILD=$OWN
        """
    config = bench.build(text).config.environment
    assert (config["SEEN"], config["CHILD"]) == ("g-g1--", "g1")
    config = bench.build(text, args={"GLOBAL": "G", "NOTHING": "n"}).config.environment
    assert config["SEEN"] == "G-G1--n"
    config = bench.build(
        "FROM base\nARG V=arg\nENV V=env\nENV W=$V\nARG TARGETARCH\nENV X=$TARGETARCH\n"
    ).config.environment
    assert config["W"] == "env"
    assert config["X"] in ("amd64", "arm64")


def test_workdir_makes_directories_for_user(bench: Bench) -> None:
    view = View(bench, bench.build("FROM base\nWORKDIR /by/root\nUSER alice\nWORKDIR /full\nWORKDIR /home/alice/x\n"))
    assert view.owner("/by/root") == (0, 0)
    assert view.owner("/home/alice/x") == (1000, 1001)
    assert view.owner("/full") == (0, 0)


def test_equal_builds_are_the_same_image(bench: Bench) -> None:
    bench.file("a", "1")
    text = 'FROM base\nCOPY a /a\nWORKDIR /w\nCMD ["x"]\n'
    first = bench.build(text)
    assert bench.cached == 0
    os.utime(bench.context / "a")
    again = bench.build(text)
    assert (again.id, bench.cached) == (first.id, 2)
    bench.file("a", "2")
    assert bench.build(text).id != first.id
    assert bench.cached == 0
    bench.file("a", "1")
    assert bench.build(text).id == first.id
    bench.build(text, no_cache=True)
    assert bench.cached == 0


def test_configuration_does_not_disturb_the_cache(bench: Bench) -> None:
    bench.file("a")
    bench.build("FROM base\nLABEL v=1\nCOPY a /a\nCOPY a /b\n")
    image = bench.build("FROM base\nLABEL v=2\nCOPY a /a\nCOPY a /b\n")
    assert bench.cached == 2
    assert image.config.labels["v"] == "2"


def test_a_mode_counts_for_the_cache(bench: Bench) -> None:
    bench.file("a")
    bench.build("FROM base\nCOPY a /a\n")
    (bench.context / "a").chmod(0o755)
    bench.build("FROM base\nCOPY a /a\n")
    assert bench.cached == 0


def test_reproducible_with_an_epoch(bench: Bench, tmp_path: Path) -> None:
    bench.file("a")
    text = "FROM base\nCOPY a /a\nWORKDIR /new\n"
    first = bench.build(text, args={"SOURCE_DATE_EPOCH": "1000"})
    (tmp_path / "other").mkdir()
    other = Bench(tmp_path / "other")
    other.file("a")
    second = other.build(text, args={"SOURCE_DATE_EPOCH": "1000"})
    assert [layer.digest for layer in second.layers] == [layer.digest for layer in first.layers]
    assert first.created == "1970-01-01T00:16:40.000000000Z"


def test_only_needed_stages_are_built(bench: Bench) -> None:
    bench.file("a")
    image = bench.build("FROM base AS one\nCOPY a /a\nFROM nothere AS two\nCOPY missing /x\nFROM one\n")
    assert View(bench, image).text("/a") == "x"
    bench.refused("FROM base AS one\nFROM nothere AS two\n", "no such image", 2, target="two")


def test_tags_labels_and_warnings(bench: Bench) -> None:
    image = bench.build("FROM base\nLABEL \\\n\n a=1\n", tags=("app:1", "app:2"), labels={"b": "2"})
    assert {item.reference for item in listed(bench.store)} == {"base:latest", "app:1", "app:2"}
    assert dict(image.config.labels) == {"a": "1", "b": "2"}
    assert any(isinstance(event, Warned) for event in bench.events)


def test_an_untagged_result(bench: Bench) -> None:
    image = bench.build('FROM scratch\nCMD ["x"]\n', tags=())
    assert bench.store.resolve(image.id)
    assert image.layers == ()


def test_onbuild(bench: Bench) -> None:
    bench.file("a")
    bench.build("FROM base\nONBUILD COPY a /triggered\nONBUILD ENV X=1\n", tags=("trigger",))
    image = bench.build("FROM trigger\n")
    assert View(bench, image).text("/triggered") == "x"
    assert image.config.environment["X"] == "1"
    assert image.config.on_build == ()


def test_additional_contexts(bench: Bench, tmp_path: Path) -> None:
    (tmp_path / "extra").mkdir()
    (tmp_path / "extra/f").write_text("extra")
    text = "FROM mybase\nCOPY --from=more f /f\n"
    contexts = {"more": str(tmp_path / "extra"), "mybase": "docker-image://base"}
    assert View(bench, bench.build(text, additional_contexts=contexts)).text("/f") == "extra"


@pytest.mark.parametrize(
    ("text", "line", "reason"),
    [
        ("FROM base\nEXPOSE 70000\n", 2, "between 1 and 65535"),
        ("FROM base\nEXPOSE http\n", 2, "not a port"),
        ("FROM base\nENV A\n", 2, "has no value"),
        ("FROM base\nENV A=1 B\n", 2, "has no value"),
        ("FROM base\nHEALTHCHECK TEST x\n", 2, "HEALTHCHECK"),
        ("FROM base\nHEALTHCHECK --interval=5 CMD x\n", 2, "not a duration"),
        ("FROM base\nSHELL sh\n", 2, "JSON list"),
        ('FROM base\nENV A="${B:?needs B}"\n', 2, "B: needs B"),
        ("FROM base\nRUN --network=moon x\n", 2, "cannot use network 'moon'"),
        ("FROM base\nRUN --mount=type=magic,target=/x x\n", 2, "type 'magic' is unknown"),
        ("FROM base\nONBUILD FROM x\n", 2, "not allowed behind ONBUILD"),
        ("FROM --platform=linux/s390x base\n", 1, "cannot build FROM base for linux/s390x"),
    ],
)
def test_mistakes_have_a_place(bench: Bench, text: str, line: int, reason: str) -> None:
    bench.refused(text, reason, line)


def test_missing_context_and_dockerfile(bench: Bench) -> None:
    bench.refused("", "no such directory", context=str(bench.context / "none"), inline="FROM base")
    bench.refused("", "there is no .*/Dockerfile", inline="")


def test_nothing_is_left_in_the_room(bench: Bench) -> None:
    bench.file("a")
    bench.build("FROM base\nCOPY a /a\n")
    bench.refused("FROM base\nCOPY a /a\nCOPY b /b\n", "there is no 'b'")
    assert [path.name for path in (bench.layout.build_cache / ".work").iterdir()] == [".gate"]


def test_what_nobody_used_for_long_is_forgotten(bench: Bench) -> None:
    """Looked for once a day: records, their locks, downloads, checkouts."""
    cache = bench.layout.build_cache
    bench.file("a")
    bench.build("FROM base\nCOPY a /a\n")
    old = [cache / "http/1.json", cache / "http/1", cache / "git/1/file", cache / "contexts/1/file"]
    for path in old:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()
    locks = list((cache / "locks").iterdir())
    for path in (cache / "steps/.looked", *locks, *old, cache / "git/1", cache / "contexts/1"):
        os.utime(path, (0, 0))
    bench.file("b")
    bench.build("FROM base\nCOPY b /b\n")
    assert locks and not any(path.exists() for path in (*locks, *old))
    assert list((cache / "locks").iterdir()), "those of this build"
    bench.build("FROM base\nCOPY a /a\n")
    assert bench.cached == 1, "its record is not that old"


def test_what_is_shown_of_steps(bench: Bench) -> None:
    """What only changes the configuration makes no line, nor does what is cached; the end says how much that was."""

    def shown() -> list[str]:
        return [event.text for event in bench.events if event.text and not isinstance(event, Warned | StepDone)]

    bench.file("a")
    bench.file("b")
    text = 'FROM base\nENV A=1\nCOPY a /a\nLABEL x=y\nCOPY b /b\nCMD ["x"]\n'
    bench.build(text)
    assert shown() == ["[stage-0 1/2] COPY a /a", "[stage-0 2/2] COPY b /b"]
    assert bench.events[-1].to_json()["summary"] == "built"
    bench.build(text, tags=("one", "two"))
    assert shown() == ["also named two:latest"]
    assert bench.events[-1].to_json()["summary"] == "built, all 2 steps cached"
    bench.file("b", "changed")
    bench.build(text)
    assert shown() == ["[stage-0 2/2] COPY b /b"]
    assert bench.events[-1].to_json()["summary"] == "built, 1 of 2 steps cached"


def test_the_base_is_noted(bench: Bench) -> None:
    """By the name and digest that its layers came with, whatever stages lie between; the same for equal builds."""
    bench.file("a")
    epoch = {"SOURCE_DATE_EPOCH": "1000"}
    image = bench.build("FROM base AS one\nCOPY a /a\nFROM one\nCOPY a /b\n", args=epoch)
    base = bench.store.resolve("base")
    notes = bench.store.blobs.read_json(image.digest)["annotations"]
    assert base and notes == {
        "org.opencontainers.image.base.name": "docker.io/library/base:latest",
        "org.opencontainers.image.base.digest": base.digest,
    }
    known = bases(bench.store, image, notes)
    assert [(item.name, item.digest, item.how) for item in known] == [("base:latest", base.digest, "layers")]
    assert subjects(bench.store) == [], "no registry is asked for what was made here"
    again = bench.build("FROM base AS one\nCOPY a /a\nFROM one\nCOPY a /b\n", args=epoch, no_cache=True)
    assert again.digest == image.digest
    unnamed = bench.build(f"FROM {base.id}\nCOPY a /a\n")
    assert list(bench.store.blobs.read_json(unnamed.digest)["annotations"]) == ["org.opencontainers.image.base.digest"]
    assert "annotations" not in bench.store.blobs.read_json(bench.build("FROM scratch\nCOPY a /a\n").digest)
