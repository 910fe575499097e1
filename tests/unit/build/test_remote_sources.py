"""Sources and contexts that lie elsewhere: URLs, git, layouts, named contexts. Servers are on loopback."""

from __future__ import annotations

import hashlib
import io
import os
import shutil
import subprocess
import threading
from collections.abc import Iterator
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any, ClassVar

import pytest
from build_support import Bench, View, no_registry

from stackup.build.gitsource import GitReference, parse_git
from tests.support.archives import Archive

pytestmark = pytest.mark.skipif(os.geteuid() != 0, reason="owners of files in layers need root")


class Handler(SimpleHTTPRequestHandler):
    asked: ClassVar[list[str]] = []

    def do_GET(self) -> None:
        self.asked.append(self.path)
        super().do_GET()

    def log_message(self, *_: Any) -> None:
        pass


@pytest.fixture
def site(tmp_path: Path) -> Iterator[tuple[Path, str]]:
    """A directory, and the URL that it is served at."""
    root = tmp_path / "site"
    root.mkdir()
    Handler.asked = []
    server = ThreadingHTTPServer(("127.0.0.1", 0), partial(Handler, directory=str(root)))
    thread = threading.Thread(target=partial(server.serve_forever, poll_interval=0.01))
    thread.start()
    yield root, f"http://127.0.0.1:{server.server_port}"
    server.shutdown()
    thread.join()
    server.server_close()


