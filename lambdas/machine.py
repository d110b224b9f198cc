"""The GPU machines on EC2: the first, and a fallback in another zone if the stack has one.

While CloudFormation replaces a machine, two have the same rank, until the new machine's first boot is over.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from lambdas.errors import LifecycleError, NoInstance, start_failure, translated

STACK_TAG = "mediaserver:stack"
RANK_TAG = "mediaserver:rank"
"""``1``: the machine that is tried first; ``2``: the fallback."""
_NOT_GONE = ["pending", "running", "stopping", "stopped"]


@dataclass(frozen=True, slots=True)
class Machine:
    """``state`` is EC2's name of it. ``launched`` is the time of the last start, which EC2 renews.

    ``has_address``: the stack's public address leads to this machine, on or off. ``trouble``: why its last
    start failed after the call had succeeded.
    """

    instance_id: str
    state: str
    launched: datetime
    rank: int = 1
    has_address: bool = True
    trouble: LifecycleError | None = None

    @property
    def is_up(self) -> bool:
        """Whether it costs money, or soon will."""
        return self.state != "stopped"


def current(machines: Sequence[Machine]) -> Machine:
    """Returns the machine for users: a running one, else the address's machine, else the newest.

    In a replacement the old machine stays current until CloudFormation moves the address, after the new
    machine's boot. Raises `NoInstance` if there is no machine.
    """
    if not machines:
        raise NoInstance("The stack has no GPU machine. Tell the operator.")
    return max(machines, key=lambda machine: (machine.is_up, machine.has_address, machine.launched))


def to_start(machines: Iterable[Machine], failed_since: datetime) -> list[Machine]:
    """Returns the machines to try, in order: of those that are off, one of each rank.

    A machine whose start failed after ``failed_since`` comes last.
    """
    best: dict[int, Machine] = {}
    for machine in sorted(machines, key=lambda machine: (machine.has_address, machine.launched)):
        if not machine.is_up:
            best[machine.rank] = machine
    return sorted(
        best.values(),
        key=lambda machine: (machine.trouble is not None and machine.launched > failed_since, machine.rank),
    )


class Ec2Machines:
    """Lists, starts and stops the machines with the stack's tag.

    ``address`` is the public address of the server's name, ``allocation`` is the address's id.
    """

    def __init__(self, client: Any, stack: str, address: str, allocation: str) -> None:
        self._client = client
        self._stack = stack
        self._address = address
        self._allocation = allocation

    def list(self) -> list[Machine]:
        """Returns all machines but terminated ones."""
        with translated():
            answer = self._client.describe_instances(
                Filters=[
                    {"Name": f"tag:{STACK_TAG}", "Values": [self._stack]},
                    {"Name": "instance-state-name", "Values": _NOT_GONE},
                ]
            )
        return [
            self._machine(instance)
            for reservation in answer["Reservations"]
            for instance in reservation["Instances"]
        ]

    def start(self, machine: Machine) -> None:
        """Starts the machine. Idempotent: EC2 ignores the call for a machine that is starting or running.

        It moves the address first, as EC2 rejects that for a pending machine.
        """
        with translated():
            if not machine.has_address:
                self._client.associate_address(
                    AllocationId=self._allocation, InstanceId=machine.instance_id, AllowReassociation=True
                )
            self._client.start_instances(InstanceIds=[machine.instance_id])

    def stop(self, machine: Machine) -> None:
        """Stops the machine: systemd stops its units. Idempotent: EC2 ignores a second call."""
        with translated():
            self._client.stop_instances(InstanceIds=[machine.instance_id])

    def _machine(self, instance: dict[str, Any]) -> Machine:
        state = instance["State"]["Name"]
        tags = {tag["Key"]: tag["Value"] for tag in instance.get("Tags", [])}
        # Not the instance's own field: an interface keeps the address while its machine is off.
        associations = (
            interface.get("Association", {}) for interface in instance.get("NetworkInterfaces", [])
        )
        return Machine(
            instance_id=instance["InstanceId"],
            state=state,
            launched=instance["LaunchTime"],
            rank=int(tags.get(RANK_TAG, "1")),
            has_address=any(association.get("PublicIp") == self._address for association in associations),
            trouble=start_failure(instance.get("StateReason", {}).get("Code", ""))
            if state == "stopped"
            else None,
        )
