"""Writes ``docs/settings.md`` from the settings: ``python -m mediaserver.settings.document``."""

from __future__ import annotations

import sys

from mediaserver.settings.model import CONFIG_VARIABLE, SettingDescription, describe

_INTRODUCTION = f"""\
# Settings of the server

Generated from `mediaserver/settings/model.py` by `make docs`; a test compares the two.

Each setting has three sources. The first source in this table wins:

| source | example |
|---|---|
| command line | `mediaserver serve --max-sessions 8` |
| environment | `MEDIASERVER_MAX_SESSIONS=8` |
| TOML file, named by `--config` or `{CONFIG_VARIABLE}` | `max_sessions = 8` |

The server reads its settings once, at the start. An unknown key or a bad value ends the start with exit
status 2. The message names the key, the value, its source and the allowed values.

Names that end in `_s` are in seconds, names that end in `_ms` in milliseconds. A list is separated by commas;
in TOML it is an array. `–` means that the setting has no default.

This file is a small example. `mediaserver serve --config mediaserver.toml` uses it:

```toml
max_sessions = 8
models = "~/models"
ocr = true
log_format = "json"
```
"""
TOPICS = {
    "Address and processes": ("host", "port", "workers", "node", "drain_timeout_s", "node_start_s"),
    "Who may use it": (
        *("token_keys", "region", "allow_anonymous", "allowed_origins", "trusted_proxies"),
        *("lifecycle_api",),
    ),
    "Models": (
        *("models", "detect_model", "pose_model", "segment_model", "pose_method"),
        *("model_mirror", "model_cdn"),
    ),
    "Inference": (
        *("engine", "inference_threads", "max_in_flight"),
        *("triton_urls", "triton_http_port", "inference_deadline_ms"),
    ),
    "Stages that run by default": ("detect", "pose", "segment", "ocr", "flow", "ocr_min_score", "ocr_script"),
    "Limits on sessions": (
        *("max_sessions", "max_sessions_per_subject", "max_watchers", "max_watchers_per_subject"),
    ),
    "Age limits and rates": ("max_frame_age_ms", "max_capture_age_ms", "max_result_age_ms", "rate_hints"),
    "Timeouts": ("liveness_timeout_s", "no_media_timeout_s", "pause_timeout_s", "resume_window_s"),
    "Media through NAT and firewalls": (
        *("public_ip", "ice_interfaces", "ice_servers", "turn_secret", "turn_ttl_s"),
    ),
    "Logs": ("log_level", "log_format"),
}
"""Keys by heading, as operators look for them. A test holds that each key has one topic."""
_HEAD = "| setting | default | allowed | effect |\n|---|---|---|---|\n"


def settings_document() -> str:
    """The text of ``docs/settings.md``."""
    settings = {setting.key: setting for setting in describe()}
    sections = (
        f"\n## {topic}\n\n{_HEAD}{''.join(_row(settings[key]) for key in keys)}"
        for topic, keys in TOPICS.items()
    )
    return _INTRODUCTION + "".join(sections)


def _row(setting: SettingDescription) -> str:
    return f"| `{setting.key}` | {_default(setting)} | {setting.allowed} | {setting.description} |\n"


def _default(setting: SettingDescription) -> str:
    match setting.default:
        case None | ():
            return "–"
        case bool():
            return f"`{str(setting.default).lower()}`"
        case float():
            return f"`{setting.default:g}`"
        case tuple():
            return f"`{','.join(map(str, setting.default))}`"
        case _:
            return f"`{setting.default}`"


if __name__ == "__main__":
    sys.stdout.write(settings_document())
