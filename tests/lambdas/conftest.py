from __future__ import annotations

from collections.abc import Iterator

import pytest

pytest.importorskip("moto", reason="the functions are tested over moto: pip install -e .[test]")

from moto import mock_aws

from tests.lambdas.world import World


@pytest.fixture(scope="package")
def _aws() -> Iterator[World]:
    """boto3's clients and moto's tables take seconds to make, so one world serves the whole package."""
    with mock_aws():
        world = World()
        yield world
        world.close()


@pytest.fixture
def world(_aws: World) -> World:
    """A machine that is off, in an AWS that works."""
    _aws.reset()
    return _aws
