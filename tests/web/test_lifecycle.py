"""Start with a GPU machine that is off: a site, a media server, and the real functions over moto."""

from __future__ import annotations

import asyncio
import contextlib
import re
from collections.abc import AsyncIterator
from dataclasses import dataclass, replace
from datetime import timedelta

import aiohttp
import pytest

pytest.importorskip("moto", reason="the functions are tested over moto: pip install -e .[test]")

from moto import mock_aws

from inference.engines.contract import Engine
from lambdas.dev.api import Api, Clock
from lambdas.dev.cloud import Cloud, settings
from lambdas.tokens import Audience, mint
from mediaserver.child_process import free_ports
from mediaserver.client.client import InferenceClient
from mediaserver.server.core import LoadEngine
from mediaserver.settings.types import HttpUrl, Origin
from mediaserver.telemetry.metrics import Metrics
from tests.web.browser import Page, expect
from tests.web.server import RedThingDetector, loading, never_loads, serving, token_keys

pytestmark = pytest.mark.asyncio(loop_scope="module")

KEYS = {"k1": "a key of more than 32 bytes, say 36"}


@dataclass(frozen=True, slots=True)
class Deployment:
    """A site, whose page knows the API; the API; a media server on another port, which lets that page in."""

    site: str
    api: str
    media: str
    cloud: Cloud
    media_server: contextlib.AsyncExitStack
    """To be closed to take the media server away."""

    def booted(self, load: LoadEngine) -> contextlib.AbstractAsyncContextManager[str]:
        """A media server where the functions expect it, which lets the page in."""
        return serving(
            load,
            wait_ready=False,
            port=int(self.media.rstrip("/").rpartition(":")[2]),
            token_keys=token_keys(KEYS),
            allowed_origins=(Origin(self.site.rstrip("/")),),
        )

    async def press(self, path: str) -> None:
        headers = {"Authorization": f"Bearer {self.token(Audience.API)}"}
        async with aiohttp.ClientSession() as client:
            async with client.post(self.api + path, headers=headers) as response:
                assert response.status == 202

    @staticmethod
    def token(audience: Audience, life: timedelta = timedelta(days=1)) -> str:
        return mint(KEYS, audience, "ada", Clock()(), life)

    async def advance(self, minutes: int) -> None:
        async with aiohttp.ClientSession() as client:
            async with client.post(f"{self.api}/dev/advance?minutes={minutes}") as response:
                assert response.status == 200


@contextlib.asynccontextmanager
async def deployed(
    *,
    media_keys: dict[str, str] = KEYS,
    token_life: timedelta = timedelta(minutes=15),
    let_in: str | None = None,
    media_server_runs: bool = True,
) -> AsyncIterator[Deployment]:
    """With its machine off. ``token_life`` is that of the tokens that ``start`` gives; ``let_in`` the origin
    whose pages the media server takes, that of the site if ``None``."""
    api_port, media_port = free_ports(2)
    async with contextlib.AsyncExitStack() as stack:
        stack.enter_context(mock_aws())
        api_url = HttpUrl(f"http://127.0.0.1:{api_port}")
        site = await stack.enter_async_context(serving(never_loads, wait_ready=False, lifecycle_api=api_url))
        media_server = await stack.enter_async_context(contextlib.AsyncExitStack())
        media = f"http://127.0.0.1:{media_port}/"
        if media_server_runs:
            serve = serving(
                loading(RedThingDetector()),
                port=media_port,
                token_keys=token_keys(media_keys),
                allowed_origins=(Origin(let_in or site.rstrip("/")),),
            )
            await media_server.enter_async_context(serve)
        clock = Clock()
        cloud = Cloud(replace(settings(media.rstrip("/")), token_life=token_life), KEYS, clock)
        api = Api(cloud, clock, api_port)
        stack.push_async_callback(asyncio.to_thread, api.close)
        yield Deployment(site, api.url, media, cloud, media_server)


async def _enter_key(page: Page, key: str, title: str = "Enter your access key") -> None:
    await expect(page.locator("#cover-title")).to_have_text(title)
    field = page.get_by_label("Access key")
    await expect(field).to_be_focused()
    await expect(field).to_have_value("")
    await page.keyboard.insert_text(key)
    await page.keyboard.press("Enter")


async def _start(page: Page, deployment: Deployment) -> None:
    """From a machine that is off to one that has booted."""
    await page.goto(deployment.site)
    await page.get_by_role("button", name="Start", exact=True).click()
    await _enter_key(page, deployment.token(Audience.API))
    await expect(page.locator("#state")).to_have_text("Waiting for the GPU")
    await expect(page.locator("#cover-advice")).to_contain_text("The GPU machine is starting.")
    await deployment.advance(minutes=1)


