"""Tests and benchmarks. What trains the built-in models is not installed: here is where it lies."""

import sys
from pathlib import Path

sys.path.append(str(Path(__file__).resolve().parents[1] / "triton" / "train"))
