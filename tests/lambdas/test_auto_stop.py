from __future__ import annotations

from datetime import timedelta

import pytest

from lambdas.auto_stop import AutoStop
from lambdas.dev.ec2 import refusal
from lambdas.errors import AwsFailed, Throttled
from tests.lambdas.world import EPOCH, World


@pytest.fixture
def auto_stop(world: World) -> AutoStop:
    settings = world.settings
    return AutoStop(
        world.scheduler,
        group=settings.schedule_group,
        target_arn=settings.reaper_arn,
        role_arn=settings.scheduler_role_arn,
    )


def test_there_is_none_at_first(auto_stop: AutoStop) -> None:
    assert auto_stop.due() is None


def test_is_created_then_moved(auto_stop: AutoStop, world: World) -> None:
    for minutes in (15, 30):
        due = EPOCH + timedelta(minutes=minutes)
        assert auto_stop.put(due) == due
        assert auto_stop.due() == due
    assert world.cloud.schedule_names == ["auto-stop"]


def test_fires_the_reaper_once_and_exactly(auto_stop: AutoStop, world: World) -> None:
    auto_stop.put(EPOCH)
    schedule = world.scheduler.get_schedule(Name="auto-stop", GroupName=world.settings.schedule_group)
    assert schedule["Target"]["Arn"] == world.settings.reaper_arn
    assert schedule["Target"]["RoleArn"] == world.settings.scheduler_role_arn
    assert schedule["FlexibleTimeWindow"] == {"Mode": "OFF"}
    assert schedule["ScheduleExpression"] == "at(2026-03-02T08:00:00)"


def test_is_never_due_before_the_lease_ends(auto_stop: AutoStop) -> None:
    assert auto_stop.put(EPOCH + timedelta(microseconds=1)) == EPOCH + timedelta(seconds=1)


def test_deleting_twice_is_no_error(auto_stop: AutoStop) -> None:
    auto_stop.put(EPOCH)
    auto_stop.delete()
    auto_stop.delete()
    assert auto_stop.due() is None


@pytest.mark.parametrize("operation", ["UpdateSchedule", "CreateSchedule"])
def test_a_conflict_means_that_someone_else_did_it(auto_stop: AutoStop, world: World, operation: str) -> None:
    def conflict(**_: object) -> None:
        raise refusal("ConflictException", operation)

    event = f"before-call.scheduler.{operation}"
    world.scheduler.meta.events.register(event, conflict)
    try:
        auto_stop.put(EPOCH)
    finally:
        world.scheduler.meta.events.unregister(event, conflict)


@pytest.mark.parametrize(("code", "kind"), [("ThrottlingException", Throttled), ("Other", AwsFailed)])
def test_other_errors_are_typed(auto_stop: AutoStop, world: World, code: str, kind: type[Exception]) -> None:
    def refuse(**_: object) -> None:
        raise refusal(code, "any")

    world.scheduler.meta.events.register("before-call.scheduler", refuse)
    try:
        for call in (auto_stop.due, auto_stop.delete, lambda: auto_stop.put(EPOCH)):
            with pytest.raises(kind):
                call()
    finally:
        world.scheduler.meta.events.unregister("before-call.scheduler", refuse)
