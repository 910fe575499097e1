from __future__ import annotations

from stackup.network.resolv import (
    Resolver,
    hosts_file,
    parse_resolver,
    plain_resolv_conf,
    resolv_conf,
    upstreams,
)

HOST = parse_resolver(
    """# made by somebody
nameserver 127.0.0.53
nameserver fe80::1%eth0
nameserver nonsense
domain old.example
search corp.example lab.example
options edns0 trust-ad
options timeout:1
; the end
nameserver
"""
)


def test_the_hosts_file_is_read_as_glibc_does() -> None:
    assert (
        Resolver(("127.0.0.53", "fe80::1%eth0"), ("corp.example", "lab.example"), ("edns0", "trust-ad", "timeout:1"))
        == HOST
    )


def test_a_container_asks_the_embedded_resolver() -> None:
    assert resolv_conf(HOST) == (
        "nameserver 127.0.0.11\nsearch corp.example lab.example\noptions edns0 trust-ad timeout:1 ndots:0\n"
    )
    assert resolv_conf(Resolver()) == "nameserver 127.0.0.11\noptions ndots:0\n"


def test_a_service_may_say_otherwise() -> None:
    assert resolv_conf(HOST, search=["."], options=["ndots:2"]) == "nameserver 127.0.0.11\noptions ndots:2\n"
    assert upstreams(HOST, ["9.9.9.9"]) == ("9.9.9.9",)
    assert upstreams(HOST) == HOST.servers
    assert upstreams(Resolver(("127.0.0.11", "1.1.1.1"))) == ("1.1.1.1",)
    assert plain_resolv_conf(HOST, dns=["9.9.9.9"]).startswith("nameserver 9.9.9.9\nsearch corp.example")


def test_hosts() -> None:
    text = hosts_file(
        "web",
        ["172.17.0.2", "fd00::2"],
        domain="corp.example",
        extra={"host.docker.internal": ["host-gateway"], "db": ["10.0.0.1", "[fd00::9]"]},
        gateway="172.17.0.1",
    )
    assert text.splitlines()[0] == "127.0.0.1\tlocalhost"
    assert text.splitlines()[-5:] == [
        "172.17.0.1\thost.docker.internal",
        "10.0.0.1\tdb",
        "fd00::9\tdb",
        "172.17.0.2\tweb.corp.example web",
        "fd00::2\tweb.corp.example web",
    ]
    assert "host.docker.internal" not in hosts_file("web", [], extra={"host.docker.internal": ["host-gateway"]})
