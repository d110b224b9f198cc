"""Memory that this process writes frames into and a Triton on the same machine reads them from.

What Triton calls system shared memory: a file in ``/dev/shm``, named by its POSIX key.
"""

from __future__ import annotations

import contextlib
import mmap
import os
import secrets
from collections.abc import Iterator
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from inference.types import FRAME_HEIGHT, FRAME_WIDTH

_SLOTS = 64
_SLOT_BYTES = FRAME_WIDTH * FRAME_HEIGHT * 3


class FrameMemory:
    """Slots for one frame each. ``key`` and ``size`` in bytes are what Triton is told.

    The memory lasts as long as anyone has it open.
    """

    def __init__(self) -> None:
        """Raises `OSError` where shared memory is missing or full."""
        self.key = f"/mediaserver-{secrets.token_hex(8)}"
        self.size = _SLOTS * _SLOT_BYTES
        self._file = Path("/dev/shm") / self.key[1:]  # where shm_open(3) looks
        descriptor = os.open(self._file, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
        try:
            # Otherwise writing to what the machine has not got would end the process (SIGBUS).
            os.posix_fallocate(descriptor, 0, self.size)
            self._slots = np.frombuffer(mmap.mmap(descriptor, self.size), np.uint8).reshape(
                _SLOTS, _SLOT_BYTES
            )
        except OSError:
            self.unlink()
            raise
        finally:
            os.close(descriptor)
        self._free = list(range(_SLOTS))

    def unlink(self) -> None:
        """Takes the name away, once Triton has it open: then nothing is left behind, however this ends."""
        with contextlib.suppress(FileNotFoundError):
            self._file.unlink()

    @contextlib.contextmanager
    def holding(self, images: NDArray[np.uint8]) -> Iterator[int | None]:
        """Where a copy of ``images`` begins, in bytes; ``None`` if they are larger than a frame, or all slots
        are taken.

        The slot is free again when the block ends, also if Triton still reads it for a request that was given
        up: its answer reaches no one. For that reason answers never come through shared memory.
        """
        if images.nbytes > _SLOT_BYTES or not self._free:
            yield None
            return
        slot = self._free.pop()
        self._slots[slot, : images.nbytes] = images.ravel()
        try:
            yield slot * _SLOT_BYTES
        finally:
            self._free.append(slot)
