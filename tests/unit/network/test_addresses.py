from __future__ import annotations

from ipaddress import IPv4Network, ip_network
from types import SimpleNamespace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from stackup.base.errors import HostUnfit, PlanRefused, StackFileError
from stackup.model.resources import Network
from stackup.network.address import DEFAULT_POOLS, choose_address, choose_subnet, mac_of, mirrored, unique_local
from stackup.network.request import Taken, choose_subnets, read_options, rechosen
from stackup.network.types import NetworkState

FREE = Taken((), ())


def subnets_for(taken: Taken = FREE, **network: Any) -> Any:
    wanted = Network.model_validate({"name": "shop_default", **network})
    return choose_subnets("id/default", wanted, taken, DEFAULT_POOLS)


def test_pools_are_dockers() -> None:
    assert str(choose_subnet([])) == "172.17.0.0/16"
    assert str(choose_subnet([ip_network("172.16.0.0/12")])) == "192.168.0.0/20"
    assert str(choose_subnet([ip_network("172.16.0.0/12"), ip_network("192.168.1.0/24")])) == "192.168.16.0/20"
    assert choose_subnet([ip_network("0.0.0.0/0")]) is None


@given(st.lists(st.sampled_from([f"172.{n}.0.0/16" for n in range(16, 33)] + ["192.168.5.0/24", "10.0.0.0/8"])))
def test_a_chosen_subnet_never_overlaps(taken: list[str]) -> None:
    used = [ip_network(item) for item in taken]
    chosen = choose_subnet(used)
    assert chosen is not None
    assert not any(chosen.overlaps(item) for item in used)


def test_name_servers_routes_and_links_are_left_alone() -> None:
    taken = Taken(
        ((ip_network("172.17.0.0/16"), "docker0"),), (ip_network("172.18.3.0/24"),), ("172.19.0.53", "fe80::1%e")
    )
    assert subnets_for(taken).subnet == "172.20.0.0/16"
    assert subnets_for(taken).gateway == "172.20.0.1"


def test_addresses_go_round() -> None:
    used = {"10.0.0.1"}
    assert choose_address("10.0.0.0/29", used) == "10.0.0.2"
    assert choose_address("10.0.0.0/29", used, last="10.0.0.2") == "10.0.0.3"
    assert choose_address("10.0.0.0/29", {*used, "10.0.0.6"}, last="10.0.0.5") == "10.0.0.2"
    assert choose_address("10.0.0.0/29", {f"10.0.0.{n}" for n in range(1, 7)}) is None
    assert choose_address("10.0.0.0/24", used, ip_range="10.0.0.64/30", last="10.0.0.9") == "10.0.0.64"


@given(st.integers(22, 30), st.data())
def test_every_address_is_given_once(length: int, data: st.DataObject) -> None:
    subnet = f"10.9.0.0/{length}"
    used = {"10.9.0.1"}
    last = ""
    for _ in range(min(IPv4Network(subnet).num_addresses - 3, 40)):
        chosen = choose_address(subnet, used, last=last)
        assert chosen is not None and chosen not in used
        assert chosen not in (str(IPv4Network(subnet)[0]), str(IPv4Network(subnet)[-1]))
        used.add(chosen)
        last = data.draw(st.sampled_from(sorted(used)))


def test_ipv6_mirrors_ipv4() -> None:
    assert mirrored("fd00:1::/64", "172.17.0.5", "172.17.0.0/16") == "fd00:1::5"
    assert unique_local("a") == unique_local("a") != unique_local("b")
    assert str(unique_local("a")).startswith("fd")
    assert mac_of("172.17.0.2") == "02:42:ac:11:00:02"


