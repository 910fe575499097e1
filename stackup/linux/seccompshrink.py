"""Makes a compiled seccomp filter several times smaller without changing a single answer.

libseccomp compares the number of the system call with every number that it knows, for each ABI. Loading such a filter
costs the kernel more than most other steps of a container's start: it translates it, and then runs it once for every
system call there is (kernel/seccomp.c, seccomp_cache_prepare). Here the program is evaluated for every interval of
numbers that it can tell apart. What is settled by ABI and number alone becomes a search among intervals; where the
arguments decide, the original instructions follow, and only those.
"""

from __future__ import annotations

from struct import iter_unpack, pack

_LOAD, _RETURN, _JUMP = 0x20, 0x06, 0x05
_JUMP_EQUAL, _JUMP_GREATER, _JUMP_GREATER_EQUAL = 0x15, 0x25, 0x35
_COMPARISONS = (_JUMP_EQUAL, _JUMP_GREATER, _JUMP_GREATER_EQUAL)
_AND = 0x54
_NUMBER, _ARCHITECTURE, _ARGUMENTS = 0, 4, 16
_END = 1 << 32

# (code, jump if true, jump if false, k), as struct sock_filter in include/uapi/linux/filter.h.
Instruction = tuple[int, int, int, int]
# ("return", action) or ("at", index of the original instruction that loads an argument)
Outcome = tuple[str, int]


class _NotUnderstood(Exception):
    """An instruction that libseccomp does not use today."""


def shrink(program: bytes) -> bytes:
    """The shorter program; ``program`` itself when it holds what is not understood here, or when nothing is gained."""
    original = list(iter_unpack("<HBBI", program))
    try:
        shorter = _assemble(original)
    except _NotUnderstood:
        return program
    return b"".join(pack("<HBBI", *item) for item in shorter) if len(shorter) < len(original) else program


def _assemble(original: list[Instruction]) -> list[Instruction]:
    architectures, numbers = _compared(original)
    known = [_intervals(original, architecture, numbers) for architecture in architectures]
    other = next(value for value in range(_END) if value not in architectures)
    rest = _intervals(original, other, numbers)
    starts = sorted({k for found in (*known, rest) for _, (kind, k) in found if kind == "at"})
    kept = sorted(_reachable(original, starts))
    place = {index: position for position, index in enumerate(kept)}

    # What is jumped to comes last, so every jump into it is known from the end.
    head: list[tuple[Instruction, int]] = []
    for architecture, found in zip(architectures, known, strict=True):
        branch = [((_LOAD, 0, 0, _NUMBER), -1), *_search(found)]
        head += [((_JUMP_EQUAL, 1, 0, architecture), -1), ((_JUMP, 0, 0, len(branch)), -1), *branch]
    head = [((_LOAD, 0, 0, _ARCHITECTURE), -1), *head, ((_LOAD, 0, 0, _NUMBER), -1), *_search(rest)]
    done = [
        item if target < 0 else (_JUMP, 0, 0, len(head) - index - 1 + place[target])
        for index, (item, target) in enumerate(head)
    ]
    return done + [_moved(original[index], index, place) for index in kept]


def _compared(original: list[Instruction]) -> tuple[list[int], list[int]]:
    """The ABIs that the program asks for, and the numbers at which its answers may change.

    Raises _NotUnderstood: everything after this relies on what is checked here. Jumps only ever lead forward, so one
    pass knows what each instruction may find in the accumulator: the offset in struct seccomp_data that it was loaded
    from.
    """
    architectures, numbers = set[int](), {0}
    holds: list[set[int]] = [set() for _ in original]
    for index, (code, _, _, k) in enumerate(original):
        loaded = holds[index]
        if code in _COMPARISONS and loaded & {_NUMBER, _ARCHITECTURE}:
            if loaded == {_ARCHITECTURE} and code == _JUMP_EQUAL:
                architectures.add(k)
            elif loaded == {_NUMBER}:
                numbers |= {k, k + 1}
            else:
                raise _NotUnderstood
        elif code == _AND and loaded & {_NUMBER, _ARCHITECTURE}:
            raise _NotUnderstood
        elif code == _LOAD:
            if k not in (_NUMBER, _ARCHITECTURE) and k < _ARGUMENTS:
                raise _NotUnderstood
            loaded = {k}
        elif code not in (_RETURN, _JUMP, _AND, *_COMPARISONS):
            raise _NotUnderstood
        for following in _next(original[index], index):
            holds[following] |= loaded
    return sorted(architectures), sorted(number for number in numbers if number < _END)


def _intervals(original: list[Instruction], architecture: int, numbers: list[int]) -> list[tuple[int, Outcome]]:
    """(first number, outcome) of each run of numbers with the same outcome, from 0 on."""
    found: list[tuple[int, Outcome]] = []
    for number in numbers:
        outcome = _evaluate(original, architecture, number)
        if not found or found[-1][1] != outcome:
            found.append((number, outcome))
    return found


def _evaluate(original: list[Instruction], architecture: int, number: int) -> Outcome:
    index, value = 0, 0
    while True:
        code, if_true, if_false, k = original[index]
        if code == _RETURN:
            return "return", k
        if code == _LOAD:
            if k >= _ARGUMENTS:
                return "at", index
            value = number if k == _NUMBER else architecture
        else:
            index += _step(code, if_true, if_false, k, value)
        index += 1


def _step(code: int, if_true: int, if_false: int, k: int, value: int) -> int:
    if code == _JUMP:
        return k
    if code == _JUMP_EQUAL:
        return if_true if value == k else if_false
    return if_true if value > k or (code == _JUMP_GREATER_EQUAL and value == k) else if_false


def _search(found: list[tuple[int, Outcome]]) -> list[tuple[Instruction, int]]:
    """A binary search; with each instruction the original one that it has to jump to, or -1."""
    if len(found) == 1:
        kind, k = found[0][1]
        return [((_RETURN, 0, 0, k), -1)] if kind == "return" else [((_JUMP, 0, 0, 0), k)]
    middle = len(found) // 2
    below, above = _search(found[:middle]), _search(found[middle:])
    border = found[middle][0]
    if len(below) < 256:
        return [((_JUMP_GREATER_EQUAL, len(below), 0, border), -1), *below, *above]
    return [((_JUMP_GREATER_EQUAL, 0, 1, border), -1), ((_JUMP, 0, 0, len(below)), -1), *below, *above]


def _reachable(original: list[Instruction], starts: list[int]) -> set[int]:
    found, waiting = set[int](), list(starts)
    while waiting:
        index = waiting.pop()
        if index not in found:
            found.add(index)
            waiting += _next(original[index], index)
    return found


def _next(instruction: Instruction, index: int) -> tuple[int, ...]:
    code, if_true, if_false, k = instruction
    if code == _RETURN:
        return ()
    if code == _JUMP:
        return (index + 1 + k,)
    if code in _COMPARISONS:
        return index + 1 + if_true, index + 1 + if_false
    return (index + 1,)


def _moved(instruction: Instruction, index: int, place: dict[int, int]) -> Instruction:
    """The instruction at its new place. Only what nobody reaches has gone from between: no jump becomes longer."""
    code, if_true, if_false, k = instruction
    here = place[index]
    if code == _JUMP:
        return code, 0, 0, place[index + 1 + k] - here - 1
    if code in _COMPARISONS:
        return code, place[index + 1 + if_true] - here - 1, place[index + 1 + if_false] - here - 1, k
    return instruction
