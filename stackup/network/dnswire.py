"""The DNS message format, as much as a stub resolver needs (RFC 1035, 2308, 6891). Pure; any bytes may come in."""

from __future__ import annotations

import struct
from collections.abc import Sequence
from functools import lru_cache
from ipaddress import IPv4Address, IPv6Address, ip_address

from stackup.base.values import frozen

A, PTR, AAAA, OPT, ANY = 1, 12, 28, 41, 255
IN, CLASS_ANY = 1, 255
NOERROR, FORMERR, SERVFAIL, NXDOMAIN, NOTIMP, REFUSED = 0, 1, 2, 3, 4, 5

UDP_SIZE = 512  # what every client takes, when it does not say otherwise
OUR_SIZE = 1232  # fits one packet on every path (DNS flag day 2020)
MESSAGE_MAX = 65535
HEADER = struct.Struct("!HHHHHH")

_RESPONSE, _AUTHORITATIVE, _TRUNCATED, _RECURSION_WANTED, _RECURSION = 0x8000, 0x0400, 0x0200, 0x0100, 0x0080
_FIXED = struct.Struct("!HHIH")  # type, class, ttl, length
_TO_QUESTION = b"\xc0\x0c"  # compression pointer to the question's name


class FormatError(Exception):
    """A message that cannot be answered as asked. ``rcode`` None: not even an error answer is due."""

    def __init__(self, rcode: int | None, text: str) -> None:
        super().__init__(text)
        self.rcode = rcode


@frozen
class Question:
    """``name`` is lower case, without the final dot; a dot inside a label is written ``\\.``. ``raw`` is the question
    section as it came: answers repeat it, letter case and all. ``size`` is the largest UDP answer the client takes."""

    id: int
    flags: int
    name: str
    type: int
    cls: int
    raw: bytes
    size: int = UDP_SIZE
    edns: bool = False


def parse(data: bytes) -> Question:
    """The one question of a query. Raises FormatError."""
    if len(data) < HEADER.size:
        raise FormatError(None, "shorter than a header")
    number, flags, questions, answers, authorities, extras = HEADER.unpack_from(data)
    if flags & _RESPONSE:
        raise FormatError(None, "an answer, not a question")
    if flags >> 11 & 0xF:
        raise FormatError(NOTIMP, "not a standard query")
    if questions != 1:
        raise FormatError(FORMERR, "not exactly one question")
    name, offset = _question_name(data, HEADER.size)
    if offset + 4 > len(data):
        raise FormatError(FORMERR, "question cut short")
    kind, cls = struct.unpack_from("!HH", data, offset)
    raw = bytes(data[HEADER.size : offset + 4])
    size = None
    if extras and not answers and not authorities:
        size = _edns_size(data, offset + 4, extras)
    if size is None:
        return Question(number, flags, name, kind, cls, raw)
    return Question(number, flags, name, kind, cls, raw, min(max(size, UDP_SIZE), OUR_SIZE), True)


def answer(question: Question, rcode: int, records: Sequence[bytes] = (), *, limit: int = MESSAGE_MAX) -> bytes:
    """A whole answer; records that would not fit into ``limit`` are left out and TC says so."""
    head = question.raw
    tail = b"\0" + struct.pack("!HHIH", OPT, OUR_SIZE, 0, 0) if question.edns else b""
    room = limit - HEADER.size - len(head) - len(tail)
    kept: list[bytes] = []
    for record in records:
        room -= len(record)
        if room < 0:
            break
        kept.append(record)
    flags = _RESPONSE | _AUTHORITATIVE | _RECURSION | (question.flags & _RECURSION_WANTED) | rcode
    if len(kept) < len(records):
        flags |= _TRUNCATED
    return HEADER.pack(question.id, flags, 1, len(kept), 0, len(tail) > 0) + head + b"".join(kept) + tail