def test_the_stack_file_may_choose() -> None:
    pools = {
        "config": [{"subnet": "10.5.0.0/24", "ip_range": "10.5.0.128/25", "aux_addresses": {"printer": "10.5.0.9"}}]
    }
    found = subnets_for(ipam=pools)
    assert (found.subnet, found.gateway, found.ip_range, found.pooled) == (
        "10.5.0.0/24",
        "10.5.0.1",
        "10.5.0.128/25",
        False,
    )
    assert found.reserved == ("10.5.0.9",)
    six = subnets_for(enable_ipv6=True)
    assert six.subnet6.startswith("fd") and six.gateway6.endswith("::1")
    only6 = subnets_for(enable_ipv4=False, ipam={"config": [{"subnet": "fd00:9::/64", "gateway": "fd00:9::ff"}]})
    assert (only6.subnet, only6.subnet6, only6.gateway6) == ("", "fd00:9::/64", "fd00:9::ff")


@pytest.mark.parametrize(
    ("pool", "words"),
    [
        ({"subnet": "10.5.0.1/24"}, "host bits set"),
        ({"subnet": "ten"}, "does not appear to be"),
        ({"subnet": "10.5.0.0/24", "gateway": "10.6.0.1"}, "gateway 10.6.0.1 is not inside 10.5.0.0/24"),
        ({"subnet": "10.5.0.0/24", "gateway": "x"}, "gateway 'x'"),
        ({"subnet": "10.5.0.0/24", "ip_range": "10.6.0.0/25"}, "ip_range 10.6.0.0/25 is not inside"),
        ({"subnet": "10.5.0.0/24", "ip_range": "fd00::/64"}, "ip_range fd00::/64 is not inside"),
    ],
)
def test_pools_that_make_no_sense(pool: dict[str, str], words: str) -> None:
    with pytest.raises(StackFileError, match="cannot create network shop_default") as caught:
        subnets_for(ipam={"config": [pool]})
    assert words in str(caught.value)


def test_refusals() -> None:
    with pytest.raises(PlanRefused, match=r"10.5.0.0/24 overlaps 10.5.0.0/16, which docker0 uses"):
        subnets_for(Taken(((ip_network("10.5.0.0/16"), "docker0"),), ()), ipam={"config": [{"subnet": "10.5.0.0/24"}]})
    with pytest.raises(HostUnfit, match="every address pool is in use"):
        subnets_for(Taken((), (ip_network("172.0.0.0/8"), ip_network("192.168.0.0/16"))))
    with pytest.raises(StackFileError, match="neither IPv4 nor IPv6"):
        subnets_for(enable_ipv4=False)


def test_after_a_reboot_a_chosen_subnet_may_change_and_a_given_one_not() -> None:
    state = NetworkState("d", "shop_d", "id", "shop", "skb1", 2, 1, subnet="172.17.0.0/16", gateway="172.17.0.1")
    taken = Taken(((ip_network("172.17.0.0/24"), "vpn0"),), ())
    assert rechosen(state, FREE, DEFAULT_POOLS) == state
    assert rechosen(state, taken, DEFAULT_POOLS).gateway == "172.18.0.1"
    given = NetworkState.from_dict({**state.to_dict(), "pooled": False})
    with pytest.raises(PlanRefused):
        rechosen(given, taken, DEFAULT_POOLS)


def test_options() -> None:
    def options(**driver_opts: str) -> Any:
        named = {f"com.docker.network.{key.replace('__', '.')}": value for key, value in driver_opts.items()}
        network = SimpleNamespace(name="shop_default", driver="bridge", driver_opts=named)
        return read_options("shop", "", "default", network)  # type: ignore[arg-type]

    assert options().bridge.startswith("skb")
    assert (options(bridge__name="br-shop").bridge, options(driver__mtu="1400").mtu) == ("br-shop", 1400)
    assert not options(bridge__enable_icc="false").talk
    assert not options(bridge__enable_ip_masquerade="false").masquerade
    with pytest.raises(StackFileError, match="at most 15 bytes"):
        options(bridge__name="a-name-that-is-too-long")
    with pytest.raises(StackFileError, match="driver 'macvlan' is not supported"):
        read_options("shop", "", "default", Network(name="shop_default", driver="macvlan"))
