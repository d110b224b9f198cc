from __future__ import annotations

import contextlib
import mmap
import os
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

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


def test_it_is_for_this_user_and_group_and_leaves_nothing_behind() -> None:
    before = os.umask(0o077)  # as that of the unit
    try:
        memory = FrameMemory()
    finally:
        os.umask(before)
    file = Path(f"/dev/shm{memory.key}")
    assert file.stat().st_mode & 0o777 == 0o660
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


SERVER, SERVER_GROUP, TRITON = 54001, 54001, 54002
# Not by Python: the other user may not be able to start the one that runs the tests.
OPEN = ("env", "LC_ALL=C", "dd", "status=none", "if=/dev/null", "conv=nocreat,notrunc")


@pytest.mark.skipif(os.geteuid() != 0, reason="other users need root")
class TestContainer:
    """Triton's container beside a server of another user: what Docker's ``ipc``, ``user`` and ``group_add``
    come to."""

    @pytest.fixture
    def memory(self) -> Iterator[FrameMemory]:
        """Of the server's user and group, as its unit runs it."""
        os.setegid(SERVER_GROUP)
        os.seteuid(SERVER)
        try:
            memory = FrameMemory()
        finally:
            os.seteuid(0)
            os.setegid(0)
        yield memory
        memory.unlink()

    def opens(self, memory: FrameMemory, groups: list[int], *before: str) -> str:
        """What the container's user says when it opens the memory; "" where it can."""
        done = subprocess.run(
            [
                *before,
                "setpriv",
                f"--reuid={TRITON}",
                f"--regid={TRITON}",
                *self.added(groups),
                *OPEN,
                f"of=/dev/shm{memory.key}",
            ],
            capture_output=True,
            text=True,
            check=False,
        )
        return done.stderr.strip().rpartition(": ")[2] if done.returncode else ""

    def added(self, groups: list[int]) -> list[str]:
        return [f"--groups={','.join(map(str, groups))}"] if groups else ["--clear-groups"]

    def test_another_user_needs_the_server_s_group(self, memory: FrameMemory) -> None:
        assert self.opens(memory, []) == "Permission denied"
        assert self.opens(memory, [SERVER_GROUP]) == ""

    @pytest.mark.skipif(
        shutil.which("unshare") is None, reason="unshare is not installed (Debian: util-linux)"
    )
    def test_a_dev_shm_of_its_own_hides_it(self, memory: FrameMemory) -> None:
        own = ["unshare", "--mount", "sh", "-c", 'mount -t tmpfs none /dev/shm && exec "$@"', "sh"]
        if subprocess.run([*own, "true"], check=False, capture_output=True).returncode:
            pytest.skip("this machine allows no mounts")
        assert self.opens(memory, [SERVER_GROUP], *own) == "No such file or directory"
        assert self.opens(memory, [SERVER_GROUP], "unshare", "--mount") == ""
