from __future__ import annotations

import io

from rich.console import Console

from mediaserver.cli.replay_summary import Summary, drawn_words, summary_table
from mediaserver.client.channel import Channel
from signaling.pipeline_config import Model


def shown(summary: Summary) -> str:
    console = Console(file=io.StringIO(), width=200, record=True)
    console.print(summary_table(summary, "clip.mp4"))
    return console.export_text()


def test_what_was_left_out_is_counted_in_words() -> None:
    assert "1 packet of the clip was left out" in shown(Summary(Channel.DATACHANNEL, damaged=1))
    assert "2 packets of the clip were left out" in shown(Summary(Channel.DATACHANNEL, damaged=2))
    assert "left out" not in shown(Summary(Channel.DATACHANNEL))


def test_an_age_that_is_unknown_says_why() -> None:
    assert "unknown: it ended too soon to tell" in shown(Summary(Channel.DATACHANNEL))


def test_it_says_what_found_things_and_what_that_does_not_know() -> None:
    models = {
        "detect": Model("nanodet_g", ["person", "car"], kinds=2, licence="Apache-2.0"),
        "pose": Model("pose", [], kinds=1, synthetic=True),
        "flow": Model("Farneback", []),
    }
    told = shown(Summary(Channel.DATACHANNEL, models=models))
    assert "nanodet_g (2 kinds), pose (1 kind, drawn scenes only)" in told
    assert "Farneback" not in told
    warning = drawn_words(models, None)
    assert warning is not None
    assert "models for pose were trained on drawn scenes and will not recognise real people" in warning
    assert "mediaserver models pull nanodet_g movenet_multipose" in warning
    assert drawn_words(models, ("detect", "flow")) is None
