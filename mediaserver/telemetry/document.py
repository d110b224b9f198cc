"""Writes the table of metrics into a document: ``python -m mediaserver.telemetry.document FILE``."""

from __future__ import annotations

import sys
from pathlib import Path

from mediaserver.telemetry.metrics import MetricDescription, Metrics

BEGIN = "<!-- Generated from mediaserver/telemetry/metrics.py by `make docs`. -->\n"
END = "<!-- End of what is generated. -->\n"
_HEAD = "| metric | type | labels | meaning | of several workers |\n|---|---|---|---|---|\n"


def with_metrics(document: str) -> str:
    """Returns the document with the table anew between its two marks. Raises `ValueError` without them."""
    before, _, rest = document.partition(BEGIN)
    _, end, after = rest.partition(END)
    if not end:
        raise ValueError(f"the document lacks the lines {BEGIN.strip()} and {END.strip()}")
    return f"{before}{BEGIN}\n{_HEAD}{''.join(map(_row, Metrics().described))}\n{END}{after}"


def _row(metric: MetricDescription) -> str:
    labels = ". ".join(f"`{name}`: {values}" for name, values in metric.labels.items())
    return f"| `{metric.name}` | {metric.kind} | {labels} | {metric.text} | {metric.workers} |\n"


if __name__ == "__main__":
    _file = Path(sys.argv[1])
    _file.write_text(with_metrics(_file.read_text()))
