"""The tables of docs/scale.md follow from its formulas and from what was measured."""

from __future__ import annotations

import math
import re
import subprocess
from pathlib import Path

import pytest
import yaml

from mediaserver.settings.model import Settings
from tests.support import helm

ROOT = Path(__file__).parents[1]
SCALE = (ROOT / "docs" / "scale.md").read_text()
MEASURED = (ROOT / "docs" / "measurements.md").read_text()
OPERATE = (ROOT / "docs" / "operate.md").read_text()
CHART = ROOT / "deploy" / "helm" / "mediaserver"
TARGET, SESSIONS, CELL = 0.7, 100_000, 500


def numbers(row: str) -> list[float]:
    """Of a row of a table, what is written as figures."""
    return [float(text) for text in re.findall(r"\$?(\d+(?:\.\d+)?)", row)]


def rows(heading: str) -> list[str]:
    """Of the table whose first line begins so."""
    [table] = re.findall(rf"^\| {re.escape(heading)}.*\n\|[-|]+\|\n((?:\|.*\n)+)", SCALE, re.MULTILINE)
    return str(table).splitlines()


def test_the_costs_of_a_session_are_those_measured() -> None:
    """What the model is made of: 8 sessions of 30 frames/s had 167 results/s of 0.47 processors."""
    assert "| 8 sessions of 30 frames/s, WebRTC | 167 | 88 % | 8.2 | 34 | 14 / 41 | 0.47 /" in MEASURED
    assert "| receiving one stream of 30 fps, to the decoded frame | 11 ms of processor a second |" in OPERATE
    received_ms, result_ms, loop_received_ms, loop_ms = map(float, re.findall(r"[fr] × ([\d.]+) ms", SCALE))
    assert received_ms == pytest.approx(11 / 30, abs=0.01)
    assert result_ms == pytest.approx((470 - 240 * received_ms) / 167, abs=0.05)
    assert loop_received_ms == pytest.approx(received_ms / 3, abs=0.01)
    assert loop_ms == 1.1
    for row in rows("| a processor"):
        f, processor, loop, gpu = numbers(row)
        assert processor == int(1000 * TARGET / (f * received_ms + 10 * result_ms))
        assert loop == int(1000 * TARGET / (f * loop_received_ms + 10 * loop_ms))
        assert gpu == TARGET * 500 / 10


def test_the_cost_of_a_session_hour_follows_from_the_formula() -> None:
    price, traffic = (
        float(re.findall(rf"^\| `{name}` .*?\$([\d.]+)", SCALE, re.MULTILINE)[0]) for name in "PD"
    )
    for row in rows("`n` |"):
        places, share, node, both = numbers(row)
        assert node == pytest.approx(price / (places * share), abs=0.0001)
        assert both == pytest.approx(node + 0.027 * traffic, abs=0.0001)


def test_the_hundred_thousand_follow_from_the_unit() -> None:
    for row in rows("sessions a node, aimed at"):
        sessions, places, nodes, cells, nodes_of_cell, of_cell, cost = numbers(row)
        assert sessions == int(TARGET * places)
        assert nodes == math.ceil(SESSIONS / sessions)
        assert cells == math.ceil(nodes / CELL)
        assert nodes_of_cell == math.ceil(nodes / cells)
        assert of_cell == SESSIONS / cells
        assert cost == pytest.approx(nodes * 0.526, abs=1)
    default = Settings().max_sessions
    assert f"| {int(TARGET * default)} (`max_sessions` {default})" in SCALE


def test_its_commands_are_what_helm_takes() -> None:
    commands = re.findall(r"^ *helm (?:install|upgrade) (\S+) \S+ (.+)$", SCALE, re.MULTILINE)
    assert len(commands) == 2
    for release, rest in commands:
        values = rest.replace("--reuse-values", "").split()
        command = [str(helm.binary()), "template", release, str(CHART), *values]
        made = subprocess.run(command, capture_output=True, text=True, check=False, timeout=60)
        assert made.returncode == 0, made.stderr


def test_its_machines_take_what_the_chart_makes() -> None:
    """Nodes tolerate the taint of the pool, and nothing of it ends a node that has sessions."""
    [text] = re.findall(r"```yaml\n(.*?)```", SCALE, re.DOTALL)
    pool = yaml.safe_load(text)["spec"]
    values = yaml.safe_load((CHART / "values.yaml").read_text())
    tolerated = {each["key"] for each in values["nodes"]["tolerations"]}
    assert {each["key"] for each in pool["template"]["spec"]["taints"]} <= tolerated
    assert pool["template"]["spec"]["expireAfter"] == "Never"
    assert pool["disruption"]["consolidationPolicy"] == "WhenEmpty"
    assert pool["limits"]["nvidia.com/gpu"] == CELL
