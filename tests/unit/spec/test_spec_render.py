"""A whole spec against Docker's defaults (the goldens), and what each attribute of a service changes in it."""

from __future__ import annotations

import json
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest

from stackup.base.capabilities import ALL_CAPABILITIES
from stackup.base.errors import ContainerFault, StackFileError
from stackup.model.stack import Service
from stackup.oci.image import ImageConfig
from stackup.oci.runtime import Capabilities, DeviceRule, Memory, Mount, Namespace, Rlimit, Spec
from stackup.spec import HostDevice, InheritedMount, RenderContext, grants, render
from stackup.spec.defaults import DEFAULT_CAPABILITIES, MASKED_PATHS, READONLY_PATHS

GOLDEN = Path(__file__).with_name("golden")


@dataclass(frozen=True)
class Ids:
    uid: int = 0
    gid: int = 0
    groups: tuple[int, ...] = ()
    home: str = "/root"


CONTEXT = RenderContext(
    container_id="c0ffee",
    image=ImageConfig(env=("PATH=/usr/bin:/bin", "LANG=C.UTF-8"), cmd=("serve",), working_dir="/srv"),
    user=Ids(),
    hostname="c0ffee000000",
    cgroup_path="/stackup/shop/c0ffee",
    hosts_file="/state/hosts",
    hostname_file="/state/hostname",
    resolv_conf_file="/state/resolv.conf",
)


def spec(context: RenderContext = CONTEXT, **service: Any) -> Spec:
    return render(Service.model_validate({"name": "web", **service}), context)


def mount_at(found: Spec, target: str) -> Mount | None:
    same = [mount for mount in found.mounts if mount.destination == target]
    assert len(same) <= 1
    return same[0] if same else None


@pytest.mark.parametrize(
    ("name", "service"),
    [
        ("default", {}),
        ("privileged", {"privileged": True}),
        (
            "database",
            {
                "command": ["postgres"],
                "user": "70:70",
                "read_only": True,
                "shm_size": 256 << 20,
                "tmpfs": ["/run:size=16m,exec"],
                "volumes": [{"type": "volume", "source": "data", "target": "/var/lib/data"}],
                "secrets": [{"source": "password"}],
                "environment": {"POSTGRES_DB": "shop", "LANG": None},
                "cap_drop": ["ALL"],
                "cap_add": ["chown"],
                "security_opt": ["no-new-privileges:true"],
                "mem_limit": 1 << 30,
                "cpus": 1.5,
                "pids_limit": 100,
                "ulimits": {"nofile": {"soft": 1024, "hard": 2048}},
                "stop_signal": "SIGINT",
            },
        ),
    ],
)
def test_golden(name: str, service: dict[str, Any]) -> None:
    context = CONTEXT
    if name == "database":
        context = replace(
            CONTEXT,
            user=Ids(70, 70, (999,), "/var/lib/data"),
            volumes={"/var/lib/data": "/volumes/data"},
            grants={"/run/secrets/password": "/state/secret-0"},
        )
    found = json.dumps(spec(context, **service).to_json(), indent=2) + "\n"
    assert found == (GOLDEN / f"{name}.json").read_text(encoding="utf-8")


def test_namespaces_by_default() -> None:
    kinds = [item.type for item in spec().linux.namespaces]
    assert kinds == ["mount", "network", "uts", "pid", "ipc", "cgroup"]
    assert not any(item.path for item in spec().linux.namespaces)


@pytest.mark.parametrize(
    ("attribute", "kind"),
    [("network_mode", "network"), ("pid", "pid"), ("ipc", "ipc"), ("uts", "uts"), ("cgroup", "cgroup")],
)
def test_namespaces_of_the_host(attribute: str, kind: str) -> None:
    assert kind not in [item.type for item in spec(**{attribute: "host"}).linux.namespaces]


def test_namespace_of_another_container() -> None:
    context = replace(CONTEXT, namespaces={"network": "/proc/7/ns/net"})
    found = spec(context, network_mode="service:vpn", pid="service:vpn")
    assert Namespace("network", "/proc/7/ns/net") in found.linux.namespaces
    assert Namespace("pid") in found.linux.namespaces


def test_cgroup_namespace_follows_the_hierarchy() -> None:
    old = replace(CONTEXT, private_cgroup=False)
    assert "cgroup" not in [item.type for item in spec(old).linux.namespaces]
    assert "cgroup" in [item.type for item in spec(old, cgroup="private").linux.namespaces]


