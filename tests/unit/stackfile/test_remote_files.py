"""Files in git repositories: addresses, fetching (the server is on loopback), the cache, and what is said in error."""

from __future__ import annotations

import os
import shutil
import subprocess
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
from stackfile_support import write

from stackup.base.errors import StackFileError
from stackup.stackfile import Loaded, LoadRequest, load
from stackup.stackfile.gitaddress import AddressError, GitAddress, is_remote, parse


class Backend(BaseHTTPRequestHandler):
    """git http-backend as a CGI, enough for fetching."""

    root = ""

    def do_GET(self) -> None:
        self.answer(b"")

    def do_POST(self) -> None:
        self.answer(self.rfile.read(int(self.headers.get("Content-Length") or 0)))

    def answer(self, body: bytes) -> None:
        path, _, query = self.path.partition("?")
        if path.startswith("/private"):
            self.send_response(401)
            self.send_header("WWW-Authenticate", 'Basic realm="x"')
            self.end_headers()
            return
        given = {
            "GIT_PROJECT_ROOT": self.root,
            "GIT_HTTP_EXPORT_ALL": "1",
            "PATH_INFO": path,
            "QUERY_STRING": query,
            "REQUEST_METHOD": self.command,
            "CONTENT_TYPE": self.headers.get("Content-Type") or "",
            "CONTENT_LENGTH": str(len(body)),
            "HTTP_CONTENT_ENCODING": self.headers.get("Content-Encoding") or "",
            "GIT_PROTOCOL": self.headers.get("Git-Protocol") or "",
            "PATH": os.environ["PATH"],
        }
        ran = subprocess.run(["git", "http-backend"], input=body, env=given, capture_output=True, check=False)
        head, _, content = ran.stdout.partition(b"\r\n\r\n")
        headers = dict(line.split(": ", 1) for line in head.decode().split("\r\n") if line)
        self.send_response(int(headers.pop("Status", "200").split()[0]))
        for name, value in headers.items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(content)

    def log_message(self, format: str, *args: object) -> None:
        pass


class Repository:
    """A repository that a server on loopback gives away."""

    def __init__(self, root: Path, url: str) -> None:
        self.root = root
        self.work = root / "work"
        self.url = url
        self.work.mkdir()
        self.git("init", "-q", "-b", "main")
        self.git("config", "core.hooksPath", "/dev/null")

    def git(self, *words: str) -> str:
        variables = {name: value for name, value in os.environ.items() if not name.startswith("GIT_")}
        who = ("-c", "user.name=t", "-c", "user.email=t@example.com", "-c", "commit.gpgsign=false")
        ran = subprocess.run(
            ["git", *who, *words], cwd=self.work, env=variables, capture_output=True, text=True, check=True
        )
        return ran.stdout.strip()

    def commit(self, *files: str, **texts: str) -> str:
        """Writes and commits files, and puts them where the server finds them. The commit's id."""
        write(self.work, **texts)
        self.git("add", "-A", *files)
        self.git("commit", "-q", "-m", "more")
        self.publish()
        return self.git("rev-parse", "HEAD")

    def publish(self) -> None:
        bare = self.root / "shop.git"
        if not bare.exists():
            self.git("clone", "-q", "--bare", str(self.work), str(bare))
        else:
            self.git("push", "-q", "--force", "--all", str(bare))
        self.git("push", "-q", "--force", "--tags", str(bare))


@pytest.fixture
def server(tmp_path: Path) -> Iterator[ThreadingHTTPServer]:
    handler = type("Handler", (Backend,), {"root": str(tmp_path)})
    found = ThreadingHTTPServer(("127.0.0.1", 0), handler)
    thread = threading.Thread(target=found.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)
    thread.start()
    yield found
    found.shutdown()
    found.server_close()
    thread.join()


@pytest.fixture
def shop(tmp_path: Path, server: ThreadingHTTPServer) -> Repository:
    if shutil.which("git") is None:
        pytest.skip("git is not installed here: fetching from repositories is NOT tested")
    return Repository(tmp_path, f"http://127.0.0.1:{server.server_port}/shop.git")


def read(directory: Path, text: str = "", *files: str, **more: str) -> Loaded:
    project = directory / "project"
    project.mkdir(exist_ok=True)
    if text:
        write(project, compose__yaml=text)
    given = {"STACKUP_ROOT": str(directory / "s"), "HOME": str(directory), "PATH": os.environ["PATH"], **more}
    return load(LoadRequest(project, files, environment=given, run=False))


def refusal(directory: Path, text: str, *files: str, **more: str) -> StackFileError:
    with pytest.raises(StackFileError) as raised:
        read(directory, text, *files, **more)
    return raised.value


