from __future__ import annotations

import contextlib
import json
from pathlib import Path

import pytest

from mediaserver.errors import SettingsError
from mediaserver.settings.model import Settings, describe, load


def test_the_defaults_stand_alone() -> None:
    assert load(environment={}) == Settings()


def test_later_sources_win(tmp_path: Path) -> None:
    config = tmp_path / "mediaserver.toml"
    config.write_text('port = 1001\nhost = "::1"\nmax_sessions = 3\n')
    settings = load(
        config_file=config,
        environment={"MEDIASERVER_PORT": "1002", "MEDIASERVER_HOST": "127.0.0.2", "PATH": "/bin"},
        command_line={"port": "1003"},
    )
    assert (settings.port, settings.host, settings.max_sessions) == (1003, "127.0.0.2", 3)


def test_the_environment_can_name_the_file(tmp_path: Path) -> None:
    config = tmp_path / "mediaserver.toml"
    config.write_text("flow = true")
    assert load(environment={"MEDIASERVER_CONFIG": str(config)}).flow


def test_text_becomes_what_the_setting_is() -> None:
    settings = load(
        environment={
            "MEDIASERVER_MODELS": "/srv/models",
            "MEDIASERVER_OCR": "true",
            "MEDIASERVER_LIVENESS_TIMEOUT_S": "2.5",
        }
    )
    assert settings.models == Path("/srv/models")
    assert settings.ocr is True
    assert settings.liveness_timeout_s == 2.5


def test_a_list_is_separated_by_commas_or_an_array(tmp_path: Path) -> None:
    config = tmp_path / "mediaserver.toml"
    config.write_text('ice_interfaces = ["eth0", "10.0.0.0/8"]')
    assert load(config_file=config, environment={}).ice_interfaces == ("eth0", "10.0.0.0/8")
    given = {"MEDIASERVER_ICE_INTERFACES": " lo, fe80::1 ,", "MEDIASERVER_ICE_SERVERS": ""}
    settings = load(config_file=config, environment=given)
    assert settings.ice_interfaces == ("lo", "fe80::1")
    assert settings.ice_servers == ()
    config.write_text('ice_interfaces = "eth0"')
    with pytest.raises(SettingsError, match="in TOML: an array"):
        load(config_file=config, environment={})


def test_a_turn_server_needs_a_secret() -> None:
    given = {"MEDIASERVER_ICE_SERVERS": "stun:stun.example.org,turn:turn.example.org?transport=tcp"}
    with pytest.raises(SettingsError, match="'turn_secret' must be set too"):
        load(environment=given)
    settings = load(environment={**given, "MEDIASERVER_TURN_SECRET": "hush"})
    assert settings.turn_secret is not None
    assert settings.turn_secret.value == "hush"


def test_a_secret_is_never_shown(tmp_path: Path) -> None:
    shown = load(environment={"MEDIASERVER_TURN_SECRET": "hush-hush"})
    assert "hush" not in f"{shown} {shown!r}"
    config = tmp_path / "mediaserver.toml"
    config.write_text("turn_secret = 271828")
    with pytest.raises(SettingsError, match=r"'turn_secret' in .* is not usable") as refused:
        load(config_file=config, environment={})
    assert "271828" not in f"{refused.value} {refused.value.__cause__}"


def test_keys_are_never_shown() -> None:
    keys = json.dumps({"k1": "hush-hush" * 4})
    settings = load(environment={"MEDIASERVER_TOKEN_KEYS": keys})
    assert settings.token_keys is not None
    assert settings.token_keys.by_id == {"k1": "hush-hush" * 4}
    assert "hush" not in f"{settings} {settings!r}"
    with pytest.raises(SettingsError, match="'token_keys' in the environment is not usable") as refused:
        load(environment={"MEDIASERVER_TOKEN_KEYS": keys[:-1]})
    assert "hush" not in f"{refused.value} {refused.value.__cause__}"


@pytest.mark.parametrize("host", ["127.0.0.1", "127.0.0.2", "::1", "localhost"])
def test_this_machine_needs_no_keys(host: str) -> None:
    assert load(environment={"MEDIASERVER_HOST": host}).host == host


