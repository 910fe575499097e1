"""One prepared nf_tables batch: inside a container's network namespace, port 53 of 127.0.0.11 leads to a high port.

Stateless: the destination port of queries and the source port of answers are rewritten in the output hook, so that no
connection tracking starts in the namespace, and a container that serves DNS itself may bind 0.0.0.0:53. In nft's words:

    table ip stackup-dns { chain output { type filter hook output priority raw; policy accept;
        ip daddr 127.0.0.11 udp dport 53 udp dport set PORT        (and tcp)
        ip saddr 127.0.0.11 udp sport PORT udp sport set 53        (and tcp) } }

Constants: include/uapi/linux/netfilter/nf_tables.h and nfnetlink.h.
"""

from __future__ import annotations

import os
from _socket import IPPROTO_TCP, IPPROTO_UDP, inet_aton
from struct import pack, unpack_from

from stackup.linux.netlink import NETLINK_NETFILTER, attribute, open_socket

DNS_ADDRESS = "127.0.0.11"

_NFPROTO_IPV4 = 2
_SUBSYSTEM = 10 << 8
_BEGIN, _END = 16, 17
_NEWTABLE, _GETTABLE, _NEWCHAIN, _NEWRULE = 0, 1, 3, 6
_REQUEST, _ACK, _CREATE, _APPEND = 1, 4, 0x400, 0x800
_NESTED = 0x8000
_HOOK_OUTPUT, _PRIORITY_RAW = 3, -300
_REGISTER_1 = 1
_BASE_NETWORK, _BASE_TRANSPORT = 1, 2
_CHECKSUM_INET = 1
_CHECKSUM_OFFSET = {IPPROTO_UDP: 6, IPPROTO_TCP: 16}
_SOURCE_ADDRESS, _DESTINATION_ADDRESS = 12, 16
_SOURCE_PORT, _DESTINATION_PORT = 0, 2
_META_L4PROTO = 16
_NLMSG_ERROR = 2
_LAST_RULE = 7

_TABLE, _CHAIN = b"stackup-dns\0", b"output\0"


def redirect_dns(port: int) -> None:
    """Installs the rules in the calling process's network namespace."""
    socket = open_socket(NETLINK_NETFILTER)
    try:
        socket.send(_prepared.get(port) or _batch(port))
        while not _acknowledged(socket.recv(1 << 16)):
            pass
    finally:
        socket.close()


_prepared: dict[int, bytes] = {}


def prepare(port: int) -> None:
    """Composes the rules once, in the process that forks those who will install them."""
    _prepared[port] = _batch(port)


def is_redirected() -> bool:
    """Whether the calling process's network namespace has the rules."""
    socket = open_socket(NETLINK_NETFILTER)
    try:
        payload = pack(">BBH", _NFPROTO_IPV4, 0, 0) + _text(1, _TABLE)
        socket.send(pack("IHHII", 16 + len(payload), _SUBSYSTEM | _GETTABLE, _REQUEST, 1, 0) + payload)
        return bool(unpack_from("IH", socket.recv(1 << 16))[1] == _SUBSYSTEM | _NEWTABLE)
    except OSError:
        return False
    finally:
        socket.close()


def _acknowledged(data: bytes) -> bool:
    """True once the last rule is; raises what the kernel refused."""
    at = 0
    while at < len(data):
        length, kind, _, sequence, _ = unpack_from("IHHII", data, at)
        if kind == _NLMSG_ERROR:
            number = -unpack_from("i", data, at + 16)[0]
            if number:
                raise OSError(number, f"nf_tables: {os.strerror(number)}")
            if sequence == _LAST_RULE:
                return True
        at += (length + 3) & ~3
    return False


def _batch(port: int) -> bytes:
    chain = _text(1, _TABLE) + _text(3, _CHAIN)
    hook = attribute(1, pack(">I", _HOOK_OUTPUT)) + attribute(2, pack(">i", _PRIORITY_RAW))
    chain += attribute(4 | _NESTED, hook) + attribute(5, pack(">I", 1)) + _text(7, b"filter\0")
    rules = [
        _rewrite(protocol, address, field, old, new)
        for address, field, old, new in (
            (_DESTINATION_ADDRESS, _DESTINATION_PORT, 53, port),
            (_SOURCE_ADDRESS, _SOURCE_PORT, port, 53),
        )
        for protocol in (IPPROTO_UDP, IPPROTO_TCP)
    ]
    messages = [
        (_BEGIN, 0, b""),
        (_SUBSYSTEM | _NEWTABLE, _CREATE, _text(1, _TABLE)),
        (_SUBSYSTEM | _NEWCHAIN, _CREATE, chain),
        *((_SUBSYSTEM | _NEWRULE, _CREATE | _APPEND, rule) for rule in rules),
        (_END, 0, b""),
    ]
    data = bytearray()
    for sequence, (kind, flags, body) in enumerate(messages, start=1):
        edge = kind in (_BEGIN, _END)
        flags |= _REQUEST | (_ACK if sequence == _LAST_RULE else 0)
        payload = pack(">BBH", 0, 0, 10) if edge else pack(">BBH", _NFPROTO_IPV4, 0, 0) + body
        data += pack("IHHII", 16 + len(payload), kind, flags, sequence, 0) + payload
    return bytes(data)


def _rewrite(protocol: int, address: int, field: int, old: int, new: int) -> bytes:
    """A rule: packets of ``protocol`` with 127.0.0.11 at ``address`` and port ``old`` in ``field`` get port ``new``."""
    store = attribute(5, pack(">I", _REGISTER_1)) + _place(_BASE_TRANSPORT, field, 2)
    store += attribute(6, pack(">I", _CHECKSUM_INET)) + attribute(7, pack(">I", _CHECKSUM_OFFSET[protocol]))
    expressions = (
        _expression(b"meta\0", attribute(1, pack(">I", _REGISTER_1)) + attribute(2, pack(">I", _META_L4PROTO))),
        _compare(bytes([protocol])),
        _load(_BASE_NETWORK, address, 4),
        _compare(inet_aton(DNS_ADDRESS)),
        _load(_BASE_TRANSPORT, field, 2),
        _compare(pack(">H", old)),
        _expression(b"immediate\0", attribute(1, pack(">I", _REGISTER_1)) + _value(2, pack(">H", new))),
        _expression(b"payload\0", store),
    )
    return _text(1, _TABLE) + _text(2, _CHAIN) + attribute(4 | _NESTED, b"".join(expressions))


def _text(kind: int, body: bytes) -> bytes:
    return attribute(kind, body)


def _value(kind: int, body: bytes) -> bytes:
    return attribute(kind | _NESTED, attribute(1, body))


def _expression(name: bytes, body: bytes) -> bytes:
    return attribute(1 | _NESTED, attribute(1, name) + attribute(2 | _NESTED, body))


def _compare(body: bytes) -> bytes:
    head = attribute(1, pack(">I", _REGISTER_1)) + attribute(2, pack(">I", 0))
    return _expression(b"cmp\0", head + _value(3, body))


def _place(base: int, offset: int, length: int) -> bytes:
    return attribute(2, pack(">I", base)) + attribute(3, pack(">I", offset)) + attribute(4, pack(">I", length))


def _load(base: int, offset: int, length: int) -> bytes:
    return _expression(b"payload\0", attribute(1, pack(">I", _REGISTER_1)) + _place(base, offset, length))
