"""One client, hostile or broken, takes nothing from the others: a good session goes on beside each attack."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path
from struct import pack

import pytest
import pytest_asyncio

from tests.support.jpeg_client import jpeg_client
from tests.support.server_process import ServerProcess, server_process
from tests.support.waiting import eventually
from tests.support.webrtc_attacks import MEDIA_ATTACKS, SCTP_ATTACKS, WHOLE, Attack
from tests.support.webrtc_client import webrtc_client

CALM_S, ATTACK_S = 2.0, 3.0


@pytest_asyncio.fixture(loop_scope="module", scope="module")
async def server(tiny_models: Path) -> AsyncIterator[ServerProcess]:
    async with server_process(tiny_models, no_media_timeout_s=60) as running:
        yield running


@pytest.mark.asyncio(loop_scope="module")
@pytest.mark.parametrize("attack", [*SCTP_ATTACKS, *MEDIA_ATTACKS], ids=lambda attack: attack.__name__)
async def test_a_good_session_goes_on_beside(server: ServerProcess, jpeg: bytes, attack: Attack) -> None:
    async with jpeg_client(server, jpeg, pose=False) as good, webrtc_client(server) as hostile:
        await eventually(lambda: good.results)
        began = len(good.results)
        await asyncio.sleep(CALM_S)
        calm = (len(good.results) - began) / CALM_S
        began = len(good.results)
        await attack(hostile, ATTACK_S)
        await asyncio.sleep(0.5)
        under_attack = (len(good.results) - began) / (ATTACK_S + 0.5)
        if attack in SCTP_ATTACKS:  # no well-meaning client does that
            await eventually(lambda: hostile.end_reason == "protocol_error")
            began = len(good.results)
            await asyncio.sleep(1)
            under_attack = len(good.results) - began
        assert under_attack > 0.6 * calm
        assert not good.closed


@pytest.mark.asyncio(loop_scope="module")
async def test_an_opening_whose_acknowledgement_is_lost_is_sent_again_and_ends_nothing(
    server: ServerProcess,
) -> None:
    async with webrtc_client(server) as client:
        opening = client.data(pack("!BBHLHH", 3, 0, 0, 0, 1, 0) + b"x", flags=WHOLE, protocol=50)
        opening.stream_id = 101
        client.hears_nothing()
        for _ in range(3):
            await client.send_sctp(opening)
            await asyncio.sleep(0.2)
        await asyncio.sleep(1.0)
        assert client.end_reason is None, client.messages
