from __future__ import annotations

import pytest

from mediaserver.serve import serve
from mediaserver.setting_types import NetworkInterface
from mediaserver.settings import Settings, SettingsError


def test_interfaces_that_are_not_there_end_the_start() -> None:
    with pytest.raises(SettingsError, match=r"'nowhere0', which names no address .* it has .*lo"):
        serve(Settings(ice_interfaces=(NetworkInterface("nowhere0"),)))
