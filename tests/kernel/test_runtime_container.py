"""A container is what it should be: PID 1 of its own world, with the tree and the identity of its bundle."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from stackup.base.errors import ContainerFault
from stackup.oci import runtime as oci
from stackup.runtime.faults import exit_code
from stackup.runtime.seccomp import compiled_filter
from tests.kernel.runtime_lab import CAPABILITIES, Lab, process, spec

pytestmark = pytest.mark.root


@pytest.fixture
def lab(state_root: Path, busybox_root: Path) -> Iterator[Lab]:
    lab = Lab(state_root, busybox_root)
    yield lab
    lab.close()


def test_it_is_pid_1_of_its_own_world(lab: Lab) -> None:
    text = lab.shell("echo $$; ls /proc | grep -c '^[0-9]'; hostname; cat /etc/os-release; ls -d /sys/class/net/*")
    lines = text.splitlines()
    assert lines[0] == "1"
    assert int(lines[1]) <= 4
    assert lines[2] == "inside"
    assert "ID=toybox" in lines
    assert lines[-1] == "/sys/class/net/lo"


def test_mounts_of_the_host_are_not_there(lab: Lab, state_root: Path) -> None:
    mounts = lab.shell("cut -d' ' -f2 /proc/mounts").split()
    assert mounts[0] == "/"
    inside = ("/proc", "/dev", "/sys")
    assert all(path == "/" or path.startswith(inside) for path in mounts)
    assert lab.shell(f"ls {state_root} 2>&1 || echo none").splitlines()[-1] == "none"


def test_ipc_is_its_own(lab: Lab) -> None:
    own = os.stat("/proc/self/ns/ipc").st_ino
    assert f"ipc:[{own}]" not in lab.shell("readlink /proc/self/ns/ipc")


def test_writes_go_to_its_own_layer(lab: Lab, busybox_root: Path) -> None:
    paths, described = lab.bundle(spec(process("sh", "-c", "echo mine > /etc/mine; rm /etc/group")))
    lab.run(lab.client.start(paths.state))
    assert lab.ended(described.container_id).status == 0
    assert (paths.state / "upper/etc/mine").read_text() == "mine\n"
    assert not (busybox_root / "etc/mine").exists()
    assert (busybox_root / "etc/group").exists()


def test_capabilities_and_no_new_privileges(lab: Lab) -> None:
    status = dict(
        line.split(":\t")
        for line in lab.shell("cat /proc/self/status", no_new_privileges=True).splitlines()
        if ":\t" in line
    )
    assert status["CapEff"] == status["CapPrm"] == status["CapBnd"] == "00000000a80425fb"
    assert status["CapInh"] == status["CapAmb"] == "0000000000000000"
    assert status["NoNewPrivs"] == "1"


def test_a_user_has_no_capabilities_but_its_groups(lab: Lab) -> None:
    user = oci.User(1000, 1000, additional_gids=(50, 4242))
    text = lab.shell("id -u; id -G; grep CapEff /proc/self/status; umask", user=user)
    uid, groups, capabilities, umask = text.splitlines()
    assert uid == "1000"
    assert groups.split() == ["1000", "50", "4242"]
    assert capabilities.endswith("0000000000000000")
    assert umask == "0022"


def test_ambient_capabilities_reach_a_user(lab: Lab) -> None:
    sets = oci.Capabilities(*[("CAP_NET_BIND_SERVICE",)] * 5)
    text = lab.shell("grep Cap /proc/self/status", user=oci.User(1000, 1000), capabilities=sets)
    assert {line.split()[1] for line in text.splitlines()} == {"0000000000000400"}


@pytest.mark.parametrize("no_new_privileges", [True, False])
def test_seccomp_default_filter(lab: Lab, no_new_privileges: bool) -> None:
    """unshare(CLONE_NEWUSER) needs no privilege and is refused by Docker's profile."""
    path = compiled_filter(lab.layout, CAPABILITIES)
    text = lab.shell(
        "grep Seccomp: /proc/self/status; unshare -U true 2>&1 || echo refused",
        no_new_privileges=no_new_privileges,
        seccomp_filter=str(path),
    )
    assert text.split()[1] == "2"
    assert text.endswith("refused\n")
    assert "refused" not in lab.shell("unshare -U true 2>&1 || echo refused")


def test_masked_and_readonly_paths(lab: Lab) -> None:
    text = lab.shell(
        """
        cat /proc/keys /proc/timer_list | wc -c
        ls -A /sys/firmware | wc -l
        echo 1 > /proc/sys/kernel/core_uses_pid && echo written || echo refused
        echo h > /proc/sysrq-trigger && echo written || echo refused
        mkdir /sys/x 2>/dev/null && echo written || echo refused
        """
    )
    assert text.split() == ["0", "0", "refused", "refused", "refused"]


