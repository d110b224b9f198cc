"""The checks of ``mediaserver doctor``, one function each.

A check changes nothing, and has time limits for network requests.
"""

from __future__ import annotations

import asyncio
import contextlib
import ctypes
import errno
import importlib.metadata
import os
import socket
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path

import aiohttp
from packaging.requirements import Requirement

from inference.catalogue import CatalogueError
from inference.engines.embedded import EmbeddedEngine
from mediaserver.errors import ModelError
from mediaserver.models.files import PULL_DEFAULTS, files_in_use, origin, synthetic_words
from mediaserver.packages import OWN_ENVIRONMENT, conflict, declared_requirements, pip_install
from mediaserver.paths import web_root
from mediaserver.settings.model import Settings
from mediaserver.webrtc.ice_gathering import gathered_addresses

_OLDEST_PYTHON = (3, 11)
_UDP_TIMEOUT_S = 2.0
_TCP_TIMEOUT_S = 2.0
_TRITON_TIMEOUT_S = 5.0
_PORTS_A_SESSION = 4
"""UDP ports per session: an ICE agent binds one for each local address. Few machines have more."""
_MEMORY_MB = 1024
_RELEASED = 1_735_689_600
"""2025-01-01 in Unix time. A clock before that date is wrong."""


class State(StrEnum):
    """The outcome of a check."""

    OK = "ok"
    WARNING = "warning"
    FAILED = "failed"


@dataclass(frozen=True, slots=True)
class Finding:
    """One line of the report. ``fix`` is the remedy, if there is one."""

    check: str
    state: State
    words: str
    fix: str | None = None


# --- this Python and its packages ---


def check_python(version: Sequence[int]) -> Finding:
    """Whether Python is new enough."""
    words = ".".join(map(str, version[:3]))
    if tuple(version[:2]) >= _OLDEST_PYTHON:
        return Finding("python", State.OK, words)
    oldest = ".".join(map(str, _OLDEST_PYTHON))
    return Finding("python", State.FAILED, f"{words} is too old", f"install Python {oldest} or newer")


def check_packages(requirements: Sequence[str], installed: Mapping[str, str | None]) -> Finding:
    """Whether the required packages are installed in allowed versions. Extras are not checked.

    ``requirements`` are from package metadata. ``installed`` maps names to versions, ``None`` if missing.
    """
    wrong, lacking = [], []
    needed = [Requirement(text) for text in requirements]
    needed = [item for item in needed if item.marker is None or item.marker.evaluate({"extra": ""})]
    for item in needed:
        version = installed.get(item.name)
        if version is not None and item.specifier.contains(version, prereleases=True):
            continue
        found = "is missing" if version is None else f"{version} is not {item.specifier}"
        wrong.append(f"{item.name} {found}")
        lacking.append(str(item))
    if not wrong:
        return Finding("packages", State.OK, f"{len(needed)} as required")
    return Finding("packages", State.FAILED, "; ".join(wrong), pip_install(lacking))


def check_conflict() -> list[Finding]:
    """Whether another distribution has a package of the project's name; empty if none has."""
    words = conflict()
    if words is None:
        return []
    return [Finding("packages", State.WARNING, words, OWN_ENVIRONMENT)]


def installed_packages() -> Finding:
    """`check_packages` on this environment."""
    requirements = declared_requirements()
    versions: dict[str, str | None] = {}
    for text in requirements:
        name = Requirement(text).name
        try:
            versions[name] = importlib.metadata.version(name)
        except importlib.metadata.PackageNotFoundError:
            versions[name] = None
    return check_packages(requirements, versions)


# --- models and engines ---


async def check_models(settings: Settings) -> list[Finding]:
    """Finds the models, loads each and runs it once."""
    if settings.engine == "triton":
        return []  # Triton has its own models
    try:
        files = files_in_use(settings)
    except ModelError as exc:
        return [Finding("models", State.FAILED, str(exc), PULL_DEFAULTS)]
    findings = []
    if (words := synthetic_words(files)) is not None:
        findings.append(Finding("models", State.WARNING, words, PULL_DEFAULTS))
    for task, path in files.items():
        began = time.perf_counter()
        try:
            await (await EmbeddedEngine.open({task: path})).close()
        except (CatalogueError, OSError) as exc:
            findings.append(
                Finding(f"model {task}", State.FAILED, str(exc), "fetch or export it anew, or name another")
            )
        else:
            spent_ms = (time.perf_counter() - began) * 1000.0
            words = f"{path.name} ({origin(path, task)}) loaded and run in {spent_ms:.0f} ms"
            findings.append(Finding(f"model {task}", State.OK, words))
    return findings


