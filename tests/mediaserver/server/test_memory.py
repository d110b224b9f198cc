from __future__ import annotations

import resource
from pathlib import Path

import pytest

from mediaserver.server.memory import Memory

MIB = 1024 * 1024


def group(folder: Path, *, current: int, high: str = "max", most: str = "max", files: int = 0) -> Memory:
    """As the kernel shows a control group of its own (cgroup v2)."""
    (folder / "memory.current").write_text(f"{current}\n")
    (folder / "memory.high").write_text(f"{high}\n")
    (folder / "memory.max").write_text(f"{most}\n")
    (folder / "memory.stat").write_text(f"anon {current - files}\nfile {files}\ninactive_file {files}\n")
    return Memory(folder)


@pytest.mark.parametrize(
    ("numbers", "is_short"),
    [
        ({"current": 89 * MIB, "high": str(100 * MIB)}, False),
        ({"current": 90 * MIB, "high": str(100 * MIB)}, True),
        ({"current": 95 * MIB, "high": str(100 * MIB), "files": 10 * MIB}, False),
        ({"current": 95 * MIB, "most": str(100 * MIB)}, True),
        ({"current": 95 * MIB, "high": str(200 * MIB), "most": str(100 * MIB)}, True),
        ({"current": 10**15}, False),
    ],
    ids=["enough", "short", "files can be dropped", "the hard limit", "the lower of two", "no limit"],
)
def test_memory_is_short_near_the_limit(tmp_path: Path, numbers: dict[str, int], is_short: bool) -> None:
    assert group(tmp_path, **numbers).is_short(now=0.0) is is_short  # type: ignore[arg-type]


def test_it_is_looked_at_once_a_second(tmp_path: Path) -> None:
    memory = group(tmp_path, current=10 * MIB, high=str(100 * MIB))
    assert not memory.is_short(now=7.0)
    (tmp_path / "memory.current").write_text(str(99 * MIB))
    assert not memory.is_short(now=7.9)
    assert memory.is_short(now=8.0)


def test_where_there_is_no_control_group_there_is_no_limit(tmp_path: Path) -> None:
    assert not Memory(None).is_short(now=0.0)
    assert not Memory(tmp_path / "absent").is_short(now=0.0)


@pytest.mark.parametrize(
    ("lines", "folder"),
    [
        ("0::/system.slice/mediaserver.service\n", "system.slice/mediaserver.service"),
        ("9:memory:/old\n0::/\n", ""),
        ("9:memory:/old\n", None),
    ],
    ids=["of a service", "of a container", "cgroup v1"],
)
def test_the_group_is_the_one_that_the_process_is_in(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, lines: str, folder: str | None
) -> None:
    own = tmp_path / "cgroup"
    own.write_text(lines)
    monkeypatch.setattr("mediaserver.server.memory._OWN_CGROUP", own)
    monkeypatch.setattr("mediaserver.server.memory._CGROUPS", tmp_path)
    (tmp_path / (folder or "")).mkdir(parents=True, exist_ok=True)
    group(tmp_path / (folder or ""), current=99 * MIB, high=str(100 * MIB))
    assert Memory.of_this_process().is_short(now=0.0) is (folder is not None)


def test_so_it_is_near_the_limit_of_the_process_itself(monkeypatch: pytest.MonkeyPatch) -> None:
    used = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
    for limit, is_short in ((used, True), (2 * used, False), (resource.RLIM_INFINITY, False)):
        monkeypatch.setattr("resource.getrlimit", lambda kind: (limit, limit))  # noqa: B023
        assert Memory(None).is_short(now=0.0) is is_short