def test_readonly_root(lab: Lab) -> None:
    wanted = spec(process("sh", "-c", "touch /x 2>&1; touch /dev/shm/y && echo shm"))
    paths, described = lab.bundle(oci.Spec(**{**_fields(wanted), "root": oci.Root(readonly=True)}))
    started = lab.run(lab.client.start(paths.state))
    lab.ended(started.container_id)
    with open(described.stdout, "rb", buffering=0, opener=lambda p, f: os.open(p, f | os.O_NONBLOCK)) as file:
        text = file.read().decode()
    assert "Read-only file system" in text
    assert "shm" in text


def _fields(value: oci.Spec) -> dict[str, object]:
    return {name: getattr(value, name) for name in oci.Spec.__dataclass_fields__}


def test_default_devices_work_and_others_do_not(lab: Lab) -> None:
    text = lab.shell(
        """
        echo x > /dev/null; head -c 4 /dev/zero | wc -c; head -c 4 /dev/urandom | wc -c
        test -c /dev/full -a -L /dev/fd -a -L /dev/ptmx -a -d /dev/pts && echo nodes
        mknod /dev/mem c 1 1 && head -c 1 /dev/mem 2>&1 || echo refused
        mknod /dev/disk b 8 0; head -c 1 /dev/disk 2>&1 || echo refused
        """
    )
    assert text.split()[:3] == ["4", "4", "nodes"]
    assert text.count("refused") == 2
    assert text.count("not permitted") == 2


def test_a_device_of_the_host_on_request(lab: Lab) -> None:
    rules = oci.Resources(
        devices=(oci.DeviceRule(allow=False, access="rwm"), oci.DeviceRule(True, "c", 10, 229, "rwm"))
    )
    fuse = oci.Device("c", "/dev/deep/fuse", 10, 229, 0o640, 1000, 1000)
    text = lab.shell("stat -c '%a %u %t:%T' /dev/deep/fuse", devices=(fuse,), resources=rules)
    assert text.strip() == "640 1000 a:e5"


def test_volumes_and_binds(lab: Lab, state_root: Path) -> None:
    volume, file = state_root / "volume", state_root / "file"
    volume.mkdir()
    file.write_text("from the host\n")
    mounts = (
        oci.Mount("/data/deep", "bind", str(volume), ("rbind", "rprivate")),
        oci.Mount("/etc/new/file", "bind", str(file), ("rbind", "ro")),
        oci.Mount("/tmp", "tmpfs", "tmpfs", ("nosuid", "size=1m")),
    )
    text = lab.shell(
        "cat /etc/new/file; echo in > /data/deep/out; echo no > /etc/new/file || echo refused; stat -c %a /tmp",
        mounts=mounts,
    )
    assert text.splitlines() == ["from the host", "refused", "1777"]
    assert (volume / "out").read_text() == "in\n"
    assert file.read_text() == "from the host\n"


def test_a_symlink_in_the_image_stays_inside(lab: Lab, busybox_root: Path, state_root: Path) -> None:
    """A mount point that is a link of the image resolves within the container, never on the host."""
    image = state_root / "image"
    (image / "bin").mkdir(parents=True)
    (image / "bin/busybox").write_bytes((busybox_root / "bin/busybox").read_bytes())
    (image / "bin/busybox").chmod(0o755)
    (image / "bin/sh").symlink_to("busybox")
    (image / "out").symlink_to(f"../../../..{state_root}/host")
    (state_root / "host").mkdir()
    (state_root / "volume").mkdir()
    lab.rootfs = image
    mount = oci.Mount("/out", "bind", str(state_root / "volume"), ("rbind",))
    text = lab.shell(f"echo hi > /out/x; /bin/busybox cat {state_root}/host/x", mounts=(mount,))
    assert text == "hi\n"
    assert list((state_root / "host").iterdir()) == []
    assert (state_root / "volume/x").exists()


def test_mounts_inside_proc_are_refused(lab: Lab, state_root: Path) -> None:
    (state_root / "v").mkdir()
    wanted = spec(process("true"), mounts=(oci.Mount("/proc/sys", "bind", str(state_root / "v"), ("rbind",)),))
    with pytest.raises(ContainerFault, match="not allowed"):
        lab.start(wanted)


