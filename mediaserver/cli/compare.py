"""``mediaserver compare``: whether two runs over the same clips found the same."""

from __future__ import annotations

import argparse
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from rich.console import Group
from rich.table import Table

from mediaserver.cli.output import say, show
from mediaserver.client.comparison import Agreement, Comparison, compare, read_results

DESCRIPTION = (
    "Compares the results of two runs of `mediaserver replay --every-frame --out`, frame by frame. Objects "
    "of one label match by the overlap of their boxes, texts by their words. Exit status: 0 if the runs "
    "agree, 1 if they differ, 2 if a file cannot be read."
)
EXAMPLES = (
    "mediaserver compare before.jsonl after.jsonl",
    "mediaserver compare before.jsonl after.jsonl --agreement 0.95 --json",
)
_FRAMES_SHOWN = 5


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The two files, and what counts as the same."""
    parser.add_argument("first", type=Path, help="a file that mediaserver replay --out wrote")
    parser.add_argument("second", type=Path, help="the file of another run over the same clips")
    parser.add_argument(
        "--iou",
        type=_share,
        default=0.5,
        metavar="0..1",
        help="least overlap (intersection over union) of two boxes of the same object; default: %(default)s",
    )
    parser.add_argument(
        "--agreement",
        type=_share,
        default=1.0,
        metavar="0..1",
        help="least share of frames, of objects of each stage, and of texts that must match; "
        "default: %(default)s (all)",
    )
    parser.add_argument("--json", action="store_true", help="print the summary as one line of JSON")


def _share(text: str) -> float:
    try:
        share = float(text)
    except ValueError:
        share = -1.0
    if not 0 <= share <= 1:
        raise argparse.ArgumentTypeError(f"{text!r}: give a number from 0 to 1")
    return share


def run(parsed: argparse.Namespace) -> int:
    """Prints the summary; 1 where the runs do not agree. Raises `mediaserver.errors.UnreadableFile`."""
    first, second = read_results(parsed.first), read_results(parsed.second)
    comparison = compare(first, second, min_iou=parsed.iou)
    agree = comparison.share >= parsed.agreement
    if parsed.json:
        say(json.dumps(_as_json(comparison, agree=agree)))
    else:
        show(_summary(comparison, (parsed.first.name, parsed.second.name), agree=agree))
    return 0 if agree else 1


def _kinds(comparison: Comparison) -> list[tuple[str, Agreement, Sequence[float], Sequence[float]]]:
    stages = [
        (str(stage), agreement, comparison.overlaps.get(stage, []), comparison.score_changes.get(stage, []))
        for stage, agreement in comparison.stages.items()
    ]
    return [("frames", comparison.frames, [], []), *stages, ("texts", comparison.texts, [], [])]


def _summary(comparison: Comparison, names: tuple[str, str], *, agree: bool) -> Group:
    table = Table(title="the runs agree" if agree else "the runs differ", title_justify="left")
    for column in ("", *names, "in both", "agreement", "mean IoU", "least IoU", "scores differ by"):
        table.add_column(column, justify="left" if column == "" else "right")
    for name, kind, overlaps, changes in _kinds(comparison):
        table.add_row(
            *(name, str(kind.first), str(kind.second), str(kind.same), f"{kind.share:.1%}"),
            f"{_mean(overlaps):.3f}" if overlaps else "",
            f"{min(overlaps):.3f}" if overlaps else "",
            f"{_mean(changes):.3f}" if changes else "",
        )
    worst = Table(title="frames that differ most", title_justify="left")
    for column in ("clip", "time", "without partner"):
        worst.add_column(column)
    differing = [(moment, count) for moment, count in comparison.different.most_common() if count]
    for moment, count in differing[:_FRAMES_SHOWN]:
        worst.add_row(moment.clip, f"{moment.time_ms / 1000:.3f} s", str(count))
    return Group(table, worst) if differing else Group(table)


def _as_json(comparison: Comparison, *, agree: bool) -> dict[str, Any]:
    content: dict[str, Any] = {"agree": agree}
    for name, kind, overlaps, changes in _kinds(comparison):
        content[name] = {
            "first": kind.first,
            "second": kind.second,
            "same": kind.same,
            "agreement": round(kind.share, 4),
        }
        if overlaps:
            content[name] |= {
                "mean_iou": round(_mean(overlaps), 4),
                "least_iou": round(min(overlaps), 4),
                "mean_score_change": round(_mean(changes), 4),
            }
    return content


def _mean(values: Sequence[float]) -> float:
    return sum(values) / len(values)
