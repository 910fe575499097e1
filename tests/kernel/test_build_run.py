"""RUN for real: isolation, users, networks, failures, and what is left when a builder is killed."""

from __future__ import annotations

import hashlib
import json
import os
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from stackup.base.errors import ContainerFault, ImageError, StackFileError
from stackup.base.names import CGROUP_PARENT
from stackup.base.paths import Layout
from stackup.build import BuildRequest, build_image, sweep
from stackup.build.progress import Event, Output, StepCached
from stackup.build.request import Secret
from stackup.images import Image, ImageStore
from stackup.images.catalog import listed
from stackup.images.lookup import Stack
from stackup.runtime.cgroups import children
from tests.support.mounting import unmounted
from tests.support.residue import Watch
from tests.support.waiting import eventually

pytestmark = pytest.mark.root


class Bench:
    def __init__(self, root: Path, busybox_tar: Path) -> None:
        self.layout = Layout.at(root)
        self.context = root / "context"
        self.context.mkdir()
        self.store = ImageStore(self.layout)
        self.store.import_rootfs(busybox_tar, "busybox")
        self.events: list[Event] = []

    def build(self, text: str, **more: object) -> Image:
        self.events = []
        request = BuildRequest(**{"context": str(self.context), "inline": text, "tags": ("out",), **more})  # type: ignore[arg-type]
        return build_image(request, self.layout, self.events.append)

    def read(self, image: Image, path: str) -> str:
        self.store.materialize(image)
        return (Stack(image.overlays(None)).read(path) or b"").decode()

    @property
    def output(self) -> list[str]:
        return [line for event in self.events if isinstance(event, Output) for line in event.lines]

    @property
    def cached(self) -> int:
        return sum(isinstance(event, StepCached) for event in self.events)


@pytest.fixture
def bench(state_root: Path, busybox_tar: Path, nothing_left: Watch) -> Iterator[Bench]:
    yield Bench(state_root, busybox_tar)


def test_run_in_both_forms(bench: Bench) -> None:
    image = bench.build("""
        FROM busybox
        ENV GREETING=hello
        ARG WHO=world
        WORKDIR /work
        RUN echo "$GREETING $WHO" > made && pwd && id -u && hostname
        RUN ["/bin/sh", "-c", "echo $0 > /zero; echo two >&2"]
        USER alice
        RUN id -un; id -G; echo $HOME; touch /home/alice/own; touch /no 2>/dev/null || echo refused
        """)
    assert bench.output == ["/work", "0", "buildsandbox", "two", "alice", "1000 50", "/home/alice", "refused"]
    assert bench.read(image, "/work/made") == "hello world\n"
    assert bench.read(image, "/zero") == "/bin/sh\n"
    assert len(image.layers) == 5


def test_heredoc_scripts(bench: Bench) -> None:
    bench.build("FROM busybox\nRUN <<EOF\nset -e\nX=1\necho $X $((X + 1))\nEOF\nRUN cat <<A <<B\nnot seen\nA\nseen\nB\n"
                "RUN <<EOF\n#!/bin/sh\necho by itself\nEOF\n")  # fmt: skip
    assert bench.output == ["1 2", "seen", "by itself"]


def test_isolation_is_that_of_a_service(bench: Bench) -> None:
    bench.build("""
        FROM busybox
        RUN echo pid $$; ls /proc | grep -c '^[0-9]'; mount -t tmpfs x /tmp 2>&1 | grep -ci denied
        RUN grep CapEff /proc/self/status; grep Seccomp: /proc/self/status; grep NoNewPrivs /proc/self/status
        RUN echo x > /proc/sys/kernel/hostname 2>&1 || echo read-only; cat /proc/kcore | wc -c; ip -o link | wc -l
        """)
    text = "\n".join(bench.output)
    assert "pid 1" in text
    assert "CapEff:\t00000000a80425fb" in text
    assert "Seccomp:\t2" in text
    assert "read-only" in text