async def check_triton(settings: Settings) -> list[Finding]:
    """Asks each Triton for its models. An unreachable Triton is reported only if the engine is Triton."""
    wanted = settings.engine == "triton"
    findings = []
    for url in settings.triton_urls:
        host, _, port = url.rpartition(":")
        if not await _answers(host, int(port)):
            if wanted:
                fix = "start Triton (`mediaserver triton start`), or set MEDIASERVER_TRITON_URLS"
                findings.append(Finding("triton", State.FAILED, f"no answer from {url}", fix))
            continue
        served, trouble = await _served_by(url)
        if trouble is None:
            words = f"{url} serves {', '.join(served)}"
            findings.append(Finding("triton", State.OK, words if wanted else f"{words} (not used)"))
        elif wanted:
            fix = "write its repository with `mediaserver triton repository`"
            findings.append(Finding("triton", State.FAILED, trouble, fix))
    return findings


async def _served_by(url: str) -> tuple[list[str], str | None]:
    """Returns the models that a Triton serves, and its trouble, if any."""
    from inference.engines.triton import TritonEngine  # noqa: PLC0415 - gRPC is large

    engine = await TritonEngine.open([url], deadline_s=_TRITON_TIMEOUT_S)
    try:
        async with asyncio.timeout(_TRITON_TIMEOUT_S):
            await engine.ready()
    except TimeoutError:
        return [], engine.trouble or f"{url} does not become ready"
    finally:
        await engine.close()
    return [info.name for info in engine.models.values()], None


# --- the network ---


async def check_port(host: str, port: int) -> Finding:
    """Whether the server can listen on this address and port now."""
    place = f"{host}:{port}"
    try:
        server = await asyncio.start_server(lambda reader, writer: writer.close(), host, port)
    except (OSError, UnicodeError) as exc:
        if await _is_ours(host, port):
            return Finding("port", State.WARNING, f"{place}: a mediaserver runs there already")
        words = f"{place} cannot be listened on: {_why_not(exc)}"
        fix = "stop what listens there, or set MEDIASERVER_PORT or MEDIASERVER_HOST"
        return Finding("port", State.FAILED, words, fix)
    server.close()
    await server.wait_closed()
    return Finding("port", State.OK, f"{place} is free" if port else f"{host}, any port that is free")


def _why_not(exc: OSError | UnicodeError) -> str:
    if isinstance(exc, UnicodeError):
        return "a part of the name is empty or too long for DNS"
    if isinstance(exc, socket.gaierror):
        return str(exc.strerror)
    # asyncio skips addresses that are not this machine's. If none is left, the error has no number.
    return os.strerror(exc.errno or errno.EADDRNOTAVAIL)


async def _is_ours(host: str, port: int) -> bool:
    timeout = aiohttp.ClientTimeout(total=_TCP_TIMEOUT_S)
    with contextlib.suppress(aiohttp.ClientError, TimeoutError, ValueError):
        async with (
            aiohttp.ClientSession(timeout=timeout) as http,
            http.get(f"http://{f'[{host}]' if ':' in host else host}:{port}/healthz") as response,
        ):
            return bool((await response.json()) == {"alive": True})
    return False


async def _answers(host: str, port: int) -> bool:
    with contextlib.suppress(OSError, UnicodeError):
        async with asyncio.timeout(_TCP_TIMEOUT_S):
            _, writer = await asyncio.open_connection(host, port)
        writer.close()
        return True
    return False


async def check_udp(settings: Settings) -> list[Finding]:
    """Sends a datagram from each address that media would use to itself, as ICE would bind it."""
    addresses = gathered_addresses(settings.ice_interfaces)
    if not addresses:
        given = ",".join(settings.ice_interfaces)
        words = f"no local address for media: ice_interfaces is {given}, which names none of this machine"
        fix = "correct MEDIASERVER_ICE_INTERFACES, or unset it to use all addresses but loopback"
        return [Finding("udp", State.FAILED, words, fix)]
    return [await asyncio.to_thread(check_address, address) for address in addresses]


def check_address(address: str) -> Finding:
    """Sends one datagram from ``address`` to itself. Blocks for two seconds at most."""
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    try:
        with socket.socket(family, socket.SOCK_DGRAM) as udp:
            udp.settimeout(_UDP_TIMEOUT_S)
            udp.bind((address, 0))
            udp.connect(udp.getsockname())
            udp.send(b"mediaserver doctor")
            udp.recv(64)
    except OSError as exc:
        words = f"{address}: a datagram to itself did not arrive: {exc.strerror or exc}"
        fix = "let the firewall pass UDP, or leave the address out with MEDIASERVER_ICE_INTERFACES"
        return Finding("udp", State.FAILED, words, fix)
    return Finding("udp", State.OK, f"{address} sends and receives")