# --- addresses


@pytest.mark.parametrize(
    ("text", "remote", "ref", "subdir"),
    [
        ("https://example.com/a/b.git", "https://example.com/a/b.git", "", ""),
        ("https://example.com/a/b.git#v1:deploy/prod", "https://example.com/a/b.git", "v1", "deploy/prod"),
        ("https://example.com/a/b.git#:deploy//./x", "https://example.com/a/b.git", "", "deploy/x"),
        ("https://example.com/a/b.git#feature/x", "https://example.com/a/b.git", "feature/x", ""),
        ("git@example.com:a/b.git#main", "git@example.com:a/b.git", "main", ""),
        ("git@example.com:a/b", "git@example.com:a/b", "", ""),
        ("ssh://git@example.com:22/a/b", "ssh://git@example.com:22/a/b", "", ""),
        ("git://example.com/a", "git://example.com/a", "", ""),
        ("git+https://example.com/a/b#main", "https://example.com/a/b", "main", ""),
        ("https://example.com/a.git?branch=main&subdir=x/y", "https://example.com/a.git", "main", "x/y"),
        ("https://example.com/a.git?ref=pull/4/head", "https://example.com/a.git", "pull/4/head", ""),
        ("https://example.com/a.git?subdir=/x&submodules=false", "https://example.com/a.git", "", "x"),
        (f"https://example.com/a.git?tag=v1&commit={'a' * 40}", "https://example.com/a.git", "a" * 40, ""),
    ],
)
def test_addresses(text: str, remote: str, ref: str, subdir: str) -> None:
    found = parse(text)
    assert (found.remote, found.ref, found.subdir, found.host.partition(":")[0]) == (remote, ref, subdir, "example.com")


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("https://example.com/compose.yaml", "must be that of a git repository"),
        ("ftp://example.com/a.git", "addresses that begin with ftp:// cannot be read"),
        ("file:///a/b.git", "not from file://"),
        ("git::https://example.com/b.git", "git:: is no part of an address"),
        ("ext::sh -c id", ""),
        ("https://example.com/a.git?ref=x#y", "exclude each other"),
        ("https://example.com/a.git?branch=x&tag=y", "branch and tag exclude each other"),
        ("https://example.com/a.git?brnch=x", "there is no 'brnch'"),
        ("https://example.com/a.git?tag=v1&commit=abc", "no whole commit id"),
        ("https://example.com/a.git?ref=--upload-pack", "no branch, tag or commit"),
        ("https://example.com/a.git?subdir=../x", "leads out of the repository"),
        ("https://example.com/a.git#--upload-pack=id", "no branch, tag or commit"),
        ("https://example.com/a.git#a..b", "no branch, tag or commit"),
        ("https://example.com/a.git#main:../../etc", "leads out of the repository"),
        ("https://example.com/a.git#main:/etc", "leads out of the repository"),
        ("https://example.com/a.git#main:a/%2e%2e/b", "leads out of the repository"),
        ("ssh://-oProxyCommand=id/a.git", "names no host"),
        ("ssh://git@-oProxyCommand=id/a.git", "names no host"),
        ("git@-oProxyCommand:a.git", "names no host"),
        ("git@example.com:--upload-pack=id", "names no repository"),
        ("https:///a.git", "names no host"),
        ("https://example.com/a.git#x\ny", "a space or a control character"),
    ],
)
def test_addresses_that_are_refused(text: str, reason: str) -> None:
    if not is_remote(text):
        assert not reason
        return
    with pytest.raises(AddressError) as raised:
        parse(text)
    assert reason in str(raised.value)


def test_the_address_of_a_page_is_put_right() -> None:
    for text in (
        "https://github.com/a/b/blob/main/deploy/compose.yaml",
        "https://raw.githubusercontent.com/a/b/main/deploy/compose.yaml",
    ):
        with pytest.raises(AddressError) as raised:
            parse(text)
        assert raised.value.hint == "write https://github.com/a/b.git#main:deploy/compose.yaml"


@pytest.mark.parametrize("text", ["compose.yaml", "./a@b:c", "/x/y", "~/x", "a/b.git", "C:\\x", "github.com/a/b.git"])
def test_paths(text: str) -> None:
    assert not is_remote(text)


def test_passwords_are_not_shown() -> None:
    assert GitAddress("https://me:secret@example.com/a.git", "example.com").shown == "https://me:***@example.com/a.git"


# --- fetching