def test_runtime_files_are_not_in_the_layer(bench: Bench) -> None:
    image = bench.build("FROM busybox\nRUN cat /etc/hosts /etc/resolv.conf > /seen\n")
    paths = {str(path.relative_to(image.layers[-1].path)) for path in image.layers[-1].path.rglob("*")}
    assert paths - {"etc"} == {"seen"}
    assert "127.0.0.11" in bench.read(image, "/seen")


def test_what_changes_nothing_makes_no_layer(bench: Bench) -> None:
    image = bench.build("FROM busybox\nWORKDIR /\nRUN true\n")
    assert len([layer for layer in image.layers[1:] if layer.size > 4096]) == 0


def test_deletions_and_the_cache(bench: Bench) -> None:
    text = "FROM busybox\nRUN mkdir /d && echo 1 > /d/x\nRUN rm -r /d /etc/group\nRUN test ! -e /d\n"
    first = bench.build(text)
    assert bench.read(first, "/etc/group") == "" and bench.cached == 0
    assert bench.build(text).id == first.id
    assert bench.cached == 3
    bench.build(text.replace("echo 1", "echo 2"))
    assert bench.cached == 0


def test_how_often_a_command_is_executed(bench: Bench) -> None:
    """Told by the command itself, in a cache that outlives builds, and not by what the build says of it."""
    text = """
        FROM busybox AS base
        RUN --mount=type=cache,target=/count echo base >> /count/n
        COPY wanted /wanted
        RUN --mount=type=cache,target=/count echo last >> /count/n; cat /count/n
        FROM base
        COPY --from=base /wanted /again
        """
    (bench.context / "wanted").write_text("1")
    (bench.context / "other").write_text("1")

    def executed(**more: object) -> list[str]:
        before = counter.read_text().split() if (counter := _counter(bench)) else []
        bench.build(text, **more)
        after = _counter(bench)
        assert after is not None
        return after.read_text().split()[len(before) :]

    assert executed() == ["base", "last"]
    assert executed() == []
    assert executed(no_cache=True) == ["base", "last"]
    assert executed() == []
    (bench.context / "other").write_text("2")
    (bench.context / "new").write_text("2")
    os.utime(bench.context / "wanted")
    assert executed() == [], "nothing that is copied has changed"
    (bench.context / "wanted").write_text("2")
    assert executed() == ["last"]
    assert executed(no_cache_filter=("base",)) == ["base", "last"]


def _counter(bench: Bench) -> Path | None:
    return next((bench.layout.build_cache / "mounts").glob("*/n"), None)


def test_only_what_run_sees_counts_for_its_cache(bench: Bench) -> None:
    text = "FROM busybox\nARG A=1\nARG HTTP_PROXY\nLABEL l=1\nRUN echo $A\n"
    bench.build(text, args={"FTP_PROXY": "http://one"})
    bench.build(text.replace("l=1", "l=2"), args={"FTP_PROXY": "http://two"})
    assert bench.cached == 1
    bench.build(text, args={"A": "2"})
    assert bench.cached == 0


def test_proxies_reach_run_without_being_declared(bench: Bench) -> None:
    image = bench.build("FROM busybox\nRUN echo $http_proxy\n", args={"http_proxy": "http://proxy:3128"})
    assert bench.output == ["http://proxy:3128"]
    assert not any("proxy" in entry for entry in image.config.env)


def test_a_failing_command_is_shown_with_place_output_and_code(bench: Bench) -> None:
    with pytest.raises(ImageError, match="exit code 9") as caught:
        bench.build("FROM busybox\n\nRUN echo first && \\\n  # why\n  echo last >&2 && exit 9\nRUN echo never\n")
    error = caught.value
    assert error.where and error.where.line == 3
    assert error.message == "cannot build: the command failed with exit code 9"
    written, _, printed = error.snippet.partition("\n\nits last output:\n")
    assert written == "RUN echo first && \\\n  # why\n  echo last >&2 && exit 9"
    assert sorted(printed.split("\n")) == ["first", "last"], "two pipes, which have no order"
    assert "--shell-on-failure" in error.hint
    assert bench.store.resolve("out") is None
    assert len(bench.store.layers.diff_ids()) == 1


