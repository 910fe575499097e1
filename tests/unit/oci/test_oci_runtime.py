"""config.json values survive the way there and back, and look as the specification writes them."""

from __future__ import annotations

import json

import pytest

from stackup.oci import runtime as oci


def full_spec() -> oci.Spec:
    return oci.Spec(
        process=oci.Process(
            args=("sh", "-c", "true"),
            env=("PATH=/bin",),
            user=oci.User(1000, 1000, additional_gids=(4,)),
            capabilities=oci.Capabilities(bounding=("CAP_CHOWN",)),
            rlimits=(oci.Rlimit("RLIMIT_NOFILE", 0, 4096),),
            no_new_privileges=True,
        ),
        hostname="web",
        mounts=(oci.Mount("/proc", "proc", "proc", ("nosuid",)),),
        linux=oci.Linux(
            namespaces=(oci.Namespace("pid"), oci.Namespace("network", "/proc/1/ns/net")),
            resources=oci.Resources(
                devices=(oci.DeviceRule(allow=False, access="rwm"),),
                memory=oci.Memory(limit=1 << 20, disable_oom_killer=True),
                pids=oci.Pids(0),
                block_io=oci.BlockIo(throttle_read_iops_device=(oci.ThrottleDevice(8, 0, 10),)),
            ),
            sysctl={"net.ipv4.ip_forward": "0"},
            seccomp={"defaultAction": "SCMP_ACT_ALLOW"},
            masked_paths=("/proc/kcore",),
        ),
        annotations={"a": "b"},
    )


def test_round_trip() -> None:
    spec = full_spec()
    assert oci.Spec.from_json(json.loads(json.dumps(spec.to_json()))) == spec


def test_spelling_is_the_specifications() -> None:
    data = full_spec().to_json()
    assert data["ociVersion"] == "1.1.0"
    assert data["root"] == {"path": "rootfs"}
    assert data["process"]["user"] == {"uid": 1000, "gid": 1000, "additionalGids": [4]}
    assert data["process"]["noNewPrivileges"] is True
    assert data["linux"]["resources"]["memory"] == {"limit": 1 << 20, "disableOOMKiller": True}
    assert data["linux"]["resources"]["blockIO"]["throttleReadIOPSDevice"] == [{"major": 8, "minor": 0, "rate": 10}]
    assert data["linux"]["resources"]["devices"] == [{"allow": False, "access": "rwm"}]
    assert data["linux"]["maskedPaths"] == ["/proc/kcore"]


def test_defaults_are_left_out() -> None:
    assert oci.Spec(oci.Process(("true",))).to_json() == {
        "ociVersion": "1.1.0",
        "root": {"path": "rootfs"},
        "process": {"args": ["true"], "cwd": "/", "user": {"uid": 0, "gid": 0}},
    }


@pytest.mark.parametrize(
    ("data", "place"),
    [
        ({"process": {"cwd": "/"}}, r"process\.args: missing"),
        ({"process": {"args": "sh"}}, r"process\.args: expected a list"),
        ({"process": {"args": ["sh", 1]}}, r"process\.args\[1\]: expected str"),
        ({"process": {"args": ["sh"], "user": {"uid": True}}}, r"process\.user\.uid: expected int"),
    ],
)
def test_a_wrong_document_names_the_place(data: dict[str, object], place: str) -> None:
    with pytest.raises(ValueError, match=place):
        oci.Spec.from_json(data)


def test_unknown_keys_are_skipped() -> None:
    assert oci.Spec.from_json({"process": {"args": ["a"], "later": 1}, "zos": {}}).process.args == ("a",)