@pytest.mark.parametrize("mode", ["host", "service:vpn", "container:abc"])
def test_network_sysctls_only_where_the_network_is_its_own(mode: str) -> None:
    assert spec(network_mode=mode).linux.sysctl == {}
    assert spec(network_mode="none").linux.sysctl["net.ipv4.ip_unprivileged_port_start"] == "0"


def test_sysctls_of_the_file_win() -> None:
    found = spec(sysctls={"net.ipv4.ip_unprivileged_port_start": "1024", "net.core.somaxconn": "99"})
    assert found.linux.sysctl == {
        "net.ipv4.ip_unprivileged_port_start": "1024",
        "net.ipv4.ping_group_range": "0 2147483647",
        "net.core.somaxconn": "99",
    }


def test_names() -> None:
    found = spec(domainname="example.org")
    assert (found.hostname, found.domainname) == ("c0ffee000000", "example.org")
    host = spec(domainname="example.org", uts="host")
    assert (host.hostname, host.domainname) == ("", "")


# capabilities


def bounding(**service: Any) -> tuple[str, ...]:
    found = spec(**service).process.capabilities
    assert found is not None
    return found.bounding


def test_default_capabilities() -> None:
    found = spec().process.capabilities
    assert found == Capabilities(
        bounding=DEFAULT_CAPABILITIES, effective=DEFAULT_CAPABILITIES, permitted=DEFAULT_CAPABILITIES
    )
    assert len(DEFAULT_CAPABILITIES) == 14
    assert len(ALL_CAPABILITIES) == 41


def test_others_than_root_start_with_none_in_effect() -> None:
    found = spec(replace(CONTEXT, user=Ids(33, 33))).process.capabilities
    assert found == Capabilities(bounding=DEFAULT_CAPABILITIES)


@pytest.mark.parametrize(
    ("add", "drop", "expected"),
    [
        (["NET_ADMIN"], [], (*DEFAULT_CAPABILITIES, "CAP_NET_ADMIN")),
        (["cap_chown"], [], DEFAULT_CAPABILITIES),
        ([], ["chown"], DEFAULT_CAPABILITIES[1:]),
        ([], ["ALL"], ()),
        (["KILL", "CHOWN"], ["all"], ("CAP_KILL", "CAP_CHOWN")),
        (["ALL"], [], ALL_CAPABILITIES),
        (["ALL"], ["CAP_CHOWN"], ALL_CAPABILITIES[1:]),
        (["ALL"], ["ALL"], ALL_CAPABILITIES),
    ],
)
def test_capability_changes(add: list[str], drop: list[str], expected: tuple[str, ...]) -> None:
    assert bounding(cap_add=add, cap_drop=drop) == expected


def test_all_means_what_the_kernel_knows() -> None:
    context = replace(CONTEXT, known_capabilities=ALL_CAPABILITIES[:38])
    assert bounding(cap_add=["ALL"]) == ALL_CAPABILITIES
    found = spec(context, cap_add=["ALL"]).process.capabilities
    assert found is not None
    assert found.bounding == ALL_CAPABILITIES[:38]
    with pytest.raises(StackFileError, match="cap_add 'BPF' of service web: this kernel does not have it"):
        spec(context, cap_add=["BPF"])


def test_unknown_capability() -> None:
    with pytest.raises(StackFileError, match="cannot use cap_drop 'NET_ROOT' of service web: no such capability"):
        spec(cap_drop=["NET_ROOT"])


# security


def test_no_new_privileges_is_opt_in() -> None:
    assert not spec().process.no_new_privileges
    for option in ("no-new-privileges", "no-new-privileges:true", "no-new-privileges=true"):
        assert spec(security_opt=[option]).process.no_new_privileges
    assert not spec(security_opt=["no-new-privileges:false"]).process.no_new_privileges


def test_seccomp_profile_is_passed_on() -> None:
    context = replace(CONTEXT, seccomp={"defaultAction": "SCMP_ACT_ERRNO"})
    assert spec(context).linux.seccomp == {"defaultAction": "SCMP_ACT_ERRNO"}
    assert spec(context, security_opt=["seccomp:unconfined"]).linux.seccomp is None
    assert spec(context, privileged=True).linux.seccomp is None


def test_masked_paths() -> None:
    assert spec().linux.masked_paths == MASKED_PATHS
    assert spec().linux.readonly_paths == READONLY_PATHS
    extra = replace(CONTEXT, extra_masked_paths=("/sys/x",))
    assert spec(extra).linux.masked_paths == (*MASKED_PATHS, "/sys/x")
    for service in ({"privileged": True}, {"security_opt": ["systempaths=unconfined"]}):
        assert spec(**service).linux.masked_paths == ()
        assert spec(**service).linux.readonly_paths == ()


