from __future__ import annotations

import contextlib
import mmap
import os
from pathlib import Path

import numpy as np

from inference.engines.frame_memory import FrameMemory

FRAME = np.random.default_rng(0).integers(0, 256, (1, 240, 320, 3), np.uint8)


def read_by_another(memory: FrameMemory, place: int, size: int) -> bytes:
    """As Triton does: opens it by its key."""
    descriptor = os.open(f"/dev/shm{memory.key}", os.O_RDONLY)
    try:
        with mmap.mmap(descriptor, memory.size, access=mmap.ACCESS_READ) as opened:
            return opened[place : place + size]
    finally:
        os.close(descriptor)


def test_another_process_reads_what_was_put_in() -> None:
    memory = FrameMemory()
    try:
        with memory.holding(FRAME) as first, memory.holding(255 - FRAME) as second:
            assert first is not None
            assert second is not None
            assert read_by_another(memory, first, FRAME.nbytes) == FRAME.tobytes()
            assert read_by_another(memory, second, FRAME.nbytes) == (255 - FRAME).tobytes()
    finally:
        memory.unlink()


def test_it_is_for_this_user_and_leaves_nothing_behind() -> None:
    memory = FrameMemory()
    file = Path(f"/dev/shm{memory.key}")
    assert file.stat().st_mode & 0o777 == 0o600
    memory.unlink()
    memory.unlink()
    assert not file.exists()
    with memory.holding(FRAME) as place:  # without its name it is still there
        assert place is not None


def test_a_slot_is_free_again_however_its_request_ends() -> None:
    memory = FrameMemory()
    memory.unlink()
    for _ in range(200):
        with contextlib.suppress(TimeoutError), memory.holding(FRAME) as place:
            assert place is not None
            raise TimeoutError


def test_what_finds_no_slot_is_told_so() -> None:
    memory = FrameMemory()
    memory.unlink()
    with memory.holding(np.zeros((2, 240, 320, 3), np.uint8)) as place:
        assert place is None
    with contextlib.ExitStack() as stack:
        places = [stack.enter_context(memory.holding(FRAME)) for _ in range(100)]
        taken = [place for place in places if place is not None]
        assert 32 <= len(taken) == len(set(taken)) < 100
    with memory.holding(FRAME) as place:
        assert place is not None
