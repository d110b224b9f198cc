from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest

from lambdas.boot_report import Phase
from tests.lambdas.world import World

MINUTE = timedelta(minutes=1)


@pytest.fixture
def booting(world: World) -> World:
    world.press("start")
    world.advance(MINUTE)
    return world


@pytest.mark.parametrize(
    ("phase", "more", "words"),
    [
        (Phase.INSTALLING, {"step": "packages"}, "Being installed: packages."),
        (Phase.PULLING, {"done": 6_100_000_000, "total": 15_000_000_000}, "6.1 of 15.0 GB"),
        (Phase.PULLING, {}, "Fetching the model server."),
        (Phase.LOADING, {"done": 1, "total": 4}, "Loading model 2 of 4."),
        (Phase.LOADING, {"done": 4, "total": 4}, "Loading model 4 of 4."),
        (Phase.STARTING, {}, "The GPU machine is booting."),
    ],
)
def test_the_machine_s_own_words_are_shown(
    booting: World, phase: Phase, more: dict[str, Any], words: str
) -> None:
    booting.report(phase, **more)
    assert words in booting.press("status")["message"]


def test_a_report_of_an_earlier_start_is_not(booting: World) -> None:
    booting.cloud.tell(
        booting.settings.boot_report,
        {
            "instance": booting.cloud.instance_id,
            "at": (booting.now - timedelta(days=1)).isoformat(),
            "phase": "pulling",
        },
    )
    assert booting.press("status")["message"] == "The GPU machine is booting."


@pytest.mark.parametrize("text", ["", "{", "[]", '{"at": 5, "phase": "asleep", "done": "many", "total": -1}'])
def test_what_makes_no_sense_changes_nothing(booting: World, text: str) -> None:
    ssm = booting.session.client("ssm")
    ssm.put_parameter(Name=booting.settings.boot_report, Value=text or " ", Type="String")
    answer = booting.press("status")
    assert (answer["state"], answer["message"]) == ("booting", "The GPU machine is booting.")


def test_without_reports_the_service_works_all_the_same(booting: World) -> None:
    with booting.failing("GetParameters", "ThrottlingException"):
        assert booting.press("status")["state"] == "booting"


TIMES = {"first": [900, 1100, 1000], "again": [100, 90, 400]}


class TestEstimate:
    def test_is_the_median_of_the_last_starts_of_a_machine_that_was_on_before(self, world: World) -> None:
        world.report(Phase.READY, first=True)  # of the run before
        world.cloud.tell(world.settings.start_times, TIMES)
        world.advance(MINUTE)
        assert world.press("status")["wait_s"] == 100
        assert world.press("start")["wait_s"] == 100
        world.advance(MINUTE)
        assert world.press("status")["wait_s"] == 40

    def test_of_a_machine_that_never_reported_is_that_of_first_starts(self, booting: World) -> None:
        booting.cloud.tell(booting.settings.start_times, TIMES)
        assert booting.press("status")["wait_s"] == 1000 - 60

    def test_without_any_is_the_setting(self, booting: World) -> None:
        booting.cloud.tell(booting.settings.start_times, {"again": ["soon", -5], "first": 7})
        assert booting.press("status")["wait_s"] == 4 * 60 - 60
