"""The one GPU machine, on EC2."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Any

from lambdas.errors import NoInstance, translated

STACK_TAG = "mediaserver:stack"
_NOT_GONE = ["pending", "running", "stopping", "stopped"]


@dataclass(frozen=True, slots=True)
class Machine:
    """``state`` is EC2's word; ``launched`` is when it was last started (EC2 renews it at each start)."""

    instance_id: str
    state: str
    launched: datetime


class Ec2Machine:
    """Finds, starts and stops the machine that carries the stack's tag."""

    def __init__(self, client: Any, stack: str) -> None:
        self._client = client
        self._stack = stack

    def find(self) -> Machine:
        """Raises `NoInstance` unless exactly one machine has the tag."""
        with translated():
            answer = self._client.describe_instances(
                Filters=[
                    {"Name": f"tag:{STACK_TAG}", "Values": [self._stack]},
                    {"Name": "instance-state-name", "Values": _NOT_GONE},
                ]
            )
        found = [instance for reservation in answer["Reservations"] for instance in reservation["Instances"]]
        if len(found) != 1:
            raise NoInstance(
                f"{len(found)} GPU machines are tagged {STACK_TAG}={self._stack}, not one. Tell the operator."
            )
        instance = found[0]
        return Machine(instance["InstanceId"], instance["State"]["Name"], instance["LaunchTime"])

    def start(self, machine: Machine) -> None:
        """EC2 ignores it for a machine that is already starting or running, so ten calls are one start."""
        with translated():
            self._client.start_instances(InstanceIds=[machine.instance_id])

    def stop(self, machine: Machine) -> None:
        """The machine shuts down in order: systemd stops its units. EC2 ignores a second call."""
        with translated():
            self._client.stop_instances(InstanceIds=[machine.instance_id])
