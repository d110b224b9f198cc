"""The inputs that are kept in files, and those that are made from them."""

from __future__ import annotations

import random
from collections.abc import Iterator, Sequence
from pathlib import Path

_HERE = Path(__file__).parent
CORPUS = _HERE / "corpus"
"""For each target a folder of good inputs, written by hand."""
FOUND = _HERE / "found"
"""For each target a folder of inputs that once broke it or took too long."""

_NUMBERS = (0, 1, 0x7F, 0x80, 0xFF, 0x100, 0x7FFF, 0x8000, 0xFFFF, 0x7FFF_FFFF, 0x8000_0000, 0xFFFF_FFFF)
_MAX_BYTES = 64 * 1024


def kept(target: str) -> dict[str, bytes]:
    """The files of ``target`` by name. ``.hex`` is bytes in hexadecimal, ``#`` begins a remark; all else is
    taken as it is."""
    files = [path for folder in (CORPUS, FOUND) for path in sorted((folder / target).glob("*"))]
    return {f"{path.parent.parent.name}/{path.name}": _content(path) for path in files}


def _content(path: Path) -> bytes:
    if path.suffix != ".hex":
        return path.read_bytes()
    return bytes.fromhex(" ".join(line.partition("#")[0] for line in path.read_text().splitlines()))


def packets(data: bytes) -> Iterator[bytes]:
    """``data`` as packets, each behind its length in 16 bits; the last one may be cut off."""
    position = 0
    while position + 2 <= len(data):
        begin = position + 2
        position = begin + int.from_bytes(data[position:begin])
        yield data[begin:position]


def mutations(inputs: Sequence[bytes], count: int, seed: int) -> Iterator[bytes]:
    """``count`` damaged copies of ``inputs``, the same ones for the same ``seed``."""
    chance = random.Random(seed)
    for _ in range(count):
        data = bytearray(chance.choice(inputs))
        for _ in range(chance.choice((1, 1, 2, 3, 8))):
            chance.choice(_DAMAGES)(chance, data, chance.choice(inputs))
            del data[_MAX_BYTES:]
        yield bytes(data)


def _span(chance: random.Random, data: bytes | bytearray, longest: int = 64) -> slice:
    begin = chance.randrange(len(data) + 1)
    return slice(begin, begin + chance.randrange(1, longest))


def _set_byte(chance: random.Random, data: bytearray, other: bytes) -> None:
    if data:
        data[chance.randrange(len(data))] = chance.randrange(256)


def _flip_bit(chance: random.Random, data: bytearray, other: bytes) -> None:
    if data:
        data[chance.randrange(len(data))] ^= 1 << chance.randrange(8)


def _remove(chance: random.Random, data: bytearray, other: bytes) -> None:
    del data[_span(chance, data)]


def _cut_off(chance: random.Random, data: bytearray, other: bytes) -> None:
    del data[chance.randrange(len(data) + 1) :]


def _repeat(chance: random.Random, data: bytearray, other: bytes) -> None:
    span = _span(chance, data)
    data[span.start : span.start] = data[span] * chance.choice((1, 2, 10, 100, 1000))


def _insert_from_other(chance: random.Random, data: bytearray, other: bytes) -> None:
    position = chance.randrange(len(data) + 1)
    data[position:position] = other[_span(chance, other, 256)]


def _set_number(chance: random.Random, data: bytearray, other: bytes) -> None:
    width = chance.choice((1, 2, 4))
    position = chance.randrange(len(data) + 1)
    number = chance.choice(_NUMBERS) & (1 << 8 * width) - 1
    data[position : position + width] = number.to_bytes(width, chance.choice(("big", "little")))


def _set_written_number(chance: random.Random, data: bytearray, other: bytes) -> None:
    digits = [index for index, byte in enumerate(data) if chr(byte).isdigit()]
    if digits:
        position = chance.choice(digits)
        data[position : position + 1] = chance.choice(
            (b"-1", b"0", b"1e999", b"65536", b"4294967296", b"9" * 5000, "\u0663".encode())
        )


def _repeat_line(chance: random.Random, data: bytearray, other: bytes) -> None:
    lines = data.splitlines(keepends=True)
    if lines:
        position = chance.randrange(len(lines))
        lines[position] *= chance.choice((2, 10, 200))
        data[:] = b"".join(lines)


def _remove_line(chance: random.Random, data: bytearray, other: bytes) -> None:
    lines = data.splitlines(keepends=True)
    if lines:
        del lines[chance.randrange(len(lines))]
        data[:] = b"".join(lines)


_DAMAGES = (
    _set_byte,
    _flip_bit,
    _remove,
    _cut_off,
    _repeat,
    _insert_from_other,
    _set_number,
    _set_written_number,
    _repeat_line,
    _remove_line,
)
