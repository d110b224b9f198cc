"""Idle GPU minutes per session hour, leased or on a fixed timer: ``python -m tests.bench.idle``.

The fixed timer is the usual design: a start runs the machine for two hours, whatever happens; whoever is
cut off starts it again. Both serve the same sessions, drawn with a fixed seed. The lease is simulated with
the real functions; the timer is arithmetic.
"""

from __future__ import annotations

import random

from moto import mock_aws

from tests.lambdas.simulation import MINUTE, Act, Simulation, Step
from tests.lambdas.world import World

TIMER_MINUTES = 120
BOOT_MINUTES = 5
WEEKS = 4

Session = tuple[int, int]
"""The minute of its start, and its length."""


def draw_week(rng: random.Random, sessions_a_day: int) -> list[Session]:
    """Five working days, sessions of 20 min on average, at random in ten hours. None overlap."""
    sessions: list[Session] = []
    for day in range(5):
        free_from = 0
        for offset in sorted(rng.randrange(0, 600) for _ in range(sessions_a_day)):
            start = max(offset, free_from)
            length = max(2, min(120, round(rng.expovariate(1 / 20))))
            sessions.append((day * 1440 + start, length))
            free_from = start + length + BOOT_MINUTES + 1
    return sessions


def leased(world: World, sessions: list[Session]) -> tuple[int, int]:
    """Idle minutes and session minutes under the real functions."""
    world.reset()
    simulation = Simulation(world)
    minute = 0
    for start, length in sessions:
        simulation.play([Step(start - minute, Act.START)])
        # A press while the machine is stopping has to be repeated.
        while world.cloud.state != "running" or not world.server.accepts:
            simulation.play([Step(1, Act.START)])
        simulation.play([Step(0, Act.JOIN), Step(length, Act.LEAVE)])
        minute = round((world.now - simulation.began) / MINUTE)
    simulation.quieten()
    return simulation.idle_minutes, simulation.session_minutes


def on_timer(sessions: list[Session]) -> tuple[int, int]:
    """Idle minutes and session minutes under the fixed timer."""
    on_until, running, used = -1, 0, 0
    for start, length in sessions:
        end = start + BOOT_MINUTES + length
        if start >= on_until:
            on_until, running = start + TIMER_MINUTES, running + TIMER_MINUTES
        while on_until < end:
            on_until, running = on_until + TIMER_MINUTES, running + TIMER_MINUTES
        used += length
    return running - used, used


def main() -> None:
    with mock_aws():
        world = World()
        try:
            print("sessions a day | leased: idle min per session h | 2 h timer: idle min per session h")
            for sessions_a_day in (1, 3, 8, 15):
                rng = random.Random(7)
                weeks = [draw_week(rng, sessions_a_day) for _ in range(WEEKS)]
                rates = []
                for design in (lambda week: leased(world, week), on_timer):
                    idle, used = (sum(column) for column in zip(*map(design, weeks), strict=True))
                    rates.append(60 * idle / used)
                print(f"{sessions_a_day:14} | {rates[0]:32.1f} | {rates[1]:34.1f}", flush=True)
        finally:
            world.close()


if __name__ == "__main__":
    main()
