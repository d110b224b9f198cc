"""The decision alone, in front of a machine that is a few lines of arithmetic."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from inference.load_shedding import (
    CAPPED_RATE,
    ORDER,
    REFUSING,
    Concession,
    LoadShedding,
    SessionLoad,
    concession,
)
from inference.stages import Stage

COST = {Stage.DETECT: 1.0, Stage.POSE: 1.0, Stage.SEGMENT: 1.5, Stage.OCR: 0.3, Stage.FLOW: 0.2}
"""Of a frame, in units of the machine's capacity a second. OCR's is spread over all frames."""
ALL = frozenset(Stage)


class Machine:
    """Sessions that share ``capacity`` alike, and what becomes of them second by second."""

    def __init__(
        self, capacity: float, sessions: int = 4, came: float = 15.0, stages: frozenset[Stage] = ALL
    ) -> None:
        self.capacity = capacity
        self.sessions = sessions
        self.came = came
        self.stages = stages
        self.shedding = LoadShedding()
        self.now = 0.0
        self.changes: list[tuple[float, int]] = []
        self.rates: list[tuple[int, float]] = []

    def load(self) -> SessionLoad:
        given = concession(self.shedding.steps)
        running = {stage: 1.0 for stage in self.stages - given.paused}
        running |= dict.fromkeys(self.stages & given.halved, 0.5)
        cost = sum(COST[stage] * share for stage, share in running.items())
        wanted = min(self.came, CAPPED_RATE) if given.capped else self.came
        possible = self.capacity / self.sessions / cost
        inferred = min(wanted, possible)
        return SessionLoad(self.came, inferred, min(1.0, inferred / possible), self.stages)

    def run(self, seconds: float) -> None:
        for _ in range(int(seconds)):
            self.now += 1.0
            before = self.shedding.steps
            load = self.load()
            self.rates.append((before, load.inferred))
            self.shedding.observe(self.now, [load] * self.sessions)
            if self.shedding.steps != before:
                self.changes.append((self.now, self.shedding.steps))

    @property
    def pauses(self) -> list[float]:
        return [
            later - earlier for (earlier, _), (later, _) in zip(self.changes, self.changes[1:], strict=False)
        ]


def slower(machine: Machine) -> Iterator[float]:
    """Capacities from plenty down to next to nothing, a little less each time."""
    capacity = machine.capacity
    while capacity > 8.0:
        yield capacity
        capacity *= 0.93


def test_stages_give_way_in_order_and_come_back_in_reverse() -> None:
    machine = Machine(capacity=300.0)
    for capacity in slower(machine):
        machine.capacity = capacity
        machine.run(30)
    assert [steps for _, steps in machine.changes] == [1, 2, 3, 4, 5, REFUSING]
    assert min(machine.pauses) >= 10
    # 30 s at each speed: what is needed is there again before the next one, until there is nothing to give.
    settled = [rate for steps, rate in machine.rates if steps < len(ORDER) - 1]
    assert min(settled) >= 8.0

    machine.changes.clear()
    machine.capacity = 300.0
    machine.run(400)
    assert [steps for _, steps in machine.changes] == [5, 4, 3, 2, 1, 0]
    assert min(machine.pauses) >= 10


def test_all_at_once_is_given_step_by_step_in_a_minute() -> None:
    machine = Machine(capacity=300.0)
    machine.run(30)
    machine.capacity = 80.0
    machine.run(60)
    assert [steps for _, steps in machine.changes] == [1, 2, 3, 4, 5]
    assert machine.load().inferred == CAPPED_RATE


@pytest.mark.parametrize("capacity", [160.0, 120.0, 90.0, 60.0, 40.0, 20.0])
def test_a_load_that_stays_the_same_leads_to_rest(capacity: float) -> None:
    machine = Machine(capacity)
    machine.run(100)
    machine.changes.clear()
    machine.run(1200)
    assert len(machine.changes) <= 6, "tries to return, each after a longer wait"
    assert all(pause >= 10 for pause in machine.pauses)


def test_what_nobody_has_on_is_left_out() -> None:
    machine = Machine(capacity=60.0, stages=frozenset({Stage.DETECT, Stage.POSE}))
    machine.run(20)
    assert [steps for _, steps in machine.changes] == [ORDER.index(Stage.POSE) + 1]
    machine.capacity = 400.0
    machine.run(60)
    assert machine.shedding.steps == 0
    assert len(machine.changes) == 2


def feed(shedding: LoadShedding, *sessions: SessionLoad, seconds: int = 30) -> int:
    for second in range(seconds):
        shedding.observe(float(second), sessions)
    return shedding.steps


SERVED = SessionLoad(15, 15, 0.5, ALL)
SHORT = SessionLoad(15, 4, 1.0, ALL)


@pytest.mark.parametrize(
    "sessions",
    [
        [],
        [SERVED],
        [SERVED, SHORT],  # one that costs more than its share
        [SessionLoad(15, 4, 0.3, ALL)],  # one that does not read its results
        [SessionLoad(3, 3, 0.9, ALL)],  # a slow camera
        [SessionLoad(0.2, 0.1, 1.0, ALL)],  # one that pauses
        [SessionLoad(30, 11, 1.0, ALL)] * 4,  # a full machine, and enough for each
    ],
)
def test_nothing_gives_way_without_need(sessions: list[SessionLoad]) -> None:
    assert feed(LoadShedding(), *sessions) == 0


def test_one_session_on_a_slow_machine_keeps_nobody_out() -> None:
    assert feed(LoadShedding(), SHORT, seconds=200) == len(ORDER)
    assert feed(LoadShedding(), SHORT, SHORT, seconds=200) == REFUSING


def test_a_moment_is_no_reason() -> None:
    shedding = LoadShedding()
    for second in range(60):
        shedding.observe(float(second), [SHORT if second % 4 < 2 else SERVED])
    assert shedding.steps == 0


def test_when_all_have_left_everything_comes_back() -> None:
    shedding = LoadShedding()
    assert feed(shedding, SHORT, SHORT, seconds=200) == REFUSING
    shedding.observe(201.0, [])
    assert shedding.steps == 0, "who comes now meets nobody to take anything from"


def test_what_each_step_takes() -> None:
    assert concession(0) == Concession()
    assert concession(2) == Concession(paused=frozenset({Stage.FLOW, Stage.OCR}))
    assert concession(4).halved == {Stage.SEGMENT, Stage.POSE}
    assert concession(5).capped
    assert concession(5).halved == {Stage.SEGMENT, Stage.POSE}, "detection looks at every frame that is left"
    assert concession(REFUSING) == concession(5)
    assert concession(4).of({Stage.POSE, Stage.DETECT, Stage.FLOW}) == [Stage.FLOW, Stage.POSE]
    assert concession(5).of({Stage.DETECT}) == [Stage.DETECT]


def test_a_session_keeps_longest_what_matters_to_it() -> None:
    priority = (Stage.OCR, Stage.POSE)
    given = [concession(steps, priority).of(ALL)[-1:] for steps in range(1, 4)]
    assert given == [[Stage.FLOW], [Stage.SEGMENT], [Stage.DETECT]]
    assert concession(3, priority).halved == {Stage.SEGMENT, Stage.DETECT}
    assert Stage.OCR not in concession(4, priority).paused


@pytest.mark.parametrize(
    ("sessions", "load"),
    [
        ([], 0.0),
        ([SERVED], 0.0),
        ([SessionLoad(15, 4, 1.0, ALL)], 0.6),
        ([SessionLoad(5, 5, 1.0, ALL)], 0.0),  # a slow camera, whose frames all are inferred
        ([SessionLoad(15, 4, 0.3, ALL)], 0.0),  # one that does not read its results
        ([SessionLoad(15, 4, 1.0, ALL), SessionLoad(15, 12, 1.0, ALL)], 0.3),
    ],
)
def test_the_load_is_the_share_of_what_is_wanted_that_does_not_come(
    sessions: list[SessionLoad], load: float
) -> None:
    shedding = LoadShedding()
    shedding.observe(0.0, sessions)
    assert shedding.load == pytest.approx(load)


def test_what_gives_way_is_load_though_frames_come() -> None:
    shedding = LoadShedding()
    feed(shedding, SHORT, SHORT, seconds=30)
    assert shedding.steps == 3
    shedding.observe(31.0, [SERVED, SERVED])
    assert shedding.load == 0.5
    feed(shedding, SHORT, SHORT, seconds=200)
    assert shedding.load == 1.0
