"""Days in the life of the machine, minute by minute: people, schedules and faults around the real functions.

Two kinds of fault are never drawn together, as nothing could tell such a machine from an idle one: the
heartbeats lost *and* the server out of reach, both for longer than the idle time, while a session lives.

EC2 is the double of `lambdas.dev.ec2`. A machine is replaced as CloudFormation does it: the new one boots
beside the old one, takes the address when it has come up, and only then the old one is terminated; if it
does not come up, it is terminated itself.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum
from itertools import count

from lambdas.boot_report import Phase
from lambdas.dev.ec2 import NO_CAPACITY, Instance, InstanceState, refusal
from tests.lambdas.world import World

MINUTE = timedelta(minutes=1)
REAPER_PERIOD = timedelta(minutes=30)
SERVER_BOOT = timedelta(minutes=3)
SLOW_BOOT = timedelta(minutes=31)
"""Longer than two idle times, shorter than the boot limit."""
NEVER = timedelta(days=365)
LAMBDA_RETRIES = (MINUTE, 2 * MINUTE)
"""Lambda tries a failed asynchronous call twice more."""


class Act(StrEnum):
    """What may happen in a minute."""

    START = "start"
    STOP = "stop"
    JOIN = "join"
    LEAVE = "leave"
    HEARTBEATS_LOST = "heartbeats lost for 40 min"
    SERVER_CRASH = "server crashes, back in 2 min"
    SERVER_CUT_OFF = "server cut off from the functions for 10 min"
    SCHEDULE_LOST = "schedule lost"
    FIRE_LATE = "next firing 7 min late"
    FIRE_TWICE = "next firing comes twice"
    BOOT_SLOWLY = "the next boot is a slow one"
    BOOT_IN_VAIN = "the next boot never ends"
    REPORTS_LOST = "the machine does not report its next start"
    NO_HOST = "the next start comes to nothing after the call"
    REPLACE = "CloudFormation replaces the machine"
    FIRE_AGAIN = "schedule fires though it is not due"
    CRASH = "a function dies before a call to AWS"
    THROTTLE = "AWS throttles three calls"


@dataclass(frozen=True)
class Step:
    """``act`` happens ``after`` minutes after the step before; crashes and throttles hit after that many more
    ``calls`` of the functions to AWS."""

    after: int
    act: Act
    calls: int = 1


class Died(BaseException):
    """A function killed between two calls: nothing in it may catch this."""


class Simulation:
    """Runs a timeline; `violations` collects what must never happen."""

    def __init__(self, world: World) -> None:
        self.world = world
        self.violations: list[str] = []
        self.run_minutes = 0
        self.session_minutes = 0
        self.idle_minutes = 0
        self._faulty = False
        self._boot = SERVER_BOOT
        self._reports = True
        self._ready: set[Instance] = set()
        """Those whose server was ready in their present run."""
        self._new: Instance | None = None
        self._failed_reaps = 0
        self._retries: list[tuple[datetime, int]] = []
        self._fire_at: datetime | None = None
        self._fired: datetime | None = None
        self._lateness = timedelta(0)
        self._fire_twice = False
        self._server_back: datetime | None = None
        self._cut_off_until = world.now
        self._silent_until = world.now - world.settings.idle
        self.began = world.now

    def play(self, steps: list[Step]) -> None:
        """The timeline, each step at its minute."""
        for step in steps:
            self.pass_time(step.after * MINUTE)
            self.act(step.act, step.calls)

    def quieten(self) -> timedelta:
        """Everyone leaves and every fault ends. Returns how long the machine then still runs."""
        world = self.world
        world.server.sessions = 0
        world.fault = None
        world.server.reachable = True
        self._silent_until = self._cut_off_until = self._quiet = world.now
        while any(map(_costs, world.ec2.instances)) and world.now - self._quiet < timedelta(hours=12):
            self.pass_time(MINUTE)
        return world.now - self._quiet

    def pass_time(self, span: timedelta) -> None:
        """Minute by minute."""
        end = self.world.now + span
        while self.world.now < end:
            self._minute()

    def act(self, act: Act, calls: int = 1) -> None:
        """One thing happens now, or to AWS after so many more ``calls``."""
        server = self.world.server
        match act:
            case Act.START | Act.STOP:
                self._call(lambda: self.world.press(act.value))
            case Act.JOIN if server.accepts:
                server.sessions += 1
            case Act.LEAVE:
                server.sessions = max(0, server.sessions - 1)
            case Act.FIRE_AGAIN:
                self._reap()
            case Act.HEARTBEATS_LOST | Act.SERVER_CUT_OFF | Act.SERVER_CRASH:
                self._break_machine(act)
            case Act.FIRE_TWICE:
                self._fire_twice = True
            case Act.BOOT_SLOWLY | Act.BOOT_IN_VAIN | Act.REPORTS_LOST | Act.NO_HOST | Act.REPLACE:
                self._break_boot(act)
            case Act.SCHEDULE_LOST | Act.FIRE_LATE | Act.CRASH | Act.THROTTLE:
                self._faulty = True
                self._break_aws(act, calls)

    def _break_boot(self, act: Act) -> None:
        match act:
            case Act.BOOT_SLOWLY:
                self._boot = SLOW_BOOT
            case Act.BOOT_IN_VAIN:
                self._boot = NEVER
            case Act.REPORTS_LOST:
                self._reports = False
            case Act.NO_HOST:
                self.world.cloud.machine.fails_with = NO_CAPACITY
            case Act.REPLACE if self._new is None and self.world.server.sessions == 0:
                # As deploy.sh does, which begins no replacement under a session.
                self._new = self.world.ec2.launch(self.world.settings.stack)

    def _break_machine(self, act: Act) -> None:
        world, server = self.world, self.world.server
        if act is Act.HEARTBEATS_LOST and world.now >= self._cut_off_until:
            self._silent_until = world.now + 40 * MINUTE
        if act is Act.SERVER_CUT_OFF and world.now >= self._silent_until + world.settings.idle:
            self._cut_off_until = world.now + 10 * MINUTE
        if act is Act.SERVER_CRASH and server.up:
            server.up, server.sessions = False, 0
            self._server_back = world.now + 2 * MINUTE

    def _break_aws(self, act: Act, calls: int) -> None:
        match act:
            case Act.SCHEDULE_LOST:
                self.world.cloud.lose_schedule()
            case Act.FIRE_LATE:
                self._lateness = 7 * MINUTE
            case Act.CRASH:
                self.world.fault = _failing(after=calls, calls=1, error=Died())
            case _:
                self.world.fault = _failing(after=calls, calls=3, error=refusal("ThrottlingException", "any"))

    def _minute(self) -> None:
        world, server = self.world, self.world.server
        world.advance(MINUTE)
        server.reachable = world.now >= self._cut_off_until
        self._go_on_with_boots()
        if world.cloud.state == "running":
            self._count()
            if world.now >= self._silent_until:
                world.beat(server.sessions)
        self._fire_when_due()
        if (world.now - self.began) % REAPER_PERIOD == timedelta(0):
            self._reap()
        for when, tries in [entry for entry in self._retries if entry[0] <= world.now]:
            self._retries.remove((when, tries))
            self._reap(tries)
        self._check()

    def _go_on_with_boots(self) -> None:
        world, server = self.world, self.world.server
        meant = world.ec2.address_of
        self._ready = {machine for machine in self._ready if machine.state is InstanceState.RUNNING}
        if meant is not None and meant.state is InstanceState.STOPPED and meant.reason == NO_CAPACITY:
            meant.fails_with = None  # the next time there is a host again
        if meant is not None and meant.state is InstanceState.RUNNING and not server.up:
            if self._server_back is None and world.now >= meant.launched + self._boot:
                self._come_up(meant)
            elif self._server_back is not None and world.now >= self._server_back:
                server.up, self._server_back = True, None
        if self._new is not None:
            self._go_on_with_replacement(self._new)

    def _come_up(self, machine: Instance) -> None:
        self.world.server.up = True
        self._ready.add(machine)
        if self._reports:
            self.world.report(Phase.READY, ready_at=self.world.now.isoformat())
        self._boot, self._reports = SERVER_BOOT, True

    def _go_on_with_replacement(self, new: Instance) -> None:
        world = self.world
        age = world.now - new.launched
        if new.state is InstanceState.RUNNING and age >= self._boot:
            old, world.ec2.address_of = world.ec2.address_of, new
            world.server.sessions, self._server_back = 0, None
            self._come_up(new)
            if old is not None:
                world.ec2.terminate(old)
            world.cloud.machine, self._new = new, None
        elif age >= world.settings.boot_limit:
            # No signal: CloudFormation rolls back.
            world.ec2.terminate(new)
            self._new, self._boot = None, SERVER_BOOT

    def _count(self) -> None:
        self.run_minutes += 1
        if self.world.server.sessions:
            self.session_minutes += 1
        else:
            self.idle_minutes += 1

    def _fire_when_due(self) -> None:
        # A one-time schedule fires once; moving it arms it again.
        due = self.world.cloud.due
        if due is None or due == self._fired:
            return
        if self.world.now >= due + self._lateness:
            self._fired, self._lateness = due, timedelta(0)
            self._reap()
            if self._fire_twice:
                self._fire_twice = False
                self._reap()

    def _reap(self, tries: int = 0) -> None:
        if self._call(self.world.reap):
            return
        self._failed_reaps += 1
        if tries < len(LAMBDA_RETRIES):
            self._retries.append((self.world.now + LAMBDA_RETRIES[tries], tries + 1))

    def _call(self, function: Callable[[], object]) -> bool:
        stops = len(self.world.stops)
        running = [each for each in self.world.ec2.instances if each.state is InstanceState.RUNNING]
        try:
            function()
        except (Died, Exception):  # noqa: BLE001  any failure of a function is Lambda's to retry
            return False
        finally:
            for when, sessions in self.world.stops[stops:]:
                if sessions and when < self.world.cloud.launched + self.world.settings.max_run:
                    self.violations.append(f"{when}: stopped with {sessions} live sessions")
            self._check_boots(running)
        return True

    def _check_boots(self, running: list[Instance]) -> None:
        """Nothing but its boot limit ends a start, and nothing that was ready is off before its idle time."""
        for machine in running:
            young = self.world.now - machine.launched < self.world.settings.boot_limit
            if machine.state is not InstanceState.RUNNING and young and machine not in self._ready:
                self.violations.append(f"{self.world.now}: {machine.instance_id} stopped while it came up")

    def _check(self) -> None:
        world = self.world
        if len(world.cloud.schedule_names) > 1:
            self.violations.append(f"{world.now}: schedules {world.cloud.schedule_names}")
        allowed = MINUTE
        if self._faulty:
            # A lost or failed firing is made good by the next reaper that gets through.
            allowed += REAPER_PERIOD * (1 + self._failed_reaps) + sum(LAMBDA_RETRIES, timedelta(0))
        if (
            world.cloud.state == "running"
            and world.now > world.cloud.launched + world.settings.max_run + allowed
        ):
            self.violations.append(f"{world.now}: runs since {world.cloud.launched}")


def _costs(machine: Instance) -> bool:
    return machine.state in {InstanceState.PENDING, InstanceState.RUNNING}


def _failing(after: int, calls: int, error: BaseException) -> Callable[[str], None]:
    """Spares ``after`` calls to AWS, then fails ``calls`` of them."""
    numbers = count()

    def fail(_operation: str) -> None:
        if after <= next(numbers) < after + calls:
            raise error

    return fail