async def _live(page: Page) -> None:
    await expect(page.locator("#state")).to_have_text("Live")


async def _look_again(page: Page) -> None:
    """As if the user came back from another tab."""
    await page.evaluate("document.dispatchEvent(new Event('visibilitychange'))")


async def _stop_the_machine_too(page: Page) -> None:
    await page.get_by_role("button", name="Stop").click()
    await page.get_by_role("button", name="The machine too").click()


async def test_from_off_to_live_to_off(page: Page) -> None:
    async with deployed() as deployment:
        await _start(page, deployment)
        await _live(page)
        await expect(page.locator("#countdown")).to_have_text(re.compile(r"stops in 1[34]:\d\d"))
        await page.get_by_role("button", name="Keep alive").click()
        await expect(page.locator("#countdown")).to_have_text(re.compile(r"stops in 1[45]:\d\d"))
        await _stop_the_machine_too(page)
        await expect(page.locator("#state")).to_have_text("Ready")
        await expect(page.locator("#lease")).to_be_hidden()
        assert deployment.cloud.state == "stopping"


async def test_each_state_is_shown_and_an_idle_machine_stops_by_itself(page: Page) -> None:
    async with contextlib.AsyncExitStack() as stack:
        deployment = await stack.enter_async_context(deployed(media_server_runs=False))
        await _start(page, deployment)
        advice = page.locator("#cover-advice")
        await expect(advice).to_contain_text("The GPU machine is booting.")
        loaded = asyncio.Event()

        async def load(_metrics: Metrics) -> Engine:
            await loaded.wait()
            return RedThingDetector()

        await stack.enter_async_context(deployment.booted(load))
        await expect(advice).to_contain_text("The models are loading.")
        loaded.set()
        await _live(page)
        await page.get_by_role("button", name="Stop", exact=True).click()
        await page.get_by_role("button", name="Only my session").click()
        await expect(page.locator("#state")).to_have_text("Ready")
        await expect(page.locator("#lease")).to_be_visible()
        assert deployment.cloud.state == "running"
        await deployment.advance(minutes=17)
        assert deployment.cloud.state == "stopped"
        await _look_again(page)
        await expect(page.locator("#lease")).to_be_hidden()


async def test_a_machine_that_failed_can_be_turned_off(page: Page) -> None:
    async with deployed(media_server_runs=False) as deployment:
        await _start(page, deployment)
        await page.get_by_role("button", name="Stop", exact=True).click()
        await page.get_by_role("button", name="Only my session").click()
        await deployment.advance(minutes=30)
        # "Keep alive", or it would be off by itself when it counts as failed.
        await deployment.press("/start")
        await deployment.advance(minutes=11)
        await page.get_by_role("button", name="Start", exact=True).click()
        await expect(page.locator("#cover-advice")).to_contain_text("its server does not work")
        await page.get_by_role("button", name="Turn off").click()
        await expect(page.get_by_role("button", name="Only my session")).to_be_hidden()
        await page.get_by_role("button", name="Stop it").click()
        await expect(page.locator("#lease")).to_be_hidden()
        assert deployment.cloud.state == "stopping"


async def test_how_far_the_start_has_come_and_what_it_costs_are_told(page: Page) -> None:
    async with deployed(media_server_runs=False) as deployment:
        await page.goto(deployment.site)
        await page.get_by_role("button", name="Start", exact=True).click()
        await _enter_key(page, mint(KEYS, Audience.API, "ada", Clock()(), timedelta(days=1), sees_costs=True))
        await expect(page.locator("#cover-advice")).to_contain_text("The GPU machine is starting.")
        await deployment.advance(minutes=1)
        deployment.cloud.tell(
            deployment.cloud.settings.boot_report,
            {
                "instance": deployment.cloud.instance_id,
                "at": (Clock()() + timedelta(minutes=2)).isoformat(),
                "phase": "pulling",
                "done": 6_100_000_000,
                "total": 15_000_000_000,
            },
        )
        await expect(page.locator("#cover-advice")).to_contain_text("6.1 of 15.0 GB")
        await page.get_by_role("button", name="Stop", exact=True).click()
        await page.get_by_role("button", name="Only my session").click()
        await expect(page.locator("#state")).to_have_text("Ready")
        await _look_again(page)
        await expect(page.locator("#cost")).to_have_text(
            re.compile(r"about \$0\.\d\d now, \$0\.\d\d this month")
        )