def test_unknown_security_option() -> None:
    with pytest.raises(StackFileError, match="cannot use security_opt 'nnp:true' of service web"):
        spec(security_opt=["nnp:true"])


def test_apparmor() -> None:
    assert spec(security_opt=["apparmor=web-profile"]).process.apparmor_profile == "web-profile"
    assert spec(security_opt=["apparmor:unconfined"]).process.apparmor_profile == ""


# mounts


def test_system_mounts_come_in_an_order_that_works() -> None:
    targets = [mount.destination for mount in spec().mounts]
    assert targets == [
        "/proc",
        "/dev",
        "/dev/pts",
        "/sys",
        "/sys/fs/cgroup",
        "/dev/mqueue",
        "/dev/shm",
        "/etc/resolv.conf",
        "/etc/hostname",
        "/etc/hosts",
    ]


def test_shm_size() -> None:
    shm = mount_at(spec(), "/dev/shm")
    assert shm is not None
    assert shm.options == ("nosuid", "noexec", "nodev", "mode=1777", "size=67108864")
    larger = mount_at(spec(shm_size=1 << 30), "/dev/shm")
    assert larger is not None
    assert larger.options[-1] == "size=1073741824"


def test_shared_memory_by_ipc_mode() -> None:
    assert mount_at(spec(ipc="none"), "/dev/shm") is None
    host = mount_at(spec(ipc="host"), "/dev/shm")
    assert host == Mount("/dev/shm", "bind", "/dev/shm", ("rbind", "rprivate"))
    own = mount_at(spec(), "/dev/shm")
    assert mount_at(spec(ipc="shareable"), "/dev/shm") == own == mount_at(spec(ipc="service:other"), "/dev/shm")


@pytest.mark.parametrize(
    ("mount", "options"),
    [
        ({}, ("rbind", "rprivate")),
        ({"read_only": True}, ("rbind", "ro", "rprivate")),
        ({"bind": {"propagation": "rslave"}}, ("rbind", "rslave")),
        ({"bind": {"recursive": "disabled"}}, ("bind", "rprivate")),
        ({"read_only": True, "bind": {"recursive": "readonly"}}, ("rbind", "rro", "rprivate")),
        ({"read_only": True, "bind": {"recursive": "writable"}}, ("rbind", "ro", "rprivate")),
    ],
)
def test_binds(mount: dict[str, Any], options: tuple[str, ...]) -> None:
    found = spec(volumes=[{"type": "bind", "source": "/src", "target": "/app/", **mount}])
    assert mount_at(found, "/app") == Mount("/app", "bind", "/src", options)


def test_recursive_read_only_where_the_runtime_can() -> None:
    context = replace(CONTEXT, recursive_read_only=True)
    found = spec(context, volumes=[{"type": "bind", "source": "/s", "target": "/a", "read_only": True}])
    assert mount_at(found, "/a") == Mount("/a", "bind", "/s", ("rbind", "rro", "rprivate"))


@pytest.mark.parametrize(
    ("propagation", "root"), [("rprivate", ""), ("shared", "shared"), ("rshared", "shared"), ("slave", "rslave")]
)
def test_propagation_of_the_root(propagation: str, root: str) -> None:
    bind = {"type": "bind", "source": "/s", "target": "/a", "bind": {"propagation": propagation}}
    assert spec(volumes=[bind]).linux.rootfs_propagation == root


def test_volumes() -> None:
    context = replace(CONTEXT, volumes={"/data": "/v/data", "/cache": "/v/anon", "/from/image": "/v/image"})
    found = spec(
        context,
        volumes=[
            {"type": "volume", "source": "data", "target": "/data", "read_only": True, "volume": {"subpath": "a/b"}},
            {"type": "volume", "target": "/cache"},
        ],
    )
    assert mount_at(found, "/data") == Mount("/data", "bind", "/v/data/a/b", ("rbind", "ro", "rprivate"))
    assert mount_at(found, "/cache") == Mount("/cache", "bind", "/v/anon", ("rbind", "rprivate"))
    assert mount_at(found, "/from/image") == Mount("/from/image", "bind", "/v/image", ("rbind", "rprivate"))


def test_volume_that_was_not_prepared() -> None:
    with pytest.raises(ContainerFault, match="volume at /data was not prepared"):
        spec(volumes=[{"type": "volume", "source": "data", "target": "/data"}])


