"""The same bundle under stackup's own runtime, crun and runc: the container sees the same world.

For the other runtimes the overlays are mounted at the bundle's ``rootfs``, as ``--runtime`` does it.
"""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from stackup.linux.cgroups import Hierarchies
from stackup.oci import runtime as oci
from stackup.runtime.seccomp import compiled_filter, oci_profile
from tests.kernel.runtime_lab import CAPABILITIES, Lab, process, spec
from tests.support.mounting import unmounted

pytestmark = pytest.mark.root

# One fact a line, in an order that does not depend on the runtime.
LOOK = """
id -u; id -G; hostname; pwd; umask; ulimit -n; env | grep -v -e ^PWD -e ^SHLVL -e ^HOME | sort
grep -E '^(Cap|NoNewPrivs|Seccomp:|SigIgn|SigBlk)' /proc/self/status
cat /proc/self/oom_score_adj /proc/sys/net/ipv4/ip_unprivileged_port_start
cd /dev; stat -c '%n %A %u %g %t:%T %N' * | grep -v ^core; cd /var
ls /proc/self/fd; cat /data/file; cat /proc/keys | wc -c; ls -A /sys/firmware | wc -l
echo x 2>/dev/null > /proc/sys/kernel/domainname && echo rw || echo ro
touch /data/new && echo data rw; (touch /new) 2>/dev/null && echo root rw || echo root ro
sed -n 's/^[^ ]* \\([^ ]*\\) \\([^ ]*\\) .*/\\1 \\2/p' /proc/mounts | grep -v -e '^/proc/' -e '^/sys/' | sort
(head -c 1 /dev/mem) 2>/dev/null || echo no mem; mknod /tmp/m c 1 1 && head -c 1 /tmp/m 2>&1
cat /proc/1/comm
ls /sys/class/net; grep -c . /proc/net/route
"""


@pytest.fixture
def lab(state_root: Path, busybox_root: Path) -> Iterator[Lab]:
    lab = Lab(state_root, busybox_root)
    yield lab
    lab.close()


def the_spec(state_root: Path, *, user: oci.User, readonly: bool) -> oci.Spec:
    (state_root / "volume").mkdir(exist_ok=True)
    (state_root / "volume").chmod(0o777)
    (state_root / "volume/file").write_text("content\n")
    wanted = spec(
        process(
            "sh",
            "-c",
            LOOK,
            env=("PATH=/bin:/usr/bin", "NAME=value with spaces"),
            user=user,
            cwd="/var",
            rlimits=(oci.Rlimit("RLIMIT_NOFILE", 321, 654),),
            no_new_privileges=True,
            oom_score_adj=55,
        ),
        mounts=(
            oci.Mount("/data", "bind", str(state_root / "volume"), ("rbind", "rprivate")),
            oci.Mount("/tmp", "tmpfs", "tmpfs", ("nosuid", "nodev", "mode=1777")),
        ),
        sysctl={"net.ipv4.ip_unprivileged_port_start": "80"},
    )
    return replace(wanted, root=oci.Root(readonly=readonly))


# crun refuses hybrid hosts whose v2 side has a controller: show it the v1 side only.
HIDE_V2 = 'mountpoint -q /sys/fs/cgroup/unified && umount /sys/fs/cgroup/unified; exec "$@"'
V1_ONLY = ["unshare", "-m", "--propagation", "private", "sh", "-c", HIDE_V2, "sh"]


def run_elsewhere(runtime: str, lab: Lab, wanted: oci.Spec, tmp_path: Path) -> str:
    paths, described = lab.bundle(replace(wanted, linux=replace(wanted.linux, seccomp=oci_profile(CAPABILITIES))))
    overlay = described.overlays[0]
    options = f"lowerdir={overlay.lowers[0]},upperdir={overlay.upper},workdir={overlay.work}"
    target = paths.state / "rootfs"
    subprocess.run(["mount", "-t", "overlay", "-o", options, "overlay", str(target)], check=True)
    try:
        command = [runtime, "--root", str(tmp_path / runtime), "run", "--bundle", str(paths.state), f"c{os.getpid()}"]
        if runtime == "crun" and Hierarchies.of_this_host().v1:
            command[1:1] = ["--cgroup-manager=disabled"]
            command = [*V1_ONLY, *command]
        done = subprocess.run(command, capture_output=True, text=True, input="", timeout=60)
    finally:
        unmounted(target)
    assert done.returncode == 0, done.stderr + done.stdout
    return done.stdout


@pytest.mark.parametrize("runtime", ["crun", "runc"])
@pytest.mark.parametrize(
    ("user", "readonly"),
    [(oci.User(), False), (oci.User(1000, 1000, additional_gids=(50,)), True)],
    ids=["root", "user"],
)
def test_same_world(lab: Lab, state_root: Path, tmp_path: Path, runtime: str, user: oci.User, readonly: bool) -> None:
    if not shutil.which(runtime, path=os.environ["PATH"] + ":/usr/sbin:/sbin"):
        pytest.fail(f"{runtime} is not installed: ./dev setup does that")
    wanted = the_spec(state_root, user=user, readonly=readonly)
    running = lab.start(wanted, seccomp_filter=str(compiled_filter(lab.layout, CAPABILITIES)))
    assert lab.ended(running.id).status == 0, lab.output(running, "stderr")
    ours = lab.output(running).splitlines()
    (state_root / "volume/new").unlink()
    theirs = run_elsewhere(runtime, lab, wanted, tmp_path).splitlines()
    assert ours == theirs
