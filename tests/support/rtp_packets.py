"""Packets of a made-up video stream, and an assembler that counts what it drops."""

from __future__ import annotations

from mediaserver.webrtc.codecs import VideoCodec
from mediaserver.webrtc.frame_assembler import EncodedFrame, FrameAssembler
from mediaserver.webrtc.packet_window import MediaPacket

FRAME_TICKS = 3000


class CountingAssembler(FrameAssembler):
    def __init__(self, **settings: float) -> None:
        super().__init__(self.count, **settings)
        self.dropped = 0

    def count(self, dropped: int) -> None:
        self.dropped += dropped


class Sender:
    """Makes the packets of consecutive VP8 frames; each packet carries its own number as data."""

    def __init__(self, first_sequence: int = 1000, first_timestamp: int = 0, ssrc: int = 1) -> None:
        self.sequence = first_sequence
        self.timestamp = first_timestamp
        self.ssrc = ssrc

    def packet(self, at: float, *, data: bytes | None = None, **flags: bool) -> MediaPacket:
        packet = MediaPacket(
            ssrc=self.ssrc,
            sequence_number=self.sequence & 0xFFFF,
            timestamp=self.timestamp & 0xFFFFFFFF,
            codec=VideoCodec.VP8,
            data=b"%d," % self.sequence if data is None else data,
            arrived=at,
            marker=flags.get("marker", False),
            begins_frame=flags.get("begins_frame", False),
            keyframe=flags.get("keyframe", False),
        )
        self.sequence += 1
        return packet

    def frame(self, at: float = 0.0, *, size: int = 3, keyframe: bool = False) -> list[MediaPacket]:
        self.timestamp += FRAME_TICKS
        return [
            self.packet(at, marker=i == size - 1, begins_frame=i == 0, keyframe=keyframe and i == 0)
            for i in range(size)
        ]

    def padding(self, at: float = 0.0) -> MediaPacket:
        return self.packet(at, data=b"")


def add_all(assembler: FrameAssembler, packets: list[MediaPacket]) -> list[EncodedFrame]:
    return [frame for packet in packets for frame in assembler.add(packet)]


def started(sender: Sender, **settings: float) -> FrameAssembler:
    """An assembler that has the keyframe already."""
    assembler = CountingAssembler(**settings)
    assert len(add_all(assembler, sender.frame(keyframe=True))) == 1
    return assembler
