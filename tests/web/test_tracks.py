"""``web/engine/tracks.js``: ids matched over results, positions in between and ahead."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

import pytest
import pytest_asyncio

from tests.web.browser import Page
from tests.web.server import never_loads, serving

pytestmark = pytest.mark.asyncio(loop_scope="module")


@pytest_asyncio.fixture(loop_scope="module", scope="module")
async def address() -> AsyncIterator[str]:
    async with serving(never_loads, wait_ready=False) as url:
        yield url


@pytest_asyncio.fixture(loop_scope="module")
async def at(page: Page, address: str) -> Any:
    """``at(sightings, times)``: shows sightings ``[time, {id: x}]`` and asks where things are."""
    await page.goto(address)

    async def ask(sightings: list[Any], times: list[float]) -> list[dict[str, list[float]]]:
        placed: list[dict[str, list[float]]] = await page.evaluate(
            """async ([sightings, times]) => {
              const { Tracks } = await import("/engine/tracks.js");
              const tracks = new Tracks();
              for (const [time, things] of sightings) {
                const items = Object.entries(things).map(([id, x]) => ({ id, values: [x], data: null }));
                tracks.observe(time, items);
              }
              return times.map((time) => Object.fromEntries(
                tracks.at(time).map(({ id, values, opacity }) => [id, [values[0], opacity]])));
            }""",
            [sightings, times],
        )
        return placed

    return ask


async def test_between_two_sightings_a_thing_is_in_between(at: Any) -> None:
    [middle] = await at([[1000, {"a": 0.2}], [1200, {"a": 0.4}]], [1100])
    assert middle["a"] == pytest.approx([0.3, 1.0])


async def test_ahead_of_the_last_sighting_it_goes_on_as_it_went(at: Any) -> None:
    sightings = [[1000, {"a": 0.1}], [1200, {"a": 0.2}], [1400, {"a": 0.3}]]
    [ahead] = await at(sightings, [1600])
    assert ahead["a"] == pytest.approx([0.4, 1.0], abs=0.01)


async def test_what_only_fidgets_is_not_drawn_ahead(at: Any) -> None:
    fidgeting = [[1000 + 100 * i, {"a": 0.5 + 0.02 * (i % 2)}] for i in range(12)]
    [ahead] = await at(fidgeting, [2400])
    assert ahead["a"][0] == pytest.approx(0.52, abs=0.005)


async def test_nothing_is_drawn_further_ahead_than_the_horizon(at: Any) -> None:
    sightings = [[1000, {"a": 0.1}], [1200, {"a": 0.2}], [1400, {"a": 0.3}]]
    at_horizon, fading, gone = await at(sightings, [1900, 2025, 2200])
    assert fading["a"][0] == pytest.approx(at_horizon["a"][0], abs=0.001)
    assert fading["a"][1] == pytest.approx(0.5)
    assert gone == {}


async def test_a_thing_that_is_missed_fades_from_then_on(at: Any) -> None:
    before, half, gone = await at([[1000, {"a": 0.1}], [1100, {}]], [1100, 1225, 1400])
    assert before["a"][1] == 1.0
    assert half["a"][1] == pytest.approx(0.5)
    assert gone == {}


async def test_before_its_first_sighting_there_is_nothing(at: Any) -> None:
    assert await at([[1000, {"a": 0.1}]], [999]) == [{}]


async def test_a_late_result_changes_nothing(at: Any) -> None:
    [now] = await at([[1000, {"a": 0.1}], [1200, {"a": 0.1}], [1100, {"a": 0.9, "b": 0.5}]], [1200])
    assert now == {"a": [pytest.approx(0.1), 1.0]}


async def test_a_correction_is_taken_up_without_a_jump(at: Any) -> None:
    sightings = [[1000, {"a": 0.1}], [1200, {"a": 0.2}], [1400, {"a": 0.5}]]
    before, after = await at(sightings[:2], [1400]), await at(sightings, [1400])
    assert after[0]["a"][0] == pytest.approx(before[0]["a"][0], abs=0.001)