async def test_a_machine_can_be_kept_on_until_a_time_of_day(page: Page) -> None:
    async with deployed() as deployment:
        await _start(page, deployment)
        await _live(page)
        until = await page.evaluate(
            "() => { const t = new Date(Date.now() + 125 * 60000); return t.toTimeString().slice(0, 5); }"
        )
        await page.locator("#keep-until").fill(until)
        await expect(page.locator("#countdown")).to_have_text(re.compile(r"stops in 2:0\d:\d\d"))


async def test_a_page_that_is_opened_again_shows_that_the_machine_runs(page: Page) -> None:
    async with deployed() as deployment:
        await _start(page, deployment)
        await _live(page)
        await page.reload()
        await expect(page.locator("#state")).to_have_text("Ready")
        await expect(page.locator("#countdown")).to_have_text(re.compile(r"stops in 1[34]:\d\d"))


async def test_a_machine_that_others_use_is_not_stopped(page: Page) -> None:
    async with deployed() as deployment:
        await _start(page, deployment)
        await _live(page)
        socket_url = deployment.media.replace("http", "ws") + "ws/inference"
        async with InferenceClient(socket_url, token=deployment.token(Audience.SESSION)):
            await _stop_the_machine_too(page)
            await expect(page.locator("#cover-title")).to_have_text("The GPU machine runs on")
            await expect(page.locator("#cover-advice")).to_contain_text("Someone is using the machine.")
        assert deployment.cloud.state == "running"


async def test_a_key_of_the_past_is_asked_for_again(page: Page) -> None:
    async with deployed() as deployment:
        await page.goto(deployment.site)
        await page.get_by_role("button", name="Start", exact=True).click()
        await _enter_key(page, deployment.token(Audience.API, timedelta(minutes=-1)))
        await _enter_key(page, deployment.token(Audience.API), "The server asks for a valid access key")
        await expect(page.locator("#state")).to_have_text("Waiting for the GPU")


async def test_a_token_that_is_too_old_is_asked_for_anew(page: Page) -> None:
    # The clock of the functions is a minute ahead and the media server's tolerance is 10 s, so that tokens
    # are good for 8 s: as of a session that outlived its own, and was lost for good.
    async with contextlib.AsyncExitStack() as stack:
        deployment = await stack.enter_async_context(deployed(token_life=timedelta(seconds=-62)))
        await _start(page, deployment)
        await _live(page)
        await deployment.media_server.aclose()
        await expect(page.locator("#state")).to_have_text("Reconnecting")
        await asyncio.sleep(9)
        await stack.enter_async_context(deployment.booted(loading(RedThingDetector())))
        await _live(page)
        await page.locator("details").evaluate("details => { details.open = true }")
        await expect(page.locator("#diagnostics")).to_contain_text(
            re.compile("reconnecting.*starting_gpu.*connecting.*live", re.DOTALL)
        )


async def test_server_and_functions_with_different_keys(page: Page) -> None:
    async with deployed(media_keys={"k1": "a key that the functions do not know"}) as deployment:
        await _start(page, deployment)
        await expect(page.locator("#cover-title")).to_have_text(
            "The server refuses the token of its service", timeout=15_000
        )
        await expect(page.get_by_label("Access key")).to_be_hidden()


async def test_a_server_that_takes_no_pages_of_this_origin(page: Page) -> None:
    async with deployed(let_in="https://example.org") as deployment:
        await _start(page, deployment)
        title = page.locator("#cover-title")
        await expect(title).to_have_text("The server does not let this page in")
        await expect(page.locator("#cover-advice")).to_contain_text("allowed_origins")


async def test_a_machine_stopped_by_its_schedule_is_told(page: Page) -> None:
    async with deployed() as deployment:
        await _start(page, deployment)
        await _live(page)
        await deployment.advance(minutes=8 * 60 + 1)  # past the maximum, when it stops in any case
        await deployment.media_server.aclose()
        await expect(page.locator("#cover-title")).to_have_text(
            "The GPU machine was stopped by its schedule", timeout=10_000
        )
        await expect(page.get_by_role("button", name="Start again")).to_be_visible()


async def test_the_service_is_away(page: Page) -> None:
    async with serving(never_loads, wait_ready=False, lifecycle_api=HttpUrl("http://127.0.0.1:9")) as site:
        await page.goto(site)
        await page.get_by_role("button", name="Start", exact=True).click()
        title = page.locator("#cover-title")
        await expect(title).to_have_text("The service that starts the GPU cannot be reached")