def test_subpath_stays_inside() -> None:
    context = replace(CONTEXT, volumes={"/data": "/v/data"})
    with pytest.raises(StackFileError, match="it leaves the volume"):
        spec(context, volumes=[{"type": "volume", "target": "/data", "volume": {"subpath": "a/../../b"}}])


@pytest.mark.parametrize(
    ("text", "options"),
    [
        ("/t", ("noexec", "nosuid", "nodev")),
        ("/t:size=64m,mode=1770", ("noexec", "nosuid", "nodev", "size=64m", "mode=1770")),
        ("/t:exec,dev", ("nosuid", "exec", "dev")),
        ("/t:rw,noexec,ro", ("nosuid", "nodev", "noexec", "ro")),
    ],
)
def test_tmpfs(text: str, options: tuple[str, ...]) -> None:
    assert mount_at(spec(tmpfs=[text]), "/t") == Mount("/t", "tmpfs", "tmpfs", options)


def test_tmpfs_in_long_form() -> None:
    found = spec(volumes=[{"type": "tmpfs", "target": "/t", "tmpfs": {"size": 1024, "mode": 0o1777}}])
    assert mount_at(found, "/t") == Mount(
        "/t", "tmpfs", "tmpfs", ("noexec", "nosuid", "nodev", "mode=1777", "size=1024")
    )


def test_own_mounts_replace_system_mounts() -> None:
    found = spec(
        volumes=[
            {"type": "bind", "source": "/etc/hosts", "target": "/etc/hosts"},
            {"type": "tmpfs", "target": "/dev/shm"},
        ]
    )
    assert mount_at(found, "/etc/hosts") == Mount("/etc/hosts", "bind", "/etc/hosts", ("rbind", "rprivate"))
    shm = mount_at(found, "/dev/shm")
    assert shm is not None
    assert shm.source == "tmpfs"


def test_own_dev_replaces_all_below() -> None:
    found = spec(volumes=[{"type": "bind", "source": "/dev", "target": "/dev"}])
    assert [mount.destination for mount in found.mounts if mount.destination.startswith("/dev")] == ["/dev"]


def test_shallow_mounts_come_first() -> None:
    found = spec(
        volumes=[
            {"type": "bind", "source": "/2", "target": "/a/b"},
            {"type": "bind", "source": "/1", "target": "/a"},
        ]
    )
    assert [mount.destination for mount in found.mounts[-2:]] == ["/a", "/a/b"]


def test_read_only_root() -> None:
    found = spec(read_only=True, tmpfs=["/tmp"])
    assert found.root.readonly
    hosts, temporary, shm = (mount_at(found, target) for target in ("/etc/hosts", "/tmp", "/dev/shm"))
    assert hosts is not None and "ro" in hosts.options
    assert temporary is not None and "ro" not in temporary.options
    assert shm is not None and "ro" not in shm.options


def test_secrets_and_configs() -> None:
    service = {
        "secrets": [{"source": "a"}, {"source": "b", "target": "bee", "mode": 0o400, "uid": "70"}],
        "configs": [{"source": "c"}, {"source": "d", "target": "/etc/d.conf"}],
    }
    found = grants(Service.model_validate({"name": "web", **service}))
    assert [(item.kind, item.source, item.target, item.uid, item.mode) for item in found] == [
        ("secret", "a", "/run/secrets/a", "0", 0o444),
        ("secret", "b", "/run/secrets/bee", "70", 0o400),
        ("config", "c", "/c", "0", 0o444),
        ("config", "d", "/etc/d.conf", "0", 0o444),
    ]
    context = replace(CONTEXT, grants={item.target: f"/files/{item.source}" for item in found})
    rendered = spec(context, **service)
    assert mount_at(rendered, "/run/secrets/bee") == Mount(
        "/run/secrets/bee", "bind", "/files/b", ("rbind", "ro", "rprivate")
    )
    with pytest.raises(ContainerFault, match="secret a has no file"):
        spec(**service)


def test_volumes_from_give_way_to_own_mounts() -> None:
    context = replace(CONTEXT, inherited=(InheritedMount("/d", "/v/d", True), InheritedMount("/e", "/v/e")))
    found = spec(context, volumes=[{"type": "bind", "source": "/own", "target": "/e"}])
    assert mount_at(found, "/d") == Mount("/d", "bind", "/v/d", ("rbind", "ro", "rprivate"))
    assert mount_at(found, "/e") == Mount("/e", "bind", "/own", ("rbind", "rprivate"))


