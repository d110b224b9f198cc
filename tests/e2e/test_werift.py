"""werift, a WebRTC of its own in TypeScript: a session that neither a browser nor aiortc made."""

from __future__ import annotations

import asyncio
import base64
import json
import shutil
from pathlib import Path
from typing import Any

import av
import cv2
import numpy as np
import pytest
from aiortc.codecs.base import Encoder
from aiortc.codecs.h264 import H264Encoder
from aiortc.codecs.vpx import Vp8Encoder
from av.video.frame import PictureType
from msgspec import Struct

from signaling.protocol_examples import SESSION
from signaling.protocol_schema import CLIENT_MESSAGES
from tests.support.live_server import live_server
from tests.support.node_packages import installed

WERIFT = Path(__file__).resolve().parents[1] / "support" / "werift"
ENCODERS: dict[str, type[Encoder]] = {"VP8": Vp8Encoder, "H264": H264Encoder}
TIMEOUT_S = 60


def payloads(clip: Path, encoder: Encoder) -> list[list[str]]:
    """RTP payloads of each frame, in base64; the first is a keyframe, and each that may get lost is followed
    by one within a second."""
    coded = []
    with av.open(str(clip)) as container:
        for number, frame in enumerate(container.decode(video=0)):
            frame.pict_type = PictureType.NONE
            parts, _ = encoder.encode(frame, force_keyframe=number % 30 == 0)
            coded.append([base64.b64encode(part).decode() for part in parts])
    return coded


async def report_of(script: str, *arguments: str) -> dict[str, Any]:
    """What a client in node prints."""
    node = shutil.which("node")
    if node is None:
        pytest.skip("no node in PATH (Debian: apt-get install nodejs)")
    packages = await asyncio.to_thread(installed, WERIFT)
    process = await asyncio.create_subprocess_exec(
        *(node, "--input-type=module", "-", *arguments),
        cwd=packages,  # where imports are looked for
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
    )
    try:
        async with asyncio.timeout(TIMEOUT_S):
            said, _ = await process.communicate((WERIFT / script).read_bytes())
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()
    report: dict[str, Any] = json.loads(said)
    return report


@pytest.mark.parametrize("codec", ENCODERS)
@pytest.mark.parametrize("channel", ["datachannel", "websocket"])
async def test_a_session_with_results(
    tiny_models: Path, clip: Path, tmp_path: Path, channel: str, codec: str
) -> None:
    frames = tmp_path / "frames.json"
    frames.write_text(json.dumps(payloads(clip, ENCODERS[codec]())))
    async with live_server(tiny_models) as live:
        report = await report_of("client.mjs", live.socket_url, channel, codec, str(frames))
        assert live.ended("bye") == 1
    assert report["results"][channel] >= 60
    assert report["labels"], "what is in the picture was found"
    assert report["reason"] == "bye"


async def test_a_client_written_from_the_protocol_page_goes_through_a_session(
    tiny_models: Path, clip: Path, tmp_path: Path
) -> None:
    _, jpeg = cv2.imencode(".jpg", np.zeros((240, 320, 3), np.uint8))
    content = {"frames": payloads(clip, Vp8Encoder()), "jpeg": base64.b64encode(jpeg).decode()}
    media = tmp_path / "media.json"
    media.write_text(json.dumps(content))
    async with live_server(tiny_models, max_sessions=1) as live:
        report = await report_of("session.mjs", live.socket_url, str(media))
    assert report["refused"] == {"status": 503, "retryAfter": "10", "error": "full", "retry_after_s": 10}
    assert report["plain"] == 503
    assert report["watched"][:2] == ["watching", "published"]
    assert report["ways"]["datachannel"] > 5
    assert report["late"] < report["ways"]["datachannel"] / 10, "the numbering goes on over the lost socket"
    assert abs(report["offsetMs"]) < 1000
    assert (report["error"]["code"], report["error"]["fatal"]) == ("unknown_type", False)
    assert report["eventId"] == 1
    assert report["resumed"]
    assert report["jpeg"]["frame"]["rtp_timestamp"] is None
    assert (report["closing"]["reason"], report["closeCode"]) == ("bye", 1000)
    assert (report["plainAgain"]["status"], report["plainAgain"]["error"]) == (400, "bad_request")
    assert (report["fatal"]["code"], report["fatal"]["fatal"]) == ("unsupported_version", True)
    assert report["end"]["reason"] == "protocol_error"
    assert_is_told(report["said"], [kind for kind in SESSION if kind in CLIENT_MESSAGES])
    assert_is_told(report["heard"], [kind for kind in SESSION if kind not in CLIENT_MESSAGES])


def assert_is_told(names: list[str], kinds: list[type[Struct]]) -> None:
    """Each message of the session on the page is one of this session, too."""
    for kind in kinds:
        config = kind.__struct_config__
        name = config.tag if config.tag_field == "type" else f"event {config.tag}"
        assert name in names, name
