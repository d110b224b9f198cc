"""Configuration: one frozen object, read once, every value checked with its key's name in the error.

Later sources win: the defaults here, a TOML file, ``MEDIASERVER_*`` environment variables, the command line.
"""

from __future__ import annotations

import difflib
import ipaddress
import os
import tomllib
import types
import typing
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Literal

import msgspec
from msgspec import Meta

from mediaserver.errors import SettingsError
from mediaserver.settings.types import (
    HostPort,
    HttpUrl,
    IceUrl,
    IpAddress,
    ModelMirror,
    NetworkInterface,
    Origin,
    Secret,
    TokenKeys,
)
from signaling.auth import MIN_KEY_BYTES

ENVIRONMENT_PREFIX = "MEDIASERVER_"
CONFIG_VARIABLE = "MEDIASERVER_CONFIG"


class Settings(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Everything that can be set. `describe` lists the fields for ``--help`` and the documentation."""

    host: Annotated[str, Meta(min_length=1, description="Address to listen on.")] = "127.0.0.1"
    port: Annotated[int, Meta(ge=0, le=65535, description="TCP port; 0 takes a free one.")] = 8080
    workers: Annotated[
        int, Meta(ge=1, le=64, description="Processes that serve; above 1 they share the port.")
    ] = 1
    models: Annotated[
        Path | None,
        Meta(description="Folder with your ONNX models; before those pulled, before those built in."),
    ] = None
    detect_model: Annotated[
        str | None,
        Meta(description="Detector by name in these folders, or its path. Without it: the best known."),
    ] = None
    pose_model: Annotated[
        str | None,
        Meta(description="Pose model by name in these folders, or its path. Without it: the best known."),
    ] = None
    segment_model: Annotated[
        str | None,
        Meta(
            description="Segmentation model by name in these folders, or its path. Without it: the best "
            "known."
        ),
    ] = None
    model_mirror: Annotated[
        ModelMirror | None,
        Meta(description="Where `mediaserver models pull` fetches from, in place of the official sources."),
    ] = None
    engine: Annotated[
        Literal["embedded", "triton"],
        Meta(description="What runs the models: ONNX Runtime inside this process, or NVIDIA Triton."),
    ] = "embedded"
    triton_urls: Annotated[
        tuple[HostPort, ...],
        Meta(description="gRPC addresses of Triton; several take requests in turns."),
    ] = (HostPort("127.0.0.1:8001"),)
    inference_deadline_ms: Annotated[
        int, Meta(ge=50, le=60_000, description="A request to Triton that takes longer is given up.")
    ] = 2_000
    inference_threads: Annotated[
        int,
        Meta(ge=0, le=256, description="Threads of a worker's embedded engine; 0 shares out the processors."),
    ] = 0
    max_sessions: Annotated[
        int,
        Meta(
            ge=1,
            le=10_000,
            description="Sessions that have a client at a time, in all workers; more are refused with 503.",
        ),
    ] = 32
    max_sessions_per_subject: Annotated[
        int,
        Meta(
            ge=1,
            le=10_000,
            description="How many of these one token's subject (`sub`) may have; more are refused.",
        ),
    ] = 8
    max_in_flight: Annotated[
        int | None,
        Meta(
            ge=1,
            le=1024,
            description="Frames in inference at once over all sessions of a worker. Without it: 4, or 32 "
            "where Triton's models prefer batches and are fast.",
        ),
    ] = None
    max_frame_age_ms: Annotated[
        int, Meta(ge=10, le=60_000, description="A frame that waited longer is not inferred.")
    ] = 500
    max_result_age_ms: Annotated[
        int, Meta(ge=50, le=60_000, description="A result older than this is not sent.")
    ] = 5_000
    liveness_timeout_s: Annotated[
        float, Meta(ge=1, le=60, description="Silence of media, or of the socket, that ends a connection.")
    ] = 3.0
    no_media_timeout_s: Annotated[
        float, Meta(ge=1, le=3600, description="How long a connection may stay without a first frame.")
    ] = 30.0
    resume_window_s: Annotated[
        float, Meta(ge=0, le=3600, description="How long a lost client can come back to its session.")
    ] = 30.0
    detect: Annotated[bool, Meta(description="Detection is on unless the client says otherwise.")] = True
    pose: Annotated[bool, Meta(description="Pose is on unless the client says otherwise.")] = True
    segment: Annotated[bool, Meta(description="Segmentation is on unless the client says otherwise.")] = False
    ocr: Annotated[bool, Meta(description="OCR is on unless the client says otherwise.")] = False
    flow: Annotated[bool, Meta(description="Optical flow is on unless the client says otherwise.")] = False
    rate_hints: Annotated[
        bool, Meta(description="Ask senders for no more frames, bits and pixels than can be used.")
    ] = True
    public_ip: Annotated[
        IpAddress | None,
        Meta(description="Public address that stands for the private ones in SDP answers (1:1 NAT)."),
    ] = None
    ice_interfaces: Annotated[
        tuple[NetworkInterface, ...],
        Meta(description="Local addresses that media may use. Without it: all but loopback."),
    ] = ()
    ice_servers: Annotated[
        tuple[IceUrl, ...], Meta(description="STUN and TURN servers that clients are told to use.")
    ] = ()
    turn_secret: Annotated[
        Secret | None,
        Meta(description="Secret shared with the TURN server (coturn: static-auth-secret)."),
    ] = None
    turn_ttl_s: Annotated[
        int, Meta(ge=60, le=86_400, description="Seconds for which a client's TURN credentials are good.")
    ] = 3600
    token_keys: Annotated[
        TokenKeys | None,
        Meta(description="Keys of the tokens that let clients in. Without it: everyone, from this machine."),
    ] = None
    allow_anonymous: Annotated[
        bool, Meta(description="Listen beyond this machine though there are no token_keys: for everyone.")
    ] = False
    allowed_origins: Annotated[
        tuple[Origin, ...],
        Meta(description="Pages that may open a session. Without it: those that this server serves."),
    ] = ()
    lifecycle_api: Annotated[
        HttpUrl | None,
        Meta(description="Service that starts and stops the GPU machine; told to the page in /config.json."),
    ] = None
    log_level: Annotated[
        Literal["debug", "info", "warning", "error"], Meta(description="How much is logged.")
    ] = "info"
    log_format: Annotated[
        Literal["text", "json"], Meta(description="Log lines for people, or one JSON object a line.")
    ] = "text"

    def __post_init__(self) -> None:
        if self.turn_secret is None and any(url.is_turn for url in self.ice_servers):
            raise SettingsError("setting 'ice_servers' names a TURN server: 'turn_secret' must be set too")
        if not self.triton_urls:
            raise SettingsError("setting 'triton_urls' is empty: name one Triton at least")
        if len(self.triton_urls) > 1 and not all(url.is_address for url in self.triton_urls):
            raise SettingsError("setting 'triton_urls' names several servers: give them as IPv4 addresses")
        if self.token_keys is None and not self.allow_anonymous and not _is_loopback(self.host):
            raise SettingsError(
                f"setting 'host' is {self.host!r}, which others can reach; without 'token_keys' all may use "
                "the server: set 'token_keys', or 'host' to 127.0.0.1, or 'allow_anonymous' to true"
            )

    @property
    def local_url(self) -> str:
        """Where a program on this machine reaches the server: no path, no slash at the end."""
        host = {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(self.host, self.host)
        return f"http://{f'[{host}]' if ':' in host else host}:{self.port}"


@dataclass(frozen=True, slots=True)
class SettingDescription:
    """One setting in words: its key, environment variable, default, and what it may be."""

    key: str
    variable: str
    default: Any
    description: str
    allowed: str


def describe() -> tuple[SettingDescription, ...]:
    """Every setting, in the order of `Settings`."""
    hints = typing.get_type_hints(Settings, include_extras=True)
    return tuple(
        SettingDescription(
            key=field.name,
            variable=ENVIRONMENT_PREFIX + field.name.upper(),
            default=field.default,
            description=_meta(hints[field.name]).description or "",
            allowed=_allowed(hints[field.name]),
        )
        for field in msgspec.structs.fields(Settings)
    )


def load(
    *,
    command_line: Mapping[str, str] | None = None,
    environment: Mapping[str, str] | None = None,
    config_file: Path | None = None,
) -> Settings:
    """Reads and checks all sources. Raises `SettingsError`: its message names the key or value, where it
    stands, and what is allowed.

    ``command_line`` maps keys to the text given there; ``environment`` is ``os.environ`` unless given.
    """
    environment = os.environ if environment is None else environment
    config_file = config_file or _config_file(environment)
    values: dict[str, Any] = {}
    if config_file is not None:
        values.update(_checked(_read_toml(config_file), f"in {config_file}", strict=True))
    values.update(_checked(_from_environment(environment), "in the environment", strict=False))
    values.update(_checked(command_line or {}, "on the command line", strict=False))
    return Settings(**values)


def _is_loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def _config_file(environment: Mapping[str, str]) -> Path | None:
    name = environment.get(CONFIG_VARIABLE)
    return Path(name) if name else None


def _from_environment(environment: Mapping[str, str]) -> dict[str, str]:
    return {
        name.removeprefix(ENVIRONMENT_PREFIX).lower(): value
        for name, value in environment.items()
        if name.startswith(ENVIRONMENT_PREFIX) and name != CONFIG_VARIABLE
    }


def _read_toml(path: Path) -> dict[str, Any]:
    try:
        with path.open("rb") as file:
            return tomllib.load(file)
    except OSError as exc:
        raise SettingsError(f"cannot read the configuration file {path}: {exc.strerror}") from exc
    except (ValueError, RecursionError) as exc:  # TOMLDecodeError, or what it lets through
        raise SettingsError(f"{path} is not valid TOML: {exc}") from exc


def _checked(values: Mapping[str, Any], source: str, *, strict: bool) -> dict[str, Any]:
    hints = typing.get_type_hints(Settings, include_extras=True)
    checked = {}
    for key, value in values.items():
        if key not in hints:
            raise SettingsError(f"unknown setting {key!r} {source}{_suggestion(key, hints)}")
        given = value
        if not strict and _is_list(hints[key]):
            given = [item.strip() for item in value.split(",") if item.strip()]
        try:
            checked[key] = msgspec.convert(given, hints[key], strict=strict, dec_hook=_from_text)
        except (msgspec.ValidationError, ValueError) as exc:
            shown = "not usable" if _kind(hints[key]) in (Secret, TokenKeys) else repr(value)
            raise SettingsError(
                f"setting {key!r} {source} is {shown}; allowed: {_allowed(hints[key])}"
            ) from exc
    return checked


def _from_text(kind: type, value: Any) -> Any:
    if not isinstance(value, str) or not value:
        raise ValueError(f"a {kind.__name__} is made from text")
    try:
        return Path(value).expanduser() if kind is Path else kind(value)
    except RuntimeError as exc:
        raise ValueError(f"{value} begins with the home of nobody") from exc


def _suggestion(key: str, known: Iterable[str]) -> str:
    near = difflib.get_close_matches(key, list(known), n=1)
    return f"; did you mean {near[0]!r}?" if near else "; `mediaserver serve --help` lists all"


def _meta(hint: Any) -> Meta:
    return next((item for item in getattr(hint, "__metadata__", ()) if isinstance(item, Meta)), Meta())


def _kind(hint: Any) -> Any:
    """The type in a hint, without its annotation and its ``None``."""
    kind = typing.get_args(hint)[0] if typing.get_origin(hint) is Annotated else hint
    if isinstance(kind, types.UnionType):
        kind = next(arm for arm in typing.get_args(kind) if arm is not type(None))
    return kind


def _is_list(hint: Any) -> bool:
    return typing.get_origin(_kind(hint)) is tuple


_NOUNS = {
    int: "a whole number",
    float: "a number",
    Path: "a path",
    IpAddress: "an IPv4 or IPv6 address",
    NetworkInterface: "interface names, addresses and networks like 10.0.0.0/8",
    IceUrl: "URLs like stun:host:port and turn:host:port?transport=udp",
    Origin: "origins like https://example.org",
    HostPort: "addresses like 10.0.0.7:8001",
    HttpUrl: "a URL like https://example.org",
    ModelMirror: "a folder, or a URL like https://example.org/models",
    Secret: "text",
    TokenKeys: f'a JSON object like {{"key id": "secret"}}, secrets of {MIN_KEY_BYTES} bytes at least',
}


def _allowed(hint: Any) -> str:
    """What a setting may be, in words."""
    kind = _kind(hint)
    if _is_list(hint):
        return f"{_NOUNS[typing.get_args(kind)[0]]}, separated by commas (in TOML: an array)"
    if typing.get_origin(kind) is Literal:
        return ", ".join(map(str, typing.get_args(kind)))
    if kind is bool:
        return "true or false"
    meta = _meta(hint)
    noun = _NOUNS.get(kind, "text")
    if meta.ge is not None and meta.le is not None:
        return f"{noun} from {meta.ge:g} to {meta.le:g}"
    return noun
