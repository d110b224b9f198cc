from __future__ import annotations

from datetime import datetime, timedelta

from lambdas.heartbeat import Heartbeat
from tests.lambdas.world import EPOCH, World

MINUTE = timedelta(minutes=1)


def last_active(world: World, instance_id: str | None = None) -> datetime | None:
    heartbeat = Heartbeat(world.cloudwatch)
    return heartbeat.last_active(instance_id or world.cloud.instance_id, EPOCH - 15 * MINUTE, EPOCH)


def test_no_report_is_no_activity(world: World) -> None:
    assert last_active(world) is None


def test_reports_of_zero_are_no_activity(world: World) -> None:
    world.beat(0, EPOCH - MINUTE)
    assert last_active(world) is None


def test_the_last_minute_with_a_session_counts(world: World) -> None:
    for minutes_ago, sessions in ((9, 3), (4, 1), (2, 0)):
        world.beat(sessions, EPOCH - minutes_ago * MINUTE)
    assert last_active(world) == EPOCH - 4 * MINUTE


def test_older_reports_and_other_machines_do_not_count(world: World) -> None:
    world.beat(1, EPOCH - 16 * MINUTE)
    assert last_active(world) is None
    world.beat(1, EPOCH - MINUTE)
    assert last_active(world, "i-another") is None