def test_much_output_comes_in_order_and_in_batches(bench: Bench) -> None:
    """Whole lines, with bytes that are no UTF-8 and what carriage returns overwrite."""
    script = r"seq 1 20000; printf 'one\rtwo\r\n\nlast \351'; head -c 300000 /dev/zero | tr '\0' x >&2; exit 3"
    with pytest.raises(ImageError, match="exit code 3") as caught:
        bench.build(f"FROM busybox\nRUN {script}\n")
    events = [event for event in bench.events if isinstance(event, Output)]
    out = [line for event in events if event.stream == "stdout" for line in event.lines]
    assert out == [*map(str, range(1, 20001)), "two", "", "last \ufffd"]
    assert sum(len(line) for event in events if event.stream == "stderr" for line in event.lines) == 300_000
    assert len(events) < 1000
    assert len(caught.value.snippet) < 12_000


def test_a_command_that_does_not_exist(bench: Bench) -> None:
    with pytest.raises(ContainerFault, match="not found in the image") as caught:
        bench.build('FROM busybox\nRUN ["nothere"]\n')
    assert caught.value.where and caught.value.where.line == 2
    with pytest.raises(ImageError, match="exit code 127"):
        bench.build("FROM busybox\nRUN nothere\n")


def test_background_processes_end_with_their_step(bench: Bench) -> None:
    image = bench.build("FROM busybox\nRUN (sleep 1000; touch /late) & echo started\n")
    assert bench.output == ["started"]
    assert not Stack(image.overlays(None)).find("/late").paths


def test_networks(bench: Bench) -> None:
    """default: a bridge of its own, from where the host is seen; none: nothing; host: the host's own."""
    with socket.create_server(("0.0.0.0", 0)) as server:
        port = server.getsockname()[1]
        threading.Thread(target=_greet, args=(server,), daemon=True).start()
        ask = f"nc -w 2 $(ip route | sed -n 's/^default via \\([0-9.]*\\).*/\\1/p') {port} </dev/null || echo closed"
        bench.build(f"FROM busybox\nRUN ip -o addr show eth0 | grep -c inet; {ask}\n")
        assert bench.output == ["1", "greetings"]
        bench.build(f"FROM busybox\nRUN ls /sys/class/net; nc -w 1 127.0.0.1 {port} </dev/null || echo closed\n",
                    network="none")  # fmt: skip
        assert "closed" in bench.output and "eth0" not in bench.output
        text = f"FROM busybox\nRUN --network=host nc -w 2 127.0.0.1 {port} </dev/null\n"
        bench.build(text, entitlements=("network.host",))
        assert bench.output == ["greetings"]
        with pytest.raises(StackFileError, match="not entitled"):
            bench.build(text)


def _greet(server: socket.socket) -> None:
    while True:
        try:
            connection, _ = server.accept()
        except OSError:
            return
        with connection:
            connection.sendall(b"greetings\n")


def test_extra_hosts_and_names(bench: Bench) -> None:
    hosts = {"db.test": ("10.9.8.7",)}
    bench.build("FROM busybox\nRUN grep db.test /etc/hosts; hostname\n", extra_hosts=hosts)
    assert bench.output == ["10.9.8.7\tdb.test", "buildsandbox"]


def test_mounts_of_run(bench: Bench) -> None:
    (bench.context / "input").write_text("from the context\n")
    cache = "--mount=type=cache,target=/cache/deep,id=c"
    image = bench.build(f"FROM busybox\nRUN {cache} echo kept > /cache/deep/f\n"
                        "RUN --mount=type=tmpfs,target=/scratch echo x > /scratch/f\n"
                        "RUN --mount=type=bind,target=/in cat /in/input; touch /in/x 2>/dev/null || echo read-only\n"
                        "RUN --mount=type=secret,id=s echo no secret\n")  # fmt: skip
    assert bench.output == ["from the context", "read-only", "no secret"]
    assert not Stack(image.overlays(None)).find("/cache").paths
    assert not Stack(image.overlays(None)).find("/scratch").paths
    bench.build(f"FROM busybox\nRUN {cache} cat /cache/deep/f # again\n")
    assert bench.output == ["kept"]


