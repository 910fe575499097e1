"""Streams of layers: every compression, also in several parts, cut off, damaged, and far larger than it looks."""

from __future__ import annotations

import bz2
import gzip
import hashlib
import io
import lzma
import struct
import sys

import pytest

from stackup.base.errors import ImageError, UsageError
from stackup.images import limits, streams
from stackup.images.limits import Limits
from stackup.images.streams import Compression, DamagedLayer, Pump, Reader, decompressed

if sys.version_info >= (3, 14):
    from compression import zstd
else:
    from backports import zstd

NOISE = hashlib.shake_128(b"seed").digest(100_000)
CONTENT = NOISE + bytes(streams.CHUNK) + b"end"  # more than one chunk
FORMS = {
    "NONE": lambda data: data,
    "GZIP": gzip.compress,
    "ZSTD": zstd.compress,
    "XZ": lzma.compress,
    "BZIP2": bz2.compress,
}
PACKED = [name for name in FORMS if name != "NONE"]


def whole(data: bytes, bounds: Limits | None = None) -> bytes:
    return b"".join(decompressed(io.BytesIO(data), Compression.of(data), bounds))


@pytest.mark.parametrize("form", FORMS)
def test_every_compression(form: str) -> None:
    data = FORMS[form](CONTENT)
    assert Compression.of(data).name == form
    assert whole(data) == CONTENT


@pytest.mark.parametrize("form", PACKED)
def test_parts_in_a_row_are_one_stream(form: str) -> None:
    pack = FORMS[form]
    assert whole(pack(CONTENT) + pack(b"") + pack(b"second")) == CONTENT + b"second"


@pytest.mark.parametrize("form", ["GZIP", "XZ"])
def test_zeros_after_the_end_are_padding(form: str) -> None:
    assert whole(FORMS[form](CONTENT) + bytes(4096)) == CONTENT


def test_zstd_frames_to_be_skipped() -> None:
    skipped = struct.pack("<II", 0x184D2A50, 5) + b"table"
    assert whole(zstd.compress(b"one ") + skipped + zstd.compress(b"two") + skipped) == b"one two"


@pytest.mark.parametrize("form", PACKED)
@pytest.mark.parametrize("keep", [0.0, 0.5, 0.999])
def test_cut_off(form: str, keep: float) -> None:
    data = FORMS[form](CONTENT)
    with pytest.raises(DamagedLayer, match="cut off"):
        whole(data[: max(8, int(len(data) * keep))])


@pytest.mark.parametrize("form", ["GZIP", "XZ", "BZIP2"])  # zstd's checksum is left out as a rule
def test_a_flipped_bit(form: str) -> None:
    data = bytearray(FORMS[form](NOISE))
    data[50_000] ^= 16
    with pytest.raises(DamagedLayer, match=r"data is damaged|cut off"):
        whole(bytes(data))


def test_gzip_without_its_library(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "isal", None)
    assert whole(gzip.compress(CONTENT) + gzip.compress(b"second")) == CONTENT + b"second"
    with pytest.raises(DamagedLayer, match="cut off"):
        whole(gzip.compress(CONTENT)[:-3])


def test_a_bomb_is_stopped_by_its_ratio() -> None:
    bounds = Limits(size=1 << 40, ratio=100, free=1 << 20)
    assert len(whole(gzip.compress(bytes(1 << 20)), bounds)) == 1 << 20  # little enough to be harmless
    with pytest.raises(ImageError, match="more than 100 times as large") as caught:
        whole(zstd.compress(bytes(64 << 20)), bounds)
    assert "STACKUP_MAX_LAYER_RATIO" in caught.value.hint


def test_a_bomb_is_stopped_by_its_size() -> None:
    with pytest.raises(ImageError, match="larger than 1000 bytes"):
        whole(CONTENT, Limits(size=1000))


@pytest.mark.parametrize(
    ("text", "size"), [("1000", 1000), ("5k", 5 << 10), ("2GB", 2 << 30), ("1T", 1 << 40), ("", Limits().size)]
)
def test_limits_of_the_environment(text: str, size: int) -> None:
    assert limits.from_environment({"STACKUP_MAX_LAYER": text}).size == size


@pytest.mark.parametrize("text", ["0", "many", "-5", "g", "1.5g"])
def test_limits_that_are_no_numbers(text: str) -> None:
    with pytest.raises(UsageError, match="STACKUP_MAX_LAYER_RATIO"):
        limits.from_environment({"STACKUP_MAX_LAYER_RATIO": text})


def test_reader_hands_out_pieces_of_any_size() -> None:
    chunks = iter([b"abc", b"d", b"efgh"])
    reader = Reader(lambda: next(chunks, b""))
    assert (reader.read(2), reader.read(3), bytes(reader.some(9)), reader.read(9), bytes(reader.some(1))) == (
        b"ab", b"cde", b"fgh", b"", b"",
    )  # fmt: skip


def test_the_pump_knows_the_digest_of_everything() -> None:
    data = gzip.compress(CONTENT)
    with Pump(decompressed(io.BytesIO(data), Compression.GZIP)).running() as pump:
        assert pump.reader.read(100) == CONTENT[:100]
        assert pump.rest() == f"sha256:{hashlib.sha256(CONTENT).hexdigest()}"


def test_the_pump_hands_errors_over_and_can_be_left_early() -> None:
    with Pump(decompressed(io.BytesIO(gzip.compress(CONTENT)[:-20]), Compression.GZIP)).running() as pump:
        for _ in range(2):
            with pytest.raises(DamagedLayer):
                pump.rest()
    endless = Pump(iter(lambda: bytes(streams.CHUNK), b""))
    with endless.running() as pump:
        assert pump.reader.read(10) == bytes(10)
