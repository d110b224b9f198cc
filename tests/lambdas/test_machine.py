from __future__ import annotations

from datetime import timedelta

import pytest

from lambdas.dev.ec2 import ADDRESS, ALLOCATION, HOST_FOUND_AFTER, NO_CAPACITY, SHUT_DOWN_AFTER, InstanceState
from lambdas.errors import NoCapacity, NoInstance, StartFailed, WrongState, start_failure
from lambdas.machine import Ec2Machines, Machine, current, to_start
from tests.lambdas.world import EPOCH, World

MINUTE = timedelta(minutes=1)


def machines(world: World, stack: str = "dev") -> Ec2Machines:
    return Ec2Machines(world.ec2, stack, ADDRESS, ALLOCATION)


def test_finds_the_machine_by_its_tag(world: World) -> None:
    (machine,) = machines(world).list()
    assert (machine.instance_id, machine.state, machine.has_address) == (
        world.cloud.instance_id,
        "stopped",
        True,
    )


def test_without_a_machine_says_so(world: World) -> None:
    with pytest.raises(NoInstance, match="no GPU machine"):
        current(machines(world, "another stack").list())


def test_a_terminated_machine_is_not_there(world: World) -> None:
    world.ec2.terminate(world.cloud.machine)
    assert machines(world).list() == []


class TestTwoMachines:
    """While CloudFormation replaces one, and where there is a fallback."""

    def machine(self, name: str, **values: object) -> Machine:
        return Machine(name, **({"state": "stopped", "launched": EPOCH, "has_address": False} | values))  # type: ignore[arg-type]

    def test_the_one_that_serves_is_meant_until_the_address_has_moved(self) -> None:
        old = self.machine("old", state="running", has_address=True)
        new = self.machine("new", state="running", launched=EPOCH + MINUTE)
        assert current([old, new]) is old

    def test_the_one_that_boots_is_meant_where_the_old_one_was_drained(self) -> None:
        old = self.machine("old", has_address=True, launched=EPOCH + MINUTE)
        assert current([old, self.machine("new", state="pending")]).instance_id == "new"

    def test_of_two_that_are_off_it_is_the_one_with_the_address_else_the_newest(self) -> None:
        old, new = self.machine("old"), self.machine("new", launched=EPOCH + MINUTE)
        assert current([old, new]) is new
        assert current([self.machine("old", has_address=True), new]).instance_id == "old"

    def test_only_one_of_a_rank_is_started(self) -> None:
        old, new = self.machine("old"), self.machine("new", launched=EPOCH + MINUTE)
        fallback = self.machine("fallback", rank=2)
        assert to_start([new, old, fallback], failed_since=EPOCH) == [new, fallback]

    def test_one_whose_start_has_just_failed_comes_last(self) -> None:
        failed = self.machine("first", trouble=start_failure(NO_CAPACITY), launched=EPOCH + MINUTE)
        fallback = self.machine("fallback", rank=2)
        assert to_start([failed, fallback], failed_since=EPOCH) == [fallback, failed]
        assert to_start([failed, fallback], failed_since=EPOCH + 2 * MINUTE) == [failed, fallback]

    def test_the_address_moves_to_the_one_that_is_started(self, world: World) -> None:
        fallback = world.ec2.launch("dev", rank=2, state=InstanceState.STOPPED)
        (found,) = [each for each in machines(world).list() if each.rank == 2]
        machines(world).start(found)
        assert world.ec2.address_of is fallback
        assert fallback.state is InstanceState.PENDING


@pytest.mark.parametrize(
    ("reason", "kind"),
    [
        (NO_CAPACITY, NoCapacity),
        ("Server.InternalError", StartFailed),
        ("Client.InternalError", StartFailed),
        ("Client.VolumeLimitExceeded", StartFailed),
        ("Client.UserInitiatedShutdown", type(None)),
        ("Client.InstanceInitiatedShutdown", type(None)),
        ("Server.ScheduledStop", type(None)),
        ("", type(None)),
    ],
)
def test_why_a_machine_is_off_is_read(world: World, reason: str, kind: type) -> None:
    world.ec2.enter(world.cloud.machine, InstanceState.STOPPED, reason)
    (machine,) = machines(world).list()
    assert type(machine.trouble) is kind


class TestDouble:
    """The rules that the double of EC2 holds, as AWS documents them: it must be no kinder than EC2 is."""

    def test_a_start_takes_its_time_and_so_does_a_stop(self, world: World) -> None:
        (machine,) = machines(world).list()
        instance = world.cloud.machine
        machines(world).start(machine)
        states = [instance.state]
        world.advance(HOST_FOUND_AFTER)
        states.append(instance.state)
        machines(world).stop(machine)
        states.append(instance.state)
        world.advance(SHUT_DOWN_AFTER)
        states.append(instance.state)
        assert [str(state) for state in states] == ["pending", "running", "stopping", "stopped"]
        assert instance.reason == "Client.UserInitiatedShutdown"

    def test_a_start_that_was_taken_may_come_to_nothing(self, world: World) -> None:
        world.cloud.machine.fails_with = NO_CAPACITY
        machines(world).start(machines(world).list()[0])
        world.advance(HOST_FOUND_AFTER)
        (machine,) = machines(world).list()
        assert machine.state == "stopped"
        assert isinstance(machine.trouble, NoCapacity)

    @pytest.mark.parametrize(
        ("state", "call"),
        [(InstanceState.PENDING, "stop"), (InstanceState.STOPPING, "start")],
    )
    def test_what_a_state_forbids_is_refused(self, world: World, state: InstanceState, call: str) -> None:
        world.ec2.enter(world.cloud.machine, state)
        (machine,) = machines(world).list()
        with pytest.raises(WrongState):
            getattr(machines(world), call)(machine)

    def test_a_pending_machine_takes_no_address(self, world: World) -> None:
        instance = world.ec2.launch("dev", rank=2)
        with pytest.raises(Exception, match="IncorrectInstanceState"):
            world.ec2.associate_address(AllocationId=ALLOCATION, InstanceId=instance.instance_id)

    def test_parameters_that_boto3_would_refuse_are_refused(self, world: World) -> None:
        with pytest.raises(Exception, match="InstanceIds"):
            world.ec2.start_instances(InstanceIds="not a list")