def test_a_bound_context_is_what_was_read_and_belongs_to_root(bench: Bench) -> None:
    """Whoever owns it here, and whatever is saved while the command runs."""
    file = bench.context / "sub/f"
    file.parent.mkdir()
    file.write_text("old\n")
    for path in (bench.context, file.parent, file):
        os.chown(path, 1234, 4321)
    text = (
        "FROM busybox\nRUN --mount=type=cache,target=/sync --mount=target=/c --mount=target=/w,rw "
        "--mount=source=sub/f,target=/one echo go; while ! test -e /sync/done; do sleep 0.02; done; "
        "cat /c/sub/f /one; stat -c %u:%g /c /c/sub /c/sub/f /one /w /w/sub/f; touch /w/new /w/sub/f\n"
    )

    def save(event: Event) -> None:
        bench.events.append(event)
        if isinstance(event, Output) and "go" in event.lines:
            file.write_text("new\n")
            (next((bench.layout.build_cache / "mounts").iterdir()) / "done").touch()

    bench.events = []
    build_image(BuildRequest(context=str(bench.context), inline=text, tags=("out",)), bench.layout, save)
    assert bench.output == ["go", "old", "old", *["0:0"] * 6]
    assert not (bench.context / "new").exists()
    bench.build(text)
    assert bench.cached == 0 and bench.output[1:3] == ["new", "new"]
    file.write_text("old\n")
    bench.build(text)
    assert bench.cached == 1


def test_equal_commands_are_all_executed(bench: Bench) -> None:
    """Also where the one before has changed no file: it may have changed a cache."""
    command = "RUN --mount=type=cache,target=/c echo x >> /c/log; wc -l < /c/log\n"
    text = f"FROM busybox AS one\n{command}{command}FROM one\n{command}"
    bench.build(text)
    assert bench.output == ["1", "2", "3"]
    bench.build(text)
    assert (bench.output, bench.cached) == ([], 3)


MOUNTS = r"""
    FROM busybox AS made
    RUN mkdir -p /tree/sub && echo deep > /tree/sub/f && echo top > /tree/g
    RUN rm /tree/g && echo new > /tree/h

    FROM busybox
    WORKDIR /work
    RUN --mount=type=bind,from=made,source=/tree,target=/t ls /t; cat /t/sub/f; touch /t/n 2>/dev/null || echo no
    RUN --mount=type=bind,from=made,source=/tree,target=rel,rw touch rel/w && rm rel/h && ls rel
    RUN --mount=type=bind,from=made,source=/tree,target=/t ls /t; echo "w is gone"
    RUN --mount=type=bind,source=input,target=/one,rw cat /one; echo changed > /one; cat /one
    RUN --mount=type=bind,target=/ctx ls /ctx
    RUN --mount=type=cache,from=made,source=/tree,target=/c,id=seeded,mode=0711,uid=1000 cat /c/h; stat -c %a:%u /c
    RUN --mount=type=cache,target=/p,id=own,sharing=private --mount=type=cache,target=/l,sharing=locked echo caches
    RUN --mount=type=tmpfs,target=/m,size=64k dd if=/dev/zero of=/m/f bs=128k count=1 2>/dev/null || echo full
    RUN --mount=type=tmpfs,target=/dev/shm,size=128m grep /dev/shm /proc/mounts | tail -n 1 | grep -o size=[0-9]*k
    RUN --mount=source=.,target=/tmp/t --mount=source=input,target=/tmp/b.txt cat /tmp/t/input /tmp/b.txt
    RUN --mount=type=secret,id=file cat /run/secrets/file; stat -c %a:%u /run/secrets/file
    RUN --mount=type=secret,id=text,env=TOKEN,target=/k,mode=0444,uid=5 echo $TOKEN; stat -c %a:%u /k
    RUN --mount=type=secret,id=text,env=TOKEN true
    RUN echo "[$TOKEN]"; ls /run/secrets 2>/dev/null || echo none
    RUN --mount=type=ssh,mode=0666 stat -c %F:%a $SSH_AUTH_SOCK
    RUN <<EOF
#!/bin/echo
not printed
EOF
    """