@pytest.mark.parametrize("host", ["0.0.0.0", "::", "192.0.2.1", "gpu.example.org"])
def test_others_come_in_only_with_keys_or_where_all_are_meant(host: str) -> None:
    with pytest.raises(SettingsError, match=r"set 'token_keys', or 'host' to 127\.0\.0\.1, or 'allow_ano"):
        load(environment={"MEDIASERVER_HOST": host})
    for said in (
        {"MEDIASERVER_TOKEN_KEYS": '{"k1": "%s"}' % ("x" * 32)},
        {"MEDIASERVER_ALLOW_ANONYMOUS": "1"},
    ):
        assert load(environment={"MEDIASERVER_HOST": host, **said}).host == host


@pytest.mark.parametrize(
    ("variable", "value", "words"),
    [
        ("MEDIASERVER_PORT", "eighty", ["'port'", "in the environment", "'eighty'", "0 to 65535"]),
        ("MEDIASERVER_PORT", "70000", ["'port'", "'70000'", "0 to 65535"]),
        ("MEDIASERVER_DETECT", "perhaps", ["'detect'", "'perhaps'", "true or false"]),
        ("MEDIASERVER_LOG_LEVEL", "loud", ["'log_level'", "'loud'", "debug, info, warning, error"]),
        ("MEDIASERVER_MODELS", "", ["'models'", "a path"]),
        ("MEDIASERVER_PUBLIC_IP", "example.org", ["'public_ip'", "'example.org'", "IPv4 or IPv6 address"]),
        ("MEDIASERVER_ICE_INTERFACES", "eth0,a/b", ["'ice_interfaces'", "'eth0,a/b'", "networks"]),
        ("MEDIASERVER_ICE_SERVERS", "http://a", ["'ice_servers'", "'http://a'", "turn:host:port"]),
        ("MEDIASERVER_TOKEN_KEYS", '{"k1": "short"}', ["'token_keys'", "at least 32 bytes"]),
        ("MEDIASERVER_ALLOWED_ORIGINS", "https://a/b", ["'allowed_origins'", "https://example.org"]),
        ("MEDIASERVER_LIFECYCLE_API", "ftp://a", ["'lifecycle_api'", "'ftp://a'", "https://example.org"]),
        ("MEDIASERVER_PRT", "80", ["unknown setting 'prt'", "did you mean 'port'"]),
        ("MEDIASERVER_ZZZ", "1", ["unknown setting 'zzz'", "--help"]),
    ],
)
def test_a_bad_key_or_value_is_refused_with_what_is_allowed(
    variable: str, value: str, words: list[str]
) -> None:
    with pytest.raises(SettingsError) as refused:
        load(environment={variable: value})
    for word in words:
        assert word in str(refused.value)


def test_a_file_is_checked_like_everything_else(tmp_path: Path) -> None:
    config = tmp_path / "mediaserver.toml"
    config.write_text('port = "80"')
    with pytest.raises(SettingsError, match=r"'port' in .*mediaserver\.toml is '80'"):
        load(config_file=config, environment={})
    for broken in ("port = ", "host = " + "[" * 5000, "port = " + "9" * 5000):
        config.write_text(broken)
        with pytest.raises(SettingsError, match="not valid TOML"):
            load(config_file=config, environment={})
    with pytest.raises(SettingsError, match="cannot read"):
        load(config_file=tmp_path / "absent.toml", environment={})


def test_every_setting_is_described() -> None:
    for setting in describe():
        assert setting.description.endswith("."), setting.key
        assert setting.allowed, setting.key
        assert setting.variable == f"MEDIASERVER_{setting.key.upper()}"


@pytest.mark.parametrize("variable", [setting.variable for setting in describe()])
def test_a_setting_takes_any_text_or_says_what_it_takes(variable: str) -> None:
    for value in ("", "1", "60", "-1", "word", "a b", "[]", "\0", "9" * 5000):
        with contextlib.suppress(SettingsError):
            load(environment={variable: value})


def test_a_number_that_may_be_left_out_is_a_number() -> None:
    assert load(environment={"MEDIASERVER_MAX_IN_FLIGHT": "3"}).max_in_flight == 3


@pytest.mark.parametrize(
    ("urls", "words"),
    [("", "is empty"), ("triton-a:8001,triton-b:8001", "give them as IPv4 addresses"), ("8001", "is '8001'")],
)
def test_triton_is_named_in_a_way_that_works(urls: str, words: str) -> None:
    with pytest.raises(SettingsError, match=f"'triton_urls'.* {words}"):
        load(environment={"MEDIASERVER_TRITON_URLS": urls})
    for good in ("triton:8001", "10.0.0.7:8001,10.0.0.8:8001"):
        assert load(environment={"MEDIASERVER_TRITON_URLS": good}).triton_urls == tuple(good.split(","))
