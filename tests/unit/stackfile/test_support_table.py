"""Attributes that are not carried out: warned about once, refused where omission would do harm."""

from __future__ import annotations

from pathlib import Path

import pytest
from stackfile_support import errors_of, load_text

from stackup.stackfile import support

TEXT = "services: {a: {image: i, %s}, b: {image: i, %s}}\n"


def test_one_warning_for_all_services(tmp_path: Path) -> None:
    warnings = load_text(tmp_path, TEXT % (("storage_opt: {size: 1g}",) * 2)).warnings
    assert [warning.message for warning in warnings] == [
        "services.a.storage_opt (and 1 more like it) is not carried out yet: the writable layer has no limit"
    ]


def test_refused_at_each_place(tmp_path: Path) -> None:
    text = TEXT % (("userns_mode: remap",) * 2)
    assert len(errors_of(tmp_path, text)) == 2
    assert load_text(tmp_path, text, run=False).stack.services["a"].userns_mode == "remap"
    assert not errors_of(tmp_path, TEXT % (("userns_mode: host",) * 2))


def test_restart_policies(tmp_path: Path) -> None:
    assert not errors_of(tmp_path, TEXT % ("restart: on-failure:3", "restart: 'no'"))
    (error,) = errors_of(tmp_path, TEXT % ("restart: alway", "restart: always"))
    assert error.hint == "did you mean 'always'?"


def test_values_that_are_carried_out_need_no_warning(tmp_path: Path) -> None:
    ours = "platform: linux, logging: {driver: local}, pull_policy: never, security_opt: ['label:disable']"
    assert load_text(tmp_path, TEXT % (ours, "restart: always")).warnings == ()
    theirs = "runtime: kata, storage_opt: {size: 1g}, cgroup_parent: /x"
    warnings = load_text(tmp_path, TEXT % (theirs, "restart: always")).warnings
    assert len(warnings) == 3


def test_labels_concern_machines_that_have_them(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for there, count in ((False, 0), (True, 1)):
        monkeypatch.setattr(support, "SELINUX", str(tmp_path) if there else str(tmp_path / "nothing"))
        text = "services: {a: {image: i, volumes: ['/tmp:/x:z']}}\n"
        assert len(load_text(tmp_path, text).warnings) == count


def test_options_that_are_carried_out_are_told_from_the_others(tmp_path: Path) -> None:
    options = "{com.docker.network.driver.mtu: 1400, com.docker.network.bridge.inhibit_ipv4: 'true'}"
    text = f"services: {{a: {{image: i}}}}\nnetworks: {{default: {{driver_opts: {options}}}}}\n"
    assert [warning.message for warning in load_text(tmp_path, text).warnings] == [
        "networks.default.driver_opts.com.docker.network.bridge.inhibit_ipv4 is not carried out yet: "
        "the option is not applied"
    ]


@pytest.mark.parametrize(
    ("service", "top"),
    [
        ("security_opt: ['label=type:svirt']", ""),
        ("secrets: [s]", "secrets: {s: {external: true}}"),
        ("networks: [n]", "networks: {n: {driver: macvlan}}"),
        ("networks: [n]", "networks: {n: {driver_opts: {com.docker.network.bridge.host_binding_ipv4: 127.0.0.1}}}"),
        ("volumes: ['vol:/v']", "volumes: {vol: {driver: nfs}}"),
        ("volumes: [{type: image, source: i, target: /x}]", ""),
    ],
)
def test_what_must_not_be_left_out_is_refused_at_run_time_only(tmp_path: Path, service: str, top: str) -> None:
    text = f"services: {{a: {{image: i, {service}}}}}\n{top}\n"
    assert len(errors_of(tmp_path, text)) == 1
    assert not errors_of(tmp_path, text, run=False)


def test_what_is_said_when_it_is_due(tmp_path: Path) -> None:
    """Attestations of services that nobody builds concern nobody; whoever only looks hears of them."""
    text = "services: {a: {build: {context: ., provenance: true, sbom: true}}}\n"
    assert load_text(tmp_path, text).warnings == ()
    assert len(load_text(tmp_path, text, run=False, outlook=True).warnings) == 2