def test_include(shop: Repository, tmp_path: Path) -> None:
    commit = shop.commit(
        compose__yaml="services: {db: {image: a, volumes: [./data:/d]}}\ninclude: [more/x.yaml]",
        more___x__yaml="services: {x: {image: '${WHAT}', env_file: x.env}}",
        more___x__env="A=1\n",
        more_____env="WHAT=from-there\n",
    )
    loaded = read(tmp_path, f"include: ['{shop.url}']\nservices: {{web: {{image: b}}}}")
    root = tmp_path / "s/lib/cache/git" / commit
    services = loaded.stack.services
    assert sorted(services) == ["db", "web", "x"]
    assert services["db"].volumes[0].source == f"{root}/data"
    assert services["x"].image == "from-there"
    assert services["x"].environment == {"A": "1"}
    assert not (root / ".git").exists()
    assert [path.name for path in root.parent.iterdir()] == [commit]
    assert (tmp_path / "project") == loaded.directory


def test_branches_tags_commits_and_directories(shop: Repository, tmp_path: Path) -> None:
    first = shop.commit(deploy___compose__yml="services: {one: {image: a}}")
    shop.git("tag", "-a", "v1", "-m", "x")
    shop.git("branch", "other/v1")
    shop.commit(deploy___compose__yml="services: {two: {image: a}}", deploy___b__yaml="services: {b: {image: a}}")

    def names(fragment: str) -> list[str]:
        return sorted(read(tmp_path, f"include: ['{shop.url}#{fragment}']").stack.services)

    assert names(":deploy") == names("main:deploy") == names("refs/heads/main:deploy") == ["two"]
    assert names("v1:deploy") == names(f"{first}:deploy") == names("other/v1:deploy") == ["one"]
    assert names("main:deploy/b.yaml") == ["b"]


def test_a_branch_is_asked_for_each_time_and_a_commit_once(shop: Repository, tmp_path: Path) -> None:
    first = shop.commit(compose__yaml="services: {one: {image: a}}")
    by_name = f"include: ['{shop.url}#main']"
    loaded = read(tmp_path, by_name)
    assert f"{shop.url}#main" in [item.path for item in loaded.inputs]
    shop.commit(compose__yaml="services: {two: {image: a}}")
    assert list(read(tmp_path, by_name).stack.services) == ["two"]
    (tmp_path / "shop.git").rename(tmp_path / "away.git")
    assert list(read(tmp_path, f"include: ['{shop.url}#{first}']").stack.services) == ["one"]
    assert "there is no git repository" in refusal(tmp_path, by_name).message


def test_the_stack_file_itself(shop: Repository, tmp_path: Path) -> None:
    commit = shop.commit(a___compose__yaml="services: {w: {image: a, build: ., volumes: [./x:/x]}}")
    loaded = read(tmp_path, "", f"{shop.url}#:a")
    assert loaded.stack.name == "project"
    assert loaded.directory == tmp_path / "s/lib/cache/git" / commit / "a"
    assert loaded.stack.services["w"].volumes[0].source == f"{loaded.directory}/x"


def test_extends(shop: Repository, tmp_path: Path) -> None:
    shop.commit(base__yaml="services: {base: {image: a, env_file: [e.env]}}", e__env="A=1")
    text = f"services: {{w: {{extends: {{file: '{shop.url}#main:base.yaml', service: base}}}}}}"
    assert read(tmp_path, text).stack.services["w"].environment == {"A": "1"}
    error = refusal(tmp_path, text.replace("base.yaml", "bse.yaml"))
    assert error.message.startswith("cannot extend services.w: there is no bse.yaml of http://")


def test_overrides_of_included_files(shop: Repository, tmp_path: Path) -> None:
    shop.commit(compose__yaml="services: {w: {image: a}}")
    write(tmp_path / "project", mine__yaml="services: {w: {image: b}}")
    loaded = read(tmp_path, f"include: [{{path: ['{shop.url}', mine.yaml]}}]")
    assert loaded.stack.services["w"].image == "b"


# --- what goes wrong


def test_no_such_branch(shop: Repository, tmp_path: Path) -> None:
    shop.commit(compose__yaml="services: {w: {image: a}}")
    error = refusal(tmp_path, f"include:\n  - {shop.url}#mian\n")
    assert error.message == f"cannot use include[0]: {shop.url} has no branch or tag 'mian'"
    assert (error.hint, error.where and error.where.line, error.where and error.where.column) == (
        "did you mean 'main'?",
        2,
        5,
    )
    assert "40 digits" in refusal(tmp_path, f"include: ['{shop.url}#abcdef1']").hint
    assert "has no commit" in refusal(tmp_path, f"include: ['{shop.url}#{'1' * 40}']").message


