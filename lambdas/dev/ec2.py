"""A double of EC2 as AWS documents it, stricter than moto.

Machines take time, reject calls that their state forbids, and may be off again after an accepted start. The
rules are those of the EC2 User Guide, "Amazon EC2 instance state changes". The API reference has the others:
StartInstances, StopInstances, AssociateAddress, StateReason. botocore's model checks parameters.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Any

from botocore.exceptions import ClientError
from botocore.validate import validate_parameters

from lambdas.machine import RANK_TAG, STACK_TAG

HOST_FOUND_AFTER = timedelta(seconds=30)
SHUT_DOWN_AFTER = timedelta(minutes=1)
NO_CAPACITY = "Server.InsufficientInstanceCapacity"
ADDRESS = "203.0.113.7"
ALLOCATION = "eipalloc-0123456789abcdef0"


class InstanceState(StrEnum):
    """The names of EC2."""

    PENDING = "pending"
    RUNNING = "running"
    STOPPING = "stopping"
    STOPPED = "stopped"
    TERMINATED = "terminated"


@dataclass(eq=False)
class Instance:
    """``refuses_with``: the error of StartInstances. ``fails_with``: the StateReason that ends an accepted
    start."""

    instance_id: str
    launched: datetime
    tags: dict[str, str] = field(default_factory=dict)
    state: InstanceState = InstanceState.STOPPED
    since: datetime | None = None
    reason: str = ""
    refuses_with: str | None = None
    fails_with: str | None = None


class Ec2:
    """A client with the operations that the functions call.

    ``on_call`` gets the name of each before it runs, and may raise. ``on_enter`` gets the instance after a
    change of its state.
    """

    def __init__(self, real: Any, clock: Callable[[], datetime]) -> None:
        """``real``: a client of boto3, whose model checks parameters."""
        self._model = real.meta.service_model
        self._clock = clock
        self._lock = threading.RLock()
        self.instances: list[Instance] = []
        self.address_of: Instance | None = None
        self.on_call: Callable[[str], None] = _let_pass
        self.on_enter: Callable[[Instance], None] = _let_pass

    def launch(self, stack: str, rank: int = 1, state: InstanceState = InstanceState.PENDING) -> Instance:
        """Makes a new machine, as CloudFormation does."""
        with self._lock:
            number = len(self.instances) + 1
            tags = {STACK_TAG: stack, RANK_TAG: str(rank)}
            instance = Instance(f"i-{number:017x}", self._clock(), tags)
            self.instances.append(instance)
            self.enter(instance, state)
            return instance

    def enter(self, instance: Instance, state: InstanceState, reason: str = "") -> None:
        """Changes the state of the instance now."""
        instance.state, instance.since, instance.reason = state, self._clock(), reason
        self.on_enter(instance)

    def terminate(self, instance: Instance) -> None:
        """Ends a machine, as CloudFormation does after a replacement."""
        self.enter(instance, InstanceState.TERMINATED, "Client.UserInitiatedShutdown")
        if self.address_of is instance:
            self.address_of = None

    def catch_up(self) -> None:
        """Moves machines on from pending and stopping, by the clock."""
        with self._lock:
            for instance in self.instances:
                age = self._clock() - (instance.since or instance.launched)
                if instance.state is InstanceState.PENDING and age >= HOST_FOUND_AFTER:
                    if instance.fails_with is not None:
                        self.enter(instance, InstanceState.STOPPED, instance.fails_with)
                    else:
                        self.enter(instance, InstanceState.RUNNING)
                elif instance.state is InstanceState.STOPPING and age >= SHUT_DOWN_AFTER:
                    self.enter(instance, InstanceState.STOPPED, instance.reason)

    def describe_instances(self, **parameters: Any) -> dict[str, Any]:
        """Filters by tag and by state; a terminated machine stays in the list."""
        self._called("DescribeInstances", parameters)
        wanted = {entry["Name"]: entry["Values"] for entry in parameters.get("Filters", [])}
        with self._lock:
            found = [instance for instance in self.instances if _matches(instance, wanted)]
            return {"Reservations": [{"Instances": [self._described(instance)]} for instance in found]}

    def start_instances(self, **parameters: Any) -> dict[str, Any]:
        """Starts a stopped machine. It does nothing to a pending or running machine."""
        self._called("StartInstances", parameters)
        with self._lock:
            instance = self._named(parameters["InstanceIds"][0], "StartInstances")
            if instance.state in {InstanceState.STOPPING, InstanceState.TERMINATED}:
                raise refusal("IncorrectInstanceState", "StartInstances")
            if instance.state is InstanceState.STOPPED:
                if instance.refuses_with is not None:
                    raise refusal(instance.refuses_with, "StartInstances")
                instance.launched = self._clock()
                self.enter(instance, InstanceState.PENDING)
            return {"StartingInstances": [{"InstanceId": instance.instance_id}]}

    def stop_instances(self, **parameters: Any) -> dict[str, Any]:
        """Stops a running machine. It does nothing to a stopping or stopped machine."""
        self._called("StopInstances", parameters)
        with self._lock:
            instance = self._named(parameters["InstanceIds"][0], "StopInstances")
            if instance.state in {InstanceState.PENDING, InstanceState.TERMINATED}:
                raise refusal("IncorrectInstanceState", "StopInstances")
            if instance.state is InstanceState.RUNNING:
                self.enter(instance, InstanceState.STOPPING, "Client.UserInitiatedShutdown")
            return {"StoppingInstances": [{"InstanceId": instance.instance_id}]}

    def associate_address(self, **parameters: Any) -> dict[str, Any]:
        """Moves the address to a running or stopped machine. A pending machine takes no address."""
        self._called("AssociateAddress", parameters)
        with self._lock:
            instance = self._named(parameters["InstanceId"], "AssociateAddress")
            if parameters["AllocationId"] != ALLOCATION:
                raise refusal("InvalidAllocationID.NotFound", "AssociateAddress")
            if instance.state not in {InstanceState.RUNNING, InstanceState.STOPPED}:
                raise refusal("IncorrectInstanceState", "AssociateAddress")
            if self.address_of not in {None, instance} and not parameters.get("AllowReassociation"):
                raise refusal("Resource.AlreadyAssociated", "AssociateAddress")
            self.address_of = instance
            return {"AssociationId": "eipassoc-0123456789abcdef0"}

    def _called(self, name: str, parameters: dict[str, Any]) -> None:
        validate_parameters(parameters, self._model.operation_model(name).input_shape)
        self.on_call(name)

    def _named(self, instance_id: str, operation: str) -> Instance:
        for instance in self.instances:
            if instance.instance_id == instance_id:
                return instance
        raise refusal("InvalidInstanceID.NotFound", operation)

    def _described(self, instance: Instance) -> dict[str, Any]:
        described: dict[str, Any] = {
            "InstanceId": instance.instance_id,
            "State": {"Name": instance.state.value},
            "LaunchTime": instance.launched,
            "Tags": [{"Key": key, "Value": value} for key, value in instance.tags.items()],
            "NetworkInterfaces": [],
        }
        if instance.reason:
            described["StateReason"] = {"Code": instance.reason, "Message": instance.reason}
        if instance is self.address_of:
            described["NetworkInterfaces"] = [{"Association": {"PublicIp": ADDRESS}}]
        return described


def refusal(code: str, operation: str) -> ClientError:
    """Returns an error as AWS sends it."""
    return ClientError({"Error": {"Code": code, "Message": "refused by the simulated AWS"}}, operation)


def _matches(instance: Instance, wanted: dict[str, list[str]]) -> bool:
    for name, values in wanted.items():
        if name == "instance-state-name":
            value: str | None = instance.state
        else:
            value = instance.tags.get(name.removeprefix("tag:"))
        if value not in values:
            return False
    return True


def _let_pass(_what: object) -> None:
    pass
