from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta

import pytest

from lambdas.boot_report import Phase
from lambdas.dev.ec2 import SHUT_DOWN_AFTER
from lambdas.errors import ServerFailed
from lambdas.lifecycle import Outcome
from lambdas.tokens import Audience, verify
from tests.lambdas.world import KEYS, World

MINUTE = timedelta(minutes=1)


class TestStart:
    def test_starts_a_machine_that_is_off(self, world: World) -> None:
        answer = world.press("start")
        assert answer["http"] == 202
        assert answer["state"] == "starting"
        assert answer["address"] == world.server.url
        assert answer["wait_s"] == 240
        assert world.cloud.state == "pending"
        assert world.cloud.due == world.now + world.settings.idle

    def test_gives_a_token_for_this_user_s_session(self, world: World) -> None:
        token = world.press("start", user="grace")["token"]
        assert verify(KEYS, Audience.SESSION, token, world.now) == "grace"

    def test_pressed_again_keeps_alive(self, world: World) -> None:
        world.run()
        world.advance(10 * MINUTE)
        answer = world.press("start")
        assert answer["http"] == 200
        assert answer["state"] == "ready"
        assert answer["stops_at"] == (world.now + world.settings.idle).isoformat()
        assert world.starts == 1

    def test_ten_people_at_once_are_one_start_and_one_schedule(self, world: World) -> None:
        with ThreadPoolExecutor(10) as pool:
            answers = list(pool.map(lambda n: world.press("start", user=f"user {n}"), range(10)))
        assert {answer["http"] for answer in answers} == {202}
        assert world.starts == 1
        assert world.cloud.schedule_names == ["auto-stop"]

    def test_waits_its_turn_while_the_machine_stops(self, world: World) -> None:
        world.run()
        world.press("stop")
        answer = world.press("start")
        assert (answer["http"], answer["state"]) == (202, "stopping")
        assert "token" not in answer
        world.advance(SHUT_DOWN_AFTER)
        assert world.press("start")["state"] == "starting"

    def test_never_promises_more_than_the_maximum(self, world: World) -> None:
        world.run()
        world.advance(world.settings.max_run - 10 * MINUTE)
        world.press("start")
        assert world.cloud.due == world.cloud.launched + world.settings.max_run

    def test_does_not_keep_a_failed_machine_alive(self, world: World) -> None:
        world.press("start")
        world.advance(world.settings.boot_limit)
        before = world.cloud.due
        assert world.press("start")["state"] == "failed"
        assert world.cloud.due == before

    def test_without_capacity_says_what_to_do(self, world: World) -> None:
        with world.failing("StartInstances", "InsufficientInstanceCapacity"):
            answer = world.press("start")
        assert (answer["http"], answer["error"]) == (503, "no_capacity")
        assert "few minutes" in answer["message"]

    def test_a_crash_after_the_lease_is_made_good_by_the_next_press(self, world: World) -> None:
        with world.failing("StartInstances", "InternalError"):
            world.press("start")
        assert world.press("start")["state"] == "starting"
        assert (world.starts, world.cloud.schedule_names) == (1, ["auto-stop"])


class TestStatus:
    def test_walks_through_every_state(self, world: World) -> None:
        def state() -> str:
            return str(world.press("status")["state"])

        assert state() == "stopped"
        world.press("start")
        assert state() == "starting"
        world.advance(MINUTE)
        assert state() == "booting"
        world.server.up, world.server.loaded = True, False
        assert state() == "loading"
        world.server.loaded = True
        assert state() == "ready"
        world.press("stop")
        assert state() == "stopping"
        world.advance(SHUT_DOWN_AFTER)
        assert state() == "stopped"

    def test_a_server_that_stays_silent_has_failed(self, world: World) -> None:
        world.press("start")
        world.advance(world.settings.boot_limit)
        answer = world.press("status")
        assert (answer["state"], answer["wait_s"]) == ("failed", None)

    def test_a_server_whose_models_fail_has_failed(self, world: World) -> None:
        world.run()
        world.server.loaded, world.server.unready = False, "failed"
        assert world.press("status")["state"] == "failed"

    def test_a_draining_server_is_about_to_stop(self, world: World) -> None:
        world.run()
        world.server.drained_until = world.now + MINUTE
        assert world.press("status")["state"] == "stopping"

    def test_the_estimate_shrinks(self, world: World) -> None:
        world.press("start")
        world.advance(MINUTE)
        assert world.press("status")["wait_s"] == 180

    def test_shows_the_end_of_the_lease(self, world: World) -> None:
        world.run()
        assert world.cloud.due is not None
        answer = world.press("status")
        assert answer["stops_at"] == world.cloud.due.isoformat()
        assert answer["stops_in_s"] == (world.cloud.due - world.now).total_seconds()