def test_no_such_repository(shop: Repository, tmp_path: Path) -> None:
    url = shop.url.replace("shop", "shpo")
    assert f"there is no git repository {url}" in refusal(tmp_path, f"include: ['{url}']").message
    url = shop.url.replace("shop", "private")
    assert "wants a login" in refusal(tmp_path, f"include: ['{url}']").message


def test_no_stack_file_in_there(shop: Repository, tmp_path: Path) -> None:
    shop.commit(x__yaml="services: {w: {image: a}}", d___y="1")
    assert "there is no compose.yaml (or" in refusal(tmp_path, f"include: ['{shop.url}']").message
    assert "in d of http" in refusal(tmp_path, f"include: ['{shop.url}#:d']").message
    assert "there is no e of http" in refusal(tmp_path, f"include: ['{shop.url}#:e']").message


def test_links_that_lead_out(shop: Repository, tmp_path: Path) -> None:
    write(tmp_path, secret__yaml="services: {w: {image: secret}}")
    shop.commit(inside__yaml="services: {w: {image: a}}")
    (shop.work / "compose.yaml").symlink_to(tmp_path / "secret.yaml")
    (shop.work / "up").symlink_to("../../../../../..")
    (shop.work / "good").mkdir()
    (shop.work / "good/compose.yaml").symlink_to("../inside.yaml")
    shop.commit()
    assert "leads out of the repository" in refusal(tmp_path, f"include: ['{shop.url}']").message
    assert "leads out of the repository" in refusal(tmp_path, f"include: ['{shop.url}#:up']").message
    assert read(tmp_path, f"include: ['{shop.url}#:good']").stack.services["w"].image == "a"


def test_a_repository_that_includes_itself(shop: Repository, tmp_path: Path) -> None:
    shop.commit(compose__yaml=f"include: ['{shop.url}']\nservices: {{w: {{image: a}}}}")
    assert "include each other" in refusal(tmp_path, f"include: ['{shop.url}']").message


def test_without_a_network(tmp_path: Path) -> None:
    error = refusal(tmp_path, "include: ['https://nowhere.invalid/a.git']")
    assert error.message.startswith("cannot use include[0]: nowhere.invalid cannot be reached")
    assert "commit id" in error.hint
    error = refusal(tmp_path, "include: ['http://127.0.0.1:9/a.git']")
    assert "127.0.0.1:9 cannot be reached: it does not answer" in error.message


def test_without_git(tmp_path: Path) -> None:
    error = refusal(tmp_path, "include: ['https://nowhere.invalid/a.git']", PATH=str(tmp_path))
    assert "git is not installed" in error.message


def test_every_address_has_its_own_error(tmp_path: Path) -> None:
    error = refusal(tmp_path, "include:\n - oci://a/B\n - https://a.b/c.yaml\n - no.yaml\nservices: {w: {imag: x}}")
    lines = [item.where.line for item in (error, *error.details) if item.where]
    assert lines == [2, 3, 4, 5]
    message = refusal(tmp_path, "", "oci://docker.io/a/B").message
    assert message.startswith("cannot use the stack file oci://docker.io/a/B: 'a/B' is not a repository name")


def test_nothing_of_a_repository_is_executed(shop: Repository, tmp_path: Path) -> None:
    """Hooks of templates and of the user's configuration, filters and submodules stay quiet."""
    hooks = tmp_path / "hooks"
    hooks.mkdir()
    for name in ("post-checkout", "reference-transaction"):
        (hooks / name).write_text(f"#!/bin/sh\ntouch {tmp_path}/ran\n")
        (hooks / name).chmod(0o755)
    (tmp_path / ".gitconfig").write_text(
        f"[core]\n hooksPath = {hooks}\n fsmonitor = {hooks}/post-checkout\n[init]\n templateDir = {tmp_path}\n"
        "[fetch]\n recurseSubmodules = true\n[submodule]\n recurse = true\n"
    )
    shop.commit(
        compose__yaml="services: {w: {image: a}}",
        __gitmodules=f'[submodule "s"]\n path = s\n url = {shop.url}\n',
    )
    assert list(read(tmp_path, f"include: ['{shop.url}']").stack.services) == ["w"]
    assert not (tmp_path / "ran").exists()


def test_a_surrounding_repository_is_none_of_its_business(shop: Repository, tmp_path: Path) -> None:
    shop.commit(compose__yaml="services: {w: {image: a}}")
    given = {"GIT_DIR": str(tmp_path / "nowhere"), "GIT_WORK_TREE": "/", "GIT_ALLOW_PROTOCOL": "ext"}
    assert list(read(tmp_path, f"include: ['{shop.url}']", **given).stack.services) == ["w"]