def test_all_kinds_of_mounts(bench: Bench, state_root: Path) -> None:
    for name, text in (("input", "in\n"), ("hidden", "h"), (".dockerignore", "hidden\n.docker*\n")):
        (bench.context / name).write_text(text)
    (state_root / "key").write_text("from a file\n")
    with socket.socket(socket.AF_UNIX) as agent:
        agent.bind(str(state_root / "agent"))
        image = bench.build(
            MOUNTS,
            secrets={"file": Secret(file=str(state_root / "key")), "text": Secret(content="from a variable")},
            ssh={"default": (str(state_root / "agent"),)},
        )
    assert bench.output == [
        "h", "sub", "deep", "no", "sub", "w", "h", "sub", "w is gone", "in", "changed", "input", "new", "711:1000",
        "caches", "full", "size=131072k", "in", "in", "from a file", "400:0", "from a variable", "444:5", "[]", "none",
        "socket:666", "/dev/pipes/EOF",
    ]  # fmt: skip
    left = {str(path.relative_to(layer.path)) for layer in image.layers[1:] for path in layer.path.rglob("*")}
    assert left == {"work"}
    assert not list((state_root / "run").glob("build.*")), "secrets are gone"


def test_what_a_mount_needs_and_what_a_build_is_not_entitled_to(bench: Bench) -> None:
    for run, reason in (
        ("--mount=type=secret,id=none,required true", "there is no secret 'none'"),
        ("--mount=type=ssh,required true", "there is no ssh agent default"),
        ("--mount=type=bind,from=busybox,source=/none,target=/x true", "there is no '/none' in busybox"),
        ("--security=insecure true", "not entitled to it"),
        ("false", "exit code 1 and printed nothing"),
        ("--mount=type=secret,id=none cat /run/secrets/none", "exit code 1"),
    ):
        with pytest.raises((ImageError, StackFileError), match=reason) as caught:
            bench.build(f"FROM busybox\nRUN {run}\n")
        assert caught.value.where and caught.value.where.line == 2
        assert ("secret" in run) == ("`secrets` below `build`" in caught.value.hint)
    bench.build(
        "FROM busybox\nRUN --security=insecure grep CapEff /proc/self/status\nRUN ulimit -n\n",
        entitlements=("security.insecure",), ulimits={"nofile": (1234, 1234)},
    )  # fmt: skip
    assert bench.output[0] != "CapEff:\t00000000a80425fb" and bench.output[1] == "1234"


def test_stages_run_side_by_side_and_fail_together(bench: Bench) -> None:
    """Each of two stages waits for the other one's file in a common cache."""
    mount = "--mount=type=cache,target=/c,id=meet"
    wait = "i=0; while ! test -e /c/{other} && test $i -lt 300; do i=$((i+1)); sleep 0.1; done; test -e /c/{other}"
    both = "".join(
        f"FROM busybox AS {me}\nRUN {mount} touch /c/{me}; {wait.format(other=other)}\nRUN touch /{me}\n"
        for me, other in (("a", "b"), ("b", "a"))
    )
    image = bench.build(f"{both}FROM busybox\nCOPY --from=a /a /\nCOPY --from=b /b /\n")
    assert all(Stack(image.overlays(None)).find(path).paths for path in ("/a", "/b"))
    text = "FROM busybox AS a\nRUN sleep 77310\nFROM busybox AS b\nRUN exit 4\nFROM busybox\n"
    with pytest.raises(ImageError, match="exit code 4"):
        bench.build(f"{text}COPY --from=a /etc/passwd /\nCOPY --from=b / /\n")
    eventually(lambda: not _sleepers(), "what the other stage ran has ended")