def test_sysctls_limits_and_working_directory(lab: Lab) -> None:
    text = lab.shell(
        "cat /proc/sys/net/ipv4/ip_unprivileged_port_start; ulimit -n; pwd; cat /proc/self/oom_score_adj",
        sysctl={"net.ipv4.ip_unprivileged_port_start": "80"},
        rlimits=(oci.Rlimit("RLIMIT_NOFILE", 123, 456),),
        cwd="/made/for/it",
        oom_score_adj=77,
    )
    assert text.split() == ["80", "123", "/made/for/it", "77"]


def test_no_descriptor_of_the_launcher_is_there(lab: Lab) -> None:
    assert lab.shell("ls /proc/self/fd").split() == ["0", "1", "2", "3"]  # 3 is ls reading the directory


def test_ignored_signals_are_not_inherited(lab: Lab) -> None:
    status, text = lab.result(process("grep", "SigIgn", "/proc/self/status"))
    assert status == 0
    assert int(text.split()[1], 16) == 0


@pytest.mark.parametrize(
    ("command", "status"),
    [("exit 0", 0), ("exit 42", 42), ("kill -9 $$; sleep 9", 137), ("kill -TERM $$; sleep 9", 143)],
)
def test_exit_status(lab: Lab, command: str, status: int) -> None:
    """PID 1 cannot be killed from inside by signals it has no handler for: a child of a reaper can."""
    assert lab.result(process("sh", "-c", command), init=True)[0] == status


def test_exit_is_on_disk_before_it_is_told(lab: Lab) -> None:
    running = lab.start(spec(process("sh", "-c", "exit 7")), incarnation=3)
    told = lab.ended(running.id)
    text = running.paths.exit_file.read_text()
    assert '"incarnation": 3, "status": 7, "signal": 0, "oom": false' in text
    assert told.status == 7


@pytest.mark.parametrize(
    ("args", "sentence", "code"),
    [
        (("nosuch",), r"cannot run 'nosuch': command not found in the image \(PATH is /bin:/usr/bin\)", 127),
        (("/no/such",), "cannot run '/no/such': there is no such file in the image", 127),
        (("/etc/passwd",), "cannot run '/etc/passwd': permission denied", 126),
        (("/etc",), "cannot run '/etc': it is a directory", 126),
    ],
)
def test_a_command_that_cannot_be_run(lab: Lab, args: tuple[str, ...], sentence: str, code: int) -> None:
    with pytest.raises(ContainerFault, match=sentence) as caught:
        lab.start(spec(process(*args)))
    assert exit_code(caught.value) == code


def test_a_script_without_interpreter(lab: Lab, state_root: Path) -> None:
    script = state_root / "script"
    script.write_text("#!/no/python\n")
    script.chmod(0o755)
    mount = oci.Mount("/script", "bind", str(script), ("bind",))
    with pytest.raises(ContainerFault, match="its interpreter"):
        lab.start(spec(process("/script"), mounts=(mount,)))
    script.write_text("no program at all\n")
    with pytest.raises(ContainerFault, match="not a program for this machine"):
        lab.start(spec(process("/script"), mounts=(mount,)))


def test_what_cannot_be_set_up_is_named(lab: Lab) -> None:
    missing = oci.Mount("/x", "bind", "/no/such/source", ("rbind",))
    with pytest.raises(ContainerFault, match="cannot bind '/no/such/source': there is no such file or directory"):
        lab.start(spec(process("true"), mounts=(missing,)))
    with pytest.raises(ContainerFault, match="cannot enter the working directory '/etc/passwd': it is not a directory"):
        lab.start(spec(process("true", cwd="/etc/passwd")))
    with pytest.raises(ContainerFault, match="cannot set ulimit nofile=1:99999999999"):
        lab.start(spec(process("true", rlimits=(oci.Rlimit("RLIMIT_NOFILE", 1, 99999999999),))))
    with pytest.raises(ContainerFault, match=r"cannot set the sysctl 'net\.no\.such'"):
        lab.start(spec(process("true"), sysctl={"net.no.such": "1"}))
    with pytest.raises(ContainerFault, match="cannot read the bundle"):
        lab.run(lab.client.start(lab.paths.state / "none"))


def test_many_at_once(lab: Lab) -> None:
    import asyncio

    bundles = [lab.bundle(spec(process("sh", "-c", f"echo {n}"))) for n in range(24)]

    async def start_all() -> None:
        await asyncio.gather(*(lab.client.start(paths.state) for paths, _ in bundles))

    lab.run(start_all())
    for _, described in bundles:
        assert lab.ended(described.container_id).status == 0
