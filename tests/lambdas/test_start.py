"""From the press to the first session: slow starts, starts that fail after the call, two machines."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest

from lambdas.boot_report import Phase
from lambdas.dev.ec2 import HOST_FOUND_AFTER, NO_CAPACITY, Instance, InstanceState
from lambdas.lifecycle import Outcome
from tests.lambdas.world import World

MINUTE = timedelta(minutes=1)


def load(world: World, minutes: int) -> None:
    """The machine runs and its server answers, but its models are not there yet, for so long since the
    start."""
    world.press("start")
    world.advance(minutes * MINUTE)
    world.server.up, world.server.loaded = True, False


class TestSlowStart:
    """Longer than the idle time: a first start pulls an image and builds engines."""

    @pytest.mark.parametrize("answers", [True, False], ids=["loading", "silent"])
    def test_a_machine_that_comes_up_counts_as_used(self, world: World, answers: bool) -> None:
        load(world, minutes=15)
        world.server.up = answers
        assert world.reap() == Outcome.COMING_UP
        assert world.cloud.due == world.now + world.settings.idle

    def test_but_only_up_to_its_boot_limit(self, world: World) -> None:
        load(world, minutes=30)
        world.reap()
        assert world.cloud.due == world.cloud.launched + world.settings.boot_limit
        world.advance(10 * MINUTE)
        assert world.press("status")["state"] == "failed"
        assert world.reap() == Outcome.STOPPED_IDLE

    def test_when_it_is_ready_there_is_a_whole_lease_left(self, world: World) -> None:
        load(world, minutes=15)
        world.reap()
        world.advance(14 * MINUTE)
        world.server.loaded = True
        world.report(Phase.READY, ready_at=world.now.isoformat())
        ready_at = world.now
        assert world.press("status")["stops_in_s"] == world.settings.idle.total_seconds()
        world.advance(MINUTE)
        assert world.reap() == Outcome.KEPT
        assert world.cloud.due == ready_at + world.settings.idle
        world.advance(14 * MINUTE)
        assert world.reap() == Outcome.STOPPED_IDLE

    def test_one_that_was_ready_and_is_silent_is_not_coming_up(self, world: World) -> None:
        world.run()
        world.report(Phase.READY, ready_at=world.now.isoformat())
        world.server.up = False
        world.advance(world.settings.idle)
        assert world.reap() == Outcome.STOPPED_IDLE

    def test_a_stop_does_not_end_what_others_wait_for(self, world: World) -> None:
        load(world, minutes=5)
        answer = world.press("stop")
        assert (answer["http"], answer["error"]) == (409, "wrong_state")
        assert world.cloud.state == "running"

    def test_a_machine_that_says_that_it_failed_has_failed(self, world: World) -> None:
        load(world, minutes=5)
        world.server.up = False
        world.report(Phase.FAILED, step="certificate")
        answer = world.press("status")
        assert answer["state"] == "failed"
        assert "certificate" in answer["message"]
        assert world.press("stop")["state"] == "stopping"


class TestKeepUntil:
    def press(self, world: World, body: str) -> dict[str, Any]:
        event = {"requestContext": {"authorizer": {"lambda": {"sub": "ada"}}}, "body": body}
        return dict(world.handlers.start(event, None))

    def test_the_lease_is_as_long_as_asked_for(self, world: World) -> None:
        self.press(world, '{"keep_minutes": 90}')
        assert world.cloud.due == world.now + 90 * MINUTE

    def test_no_later_press_shortens_it(self, world: World) -> None:
        self.press(world, '{"keep_minutes": 90}')
        due = world.cloud.due
        world.boot()
        world.press("start")
        assert world.cloud.due == due

    def test_never_beyond_the_maximum(self, world: World) -> None:
        self.press(world, '{"keep_minutes": 1440}')
        assert world.cloud.due == world.now + world.settings.max_run

    @pytest.mark.parametrize(
        "body",
        [
            '{"keep_minutes": 0}',
            '{"keep_minutes": 1441}',
            '{"keep_minutes": 1.5}',
            '{"keep_minutes": true}',
            '{"until": "17:00"}',
            "[]",
            "{",
            "[" * 200,
            "[" * 10_000,
        ],
    )
    def test_anything_else_is_a_bad_request(self, world: World, body: str) -> None:
        answer = self.press(world, body)
        assert (answer["statusCode"], "bad_request" in answer["body"]) == (400, True)
        assert world.starts == 0


class TestStartThatFailsAfterTheCall:
    def fail(self, world: World) -> None:
        world.cloud.machine.fails_with = NO_CAPACITY
        assert world.press("start")["state"] == "starting"
        world.advance(HOST_FOUND_AFTER)

    def test_is_told_in_words_with_when_to_try_again(self, world: World) -> None:
        self.fail(world)
        answer = world.press("status")
        assert (answer["http"], answer["state"], answer["retry_s"]) == (200, "unavailable", 30)
        assert "no GPU machine of this type free" in answer["message"]

    def test_is_not_repeated_at_each_press(self, world: World) -> None:
        self.fail(world)
        answer = world.press("start")
        assert (answer["http"], answer["error"]) == (503, "no_capacity")
        world.advance(HOST_FOUND_AFTER)
        assert world.press("start")["state"] == "starting"
        assert world.starts == 2

    def test_is_forgotten_after_a_quarter_of_an_hour(self, world: World) -> None:
        self.fail(world)
        world.advance(15 * MINUTE)
        assert world.press("status")["state"] == "stopped"

    def test_a_disk_that_cannot_be_used_is_the_operators_affair(self, world: World) -> None:
        world.cloud.machine.fails_with = "Client.InternalError"
        world.press("start")
        world.advance(HOST_FOUND_AFTER)
        assert "operator" in world.press("status")["message"]
        assert world.press("start")["error"] == "start_failed"


class TestFallback:
    @pytest.fixture
    def fallback(self, world: World) -> Instance:
        return world.ec2.launch("dev", rank=2, state=InstanceState.STOPPED)

    @pytest.mark.parametrize("code", ["InsufficientInstanceCapacity", "VcpuLimitExceeded", "Unsupported"])
    def test_is_started_where_the_first_is_refused(self, world: World, fallback: Instance, code: str) -> None:
        world.cloud.machine.refuses_with = code
        answer = world.press("start")
        assert (answer["state"], fallback.state.value) == ("starting", "pending")
        assert world.ec2.address_of is fallback

    def test_is_started_at_once_where_the_first_start_came_to_nothing(
        self, world: World, fallback: Instance
    ) -> None:
        world.cloud.machine.fails_with = NO_CAPACITY
        world.press("start")
        world.advance(HOST_FOUND_AFTER)
        assert world.press("status")["state"] == "unavailable"
        assert world.press("start")["state"] == "starting"
        assert fallback.state is InstanceState.PENDING

    def test_is_not_needed_the_next_time(self, world: World, fallback: Instance) -> None:
        world.ec2.address_of = fallback
        world.press("start")
        assert (world.cloud.machine.state.value, fallback.state.value) == ("pending", "stopped")
        assert world.ec2.address_of is world.cloud.machine

    def test_where_both_are_refused_says_so(self, world: World, fallback: Instance) -> None:
        world.cloud.machine.refuses_with = fallback.refuses_with = "InsufficientInstanceCapacity"
        assert world.press("start")["error"] == "no_capacity"


class TestReplacement:
    """CloudFormation makes the new machine, waits for its signal, moves the address, ends the old one."""

    def test_users_stay_on_the_old_one_until_the_new_one_is_up(self, world: World) -> None:
        world.run()
        new = world.ec2.launch("dev")
        world.advance(MINUTE)
        assert world.press("status")["state"] == "ready"
        world.server.sessions = 1
        world.advance(15 * MINUTE)
        assert world.reap() == Outcome.EXTENDED
        assert new.state is InstanceState.RUNNING

    def test_a_press_starts_no_old_one_while_the_new_one_boots(self, world: World) -> None:
        world.ec2.launch("dev")
        assert world.press("start")["state"] == "starting"
        assert world.cloud.machine.state is InstanceState.STOPPED

    def test_the_new_one_is_not_stopped_in_its_first_boot(self, world: World) -> None:
        world.ec2.launch("dev")
        world.advance(20 * MINUTE)
        assert world.reap() == Outcome.COMING_UP

    def test_an_old_one_that_was_left_running_is_stopped(self, world: World) -> None:
        world.run()
        old = world.cloud.machine
        world.advance(world.settings.boot_limit)
        world.ec2.address_of = world.ec2.launch("dev")
        world.reap()
        assert old.state is InstanceState.STOPPING
