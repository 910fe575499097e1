"""The order of a container start, as text; and what the operations ask of the kernel, through its recording twin."""

from __future__ import annotations

import os
from dataclasses import asdict, replace
from typing import Any

import pytest

from stackup.linux.overlay import Overlay
from stackup.linux.recorder import Recorder
from stackup.oci import runtime as oci
from stackup.runtime.bundle import Launch, Veth
from stackup.runtime.launcher.operations.base import Operation, Refusal, Stage, run
from stackup.runtime.launcher.plan import Surroundings, container_operations, exec_operations

NAMESPACES = tuple(oci.Namespace(kind) for kind in ("mount", "pid", "ipc", "uts", "network", "cgroup"))
FILTER = bytes(8 * 3)
HOST_V1 = [("memory", "memory"), ("systemd", "none,name=systemd")]


def surroundings(unified: bool = True) -> Surroundings:
    return Surroundings(
        mount_point="/run/rootfs",
        last_capability=40,
        reap=lambda: None,
        oom_score=-900,
        unified=unified,
        cgroup_v1=HOST_V1,
    )


def a_spec(**process: Any) -> oci.Spec:
    given: dict[str, Any] = {
        "env": ("PATH=/bin",),
        "cwd": "/srv",
        "user": oci.User(1000, 1000, additional_gids=(50,)),
        "capabilities": oci.Capabilities(bounding=("CAP_CHOWN", "CAP_KILL")),
        "rlimits": (oci.Rlimit("RLIMIT_NOFILE", 1, 2),),
        **process,
    }
    return oci.Spec(
        oci.Process(("nginx", "-g"), **given),
        root=oci.Root(readonly=True),
        hostname="web",
        mounts=(
            oci.Mount("/proc", "proc", "proc", ("nosuid", "noexec", "nodev")),
            oci.Mount("/dev", "tmpfs", "tmpfs", ("nosuid", "mode=755")),
            oci.Mount("/sys", "sysfs", "sysfs", ("nosuid", "ro")),
            oci.Mount("/sys/fs/cgroup", "cgroup", "cgroup", ("ro",)),
            oci.Mount("/etc/hosts", "bind", "/state/hosts", ("rbind", "ro")),
            oci.Mount("/data", "bind", "/state/volume", ("rbind", "rprivate")),
        ),
        linux=oci.Linux(
            namespaces=NAMESPACES,
            sysctl={"net.ipv4.ip_forward": "0"},
            masked_paths=("/proc/kcore",),
            readonly_paths=("/proc/sys",),
            devices=(oci.Device("c", "/dev/fuse", 10, 229),),
        ),
    )


def a_launch(**fields: Any) -> Launch:
    given: dict[str, Any] = {
        "overlays": (Overlay("/", ("/l/2", "/l/1"), "/w/u", "/w/w"), Overlay("/usr", ("/usr",))),
        "veths": (
            Veth("skv1", "eth0", "skb1", "02:00:00:00:00:01", ("10.0.0.2/16",), "10.0.0.1", "web", 7),
            Veth("skv2", "eth1", "skb2", "", ("10.1.0.2/16",)),
        ),
        "dns": True,
        "stdout": "/run/out",
        "stderr": "/run/err",
        **fields,
    }
    return Launch("c" * 64, 1, "stackup/p/c", "/state/exit.json", **given)


def plan(spec: oci.Spec, launch: Launch, *, unified: bool = True, **options: Any) -> list[Operation]:
    given: dict[str, Any] = {
        "join": [("/cg/memory/stackup/p/c", "tasks")],
        "bridges": [11, 12],
        "stdin_fd": -1,
        "stdio_fds": None,
        "seccomp": FILTER,
        **options,
    }
    return container_operations(spec.to_json(), asdict(launch), "/bundle", surroundings(unified), **given)


def lines(operations: list[Operation]) -> list[str]:
    return [operation.describe() for operation in operations]


