from __future__ import annotations

from mediaserver.webrtc.codecs import VideoCodec
from mediaserver.webrtc.packet_window import MediaPacket, PacketWindow


def packet(timestamp: int = 0, data: bytes = b"x", **flags: bool) -> MediaPacket:
    return MediaPacket(
        ssrc=1,
        sequence_number=0,
        timestamp=timestamp,
        marker=flags.get("marker", False),
        codec=VideoCodec.VP8,
        data=data,
        arrived=0.0,
        begins_frame=flags.get("begins_frame", False),
        keyframe=flags.get("keyframe", False),
    )


PADDING = packet(data=b"")
MARKED = packet(marker=True)
KEY = packet(begins_frame=True, keyframe=True)


def window(packets: dict[int, MediaPacket]) -> PacketWindow:
    """Filled in the order that is given."""
    made = PacketWindow()
    for sequence, each in packets.items():
        made.add(sequence, each)
    return made


def frame_at(made: PacketWindow, start: int) -> tuple[int, int] | None:
    run = made.whole_frame(start)
    return None if run is None else (run.first, run.last)


def test_a_frame_is_whole_from_its_start_to_the_marker_in_whatever_order_it_came() -> None:
    for order in ((1, 2, 3), (3, 2, 1), (2, 3, 1), (1, 3, 2)):
        packets = {sequence: MARKED if sequence == 3 else packet() for sequence in order}
        assert frame_at(window(packets), 1) == (1, 3)


def test_a_marker_ends_a_frame_also_where_the_next_has_the_same_timestamp() -> None:
    made = window({2: packet(), 1: MARKED, 3: MARKED})
    assert [frame_at(made, start) for start in (1, 2)] == [(1, 1), (2, 3)]


def test_data_of_another_time_ends_a_frame_whose_sender_sets_no_marker() -> None:
    assert frame_at(window({1: packet(), 2: packet()}), 1) is None
    assert frame_at(window({1: packet(), 3: packet(timestamp=9), 2: packet()}), 1) == (1, 2)


def test_padding_belongs_to_the_frame_before_it() -> None:
    assert frame_at(window({2: PADDING, 1: packet(), 3: MARKED}), 1) == (1, 3)
    made = window({1: MARKED, 2: PADDING, 3: MARKED})
    alone = made.padding(2)
    assert alone is not None
    assert made.padding(3) is None
    assert len(made.take(alone)) == 1
    assert frame_at(made, 3) == (3, 3)


def test_a_keyframe_is_found_by_the_packet_that_makes_it_whole() -> None:
    made = window({5: KEY})
    assert made.new_whole_keyframe() is None
    made.add(6, MARKED)
    assert made.new_whole_keyframe() == 5
    made.add(9, packet())
    assert made.new_whole_keyframe() is None


def test_a_keyframe_whose_start_is_not_sure_is_found_when_what_came_before_is_known() -> None:
    made = window({5: packet(timestamp=9, keyframe=True), 6: packet(timestamp=9, marker=True)})
    assert made.new_whole_keyframe() is None
    made.add(4, MARKED)
    assert made.new_whole_keyframe() == 5


def test_the_first_of_many_starts_counts_also_after_others_were_dropped() -> None:
    made = window({sequence: KEY for sequence in (7, 3, 5)})
    assert made.keyframe_start == 3
    assert len(list(made.drop(0, 5))) == 1
    assert made.keyframe_start == 5


def test_a_run_may_be_cut_where_a_keyframe_begins() -> None:
    made = window({1: packet(), 2: packet(), 3: KEY, 4: MARKED})
    assert len(list(made.drop(1, 3))) == 2
    assert frame_at(made, 3) == (3, 4)
    assert len(made) == 2
    assert made.has_keyframe_packets
    run = made.whole_frame(3)
    assert run is not None
    made.take(run)
    assert (len(made), made.has_keyframe_packets, made.keyframe_start) == (0, False, None)