@pytest.fixture
def bench(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Bench:
    no_registry(monkeypatch)
    for name in ("http_proxy", "HTTP_PROXY", "all_proxy", "ALL_PROXY"):
        monkeypatch.delenv(name, raising=False)
    return Bench(tmp_path)


def test_a_url(bench: Bench, site: tuple[Path, str]) -> None:
    root, url = site
    (root / "f.txt").write_text("one")
    os.utime(root / "f.txt", (1_000_000, 1_000_000))
    text = f"FROM scratch\nADD {url}/f.txt /x/\nADD --chmod=755 --chown=3:4 {url}/f.txt /y\n"
    view = View(bench, bench.build(f"{text}ADD --link {url}/f.txt /usr/share/\nADD --chmod=700 {url}/f.txt /own/f\n"))
    modes = [view.fact(f"{path} mode") for path in ("/x", "/usr", "/usr/share", "/usr/share/f.txt", "/own", "/own/f")]
    assert modes == ["755", "755", "755", "600", "700", "700"]
    facts = ("/x/f.txt", "/x/f.txt mode", "/x/f.txt owner", "/x/f.txt time", "/y mode", "/y owner")
    assert [view.fact(item) for item in facts] == ["one", "600", "0:0", 1_000_000, "755", "3:4"]
    bench.build(text)
    assert bench.cached == 2
    (root / "f.txt").write_text("two")
    assert View(bench, bench.build(text)).text("/y") == "two"


def test_a_checksum(bench: Bench, site: tuple[Path, str]) -> None:
    root, url = site
    (root / "f").write_text("content")
    good = f"sha256:{hashlib.sha256(b'content').hexdigest()}"
    long = f"sha512:{hashlib.sha512(b'content').hexdigest()}"
    assert View(bench, bench.build(f"FROM scratch\nADD --checksum={good} {url}/f /\n")).text("/f") == "content"
    before = len(Handler.asked)
    bench.build(f"FROM scratch\nARG SUM={good}\nADD --checksum=$SUM {url}/f /g\n")
    assert len(Handler.asked) == before, "what is known by its checksum is not asked for again"
    bench.build(f"FROM scratch\nADD --checksum={long} {url}/f /h\n")
    bench.refused(f"FROM scratch\nADD --checksum=sha256:{'0' * 64} {url}/f /\n", "its checksum is sha256:", 2)
    bench.refused(f"FROM scratch\nADD --checksum=sha256:0 {url}/f /\n", "is not one such as", 2)
    bench.refused(f"FROM scratch\nADD --checksum={good} f /\n", "comes over the network", 2)


def test_what_is_not_there(bench: Bench, site: tuple[Path, str]) -> None:
    _, url = site
    bench.refused(f"FROM scratch\nADD {url}/none /\n", "the server answers 404", 2)
    bench.refused("FROM scratch\nADD http://127.0.0.1:1/none /\n", "cannot fetch .*refused", 2)


def test_archives(bench: Bench, site: tuple[Path, str]) -> None:
    root, url = site
    data = Archive().add("in/f", b"1", owner=(7, 8), mode=0o640).data()
    (root / "a.tar").write_bytes(data)
    (bench.context / "a.tar").write_bytes(data)
    subprocess.run(["zstd", "-q", str(root / "a.tar"), "-o", str(bench.context / "a.zst")], check=True)
    view = View(bench, bench.build(f"""
        FROM scratch
        ADD {url}/a.tar /kept/
        ADD --unpack=true {url}/a.tar /unpacked/
        ADD a.zst /zst/
        ADD --unpack=false a.tar /plain/
        ADD --chown=1:2 a.tar /owned/
        COPY a.tar /copied/
        """))  # fmt: skip
    assert view.names("/kept") == view.names("/plain") == view.names("/copied") == ["a.tar"]
    assert view.text("/unpacked/in/f") == view.text("/zst/in/f") == "1"
    assert (view.owner("/zst/in/f"), view.mode("/zst/in/f"), view.owner("/owned/in/f")) == ((7, 8), 0o640, (1, 2))


def test_a_file_that_is_fetched_again_is_not_touched(bench: Bench, site: tuple[Path, str]) -> None:
    """Another stage, or another platform's build, may be copying it just now."""
    root, url = site
    (root / "f").write_text("1")

    def here() -> list[tuple[int, int]]:
        found = [path.stat() for path in (bench.layout.build_cache / "http").iterdir() if len(path.name) == 64]
        return [(info.st_ino, info.st_ctime_ns) for info in found]

    bench.build(f"FROM base\nADD {url}/f /f\n")
    first = here()
    for record in (bench.layout.build_cache / "http").glob("*.json"):
        record.write_text(
            record.read_text().replace('"etag": "', '"etag": "other').replace('"modified": "', '"modified": "x')
        )
    bench.build(f"FROM base\nADD {url}/f /f\n", no_cache=True)
    assert here() == first
    (root / "f").write_text("other")
    os.utime(root / "f", (2e9, 2e9))
    assert View(bench, bench.build(f"FROM base\nADD {url}/f /f\n", no_cache=True)).text("/f") == "other"
    assert here() != first


def test_an_archive_replaces_what_is_in_its_way(bench: Bench) -> None:
    """The base has a link /lib, a file /file and a directory /full; COPY refuses what ADD of an archive replaces."""
    archive = Archive().directory("lib").add("lib/f", b"1").directory("file").add("file/in", b"2").add("full", b"3")
    (bench.context / "a.tar").write_bytes(archive.data())
    view = View(bench, bench.build("FROM base\nADD a.tar /\n"))
    assert (view.text("/lib/f"), view.text("/file/in"), view.text("/full")) == ("1", "2", "3")
    assert view.names("/usr/lib") == []
    (bench.context / "d/lib").mkdir(parents=True)
    bench.refused("FROM base\nCOPY d /\n", "there is a link of that name", 2)


def git(at: Path, *arguments: str) -> str:
    identity = ("-c", "user.name=x", "-c", "user.email=x@x", "-c", "init.defaultBranch=main")
    done = subprocess.run(["git", *identity, *arguments], cwd=at, check=True, capture_output=True, text=True)
    return done.stdout.strip()


@pytest.fixture
def repository(site: tuple[Path, str], tmp_path: Path) -> tuple[str, str]:
    """Its address, and its first commit; branches main and other, tag v1."""
    root, url = site
    work = tmp_path / "work"
    (work / "sub").mkdir(parents=True)
    git(work, "init", "-q")
    (work / "f").write_text("one")
    (work / "sub/Dockerfile").write_text("FROM scratch\nCOPY . /here\n")
    git(work, "add", ".")
    git(work, "commit", "-q", "-m", "one")
    git(work, "tag", "-a", "v1", "-m", "v1")
    git(work, "checkout", "-q", "-b", "other")
    (work / "f").write_text("two")
    git(work, "commit", "-q", "-a", "-m", "two")
    git(work, "checkout", "-q", "main")
    git(work, "clone", "-q", "--bare", ".", str(root / "repo.git"))
    git(root / "repo.git", "update-server-info")
    return f"{url}/repo.git", git(work, "rev-parse", "HEAD")


def test_git(bench: Bench, repository: tuple[str, str]) -> None:
    address, commit = repository
    view = View(bench, bench.build(f"""
        FROM scratch
        ADD {address} /main/
        ADD --keep-git-dir=true {address}#other /other
        ADD --checksum={commit} {address}#v1:sub /sub
        ADD {address}?branch=other&subdir=sub /query
        """))  # fmt: skip
    assert (view.text("/main/f"), view.text("/other/f")) == ("one", "two")
    assert view.names("/main") == ["f", "sub"] and ".git" in view.names("/other")
    assert view.names("/sub") == view.names("/query") == ["Dockerfile"]
    bench.refused(f"FROM scratch\nADD --checksum={'0' * 40} {address} /x\n", "it is at commit", 2)
    bench.refused(f"FROM scratch\nADD {address}#none /x\n", "no branch, tag or commit none", 2)
    bench.refused(f"FROM scratch\nADD {address}?what=1 /x\n", "have no option 'what'", 2)
    bench.refused(f"FROM scratch\nCOPY {address} /x\n", "is not in the build context", 2)


def test_a_context_in_git_or_behind_a_url(bench: Bench, repository: tuple[str, str], site: tuple[Path, str]) -> None:
    root, url = site
    address, _ = repository
    view = View(bench, bench.build("", inline="", context=f"{address}#main:sub"))
    assert view.names("/here") == ["Dockerfile"]
    archive = Archive().add("Dockerfile", b"FROM scratch\nCOPY f /g\n").add("f", b"in an archive").data()
    (root / "context.tar").write_bytes(archive)
    assert View(bench, bench.build("", inline="", context=f"{url}/context.tar")).text("/g") == "in an archive"
    (root / "out.tar").write_bytes(Archive().symlink("Dockerfile", "/etc/passwd").data())
    bench.refused("", "leads out of", inline="", context=f"{url}/out.tar")
    (root / "Only").write_text("FROM scratch\nCOPY <<E /x\nalone\nE\n")
    assert View(bench, bench.build("", inline="", context=f"{url}/Only")).text("/x") == "alone\n"
    assert View(bench, bench.build("FROM scratch\nCOPY f /f\n", context=address)).text("/f") == "one"
    bench.refused("", "no directory none", inline="", context=f"{address}#main:none")


@pytest.mark.parametrize(
    ("text", "wanted"),
    [
        ("https://h/a.git", GitReference("https://h/a.git")),
        ("https://h/a.git#v1:dir/sub/", GitReference("https://h/a.git", "v1", "dir/sub")),
        ("git@h:a/b.git#x", GitReference("git@h:a/b.git", "x")), ("ssh://h/a", GitReference("ssh://h/a")),
        ("git://h/a", GitReference("git://h/a")), ("https://h/a", None), ("github.com/a/b", None), ("a:b", None),
        ("./a.git", None), ("a@b", None),
        ("https://h/a.git?tag=v1&keep-git-dir=1&submodules=false",
         GitReference("https://h/a.git", "refs/tags/v1", keep_git=True, submodules=False)),
        ("https://h/a.git?commit=abc", GitReference("https://h/a.git", "abc", checksum="abc")),
    ],
)  # fmt: skip
def test_git_addresses(text: str, wanted: GitReference | None) -> None:
    assert parse_git(text) == wanted
    assert parse_git("github.com/a/b", context=True) == GitReference("https://github.com/a/b")


def test_named_contexts(bench: Bench, site: tuple[Path, str], repository: tuple[str, str], tmp_path: Path) -> None:
    root, url = site
    (tmp_path / "extra").mkdir()
    for name in ("f", "hidden", ".dockerignore"):
        (tmp_path / "extra" / name).write_text(name if name != ".dockerignore" else "hidden\n.dockerignore\n")
    (root / "more.tar").write_bytes(Archive().add("t", b"tar").data())
    contexts = {
        "dir": str(tmp_path / "extra"), "img": "docker-image://base", "git": repository[0], "tar": f"{url}/more.tar",
        "replaced": str(tmp_path / "extra"), "alpine": "docker-image://base",
        "nothing": "docker-image://scratch",
    }  # fmt: skip
    text = """
        FROM never AS replaced
        RUN never
        FROM dir AS whole
        FROM nothing AS empty
        COPY --from=dir f /only
        FROM alpine:latest
        COPY --from=dir . /dir/
        COPY --from=img /full/old /old
        COPY --from=git f /git
        COPY --from=tar t /tar
        COPY --from=replaced f /replaced
        COPY --from=whole / /whole/
        COPY --from=empty / /empty/
        """
    view = View(bench, bench.build(text, additional_contexts=contexts))
    assert view.names("/dir") == view.names("/whole") == ["f"] and view.names("/empty") == ["only"]
    facts = {name: view.text(name) for name in ("/old", "/git", "/tar", "/replaced", "/file")}
    assert facts == {"/old": "old", "/git": "one", "/tar": "tar", "/replaced": "f", "/file": "a file"}
    error = bench.refused("FROM scratch\nCOPY --from=x a /\n", "is not a directory", additional_contexts={"x": "nope"})
    assert error.about == ".build.additional_contexts.x"


def test_an_oci_layout(bench: Bench, tmp_path: Path) -> None:
    made = bench.build("FROM base\nCOPY <<E /new\nn\nE\nENV A=1\n", tags=("made:1",))
    layout = bench.context / "layout"
    shutil.copytree(bench.layout.images, layout)
    (tmp_path / "other").mkdir()
    other = Bench(tmp_path / "other")
    shutil.copytree(layout, other.context / "layout")
    contexts = {"it": "oci-layout://layout:1", "by": f"oci-layout://layout@{made.digest}"}
    view = View(other, other.build("FROM it\nCOPY --from=by /new /again\n", additional_contexts=contexts))
    assert (view.text("/new"), view.text("/again"), view.fact("env.A")) == ("n\n", "n\n", "1")
    other.refused("FROM it\n", "has no image 2", additional_contexts={"it": "oci-layout://layout:2"})


def test_a_registry_is_asked_for_missing_bases(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    asked: ClassVar[list[str]] = []

    def pull(store: Any, reference: str, *_rest: object) -> None:
        asked.append(reference)
        store.import_rootfs(io.BytesIO(Archive().add("pulled", reference.encode()).data()), reference)

    monkeypatch.setattr("stackup.build.bases.pull_image", pull)
    view = View(
        bench, bench.build("FROM far:1 AS x\nFROM far:1\nCOPY --from=far:2 /pulled /other\nCOPY --from=x / /x/\n")
    )
    assert (view.text("/pulled"), view.text("/other")) == ("far:1", "far:2")
    assert sorted(asked) == ["far:1", "far:2"]
    bench.build("FROM far:1\n")
    bench.build("FROM base\n", pull=True)
    assert sorted(asked) == ["base", "far:1", "far:2"]


def test_a_base_that_is_newer_nowhere(bench: Bench) -> None:
    bench.build("FROM base\n", pull=True)
    assert any("the image that is here is used" in event.text for event in bench.events)
    error = bench.refused("FROM base AS x\nFROM none:1\n", "cannot build FROM none:1: .*no network", 2)
    assert "import" in error.hint
