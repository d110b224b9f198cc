from __future__ import annotations

import os
import signal
import time
from collections.abc import Callable, Iterator

import pytest

from mediaserver.server import scoreboard
from mediaserver.server.scoreboard import LoadPart, Scoreboard
from signaling.messages import EndReason


@pytest.fixture
def board() -> Iterator[Scoreboard]:
    with scoreboard.shared(2, 2) as made:
        yield made


def in_another_process(work: Callable[[], object]) -> int:
    """Runs ``work`` in a fork of this process and returns 1 where it returned something true."""
    pid = os.fork()
    if pid == 0:
        status = 9
        try:
            status = int(bool(work()))
        finally:
            os._exit(status)
    return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])


def test_what_one_worker_counts_all_workers_see(board: Scoreboard) -> None:
    first, second = board.rows
    assert in_another_process(first.begin_session) == 1
    assert board.sessions == 1
    assert second.begin_session()
    assert in_another_process(lambda: board.sessions == 2) == 1
    second.end_session()
    assert board.sessions == 1
    first.clear()
    assert board.sessions == 0


def test_the_limit_of_places_is_for_all_together(board: Scoreboard) -> None:
    first, second = board.rows
    assert first.take_place(None, 1) is None
    assert in_another_process(lambda: second.take_place(None, 1) is None) == 1
    assert first.take_place(None, 1) is EndReason.SERVER_FULL
    second.free_place(None)
    assert first.take_place(None, 1) is None
    assert board.places_taken == 2


def test_a_subject_has_its_limit_in_all_workers_together(board: Scoreboard) -> None:
    first, second = board.rows
    assert in_another_process(lambda: first.take_place("ada", 1) is None) == 1
    assert second.take_place("ada", 1) is EndReason.TOO_MANY_SESSIONS
    assert second.take_place("bob", 1) is None
    first.free_place("ada")
    assert second.take_place("ada", 1) is None
    assert first.take_place("carl", 1) is EndReason.SERVER_FULL


def test_the_places_of_a_worker_that_died_are_free(board: Scoreboard) -> None:
    first, second = board.rows
    assert first.take_place("ada", 1) is None
    assert second.take_place("bob", 1) is None
    first.clear()
    assert board.places_taken == 1
    assert second.take_place("bob", 1) is EndReason.TOO_MANY_SESSIONS
    assert second.take_place("ada", 1) is None


def test_a_pause_holds_in_all_workers_and_only_while_no_session_lives_if_asked(board: Scoreboard) -> None:
    first, second = board.rows
    assert second.begin_session()
    assert not first.pause(60, if_idle=True)
    assert first.pause_left_s <= 0
    second.end_session()
    assert in_another_process(lambda: first.pause(60, if_idle=True)) == 1
    assert 59 < second.pause_left_s <= 60
    assert not second.begin_session()
    assert board.sessions == 0
    assert second.pause(0, if_idle=False)
    assert first.begin_session()


def test_question_and_act_are_one_step(board: Scoreboard) -> None:
    """Thousands of races: either a session began or the pause did, never both and never neither."""
    first, second = board.rows
    races = 5000
    (gate_read, gate_write), (began_read, began_write) = os.pipe(), os.pipe()
    # One process for all races: to fork one as large as this takes longer than hundreds of races.
    pid = os.fork()
    if pid == 0:
        for _ in range(races):
            os.read(gate_read, 1)
            os.write(began_write, bytes([second.begin_session()]))
        os._exit(0)
    try:
        for _ in range(races):
            os.write(gate_write, b"x")
            paused = first.pause(60, if_idle=True)
            began = os.read(began_read, 1) == b"\x01"
            assert paused != began
            assert board.sessions == int(began)
            second.clear()
            first.pause(0, if_idle=False)
    finally:
        os.kill(pid, signal.SIGKILL)
        os.waitpid(pid, 0)
        for end in (gate_read, gate_write, began_read, began_write):
            os.close(end)


def test_a_worker_that_dies_with_the_lock_does_not_keep_it(board: Scoreboard) -> None:
    before = board.rows[1].silent_s(time.monotonic())
    pid = os.fork()
    if pid == 0:
        with board.lock():
            board.rows[1].beat()
            signal.pause()
    while board.rows[1].silent_s(time.monotonic()) >= before:
        time.sleep(0.001)
    os.kill(pid, signal.SIGKILL)
    os.waitpid(pid, 0)
    assert board.rows[0].begin_session()


def test_the_first_listens_early_but_not_where_another_serves(board: Scoreboard) -> None:
    first, second = board.rows
    assert (first.opens_early, second.opens_early) == (True, False)
    second.ready = True
    assert not first.opens_early
    assert board.workers_ready == 1
    assert scoreboard.alone(2).rows[0].opens_early


def test_silence_is_the_time_since_the_last_beat() -> None:
    row = scoreboard.alone(2).rows[0]
    row.beat()
    now = time.monotonic()
    assert row.silent_s(now + 5) == pytest.approx(5, abs=0.5)


def test_it_is_complete_once_all_were_ready_and_listened(board: Scoreboard) -> None:
    first, second = board.rows
    for row in (first, second):
        assert not board.is_complete
        row.ready = True
        assert not board.is_complete
        row.listens()
    assert board.is_complete
    first.clear()
    assert board.is_complete, "one that was started again is no reason to send everybody away"


def test_the_load_is_that_of_all_workers(board: Scoreboard) -> None:
    first, second = board.rows
    first.tell_load(processor=0.2, event_loop=0.9, frame_rate=0.0)
    second.tell_load(processor=0.3, event_loop=0.1, frame_rate=0.4)
    assert second.take_place(None, 1) is None
    assert board.load == {
        LoadPart.SESSIONS: 0.5,
        LoadPart.PROCESSOR: pytest.approx(0.5),
        LoadPart.EVENT_LOOP: 0.9,
        LoadPart.FRAME_RATE: 0.4,
    }
    first.clear()
    assert board.load[LoadPart.EVENT_LOOP] == 0.1, "a worker that died has none"


def test_no_worker_begins_sessions_of_a_server_that_is_to_end(board: Scoreboard) -> None:
    first, second = board.rows
    assert board.ends_at is None
    deadline = time.monotonic() + 60
    board.end_by(deadline)
    assert in_another_process(lambda: board.ends_at == deadline) == 1
    assert not first.begin_session()
    assert not second.begin_session()
