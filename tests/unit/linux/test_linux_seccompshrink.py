"""The shrunk filter answers as the original, which is asked beside it."""

from __future__ import annotations

import json
import random
from struct import iter_unpack, pack

import pytest

from stackup.linux import libseccomp
from stackup.linux.seccompshrink import shrink
from stackup.runtime.seccomp import DEFAULT_PROFILE

X86_64, I386, AARCH64, ARM = 0xC000003E, 0x40000003, 0xC00000B7, 0x40000028
ABIS = (X86_64, I386, AARCH64, ARM, 0, 0x7FFFFFFF)
# As the profile's own rules ask: personality(0), (8), (0x20000), clone flags, AF_VSOCK = 40 ...
TELLING = (0, 1, 2, 8, 16, 38, 39, 40, 41, 0x20000, 0x20008, 0x7E020000, 0x02000000, 0xFFFFFFFF, 1 << 32, (1 << 64) - 1)


def answer(instructions: list[tuple[int, int, int, int]], data: bytes) -> int:
    """What the kernel's classic BPF machine makes of it; ``data`` is a struct seccomp_data."""
    index, value = 0, 0
    while True:
        code, if_true, if_false, k = instructions[index]
        index += 1
        if code == 0x06:
            return int(k)
        if code == 0x20:
            value = int.from_bytes(data[k : k + 4], "little")
        elif code == 0x54:
            value &= k
        elif code == 0x05:
            index += k
        else:
            true = {0x15: value == k, 0x25: value > k, 0x35: value >= k, 0x45: bool(value & k)}[code]
            index += if_true if true else if_false


def same_answers(original: bytes, shorter: bytes, abis: tuple[int, ...] = ABIS) -> int:
    numbers = [*range(480), *range(0x40000000, 0x40000000 + 560), 0x3FFFFFFF, 0x7FFFFFFF, 0xFFFFFFFE, 0xFFFFFFFF]
    numbers += range(0xF0000, 0xF0010)  # the private calls of ARM
    programs = [list(iter_unpack("<HBBI", program)) for program in (original, shorter)]
    chance, asked = random.Random(7), 0
    for abi in abis:
        for number in numbers:
            for arguments in ((0,) * 6, *(tuple(chance.choices(TELLING, k=6)) for _ in range(2))):
                asked += 1
                data = pack("<IIQ6Q", number, abi, 0x401000, *arguments)
                expected, found = (answer(program, data) for program in programs)
                assert found == expected, (hex(abi), number, arguments)
    return asked


@pytest.mark.parametrize("caps", [(), ("CAP_SYS_ADMIN",), ("CAP_NET_ADMIN", "CAP_SYS_PTRACE", "CAP_BPF")])
def test_the_default_profile(caps: tuple[str, ...]) -> None:
    original = libseccomp.compile_profile(json.loads(DEFAULT_PROFILE.read_bytes()), frozenset(caps), (6, 1))
    shorter = shrink(original)
    assert len(shorter) < 0.6 * len(original)
    assert same_answers(original, shorter, ABIS if not caps else ABIS[:2]) > 5_000


@pytest.mark.parametrize("default", ["SCMP_ACT_ALLOW", "SCMP_ACT_KILL_PROCESS", "SCMP_ACT_ERRNO"])
@pytest.mark.parametrize("seed", range(4))
def test_profiles_of_chance(default: str, seed: int) -> None:
    chance = random.Random(seed)
    names = ["read", "write", "open", "clone", "personality", "socket", "ioctl", "mmap", "kill", "fork", "ptrace"]
    rules = []
    for name in chance.sample(names, 7):
        rule: dict[str, object] = {"names": [name], "action": chance.choice(["SCMP_ACT_ERRNO", "SCMP_ACT_LOG"])}
        if chance.random() < 0.7:
            operation = chance.choice(
                ["SCMP_CMP_NE", "SCMP_CMP_LT", "SCMP_CMP_GE", "SCMP_CMP_EQ", "SCMP_CMP_MASKED_EQ"]
            )
            rule["args"] = [
                {"index": chance.randrange(3), "value": chance.choice(TELLING), "op": operation, "valueTwo": 8}
            ]
        rules.append({**rule, "errnoRet": chance.choice([1, 38])})
    original = libseccomp.compile_profile({"defaultAction": default, "syscalls": rules}, frozenset(), (6, 1))
    same_answers(original, shrink(original), ABIS[:3])


@pytest.mark.parametrize(
    "instructions",
    [
        [(0x20, 0, 0, 8), (0x06, 0, 0, 0)],  # loads the instruction pointer
        [(0x20, 0, 0, 0), (0x45, 0, 0, 1), (0x06, 0, 0, 0)],  # tests a bit of the number
        [(0x20, 0, 0, 0), (0x54, 0, 0, 7), (0x15, 0, 0, 1), (0x06, 0, 0, 0)],  # masks the number
        [(0x20, 0, 0, 4), (0x35, 0, 0, 1), (0x06, 0, 0, 0)],  # compares ABIs by size
    ],
    ids=["instruction pointer", "bit test", "mask", "size of an ABI"],
)
def test_what_is_not_understood_stays(instructions: list[tuple[int, int, int, int]]) -> None:
    program = b"".join(pack("<HBBI", *item) for item in instructions)
    assert shrink(program) is program
