"""What came of a replay, in figures."""

from __future__ import annotations

import json
import time
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
from rich.table import Table

from mediaserver.client.channel import Channel
from mediaserver.client.stats import ClientStats
from mediaserver.models.files import DRAWN_ONLY, PULL_DEFAULTS
from signaling.messages import Event, OcrEvent, Result
from signaling.pipeline_config import Model

_WORTH_TELLING_S = 0.5


@dataclass(slots=True)
class Summary:
    """What came of a replay; `as_json` is the object that ``--json`` prints."""

    channel: Channel
    every_frame: bool = False
    frames_sent: int = 0
    damaged: int = 0
    """Packets and pictures that could not be decoded."""
    slowed_s: float = 0.0
    """How much longer than the clips it took to play them, as decoding was slower than real time."""
    results: int = 0
    ages_ms: list[float] = field(default_factory=list)
    dropped: dict[str, int] = field(default_factory=dict)
    labels: Counter[str] = field(default_factory=Counter)
    texts: list[str] = field(default_factory=list)
    models: dict[str, Model] = field(default_factory=dict)
    """Of the server, by stage."""
    first_result_at: float | None = None
    last_result_at: float | None = None

    @property
    def inference_fps(self) -> float:
        """Results a second between the first and the last one."""
        if self.first_result_at is None or self.last_result_at is None or self.results < 2:
            return 0.0
        return (self.results - 1) / max(1e-6, self.last_result_at - self.first_result_at)

    def add(self, result: Result) -> None:
        """Counts a result that arrived just now."""
        now = time.monotonic()
        self.first_result_at = self.first_result_at or now
        self.last_result_at = now
        self.results += 1
        self.dropped = result.dropped
        self.labels.update(item.label for item in result.detections or result.segments or ())
        if result.frame.capture_time_ms is not None and not result.frame.capture_time_estimated:
            self.ages_ms.append(time.time() * 1000.0 - result.frame.capture_time_ms)

    def add_stats(self, stats: ClientStats) -> None:
        """Adds what the client counted of one clip."""
        self.frames_sent += stats.frames_sent
        self.damaged += stats.damaged
        self.slowed_s += stats.slowed_s

    def add_texts(self, event: Event) -> None:
        """Keeps each text once, in the order of appearance."""
        for item in event.texts if isinstance(event, OcrEvent) else ():
            if item.text not in self.texts:
                self.texts.append(item.text)

    def age_ms(self, percentile: float) -> float | None:
        """Age of results when they arrived, from the capture of their frame."""
        return round(float(np.percentile(self.ages_ms, percentile)), 1) if self.ages_ms else None

    def as_json(self) -> str:
        """One line."""
        return json.dumps(
            {
                "frames_sent": self.frames_sent,
                "damaged": self.damaged,
                "slowed_s": round(self.slowed_s, 2),
                "results": self.results,
                "inference_fps": round(self.inference_fps, 2),
                "result_age_ms": {"p50": self.age_ms(50), "p99": self.age_ms(99)},
                "dropped": self.dropped,
                "models": {stage: model.name for stage, model in self.models.items()},
                "labels": dict(self.labels.most_common()),
                "texts": self.texts,
                "channel": self.channel,
                "every_frame": self.every_frame,
            }
        )


def summary_table(summary: Summary, title: str) -> Table:
    """The summary for people."""
    table = Table(title=title, show_header=False, title_justify="left")
    rows = [
        ("channel", "every frame, as JPEG" if summary.every_frame else summary.channel),
        ("models", _models_in_words(summary.models)),
        ("frames sent", summary.frames_sent),
        ("results", summary.results),
        ("inference", f"{summary.inference_fps:.1f} fps"),
        ("result age", _age_in_words(summary)),
        ("dropped", ", ".join(f"{stage} {count}" for stage, count in summary.dropped.items()) or "nothing"),
        ("labels", ", ".join(f"{label} {count}" for label, count in summary.labels.most_common(8)) or "none"),
        ("texts", ", ".join(summary.texts) or "none"),
    ]
    if summary.damaged:
        rows.insert(2, ("damaged", _left_out(summary.damaged)))
    if summary.slowed_s >= _WORTH_TELLING_S:
        words = f"slower than real time here: the clip took {summary.slowed_s:.1f} s longer"
        rows.insert(2, ("decoding", words))
    for name, value in rows:
        table.add_row(name, str(value))
    return table


def _models_in_words(models: Mapping[str, Model]) -> str:
    """Those that look at the picture for things and people."""
    words = []
    for stage in ("detect", "pose", "segment"):
        if (model := models.get(stage)) is not None:
            kinds = f"{model.kinds} kind{'s' if model.kinds != 1 else ''}"
            words.append(f"{model.name} ({kinds}{', drawn scenes only' if model.synthetic else ''})")
    return ", ".join(words) or "unknown"


def drawn_words(models: Mapping[str, Model], stages: Sequence[str] | None) -> str | None:
    """The note for models that recognise drawn scenes only, of ``stages`` or (``None``) of all."""
    drawn = [name for name, model in models.items() if model.synthetic and (stages is None or name in stages)]
    if not drawn:
        return None
    which = " and ".join(drawn)
    return f"the server's models for {which} were {DRAWN_ONLY}; for these, where it runs: {PULL_DEFAULTS}"


def _left_out(damaged: int) -> str:
    return (
        "1 packet of the clip was left out"
        if damaged == 1
        else f"{damaged} packets of the clip were left out"
    )


def _age_in_words(summary: Summary) -> str:
    if summary.every_frame:
        return "not in real time"
    if not summary.ages_ms:
        return "unknown: it ended too soon to tell"
    return f"{summary.age_ms(50):.0f} ms median, {summary.age_ms(99):.0f} ms p99"
