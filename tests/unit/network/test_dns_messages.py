from __future__ import annotations

import struct

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from stackup.network import dnswire
from stackup.network.dnswire import FormatError

LABEL = st.text("abcdefghijklmnopqrstuvwxyz0123456789-_", min_size=1, max_size=63)
NAMES = st.lists(LABEL, max_size=6).map(".".join).filter(lambda name: len(name) < 250)


def with_edns(message: bytes, size: int) -> bytes:
    return message[:10] + b"\0\1" + message[12:] + b"\0" + struct.pack("!HHIH", dnswire.OPT, size, 0, 0)


@given(st.integers(0, 65535), NAMES, st.sampled_from([dnswire.A, dnswire.AAAA, dnswire.PTR, 65]))
def test_what_is_asked_is_what_is_read(number: int, name: str, kind: int) -> None:
    question = dnswire.parse(dnswire.query(number, name, kind))
    assert (question.id, question.name, question.type, question.cls) == (number, name, kind, dnswire.IN)
    assert question.size == dnswire.UDP_SIZE
    assert not question.edns


@given(st.binary(max_size=600))
@example(b"")
@example(bytes(12))
@example(b"\0\1\1\0\0\1\0\0\0\0\0\0\xc0\x0c\0\1\0\1")  # a name that points to itself
@example(b"\0\1\1\0\0\1\0\0\0\0\0\1\0\0\1\0\1\0\0\x29")  # an OPT record cut short
def test_garbage_is_refused_or_read_but_never_breaks_anything(data: bytes) -> None:
    try:
        question = dnswire.parse(data)
    except FormatError as error:
        if error.rcode is not None:
            assert dnswire.rcode_of(dnswire.failure(data, error.rcode)) == error.rcode
        return
    answer = dnswire.answer(question, dnswire.NXDOMAIN, limit=question.size)
    assert dnswire.answers_to(answer, question.id, question)


@given(st.data(), NAMES)
def test_a_damaged_query_never_breaks_anything(data: st.DataObject, name: str) -> None:
    message = bytearray(with_edns(dnswire.query(7, name, dnswire.A), 1400))
    for _ in range(data.draw(st.integers(0, 4))):
        message[data.draw(st.integers(0, len(message) - 1))] = data.draw(st.integers(0, 255))
    try:
        dnswire.parse(bytes(message[: data.draw(st.integers(0, len(message)))]))
    except FormatError:
        pass


def test_an_answer_is_never_answered() -> None:
    answer = dnswire.answer(dnswire.parse(dnswire.query(1, "web", dnswire.A)), dnswire.NOERROR)
    with pytest.raises(FormatError) as caught:
        dnswire.parse(answer)
    assert caught.value.rcode is None


def test_updates_are_not_implemented() -> None:
    message = dnswire.query(1, "web", dnswire.A)
    with pytest.raises(FormatError) as caught:
        dnswire.parse(message[:2] + b"\x28\0" + message[4:])
    assert caught.value.rcode == dnswire.NOTIMP


def test_letter_case_comes_back_as_it_was_asked() -> None:
    question = dnswire.parse(dnswire.query(1, "WeB", dnswire.A))
    assert question.name == "web"
    assert b"\3WeB\0" in dnswire.answer(question, dnswire.NOERROR)


def test_records() -> None:
    question = dnswire.parse(dnswire.query(1, "web", dnswire.A))
    answer = dnswire.answer(question, dnswire.NOERROR, [dnswire.address_record("10.1.2.3", 5)])
    assert answer.endswith(b"\xc0\x0c\0\1\0\1\0\0\0\5\0\4\x0a\1\2\3")
    assert struct.unpack_from("!HHHH", answer, 4) == (1, 1, 0, 0)
    assert dnswire.address_record("fd00::1", 5)[2:4] == b"\0\x1c"
    assert dnswire.pointer_record("web.shop_default", 5).endswith(b"\3web\x0cshop_default\0")


def test_what_does_not_fit_is_left_out_and_said() -> None:
    records = [dnswire.address_record(f"10.0.0.{number}", 5) for number in range(100)]
    plain = dnswire.parse(dnswire.query(1, "web", dnswire.A))
    answer = dnswire.answer(plain, dnswire.NOERROR, records, limit=plain.size)
    assert len(answer) <= 512
    assert dnswire.is_truncated(answer)
    extended = dnswire.parse(with_edns(dnswire.query(1, "web", dnswire.A), 4096))
    assert (extended.edns, extended.size) == (True, dnswire.OUR_SIZE)
    whole = dnswire.answer(extended, dnswire.NOERROR, records)
    assert not dnswire.is_truncated(whole)
    assert struct.unpack_from("!HHHH", whole, 4) == (1, 100, 0, 1)


def test_forged_answers_are_told_apart() -> None:
    question = dnswire.parse(dnswire.query(9, "example.org", dnswire.A))
    answer = dnswire.answer(question, dnswire.NOERROR)
    assert dnswire.answers_to(answer, 9, question)
    assert not dnswire.answers_to(answer, 8, question)
    assert not dnswire.answers_to(answer[:11], 9, question)
    other = dnswire.parse(dnswire.query(9, "example.com", dnswire.A))
    assert not dnswire.answers_to(answer, 9, other)
    assert not dnswire.answers_to(dnswire.query(9, "example.org", dnswire.A), 9, question)


@pytest.mark.parametrize(
    ("name", "address"),
    [
        ("2.0.17.172.in-addr.arpa", "172.17.0.2"),
        ("1." + "0." * 23 + "0.0.0.0.0.0.d.f.ip6.arpa", "fd00::1"),
        ("17.172.in-addr.arpa", None),
        ("x.0.17.172.in-addr.arpa", None),
        ("web", None),
    ],
)
def test_reverse_names(name: str, address: str | None) -> None:
    found = dnswire.pointed_address(name)
    assert (str(found) if found else None) == address


@given(st.text(max_size=300))
def test_names_are_encoded_or_refused(name: str) -> None:
    try:
        encoded = dnswire.encode_name(name)
    except ValueError:  # UnicodeEncodeError is one
        return
    assert len(encoded) <= 255