# resources


def test_no_limits_by_default() -> None:
    found = spec().linux.resources
    assert found is not None
    assert (found.memory, found.cpu, found.pids, found.block_io) == (None, None, None, None)
    assert spec().process.oom_score_adj == 0


def test_limits() -> None:
    found = spec(mem_limit=100, mem_reservation=50, cpus=0.5, cpu_shares=512, cpuset="0-1", pids_limit=20)
    resources = found.linux.resources
    assert resources is not None and resources.cpu is not None and resources.pids is not None
    assert resources.memory == Memory(limit=100, reservation=50, swap=200)
    assert (resources.cpu.quota, resources.cpu.period) == (50_000, 100_000)
    assert (resources.cpu.shares, resources.cpu.cpus) == (512, "0-1")
    assert resources.pids.limit == 20


def test_deploy_limits_win() -> None:
    deploy = {"resources": {"limits": {"memory": 300, "cpus": 2, "pids": 7}, "reservations": {"memory": 30}}}
    resources = spec(mem_limit=100, cpus=1, pids_limit=1, deploy=deploy).linux.resources
    assert resources is not None and resources.cpu is not None and resources.pids is not None
    assert resources.memory == Memory(limit=300, reservation=30, swap=600)
    assert (resources.cpu.quota, resources.pids.limit) == (200_000, 7)


@pytest.mark.parametrize(("limit", "swap", "expected"), [(100, -1, -1), (100, 150, 150), (None, -1, -1)])
def test_swap(limit: int | None, swap: int, expected: int) -> None:
    resources = spec(mem_limit=limit, memswap_limit=swap).linux.resources
    assert resources is not None and resources.memory is not None
    assert resources.memory.swap == expected


def test_unlimited_pids() -> None:
    resources = spec(pids_limit=-1).linux.resources
    assert resources is not None and resources.pids is not None
    assert resources.pids.limit == -1


def test_ulimits() -> None:
    found = spec(ulimits={"nofile": {"soft": 10, "hard": 20}, "core": {"soft": -1, "hard": -1}})
    assert found.process.rlimits == (
        Rlimit("RLIMIT_CORE", 2**64 - 1, 2**64 - 1),
        Rlimit("RLIMIT_NOFILE", 10, 20),
    )


def test_devices() -> None:
    context = replace(
        CONTEXT,
        devices=(
            HostDevice("/dev/fuse", "c", 10, 229),
            HostDevice("/dev/snd/seq", "c", 116, 1, 0o660, 0, 29),
        ),
    )
    found = spec(
        context,
        devices=[{"source": "/dev/fuse", "target": "/dev/f", "permissions": "r"}, {"source": "/dev/snd"}],
        device_cgroup_rules=["c 7:* rm"],
    )
    assert [(item.path, item.major, item.minor, item.file_mode) for item in found.linux.devices] == [
        ("/dev/f", 10, 229, 0o666),
        ("/dev/snd/seq", 116, 1, 0o660),
    ]
    assert found.linux.resources is not None
    assert found.linux.resources.devices[-3:] == (
        DeviceRule(True, "c", 10, 229, "r"),
        DeviceRule(True, "c", 116, 1, "rwm"),
        DeviceRule(True, "c", 7, None, "rm"),
    )
    assert found.linux.resources.devices[0] == DeviceRule(False, access="rwm")


@pytest.mark.parametrize("rule", ["c 7 rwm", "x 7:1 rwm", "c 7:1", "c 7:1 rwx", "c a:b r", "c 7:1 r w"])
def test_bad_device_rules(rule: str) -> None:
    with pytest.raises(StackFileError, match="cannot use device_cgroup_rules"):
        spec(device_cgroup_rules=[rule])


def test_block_io() -> None:
    context = replace(CONTEXT, device_numbers={"/dev/sda": (8, 0)})
    blkio = {"weight": 300, "device_read_bps": [{"path": "/dev/sda", "rate": 1024}]}
    resources = spec(context, blkio_config=blkio).linux.resources
    assert resources is not None and resources.block_io is not None
    assert resources.block_io.weight == 300
    assert [(item.major, item.minor, item.rate) for item in resources.block_io.throttle_read_bps_device] == [
        (8, 0, 1024)
    ]


def test_annotations() -> None:
    found = spec(stop_signal="SIGQUIT", annotations={"a": "b"})
    assert found.annotations == {"org.opencontainers.image.stopSignal": "SIGQUIT", "a": "b"}