def test_a_static_binary_from_scratch(bench: Bench, busybox_root: Path) -> None:
    (bench.context / "busybox").write_bytes((busybox_root / "bin/busybox").read_bytes())
    (bench.context / "busybox").chmod(0o755)
    image = bench.build(
        'FROM scratch\nCOPY busybox /busybox\nRUN ["/busybox", "touch", "/made"]\nENTRYPOINT ["/busybox"]\n'
    )
    layer = image.layers[-1].path
    assert [str(path.relative_to(layer)) for path in layer.rglob("*")] == ["made"]


def worker(bench: Bench, text: str, **more: object) -> subprocess.Popen[str]:
    request = BuildRequest(context=str(bench.context), inline=text, tags=("out",), **more)  # type: ignore[arg-type]
    process = subprocess.Popen(
        [sys.executable, "-m", "stackup.build.worker"],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        env={**os.environ, "STACKUP_ROOT": bench.layout.root},
    )
    assert process.stdin
    process.stdin.write(json.dumps(request.to_json()) + "\n")
    process.stdin.flush()
    return process


def events(process: subprocess.Popen[str]) -> Iterator[dict[str, object]]:
    assert process.stdout
    for line in process.stdout:
        yield json.loads(line)


def test_the_worker_speaks_json_lines(bench: Bench) -> None:
    with worker(bench, "FROM busybox\nRUN echo hello\n") as process:
        found = list(events(process))
    assert process.returncode == 0
    kinds = [event.get("kind", event["event"]) for event in found]
    assert kinds == ["step", "output", "step-done", "built", "done"]
    assert all("text" in event or event["kind"] == "output" for event in found[:-1])
    image = bench.store.resolve("out")
    assert image and found[-1]["image"] == image.id


def test_the_worker_tells_errors(bench: Bench) -> None:
    with worker(bench, "FROM busybox\nRUN exit 3\n") as process:
        *_, last = events(process)
    assert process.returncode == 1
    assert last["event"] == "error"
    assert isinstance(last["error"], dict) and last["error"]["where"]["line"] == 2


@pytest.mark.parametrize("signum", [signal.SIGKILL, signal.SIGTERM])
def test_a_killed_builder_leaves_nothing_visible(bench: Bench, signum: signal.Signals) -> None:
    text = "FROM busybox\nRUN echo one > /one\nRUN --mount=type=secret,id=s echo running; sleep 77310\n"
    with worker(bench, text, secrets={"s": Secret(content="hidden")}) as process:
        next(event for event in events(process) if event.get("lines") == ["running"])
        process.send_signal(signum)
        process.wait(10)
    eventually(lambda: not _sleepers(), "what it started dies with it")
    assert bench.store.resolve("out") is None
    sweep(bench.layout)
    assert [path.name for path in (bench.layout.build_cache / ".work").iterdir()] == [".gate"]
    assert not list(bench.layout.run.glob("build.*")), "the secret is gone"
    bench.build("FROM busybox\nRUN echo one > /one\n")
    assert bench.cached == 1, "the step that was done before counts"


def test_a_killed_launcher_leaves_nothing_running(bench: Bench) -> None:
    with worker(bench, "FROM busybox\nRUN echo running; sleep 77311\n") as process:
        told = events(process)
        next(event for event in told if event.get("lines") == ["running"])
        os.kill(_launcher_of(process.pid), signal.SIGKILL)
        *_, last = told
    assert isinstance(last["error"], dict) and "launcher has gone" in last["error"]["message"]
    assert not _sleepers(77311)
    assert not [name for name in children(CGROUP_PARENT) if name.startswith(f"build.{process.pid}-")]


def _launcher_of(parent: int) -> int:
    listed = subprocess.run(["ps", "--ppid", str(parent), "-o", "pid=,args="], capture_output=True, text=True).stdout
    (found,) = [line.split() for line in listed.splitlines() if "launcher" in line]
    return int(found[0])