class TestStop:
    def test_stops_an_idle_machine_and_drops_the_schedule(self, world: World) -> None:
        world.run()
        answer = world.press("stop")
        assert (answer["http"], answer["state"]) == (202, "stopping")
        assert world.cloud.state == "stopping"
        assert world.server.draining
        assert world.cloud.due is None

    def test_spares_a_live_session(self, world: World) -> None:
        world.run()
        world.server.sessions = 1
        answer = world.press("stop")
        assert (answer["http"], answer["error"]) == (409, "in_use")
        assert world.cloud.state == "running"

    def test_believes_the_heartbeat_when_the_server_cannot_be_asked(self, world: World) -> None:
        world.run()
        world.report(Phase.READY, ready_at=world.now.isoformat())
        world.server.reachable = False
        world.beat(1, world.now - MINUTE)
        assert world.press("stop")["error"] == "in_use"

    def test_stops_a_failed_machine(self, world: World) -> None:
        world.press("start")
        world.advance(world.settings.boot_limit)
        world.press("stop")
        assert world.cloud.state == "stopping"

    def test_does_not_interrupt_a_start(self, world: World) -> None:
        world.press("start")
        assert world.press("stop")["error"] == "wrong_state"

    def test_of_a_stopped_machine_changes_nothing(self, world: World) -> None:
        assert world.press("stop")["state"] == "stopped"


class TestReap:
    def test_keeps_a_machine_whose_lease_runs(self, world: World) -> None:
        world.run()
        assert world.reap() == Outcome.KEPT

    def test_a_schedule_that_fires_late_finds_the_renewed_lease(self, world: World) -> None:
        world.run()
        world.advance(14 * MINUTE)
        world.press("start")
        world.advance(2 * MINUTE)
        assert world.reap() == Outcome.KEPT

    def test_stops_an_idle_machine_at_the_end_of_its_lease(self, world: World) -> None:
        world.run()
        world.advance(14 * MINUTE)
        assert world.reap() == Outcome.STOPPED_IDLE
        assert (world.cloud.state, world.cloud.due) == ("stopping", None)

    def test_fired_twice_stops_once(self, world: World) -> None:
        world.run()
        world.advance(14 * MINUTE)
        with ThreadPoolExecutor(2) as pool:
            outcomes = set(pool.map(lambda _: world.reap(), range(2)))
        assert outcomes <= {Outcome.STOPPED_IDLE, Outcome.NOTHING}
        assert len(world.stops) == 1

    def test_a_machine_that_another_call_stops_meanwhile_is_not_taken_for_one_that_boots(
        self, world: World
    ) -> None:
        world.run()
        world.advance(14 * MINUTE)

        def stop_first(operation: str) -> None:
            if operation == "GetParameters":
                world.fault = None
                assert world.reap() == Outcome.STOPPED_IDLE

        world.fault = stop_first
        assert world.reap() == Outcome.NOTHING
        assert (len(world.stops), world.cloud.due) == (1, None)

    def test_renews_the_lease_from_the_last_heartbeat_with_a_session(self, world: World) -> None:
        world.run()
        world.advance(14 * MINUTE)
        world.beat(2, world.now - 5 * MINUTE)
        world.beat(0, world.now - 2 * MINUTE)
        assert world.reap() == Outcome.EXTENDED
        assert world.cloud.due == world.now + 10 * MINUTE

    def test_asks_the_server_when_no_heartbeat_came(self, world: World) -> None:
        world.run()
        world.advance(14 * MINUTE)
        world.server.sessions = 1
        assert world.reap() == Outcome.EXTENDED
        assert world.cloud.due == world.now + world.settings.idle
        assert not world.server.draining

    def test_stops_at_the_maximum_whoever_uses_it(self, world: World) -> None:
        world.run()
        world.server.sessions = 3
        world.advance(world.settings.max_run - 2 * MINUTE)
        assert world.reap() == Outcome.STOPPED_AT_MAXIMUM
        assert world.cloud.state == "stopping"

    def test_stops_at_the_maximum_even_if_the_server_refuses(self, world: World) -> None:
        world.run()
        world.server.refuse_with = 500
        world.advance(world.settings.max_run)
        assert world.reap() == Outcome.STOPPED_AT_MAXIMUM

    def test_keeps_a_server_that_cannot_be_understood_and_raises_the_alarm(self, world: World) -> None:
        world.run()
        world.advance(14 * MINUTE)
        world.server.refuse_with = 401
        with pytest.raises(ServerFailed):
            world.reap()
        assert world.cloud.state == "running"

    def test_stops_a_machine_whose_schedule_was_lost(self, world: World) -> None:
        world.run()
        world.cloud.lose_schedule()
        world.advance(30 * MINUTE)
        assert world.reap() == Outcome.STOPPED_IDLE

    def test_restores_a_schedule_lost_early(self, world: World) -> None:
        world.run()
        world.cloud.lose_schedule()
        assert world.reap() == Outcome.KEPT
        assert world.cloud.due == world.cloud.launched + world.settings.idle

    def test_clears_a_schedule_left_by_a_crash_after_the_stop(self, world: World) -> None:
        world.run()
        with world.failing("DeleteSchedule", "InternalError"):
            world.press("stop")
        assert world.cloud.due is not None
        world.advance(SHUT_DOWN_AFTER)
        world.advance(15 * MINUTE)
        assert world.reap() == Outcome.NOTHING
        assert world.cloud.due is None

    def test_leaves_the_lease_of_a_start_that_is_just_happening(self, world: World) -> None:
        with world.failing("StartInstances", "InternalError"):
            world.press("start")
        assert world.reap() == Outcome.NOTHING
        assert world.cloud.due is not None