def failure(data: bytes, rcode: int) -> bytes:
    """An error answer to something that has a header but no readable question."""
    number, flags, *_ = HEADER.unpack_from(data)
    return HEADER.pack(number, _RESPONSE | _RECURSION | (flags & 0x7900) | rcode, 0, 0, 0, 0)


@lru_cache(4096)
def address_record(address: str, ttl: int) -> bytes:
    packed = ip_address(address).packed
    return _TO_QUESTION + _FIXED.pack(A if len(packed) == 4 else AAAA, IN, ttl, len(packed)) + packed


def pointer_record(name: str, ttl: int) -> bytes:
    encoded = encode_name(name)
    return _TO_QUESTION + _FIXED.pack(PTR, IN, ttl, len(encoded)) + encoded


def encode_name(name: str) -> bytes:
    """Raises ValueError for what is no domain name."""
    labels = [label.encode("ascii") for label in name.rstrip(".").split(".")] if name.rstrip(".") else []
    if any(not 0 < len(label) < 64 for label in labels):
        raise ValueError(f"{name!r} is no domain name")
    encoded = b"".join(bytes((len(label),)) + label for label in labels) + b"\0"
    if len(encoded) > 255:
        raise ValueError(f"{name!r} is too long for a domain name")
    return encoded


def query(number: int, name: str, kind: int) -> bytes:
    """A query with recursion wanted; for clients and tests."""
    return HEADER.pack(number, _RECURSION_WANTED, 1, 0, 0, 0) + encode_name(name) + struct.pack("!HH", kind, IN)


def rcode_of(message: bytes) -> int:
    return message[3] & 0xF


def is_truncated(message: bytes) -> bool:
    return bool(message[2] & (_TRUNCATED >> 8))


def answers_to(message: bytes, number: int, question: Question) -> bool:
    """True when ``message`` is an answer with that id to that very question; anything else is dropped as forged."""
    if len(message) < HEADER.size:
        return False
    got, flags, questions, *_ = HEADER.unpack_from(message)
    if got != number or not flags & _RESPONSE:
        return False
    if questions == 0:  # some servers answer errors without repeating the question
        return message[3] & 0xF in (FORMERR, SERVFAIL, NOTIMP, REFUSED)
    end = HEADER.size + len(question.raw)
    return questions == 1 and message[HEADER.size : end].lower() == question.raw.lower()


def pointed_address(name: str) -> IPv4Address | IPv6Address | None:
    """The address that a name below in-addr.arpa or ip6.arpa stands for; None for every other name."""
    labels = name.split(".")
    try:
        if labels[-2:] == ["in-addr", "arpa"] and len(labels) == 6:
            return IPv4Address(".".join(reversed(labels[:4])))
        if labels[-2:] == ["ip6", "arpa"] and len(labels) == 34:
            digits = "".join(reversed(labels[:32]))
            return IPv6Address(int(digits, 16).to_bytes(16, "big")) if len(digits) == 32 else None
    except ValueError:
        return None
    return None


def _question_name(data: bytes, offset: int) -> tuple[str, int]:
    labels: list[str] = []
    start = offset
    while True:
        if offset >= len(data):
            raise FormatError(FORMERR, "name cut short")
        length = data[offset]
        offset += 1
        if length == 0:
            break
        if length > 63:
            raise FormatError(FORMERR, "a compressed or reserved label in a question")
        if offset + length > len(data) or offset + length - start > 254:
            raise FormatError(FORMERR, "name too long")
        label = bytes(data[offset : offset + length]).lower().decode("latin-1")
        labels.append(label.replace("\\", "\\\\").replace(".", "\\."))
        offset += length
    return ".".join(labels), offset


def _edns_size(data: bytes, offset: int, extras: int) -> int | None:
    """The UDP size of the OPT record; None without one. Only OPT has the root as its name, uncompressed."""
    for _ in range(min(extras, 4)):
        if offset + 11 > len(data) or data[offset]:
            return None
        kind, size, _ttl, length = _FIXED.unpack_from(data, offset + 1)
        if kind == OPT:
            return int(size)
        offset += 11 + length
    return None
