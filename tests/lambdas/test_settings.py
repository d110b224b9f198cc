from __future__ import annotations

from datetime import timedelta

import pytest

from lambdas.settings import Settings, SettingsError

COMPLETE = {
    "STACK": "gpu",
    "SERVER_URL": "https://gpu.example.org/",
    "ADDRESS": "203.0.113.7",
    "ALLOCATION": "eipalloc-1",
    "BOOT_REPORT": "/mediaserver/gpu/boot",
    "START_TIMES": "/mediaserver/gpu/starts",
    "SCHEDULE_GROUP": "gpu",
    "REAPER_ARN": "arn:reaper",
    "SCHEDULER_ROLE_ARN": "arn:role",
    "KEYS_SECRET": "arn:secret",
    "IDLE_MINUTES": "15",
    "MAX_RUN_MINUTES": "480",
    "BOOT_MINUTES": "4",
    "BOOT_LIMIT_MINUTES": "40",
    "TOKEN_MINUTES": "15",
    "PRICE_USD_HOUR": "0.526",
}


def test_reads_the_environment() -> None:
    settings = Settings.from_environment(COMPLETE)
    assert settings.server_url == "https://gpu.example.org"
    assert settings.max_run == timedelta(hours=8)


@pytest.mark.parametrize("name", COMPLETE)
def test_names_what_is_missing(name: str) -> None:
    with pytest.raises(SettingsError, match=name):
        Settings.from_environment({key: value for key, value in COMPLETE.items() if key != name})


@pytest.mark.parametrize("value", ["0", "-1", "1.5", "soon"])
def test_refuses_a_bad_number(value: str) -> None:
    with pytest.raises(SettingsError, match=r"IDLE_MINUTES.*minutes"):
        Settings.from_environment(COMPLETE | {"IDLE_MINUTES": value})


@pytest.mark.parametrize("value", ["-1", "free", "NaN", "1000"])
def test_refuses_a_bad_price(value: str) -> None:
    with pytest.raises(SettingsError, match=r"PRICE_USD_HOUR.*price"):
        Settings.from_environment(COMPLETE | {"PRICE_USD_HOUR": value})
