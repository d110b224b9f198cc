from __future__ import annotations

import os
import resource

from mediaserver.server.descriptors import descriptors_left, shortage_of_descriptors


def test_a_shortage_is_told_with_the_limit() -> None:
    limits = resource.getrlimit(resource.RLIMIT_NOFILE)
    assert shortage_of_descriptors() is None
    few = len(os.listdir("/proc/self/fd")) + 10
    resource.setrlimit(resource.RLIMIT_NOFILE, (few, limits[1]))
    try:
        left, words = descriptors_left(), shortage_of_descriptors()
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, limits)
    assert left is not None
    assert 0 < left <= 10
    assert words is not None
    assert f"of {few}" in words
