from __future__ import annotations

import asyncio
import ctypes
import gc
import subprocess
import sys
import weakref

import pytest

from mediaserver.server.freed_memory import give_back_memory
from tests.support.waiting import eventually

FRAGMENTS = """
import asyncio, ctypes, threading, psutil
from mediaserver.server import freed_memory
libc = ctypes.CDLL(None)
libc.malloc.restype = ctypes.c_void_p
libc.free.argtypes = [ctypes.c_void_p]
ended, leave = threading.Event(), threading.Event()

def fragment() -> None:
    pieces = [libc.malloc(10_000) for _ in range(10_000)]
    for piece in pieces:
        ctypes.memset(piece, 1, 10_000)
    for piece in (piece for number, piece in enumerate(pieces) if number % 1000):
        libc.free(piece)  # what stays between them keeps the others from being given back
    ended.set()
    leave.wait()

thread = threading.Thread(target=fragment)
thread.start()
ended.wait()
before = psutil.Process().memory_info().rss

async def give_back() -> None:
    freed_memory._INTERVAL_S = 0.1
    giving = asyncio.create_task(freed_memory.give_back_memory())
    for _ in range(100):
        await asyncio.sleep(0.1)
        if before - psutil.Process().memory_info().rss > 70e6:
            break
    giving.cancel()

asyncio.run(give_back())
print(before - psutil.Process().memory_info().rss)
leave.set()
thread.join()
"""


def printed_by(code: str) -> int:
    return int(subprocess.run([sys.executable, "-c", code], capture_output=True, check=True).stdout)


@pytest.mark.skipif(not hasattr(ctypes.CDLL(None), "malloc_trim"), reason="this is not glibc")
def test_what_a_thread_has_freed_goes_back() -> None:
    assert printed_by(FRAGMENTS) > 70e6


async def test_what_lies_in_cycles_goes_and_what_was_there_before_costs_nothing(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    class Cycle:
        def __init__(self) -> None:
            self.itself = self

    monkeypatch.setattr("mediaserver.server.freed_memory._INTERVAL_S", 0.1)
    giving = asyncio.create_task(give_back_memory())
    await eventually(lambda: gc.get_freeze_count() > 10_000)
    gone = weakref.ref(Cycle())
    await eventually(lambda: gone() is None)
    giving.cancel()
    await asyncio.wait([giving])
    assert gc.get_freeze_count() == 0


KEEPS = """
import ctypes, threading, psutil
from mediaserver.server.freed_memory import bound_what_malloc_keeps
{bound}
libc = ctypes.CDLL(None)
libc.malloc.restype = ctypes.c_void_p
libc.free.argtypes = [ctypes.c_void_p]
ended, leave = threading.Event(), threading.Event()

def use_much() -> None:
    libc.free(libc.malloc(30_000_000))  # from now on glibc takes so much for usual
    pieces = [libc.malloc(1_000_000) for _ in range(30)]
    for piece in pieces:
        ctypes.memset(piece, 1, 1_000_000)
    for piece in pieces:
        libc.free(piece)
    ended.set()
    leave.wait()

before = psutil.Process().memory_info().rss
thread = threading.Thread(target=use_much)
thread.start()
ended.wait()
print(psutil.Process().memory_info().rss - before)
leave.set()
thread.join()
"""


@pytest.mark.skipif(sys.platform != "linux", reason="the memory of another system works in another way")
def test_what_a_thread_needed_once_it_does_not_keep() -> None:
    without = printed_by(KEEPS.format(bound=""))
    if without < 15e6:
        pytest.skip("this libc keeps little by itself")
    assert printed_by(KEEPS.format(bound="bound_what_malloc_keeps()")) < 8e6