def check_udp_ports(first: int, last: int, max_sessions: int) -> Finding:
    """Whether the system's range of ephemeral ports suffices for all sessions."""
    needed, count = max_sessions * _PORTS_A_SESSION, last - first + 1
    words = f"media uses ports {first} to {last}: a firewall must allow UDP to these ports"
    if count >= needed:
        return Finding("udp ports", State.OK, words)
    return Finding(
        "udp ports",
        State.WARNING,
        f"{words}; {count} are few for {max_sessions} sessions",
        "widen net.ipv4.ip_local_port_range, or lower MEDIASERVER_MAX_SESSIONS",
    )


# --- browsers ---


def check_browser(host: str, port: int) -> Finding:
    """Whether browsers can open a camera: over https, or on this machine (W3C Secure Contexts)."""
    if not (web_root() / "index.html").is_file():
        return Finding("browser", State.FAILED, f"no page in {web_root()}", "install mediaserver anew")
    if host in ("127.0.0.1", "::1", "localhost"):
        return Finding("browser", State.OK, f"open http://localhost:{port}/ on this machine")
    return Finding(
        "browser",
        State.WARNING,
        "from other machines browsers give no camera to plain http",
        f"put HTTPS in front of port {port}; on this machine http://localhost:{port}/ works",
    )


# --- the machine ---


def check_clock(now: float, synchronised: bool | None) -> Finding:
    """Whether the clock is right, by which tokens and TURN credentials expire.

    ``now`` is Unix time in seconds. ``synchronised`` is ``None`` if unknown.
    """
    date = time.strftime("%Y-%m-%d %H:%M:%S UTC", time.gmtime(now))
    fix = "have it set over the network: timedatectl set-ntp true, or chrony"
    if now < _RELEASED:
        return Finding("clock", State.FAILED, f"{date} lies in the past", fix)
    if synchronised is False:
        return Finding("clock", State.WARNING, f"{date}, not synchronised", fix)
    return Finding("clock", State.OK, date if synchronised is None else f"{date}, synchronised")


def clock_is_synchronised() -> bool | None:
    """Whether the kernel reports a synchronised clock, adjtimex(2); ``None`` if unknown."""
    try:
        adjtimex: Callable[..., int] = ctypes.CDLL(None, use_errno=True).adjtimex
    except (OSError, AttributeError):
        return None
    answer = adjtimex(ctypes.create_string_buffer(256))  # struct timex, its modes 0: only reads
    return None if answer < 0 else answer != 5  # TIME_ERROR


def check_processors(count: int, threads: int) -> Finding:
    """Whether there are enough processors. ``threads`` is the setting ``inference_threads``."""
    words = f"{count} processor{'s' * (count != 1)}"
    if threads > count:
        fix = f"set MEDIASERVER_INFERENCE_THREADS to {count} or less"
        return Finding("processors", State.WARNING, f"{words}, fewer than inference_threads {threads}", fix)
    if count < 2:
        fix = "give it two: one decodes and sends while the other infers"
        return Finding("processors", State.WARNING, words, fix)
    return Finding("processors", State.OK, words)


def check_memory(available_mb: int | None) -> Finding:
    """Whether there is enough memory. ``available_mb`` is in MB, ``None`` if unknown."""
    if available_mb is None:
        return Finding("memory", State.OK, "not known")
    if available_mb < _MEMORY_MB:
        fix = f"free some: a server with all models takes about half of {_MEMORY_MB} MB"
        return Finding("memory", State.WARNING, f"{available_mb} MB are available", fix)
    return Finding("memory", State.OK, f"{available_mb} MB are available")


def available_memory_mb(proc: Path = Path("/proc")) -> int | None:
    """Returns ``MemAvailable`` of proc_meminfo(5) in MB, or ``None``."""
    with contextlib.suppress(OSError, ValueError, IndexError):
        for line in (proc / "meminfo").read_text().splitlines():
            if line.startswith("MemAvailable:"):
                return int(line.split()[1]) // 1024
    return None


def udp_port_range(proc: Path = Path("/proc")) -> tuple[int, int]:
    """Returns the range of ports for sockets bound to port 0, ip(7), or IANA's range if unknown."""
    try:
        first, last = (proc / "sys/net/ipv4/ip_local_port_range").read_text().split()
        return int(first), int(last)
    except (OSError, ValueError):
        return 49152, 65535


async def examine(settings: Settings) -> list[Finding]:
    """Runs all checks, in the order in which faults should be fixed."""
    return [
        check_python(sys.version_info[:3]),
        installed_packages(),
        *check_conflict(),
        *await check_models(settings),
        *await check_triton(settings),
        await check_port(settings.host, settings.port),
        *await check_udp(settings),
        check_udp_ports(*udp_port_range(), settings.max_sessions),
        check_browser(settings.host, settings.port),
        check_clock(time.time(), clock_is_synchronised()),
        check_processors(len(os.sched_getaffinity(0)), settings.inference_threads),
        check_memory(available_memory_mb()),
    ]