def test_the_whole_order() -> None:
    assert lines(plan(a_spec(), a_launch())) == [
        "die with the launcher",
        "clear the umask",
        "set oom_score_adj to 0",
        "join the cgroup /cg/memory/stackup/p/c",
        "create the cgroup namespace",
        "create a session keyring",
        "open /state/hosts for mount 4",
        "open /state/volume for mount 5",
        "mount 2 layers on / (writable)",
        "mount 1 layers on /usr (read-only)",
        "make the links skv1@eth0, skv2@eth1",
        "bring up lo, eth0 10.0.0.2/16, eth1 10.1.0.2/16",
        "open the resolver's sockets on 127.0.0.11:61053",
        "take standard input from /dev/null",
        "open the output /run/out /run/err",
        "make it the root",
        "mount proc on /proc (nosuid,nodev,noexec)",
        "mount tmpfs on /dev with the default devices",
        "mount sysfs on /sys (ro,nosuid)",
        "mount cgroup2 on /sys/fs/cgroup (ro)",
        "attach mount 4 on /etc/hosts (ro)",
        "attach mount 5 on /data",
        "make the device /dev/fuse (c 10:229)",
        "make the directory /srv",
        "set net.ipv4.ip_forward = 0",
        "make / read-only",
        "make /usr read-only",
        "make /proc/sys read-only",
        "mask /proc/kcore",
        "set the hostname to web",
        "set ulimit nofile=1:2",
        "start a session",
        "limit the bounding set to 0x21",
        "load the seccomp filter (3 instructions)",
        "become user 1000:1000",
        "limit capabilities to 0x0",
        "enter /srv",
        "find nginx",
        "run nginx -g",
    ]


def test_with_no_new_privileges_the_filter_comes_last() -> None:
    tail = lines(plan(a_spec(no_new_privileges=True), a_launch()))[-4:]
    assert tail == ["enter /srv", "find nginx", "give up gaining privileges", "run nginx -g under seccomp"]


def test_init_stays_behind_before_the_session_begins() -> None:
    text = lines(plan(a_spec(), a_launch(init=True)))
    assert text.index("start the reaper") < text.index("start a session") < text.index("become user 1000:1000")


def test_a_terminal_takes_the_place_of_the_fifos() -> None:
    text = lines(plan(a_spec(terminal=True), a_launch(tty=True)))
    assert not any(line.startswith("open the output") for line in text)
    assert text.index("open a terminal") > text.index("mount tmpfs on /dev with the default devices")


def test_on_v2_alone_the_cgroup_namespace_comes_with_the_clone() -> None:
    assert "create the cgroup namespace" not in lines(plan(a_spec(), a_launch(), join=[]))
    hybrid = lines(plan(a_spec(), a_launch(), unified=False, join=[]))
    assert "create the cgroup namespace" in hybrid
    assert "mount memory systemd on /sys/fs/cgroup (ro)" in hybrid


def test_a_joined_network_is_not_touched() -> None:
    shared = tuple(oci.Namespace(n.type, "/proc/7/ns/net" if n.type == "network" else "") for n in NAMESPACES)
    spec = a_spec()
    spec = oci.Spec(spec.process, linux=oci.Linux(namespaces=shared))
    text = lines(plan(spec, a_launch(veths=()), bridges=[]))
    assert "join the network namespace /proc/7/ns/net" in text
    assert not any("lo" in line.split() or "resolver" in line for line in text)


def test_exec() -> None:
    operations = exec_operations(
        a_spec().to_json()["process"],
        surroundings(),
        container_id="c" * 64,
        pidfd=5,
        namespace_flags=0,
        join=[("/cg/memory/x", "tasks")],
        stdio_fds=[6, 7, 8],
        tty=False,
        seccomp=b"",
    )
    text = lines(operations)
    assert text.index("join the cgroup /cg/memory/x") < text.index("enter the container's namespaces")
    assert text[6:8] == ["take standard input, output and error", "set ulimit nofile=1:2"]
    assert text[-1] == "run nginx -g"


def kernel_calls(answers: dict[str, Any] | None = None, **options: Any) -> list[str]:
    kernel = Recorder(
        {
            "open_terminal": (3, 4, "0"),
            "listen_dns": (FakeSocket(50), FakeSocket(51)),
            "netlink_socket": FakeSocket(52),
            "link_index eth0": 2,
            "link_index eth1": 3,
            "path_mode /srv": 0,
            "path_mode kcore": 0o100400,
            "path_mode /bin/nginx": 0o100755,
            "access": True,
            "file_kind <.>": (9, 0o040000, 0),  # /proc and /sys: other file systems than the root
            "file_kind <null>": (8, 0o020000, os.makedev(1, 3)),
            **(answers or {}),
        }
    )
    spec = options.pop("spec", a_spec())
    launch = options.pop("launch", a_launch())
    operations = plan(spec, launch, **options)
    run(operations, Stage(kernel, lambda message, fds: None, FakeSocket(53)))  # type: ignore[arg-type]
    return kernel.calls


