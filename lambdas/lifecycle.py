"""Every decision about the GPU machine: when it starts, what it is doing, when it stops.

The one schedule is a lease: its due time is until when the machine was promised. ``start`` renews it,
sessions renew it while they live, and only a lease that has run out lets the machine be stopped. Nothing
is remembered here; each call looks at the world anew, so any call may crash, repeat or come late:

- The lease is written before the machine is started: a crash in between costs nothing.
- The machine is stopped before the lease is removed: a crash in between leaves a schedule that finds
  nothing to do.
- A lease that is lost counts as one given at launch; the reaper finds it out within its period.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from enum import StrEnum

from lambdas.auto_stop import AutoStop
from lambdas.errors import InUse, LifecycleError, WrongState
from lambdas.heartbeat import Heartbeat
from lambdas.machine import Ec2Machine, Machine
from lambdas.media_server import MediaServer, Probe, ServerUnreachable
from lambdas.settings import Settings
from lambdas.tokens import Audience, Keyring, mint

_SOONEST = timedelta(seconds=60)
"""EventBridge Scheduler is exact to a minute; nothing is scheduled nearer than that."""
_CONTROL_LIFE = timedelta(minutes=1)
_SHUTDOWN = timedelta(seconds=60)
"""How long EC2 normally takes to stop a machine."""


class State(StrEnum):
    """What a user is told."""

    STOPPED = "stopped"
    STARTING = "starting"
    BOOTING = "booting"
    LOADING = "loading"
    READY = "ready"
    STOPPING = "stopping"
    FAILED = "failed"


_STATES: dict[tuple[str, Probe | None], State] = {
    # (EC2's state, the server's own word; None where it is not asked)
    ("stopped", None): State.STOPPED,  # start -> STARTING
    ("pending", None): State.STARTING,  # EC2 has a host -> BOOTING
    ("running", Probe.SILENT): State.BOOTING,  # the server answers -> LOADING; never does -> FAILED
    ("running", Probe.LOADING): State.LOADING,  # models answer -> READY; never do -> FAILED
    ("running", Probe.FAILED): State.FAILED,  # stop, then start
    ("running", Probe.READY): State.READY,  # lease runs out while idle, or maximum reached -> STOPPING
    ("running", Probe.DRAINING): State.STOPPING,  # about to be stopped -> STOPPED
    ("stopping", None): State.STOPPING,  # EC2 is done -> STOPPED
}

_WORDS = {
    State.STOPPED: "The GPU machine is off.",
    State.STARTING: "The GPU machine is starting.",
    State.BOOTING: "The GPU machine is booting.",
    State.LOADING: "The models are loading.",
    State.READY: "Ready.",
    State.STOPPING: "The GPU machine is shutting down. It can be started again when it is off.",
    State.FAILED: "The GPU machine runs but its server does not work. Stop it, then start it again.",
}


class Outcome(StrEnum):
    """What `Lifecycle.reap` did."""

    NOTHING = "nothing"
    """The machine does not run."""
    KEPT = "kept"
    """Its lease has not run out."""
    EXTENDED = "extended"
    """It is in use: the lease was renewed."""
    STOPPED_IDLE = "stopped_idle"
    STOPPED_AT_MAXIMUM = "stopped_at_maximum"


@dataclass(frozen=True, slots=True)
class Status:
    """The answer to start, status and stop. ``wait``: expected time until ready; ``None`` if unknown.
    ``stops_at``: the lease's end while there is one, ``stops_in`` the time until then. ``token`` opens a
    session; only `start` gives it."""

    state: State
    address: str
    wait: timedelta | None
    stops_at: datetime | None
    stops_in: timedelta | None
    token: str | None = None

    @property
    def message(self) -> str:
        """The state in words."""
        return _WORDS[self.state]


class Lifecycle:
    """Start, status, stop and reap over the four outside parties. ``clock`` gives the time in UTC."""

    def __init__(
        self,
        *,
        settings: Settings,
        machine: Ec2Machine,
        auto_stop: AutoStop,
        heartbeat: Heartbeat,
        server: MediaServer,
        keyring: Keyring,
        clock: Callable[[], datetime],
    ) -> None:
        self._settings = settings
        self._machine = machine
        self._auto_stop = auto_stop
        self._heartbeat = heartbeat
        self._server = server
        self._keyring = keyring
        self._clock = clock

    def start(self, user: str) -> Status:
        """Starts the machine if it is off and renews the lease: pressing again is "keep alive".

        A machine that is stopping is left alone: ask again when it is off. A failed one is not kept alive.
        Raises `LifecycleError`.
        """
        now = self._clock()
        machine = self._machine.find()
        state = self._state(machine, now)
        if state in {State.STOPPING, State.FAILED}:
            return self._status(state, machine, now, stops_at=None)
        # Before anything is started: no machine runs for a user who can get no token.
        token = mint(self._keyring.keys(), Audience.SESSION, user, now, self._settings.token_life)
        launched = now if state is State.STOPPED else machine.launched
        stops_at = self._lease(now + self._settings.idle, launched, now)
        if state is State.STOPPED:
            # If this fails the lease stays: another caller's start may have succeeded under it.
            self._machine.start(machine)
            state = State.STARTING
        machine = replace(machine, launched=launched)
        return self._status(state, machine, now, stops_at=stops_at, token=token)

    def status(self) -> Status:
        """What the machine and its server are doing. Raises `LifecycleError`."""
        now = self._clock()
        machine = self._machine.find()
        state = self._state(machine, now)
        stops_at = None if state is State.STOPPED else self._auto_stop.due()
        return self._status(state, machine, now, stops_at=stops_at)

    def stop(self) -> Status:
        """Stops the machine now, unless a session lives on it. Raises `LifecycleError`."""
        now = self._clock()
        machine = self._machine.find()
        if machine.state == "pending":
            raise WrongState("The machine is just starting; it can be stopped in a moment.")
        if machine.state == "running":
            if not self._drain_if_idle(machine, now):
                raise InUse("Someone is using the machine. It stops by itself when nobody does.")
            self._stop(machine)
            return self._status(State.STOPPING, machine, now, stops_at=None)
        return self._status(_STATES[machine.state, None], machine, now, stops_at=None)

    def reap(self) -> Outcome:
        """Stops the machine if its lease has run out and nobody uses it, or if it has run for too long.

        Called by the schedule, late or twice as it may be, and by the reaper. Raises `LifecycleError`.
        """
        now = self._clock()
        machine = self._machine.find()
        due = self._auto_stop.due()
        if machine.state != "running":
            if machine.state == "stopped" and due is not None and due <= now:
                self._auto_stop.delete()
            return Outcome.NOTHING
        if now >= machine.launched + self._settings.max_run:
            self._drain_all(now)
            self._stop(machine)
            return Outcome.STOPPED_AT_MAXIMUM
        lease = due or machine.launched + self._settings.idle
        if lease > now:
            if due is None:
                self._lease(lease, machine.launched, now)
            return Outcome.KEPT
        last_active = self._heartbeat.last_active(machine.instance_id, now - self._settings.idle, now)
        if last_active is not None:
            self._lease(last_active + self._settings.idle, machine.launched, now)
            return Outcome.EXTENDED
        if not self._drain_if_idle(machine, now):
            self._lease(now + self._settings.idle, machine.launched, now)
            return Outcome.EXTENDED
        self._stop(machine)
        return Outcome.STOPPED_IDLE

    def _state(self, machine: Machine, now: datetime) -> State:
        if machine.state == "running" and now >= machine.launched + self._settings.max_run:
            return State.STOPPING
        probe = self._server.probe() if machine.state == "running" else None
        state = _STATES[machine.state, probe]
        if state in {State.BOOTING, State.LOADING} and now - machine.launched > self._settings.boot_limit:
            return State.FAILED
        return state

    def _lease(self, until: datetime, launched: datetime, now: datetime) -> datetime:
        return self._auto_stop.put(min(max(until, now + _SOONEST), launched + self._settings.max_run))

    def _drain_if_idle(self, machine: Machine, now: datetime) -> bool:
        try:
            return self._server.drain(self._control_token(now), if_idle=True) == 0
        except ServerUnreachable:
            # The way to it may be broken while sessions live on: silent in both ways means idle.
            since = now - self._settings.idle
            return self._heartbeat.last_active(machine.instance_id, since, now) is None

    def _drain_all(self, now: datetime) -> None:
        try:
            self._server.drain(self._control_token(now), if_idle=False)
        except (ServerUnreachable, LifecycleError):
            # Telling the users is a courtesy; the maximum holds without it.
            return

    def _control_token(self, now: datetime) -> str:
        return mint(self._keyring.keys(), Audience.CONTROL, "lifecycle", now, _CONTROL_LIFE)

    def _stop(self, machine: Machine) -> None:
        self._machine.stop(machine)
        self._auto_stop.delete()

    def _status(
        self,
        state: State,
        machine: Machine,
        now: datetime,
        *,
        stops_at: datetime | None,
        token: str | None = None,
    ) -> Status:
        wait = self._wait(state, now - machine.launched)
        stops_in = None if stops_at is None else max(stops_at - now, timedelta(0))
        return Status(state, self._settings.server_url, wait, stops_at, stops_in, token)

    def _wait(self, state: State, age: timedelta) -> timedelta | None:
        match state:
            case State.READY:
                return timedelta(0)
            case State.STOPPED:
                return self._settings.boot
            case State.STOPPING:
                return self._settings.boot + _SHUTDOWN
            case State.FAILED:
                return None
            case State.STARTING | State.BOOTING | State.LOADING:
                # Past the usual time all that is known is "soon".
                return max(self._settings.boot - age, timedelta(seconds=15))