def test_killed_between_and_in_steps(bench: Bench) -> None:
    """After so many events; the next one goes on where it was, and the store is whole."""
    for number in range(4):
        (bench.context / f"f{number}").write_bytes(os.urandom(300_000))
    text = "FROM busybox\n" + "".join(f"COPY f{number} /d{number}/\nWORKDIR /w{number}\n" for number in range(4))
    done = 0
    for count in (1, 4, 7, 9):  # with all of them cached, 9 come before the command that never ends
        with worker(bench, f"{text}RUN sleep 77310\n") as process:
            for _ in zip(range(count), events(process), strict=False):
                pass
            process.kill()
        assert [image.reference for image in listed(bench.store)] == ["busybox:latest"]
        for blob in bench.store.blobs.directory.iterdir():
            assert hashlib.sha256(blob.read_bytes()).hexdigest() == blob.name
        records = len(list((bench.layout.build_cache / "steps").glob("*/*.json")))
        assert records >= done, "what was done stays done"
        done = records
    eventually(lambda: not _sleepers(), "what it started dies with it")
    image = bench.build(text)
    assert bench.cached >= 3
    assert bench.read(image, "/etc/os-release")
    assert [path.name for path in (bench.layout.build_cache / ".work").iterdir()] == [".gate"]


def test_a_disk_that_is_full(nothing_left: Watch, tmp_path: Path, busybox_tar: Path) -> None:
    small = tmp_path / "small"
    small.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=8m", "tmpfs", str(small)], check=True)
    try:
        bench = Bench(small, busybox_tar)
        big = bench.context / "big"
        with pytest.raises(ImageError, match=rf"cannot COPY: the disk is full: .* left on {small}") as caught:
            bench.build("FROM busybox\nCOPY --chmod=600 <<E /first\n1\nE\nCOPY big /\n", context=str(_huge(tmp_path)))
        assert (caught.value.snippet, "system prune" in caught.value.hint) == ("COPY big /", True)
        text = "FROM busybox\nRUN echo making; \\\n  head -c 3000000 /dev/urandom > /x\n"
        with pytest.raises(ImageError, match=rf"cannot RUN: the disk is full: .* left on {small}") as caught:
            bench.build(text)
        assert caught.value.snippet == f"{text.partition(chr(10))[2]}\nits last output:\nmaking"
        assert caught.value.where and caught.value.where.line == 2 and "system prune" in caught.value.hint
        with pytest.raises(ImageError, match="exit code") as caught:
            bench.build("FROM busybox\nRUN head -c 9000000 /dev/urandom > /x\n")
        assert "the disk is full: " in caught.value.hint, "the command's own words may not say so"
        assert not big.exists() and bench.store.resolve("out") is None
        image = bench.build("FROM busybox\nCOPY --chmod=600 <<E /first\n1\nE\n")
        assert bench.cached == 1 and bench.read(image, "/first") == "1\n"
    finally:
        unmounted(small)


def _huge(directory: Path) -> Path:
    context = directory / "huge"
    context.mkdir()
    (context / "big").write_bytes(os.urandom(9 << 20))
    return context


def _sleepers(seconds: int = 77310) -> list[str]:
    found = subprocess.run(["ps", "-eo", "args"], capture_output=True, text=True, check=True).stdout
    return [line for line in found.splitlines() if f"sleep {seconds}" in line]


def test_two_builds_do_a_common_step_once(bench: Bench) -> None:
    text = "FROM busybox\nRUN echo did it; sleep 1; cat /proc/sys/kernel/random/uuid > /id\n"
    with worker(bench, text) as first, worker(bench, text) as second:
        seen = [*events(first), *events(second)]
    assert sum(event.get("lines") == ["did it"] for event in seen) == 1
    assert {event["image"] for event in seen if event["event"] == "done"} == {listed(bench.store)[0].id}
