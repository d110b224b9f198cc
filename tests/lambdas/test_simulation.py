from __future__ import annotations

import os
from collections.abc import Iterator
from datetime import timedelta

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from lambdas.dev.ec2 import SHUT_DOWN_AFTER, InstanceState
from tests.lambdas.quick_world import QuickWorld
from tests.lambdas.simulation import LAMBDA_RETRIES, MINUTE, REAPER_PERIOD, Act, Simulation, Step
from tests.lambdas.world import World

TIMELINES = int(os.environ.get("TEST_TIMELINES", "2000"))
"""Always the same ones, unless a number is given."""
OVER_MOTO = 8
"""A few of them with real clients besides."""

steps = st.builds(
    Step,
    after=st.one_of(st.integers(0, 3), st.integers(4, 40), st.integers(60, 300)),
    act=st.sampled_from([Act.START, Act.START, Act.JOIN, Act.JOIN, *Act]),
    # The longest way through a function has six calls to AWS.
    calls=st.integers(0, 7),
)


@pytest.fixture(scope="module")
def quick_world() -> Iterator[QuickWorld]:
    world = QuickWorld()
    yield world
    world.close()


def timelines(number: int) -> settings:
    return settings(
        max_examples=number,
        deadline=None,
        derandomize="TEST_TIMELINES" not in os.environ,
        database=None,
        suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
    )


@timelines(TIMELINES)
@given(st.lists(steps, min_size=1, max_size=25), st.booleans())
def test_thousands_of_timelines(quick_world: QuickWorld, timeline: list[Step], has_fallback: bool) -> None:
    live_through(quick_world, timeline, has_fallback)


@timelines(OVER_MOTO)
@given(st.lists(steps, min_size=1, max_size=25), st.booleans())
@example(
    [Step(0, Act.START), Step(5, Act.JOIN), Step(300, Act.SCHEDULE_LOST), Step(300, Act.FIRE_AGAIN)], False
)
@example([Step(0, Act.START), Step(5, Act.SCHEDULE_LOST)], False)
@example(
    [Step(0, Act.START), Step(5, Act.JOIN), Step(1, Act.HEARTBEATS_LOST), Step(35, Act.FIRE_AGAIN)], False
)
@example([Step(0, Act.CRASH), Step(0, Act.START), Step(1, Act.CRASH), Step(14, Act.THROTTLE, calls=0)], False)
@example([Step(0, Act.START), Step(2, Act.FIRE_TWICE)], False)
@example([Step(0, Act.START), Step(5, Act.JOIN), Step(5, Act.SERVER_CUT_OFF), Step(2, Act.STOP)], False)
@example([Step(10, Act.START), Step(5, Act.JOIN), Step(303, Act.START), Step(300, Act.LEAVE)], False)
@example([Step(0, Act.BOOT_SLOWLY), Step(0, Act.START), Step(33, Act.JOIN), Step(60, Act.LEAVE)], False)
@example([Step(0, Act.BOOT_SLOWLY), Step(0, Act.REPORTS_LOST), Step(0, Act.START), Step(20, Act.STOP)], False)
@example([Step(0, Act.BOOT_IN_VAIN), Step(0, Act.START), Step(60, Act.START), Step(5, Act.JOIN)], False)
@example([Step(0, Act.NO_HOST), Step(0, Act.START), Step(1, Act.START), Step(5, Act.JOIN)], True)
@example([Step(0, Act.START), Step(5, Act.JOIN), Step(1, Act.LEAVE), Step(0, Act.REPLACE)], False)
@example([Step(0, Act.BOOT_SLOWLY), Step(0, Act.REPLACE), Step(20, Act.START), Step(20, Act.JOIN)], False)
@example([Step(0, Act.BOOT_IN_VAIN), Step(0, Act.REPLACE), Step(20, Act.START), Step(90, Act.START)], True)
def test_whatever_happens_it_stops_in_time_and_never_under_a_user(
    world: World, timeline: list[Step], has_fallback: bool
) -> None:
    live_through(world, timeline, has_fallback)


def live_through(world: World, timeline: list[Step], has_fallback: bool) -> None:
    world.reset()
    if has_fallback:
        world.ec2.launch(world.settings.stack, rank=2, state=InstanceState.STOPPED)
    play_and_check(world, timeline)


def play_and_check(world: World, timeline: list[Step]) -> None:
    simulation = Simulation(world)
    simulation.play(timeline)
    still_on = simulation.quieten()
    assert simulation.violations == []
    slack = sum(LAMBDA_RETRIES, SHUT_DOWN_AFTER) + MINUTE
    # In the worst case one comes up just then, or one that CloudFormation replaced is left.
    assert still_on <= world.settings.boot_limit + world.settings.idle + REAPER_PERIOD + slack


@pytest.mark.parametrize("calls", range(6))
@pytest.mark.parametrize(
    ("before", "after"),
    [
        pytest.param([], [Step(0, Act.START)], id="start"),
        pytest.param([Step(0, Act.START)], [Step(0, Act.START)], id="keep alive"),
        pytest.param([Step(0, Act.START)], [Step(0, Act.STOP)], id="stop"),
        pytest.param([Step(0, Act.START)], [Step(30, Act.LEAVE)], id="end of an idle lease"),
        pytest.param([Step(0, Act.START), Step(4, Act.JOIN)], [Step(30, Act.LEAVE)], id="lease in use"),
        pytest.param([Step(0, Act.START), Step(4, Act.JOIN)], [Step(490, Act.LEAVE)], id="maximum"),
    ],
)
def test_a_function_may_die_before_any_of_its_calls(
    world: World, before: list[Step], after: list[Step], calls: int
) -> None:
    play_and_check(world, [*before, Step(5, Act.CRASH, calls), *after])


def test_a_day_without_faults_wastes_the_idle_time_once(world: World) -> None:
    simulation = Simulation(world)
    simulation.play([Step(0, Act.START), Step(5, Act.JOIN), Step(120, Act.LEAVE)])
    still_on = simulation.quieten()
    assert still_on <= world.settings.idle + 2 * MINUTE
    assert simulation.session_minutes == 120
    assert len(world.stops) == 1


def test_the_simulation_notices_a_machine_stopped_under_a_user(world: World) -> None:
    simulation = Simulation(world)
    simulation.play([Step(0, Act.START), Step(5, Act.JOIN)])
    # The server lies: it says that nobody is there.
    world.server.drain = lambda token, request: (200, {"sessions": 0})  # type: ignore[method-assign]
    try:
        world.clear_heartbeats()
        simulation.act(Act.STOP)
    finally:
        del world.server.drain
    assert simulation.violations


def test_the_simulation_notices_a_machine_that_runs_too_long(world: World) -> None:
    simulation = Simulation(world)
    simulation.play([Step(0, Act.START), Step(5, Act.JOIN)])
    world.fault = _down
    simulation.pass_time(world.settings.max_run + timedelta(minutes=1))
    assert simulation.violations


def _down(operation: str) -> None:
    raise RuntimeError(operation)
