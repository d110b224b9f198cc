"""Every decision about the GPU machine: its start, its state, its stop.

The one schedule is a lease: its due time is until when the machine was promised. ``start`` renews the lease,
and so do live sessions. The machine stops only after its lease has ended, or at its maximum. The module keeps
no state; each call reads the state of AWS anew. So each call may crash, repeat or come late:

- The lease is written before the machine starts. A crash in between costs nothing.
- The machine stops before the lease is removed. After a crash in between the schedule finds nothing to do.
- A lost lease counts as a lease from launch. The reaper notices it within its period.

A starting machine counts as used until its boot limit, because a first start takes longer than any idle time.
When it is ready, it gets a whole idle time.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from enum import StrEnum

from lambdas.auto_stop import AutoStop
from lambdas.boot_report import BootReport, BootReports, Phase
from lambdas.cost import Cost, Costs
from lambdas.errors import InUse, LifecycleError, NoCapacity, StartFailed, WrongState
from lambdas.heartbeat import Heartbeat
from lambdas.machine import Ec2Machines, Machine, current, to_start
from lambdas.media_server import MediaServer, Probe, ServerUnreachable
from lambdas.settings import Settings
from lambdas.tokens import Audience, Keyring, mint

_SOONEST = timedelta(seconds=60)
"""EventBridge Scheduler is exact to a minute, so no due time is nearer."""
_CONTROL_LIFE = timedelta(minutes=1)
_SHUTDOWN = timedelta(seconds=60)
"""How long EC2 normally takes to stop a machine."""
_SOON = timedelta(seconds=15)
_FAILURE_COUNTS = timedelta(minutes=15)
"""How long a failed start decides the state for users, and the machine that is tried first."""
_RETRY = timedelta(seconds=60)
"""How long a machine is not started again after a failed start."""


class State(StrEnum):
    """The state for users."""

    STOPPED = "stopped"
    UNAVAILABLE = "unavailable"
    STARTING = "starting"
    BOOTING = "booting"
    LOADING = "loading"
    READY = "ready"
    STOPPING = "stopping"
    FAILED = "failed"


_STATES: dict[tuple[str, Probe | None], State] = {
    # (EC2's state, the server's state; None if the server is not asked)
    ("stopped", None): State.STOPPED,  # start -> STARTING
    ("pending", None): State.STARTING,  # EC2 has a host -> BOOTING, or it has none -> UNAVAILABLE
    ("running", Probe.SILENT): State.BOOTING,  # the server answers -> LOADING; never does -> FAILED
    ("running", Probe.LOADING): State.LOADING,  # models answer -> READY; never do -> FAILED
    ("running", Probe.FAILED): State.FAILED,  # stop, then start
    ("running", Probe.READY): State.READY,  # lease runs out while idle, or maximum reached -> STOPPING
    ("running", Probe.DRAINING): State.STOPPING,  # about to be stopped -> STOPPED
    ("stopping", None): State.STOPPING,  # EC2 is done -> STOPPED
}

_WORDS = {
    State.STOPPED: "The GPU machine is off.",
    State.UNAVAILABLE: "The GPU machine could not be started.",
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
    """Its lease has not ended."""
    COMING_UP = "coming_up"
    """It is booting or loading, which counts as use. The lease was renewed."""
    EXTENDED = "extended"
    """It is in use. The lease was renewed."""
    STOPPED_IDLE = "stopped_idle"
    STOPPED_AT_MAXIMUM = "stopped_at_maximum"


@dataclass(frozen=True, slots=True)
class Status:
    """The answer to start, status and stop.

    - ``wait``: expected time until ready; ``None`` if unknown.
    - ``stops_at``: the lease's end if there is a lease; ``stops_in``: the time until then.
    - ``token`` opens a session; `start` alone gives it.
    - ``retry``: in the state unavailable, the time until a further start makes sense.
    - ``cost``: for users with the claim ``costs``.
    """

    state: State
    message: str
    address: str
    wait: timedelta | None
    stops_at: datetime | None
    stops_in: timedelta | None
    retry: timedelta | None = None
    token: str | None = None
    cost: Cost | None = None


@dataclass(frozen=True, slots=True)
class _View:
    """What one call has read, at one moment."""

    now: datetime
    machines: list[Machine]
    machine: Machine
    report: BootReport
    state: State

    @property
    def age(self) -> timedelta:
        return self.now - self.machine.launched

    @property
    def is_coming_up(self) -> bool:
        """Whether the machine starts. A server that was ready in this run does not start again."""
        return self.state in {State.BOOTING, State.LOADING} and self.report.ready_at is None


class Lifecycle:
    """Start, status, stop and reap over the outside parties. ``clock`` returns the time in UTC."""

    def __init__(
        self,
        *,
        settings: Settings,
        machines: Ec2Machines,
        auto_stop: AutoStop,
        heartbeat: Heartbeat,
        reports: BootReports,
        costs: Costs,
        server: MediaServer,
        keyring: Keyring,
        clock: Callable[[], datetime],
    ) -> None:
        self._settings = settings
        self._machines = machines
        self._auto_stop = auto_stop
        self._heartbeat = heartbeat
        self._reports = reports
        self._costs = costs
        self._server = server
        self._keyring = keyring
        self._clock = clock

    def start(self, user: str, keep: timedelta | None = None) -> Status:
        """Starts a machine if none is up, and renews the lease. A further call keeps the machine alive.

        ``keep``: how long, in place of the idle time; a call does not shorten the lease. A stopping machine
        and a failed machine are left as they are. Raises `LifecycleError`.
        """
        view = self._look()
        if view.state in {State.STOPPING, State.FAILED}:
            return self._status(view, stops_at=None)
        now, is_off = view.now, view.state in {State.STOPPED, State.UNAVAILABLE}
        candidates = self._candidates(view) if is_off else []
        # Before the start: no machine should run for a user without a token.
        token = mint(self._keyring.keys(), Audience.SESSION, user, now, self._settings.token_life)
        promised = self._auto_stop.due() or now
        launched = now if is_off else view.machine.launched
        stops_at = self._lease(max(promised, now + (keep or self._settings.idle)), launched, now)
        if is_off:
            # If the start fails, the lease stays: another caller's start may need it.
            machine = self._start_one(candidates)
            machine = replace(machine, state="pending", launched=now, trouble=None)
            usual = BootReport(usual=self._report(machine).usual)
            view = replace(view, machine=machine, report=usual, state=State.STARTING)
        return self._status(view, stops_at=stops_at, token=token)

    def status(self, *, sees_costs: bool = False) -> Status:
        """Returns the state of the machine and its server. Raises `LifecycleError`."""
        view = self._look()
        due = self._auto_stop.due() if view.machine.is_up else None
        stops_at = None if due is None else self._lease_end(view, due)
        cost = self._costs.so_far(view.machine, view.machines, view.now) if sees_costs else None
        return replace(self._status(view, stops_at=stops_at), cost=cost)

    def stop(self) -> Status:
        """Stops the machine now, unless a session lives on it or it is starting. Raises `LifecycleError`."""
        view = self._look()
        machine = view.machine
        if machine.state == "pending":
            raise WrongState("The machine is just starting; it can be stopped in a moment.")
        if machine.state == "running":
            if view.is_coming_up:
                # Others may wait for it, and a first boot would begin again.
                raise WrongState("The machine is still coming up; it can be stopped when it is ready.")
            if not self._drain_if_idle(machine, view.now):
                raise InUse("Someone is using the machine. It stops by itself when nobody does.")
            self._stop(machine)
            view = replace(view, state=State.STOPPING)
        return self._status(view, stops_at=None)

    def reap(self) -> Outcome:
        """Stops the machine if its lease has ended and it is idle, or if it has reached its maximum.

        The schedule and the reaper call it; a call may come late or twice. Raises `LifecycleError`.
        """
        now = self._clock()
        machines = self._machines.list()
        machine = current(machines)
        self._stop_strays(machines, machine, now)
        due = self._auto_stop.due()
        if machine.state != "running":
            if machine.state == "stopped" and due is not None and due <= now:
                self._auto_stop.delete()
            return Outcome.NOTHING
        if now >= machine.launched + self._settings.max_run:
            self._drain_all(now)
            self._stop(machine)
            return Outcome.STOPPED_AT_MAXIMUM
        if due is not None and due > now:
            return Outcome.KEPT
        view = self._view(now, machines, machine)
        lease = self._lease_end(view, due or machine.launched + self._settings.idle)
        if lease > now:
            self._lease(lease, machine.launched, now)
            return Outcome.KEPT
        return self._end_lease(view)

    def _end_lease(self, view: _View) -> Outcome:
        """Renews the lease of a used or starting machine; stops an idle machine."""
        machine, now, idle = view.machine, view.now, self._settings.idle
        if view.is_coming_up:
            if current(self._machines.list()).state != "running":
                # Another call stopped the machine after this call had listed it, so its server is silent.
                return Outcome.NOTHING
            self._lease(min(now + idle, machine.launched + self._settings.boot_limit), machine.launched, now)
            return Outcome.COMING_UP
        last_active = self._heartbeat.last_active(machine.instance_id, now - idle, now)
        if last_active is not None:
            self._lease(last_active + idle, machine.launched, now)
            return Outcome.EXTENDED
        if not self._drain_if_idle(machine, now):
            self._lease(now + idle, machine.launched, now)
            return Outcome.EXTENDED
        self._stop(machine)
        return Outcome.STOPPED_IDLE

    def _look(self) -> _View:
        machines = self._machines.list()
        return self._view(self._clock(), machines, current(machines))

    def _view(self, now: datetime, machines: list[Machine], machine: Machine) -> _View:
        report = self._report(machine)
        return _View(now, machines, machine, report, self._state(machine, now, report))

    def _report(self, machine: Machine) -> BootReport:
        try:
            return self._reports.read(machine)
        except LifecycleError:
            # The report is for users; no costly decision needs it.
            return BootReport()

    def _state(self, machine: Machine, now: datetime, report: BootReport) -> State:
        age = now - machine.launched
        if machine.trouble is not None and age < _FAILURE_COUNTS:
            return State.UNAVAILABLE
        if machine.state == "running" and age >= self._settings.max_run:
            return State.STOPPING
        probe = self._server.probe() if machine.state == "running" else None
        state = _STATES[machine.state, probe]
        if state in {State.BOOTING, State.LOADING} and (
            age >= self._settings.boot_limit or report.phase is Phase.FAILED
        ):
            return State.FAILED
        return state

    def _candidates(self, view: _View) -> list[Machine]:
        """Returns the machines to try. Raises the failure of a start that is too recent to repeat."""
        candidates = to_start(view.machines, view.now - _FAILURE_COUNTS)
        first = candidates[0]
        if first.trouble is not None and view.now - first.launched < _RETRY:
            raise first.trouble
        return candidates

    def _start_one(self, candidates: list[Machine]) -> Machine:
        for machine in candidates[:-1]:
            try:
                self._machines.start(machine)
            except (NoCapacity, StartFailed):
                continue
            return machine
        self._machines.start(candidates[-1])
        return candidates[-1]

    def _stop_strays(self, machines: list[Machine], machine: Machine, now: datetime) -> None:
        """Stops machines that lost their place to another. A booting machine may still get the place."""
        for stray in machines:
            is_old = now - stray.launched >= self._settings.boot_limit
            if stray is not machine and stray.state == "running" and is_old:
                self._machines.stop(stray)

    def _lease_end(self, view: _View, due: datetime) -> datetime:
        """Returns the end of the lease, with ``due`` from the start. From the moment it is ready, the machine
        has the whole idle time."""
        ready_at = view.report.ready_at
        promised = due if ready_at is None else max(due, ready_at + self._settings.idle)
        return min(promised, view.machine.launched + self._settings.max_run)

    def _lease(self, until: datetime, launched: datetime, now: datetime) -> datetime:
        return self._auto_stop.put(min(max(until, now + _SOONEST), launched + self._settings.max_run))

    def _drain_if_idle(self, machine: Machine, now: datetime) -> bool:
        try:
            return self._server.drain(self._control_token(now), if_idle=True) == 0
        except ServerUnreachable:
            # Sessions may live on behind a broken path. Without heartbeats as well the machine is idle.
            since = now - self._settings.idle
            return self._heartbeat.last_active(machine.instance_id, since, now) is None

    def _drain_all(self, now: datetime) -> None:
        try:
            self._server.drain(self._control_token(now), if_idle=False)
        except (ServerUnreachable, LifecycleError):
            # The drain is a courtesy to users; the maximum holds without it.
            return

    def _control_token(self, now: datetime) -> str:
        return mint(self._keyring.keys(), Audience.CONTROL, "lifecycle", now, _CONTROL_LIFE)

    def _stop(self, machine: Machine) -> None:
        self._machines.stop(machine)
        self._auto_stop.delete()

    def _status(self, view: _View, *, stops_at: datetime | None, token: str | None = None) -> Status:
        words = _WORDS[view.state]
        if view.state is State.UNAVAILABLE:
            words = str(view.machine.trouble)
        elif view.is_coming_up or view.state is State.FAILED:
            words = f"{words} {view.report.words}".rstrip()
        return Status(
            state=view.state,
            message=words,
            address=self._settings.server_url,
            wait=self._wait(view),
            stops_at=stops_at,
            stops_in=None if stops_at is None else max(stops_at - view.now, timedelta(0)),
            retry=max(_RETRY - view.age, _SOON) if view.state is State.UNAVAILABLE else None,
            token=token,
        )

    def _wait(self, view: _View) -> timedelta | None:
        usual = view.report.usual or self._settings.boot
        match view.state:
            case State.READY:
                return timedelta(0)
            case State.STOPPED:
                return usual
            case State.STOPPING:
                return usual + _SHUTDOWN
            case State.FAILED | State.UNAVAILABLE:
                return None
            case State.STARTING | State.BOOTING | State.LOADING:
                # After the usual time the estimate is "soon".
                return max(usual - view.age, _SOON)
