"""Shared memory through which a Triton on the same machine reads frames of this process.

Triton calls it system shared memory: a file in ``/dev/shm``, named by its POSIX key.
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
    """64 slots for one frame each.

    ``name``, ``key`` and ``size`` in bytes are used to register the memory with Triton. The name is unique,
    as Triton may still have an earlier memory open. The memory exists while a process has it open.
    """

    def __init__(self) -> None:
        """Raises `OSError` if shared memory is missing or full."""
        self.name = f"mediaserver-{secrets.token_hex(8)}"
        self.key = f"/{self.name}"
        self.size = _SLOTS * _SLOT_BYTES
        self._file = Path("/dev/shm") / self.name  # where shm_open(3) looks
        descriptor = os.open(self._file, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
        try:
            # Triton's container runs with this user's group. os.open cannot set the mode, as the systemd
            # unit's umask is 0077.
            os.fchmod(descriptor, 0o660)
            # Without an allocation, writing to a full /dev/shm would end the process (SIGBUS).
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
        """Unlinks the file once Triton has it open, so that no file remains when the processes end."""
        with contextlib.suppress(FileNotFoundError):
            self._file.unlink()

    @contextlib.contextmanager
    def holding(self, images: NDArray[np.uint8]) -> Iterator[int | None]:
        """Copies ``images`` into a slot and yields its offset in bytes.

        It yields ``None`` if the images are larger than a frame, or all slots are taken. The slot is free
        when the block ends. Triton may still read it for a request that was given up, but that answer is
        discarded. Answers do not use shared memory, as Triton could overwrite them.
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
