from __future__ import annotations

import time

import pytest

from mediaserver.webrtc.codecs import VideoCodec, inspect_payload


@pytest.mark.parametrize(
    ("payload", "data", "expected"),
    [
        (b"\x10\x00", b"\x00", (True, True)),
        (b"\x10\x01", b"\x01", (True, False)),
        (b"\x90\x80\x85\x11\x00", b"\x00", (True, True)),
        (b"\x11\x00", b"\x00", (False, False)),
        (b"\x00\x00", b"\x00", (False, False)),
        (b"\x10", b"", (False, False)),
    ],
    ids=["key", "delta", "picture id", "partition 1", "continuation", "padding"],
)
def test_vp8(payload: bytes, data: bytes, expected: tuple[bool, bool]) -> None:
    assert inspect_payload(VideoCodec.VP8, payload, data) == expected


@pytest.mark.parametrize(
    ("payload", "expected"),
    [
        (b"\x67\x42", (True, True)),
        (b"\x65\x88", (False, True)),
        (b"\x41\x9a", (False, False)),
        (b"\x78\x00\x02\x67\x42\x00\x02\x68\xce", (True, True)),
        (b"\x78\x00\x02\x09\xf0\x00\x02\x41\x9a", (True, False)),
        (b"\x7c\x85\x88", (False, True)),
        (b"\x7c\x05\x88", (False, False)),
        (b"\x78\x00", (False, False)),
    ],
    ids=["sps", "idr", "slice", "stap-a sps", "stap-a aud", "fu-a start", "fu-a middle", "cut off"],
)
def test_h264(payload: bytes, expected: tuple[bool, bool]) -> None:
    assert inspect_payload(VideoCodec.H264, payload, payload) == expected


def test_a_packet_of_a_thousand_units_costs_no_more_than_its_bytes() -> None:
    """STAP-A with units of no byte at all, and with units of one."""

    def seconds(payload: bytes) -> float:
        began = time.process_time()
        for _ in range(50):
            inspect_payload(VideoCodec.H264, payload, payload)
        return time.process_time() - began

    for unit in (b"\x00\x00", b"\x00\x01\x05"):
        small, large = (min(seconds(b"\x18" + unit * count) for _ in range(3)) for count in (100, 1000))
        assert large < 40 * small