class FakeSocket:
    def __init__(self, fd: int) -> None:
        self.fd = fd

    def fileno(self) -> int:
        return self.fd

    def close(self) -> None:
        pass


def test_what_the_kernel_is_asked() -> None:
    calls = kernel_calls()
    order = [
        "clone_tree /state/hosts recursive=True",
        "clone_tree /state/volume recursive=True",
        "attach <overlay> /run/rootfs 0",
        "clone_tree /usr",
        "attach </usr> /run/rootfs/usr 1",
        "chdir /run/rootfs",
        "pivot_root_here",
        "attach <proc> /proc 0",
        "makedirs /srv 493 exist_ok=True",
        "write sys/net/ipv4/ip_forward 0 dir_fd=<.>",
        "set_hostname web",
        "setsid",
        "setgroups 50",
        "setresuid 1000 1000 1000",
        "set_dumpable False",
        "set_capabilities 0 0 0",
        "chdir /srv",
        "close_on_exec_from 3",
        "die_with_parent 0",
        "execve /bin/nginx nginx,-g {'PATH': '/bin'}",
    ]
    places = [calls.index(line) for line in order]
    assert places == sorted(places)


def test_links_are_one_message_batch_each_side() -> None:
    calls = [line for line in kernel_calls() if line.startswith("send_links")]
    assert calls[0].endswith("create link skv1; alias of skv1; create link skv2")
    assert calls[1].endswith(
        "bring up link 1; address mode; address 10.0.0.2/16; bring up link 2; address mode; "
        "address 10.1.0.2/16; bring up link 3; default route by 10.0.0.1"
    )


def test_masks_and_sysctls_do_not_follow_paths() -> None:
    """Through the proc mount itself: a volume that covers /proc, or a link in it, leads nowhere."""
    calls = kernel_calls()
    entered = calls.index("fchdir <.>", calls.index("write sys/net/ipv4/ip_forward 0 dir_fd=<.>"))
    assert calls[entered + 1] == "mount sys sys None 4096"
    assert any(line.startswith("mount /proc/self/fd/") and line.endswith(" kcore None 4096") for line in calls)
    assert not any("/proc/kcore" in line or "/proc/sys " in line for line in calls[entered:])


@pytest.mark.parametrize(
    ("answers", "step", "errno"),
    [
        ({"clone_tree /state/hosts": FileNotFoundError(2, "gone")}, "source", 2),
        ({"chdir /srv": NotADirectoryError(20, "file")}, "cwd", 20),
        ({"path_mode /bin/nginx": 0}, "command", 2),
        ({"access": False}, "command", 13),
        ({"execve": OSError(8, "format")}, "exec", 8),
        ({"load_filter": OSError(22, "bad")}, "seccomp", 22),
        ({"set_rlimit": PermissionError(1, "no")}, "rlimits", 1),
        ({"send_links": OSError(17, "create link skv1: File exists")}, "veth", 17),
    ],
)
def test_failures_name_their_step(answers: dict[str, Any], step: str, errno: int) -> None:
    with pytest.raises(Refusal) as caught:
        kernel_calls(answers)
    assert (caught.value.step, caught.value.errno) == (step, errno)


def test_a_file_cannot_be_mounted_on_a_directory() -> None:
    file, directory = (1, 0o100000, 0), (1, 0o040000, 0)
    with pytest.raises(Refusal, match="a file cannot be mounted on a directory"):
        kernel_calls({"file_kind </state/hosts>": file, "file_kind </etc/hosts>": directory})


def test_relative_destinations_are_refused() -> None:
    spec = oci.Spec(a_spec().process, mounts=(oci.Mount("data", "tmpfs", "tmpfs"),), linux=oci.Linux(NAMESPACES))
    with pytest.raises(Refusal, match="not an absolute path"):
        plan(spec, a_launch())


def test_a_setting_of_the_machine_is_refused() -> None:
    spec = a_spec()
    assert spec.linux is not None
    spec = replace(spec, linux=replace(spec.linux, sysctl={"vm.swappiness": "1"}))
    with pytest.raises(Refusal, match="whole machine") as caught:
        plan(spec, a_launch())
    assert (caught.value.step, caught.value.path) == ("sysctl", "vm.swappiness")
