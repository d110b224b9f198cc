from __future__ import annotations

import pytest

from lambdas.dev.cloud import IMAGE_ID
from lambdas.errors import NoInstance
from lambdas.machine import Ec2Machine
from tests.lambdas.world import World


def test_finds_the_machine_by_its_tag(world: World) -> None:
    machine = Ec2Machine(world.ec2, world.settings.stack).find()
    assert (machine.instance_id, machine.state) == (world.cloud.instance_id, "stopped")


def test_without_a_machine_says_so(world: World) -> None:
    with pytest.raises(NoInstance, match="0 GPU machines"):
        Ec2Machine(world.ec2, "another stack").find()


def test_two_machines_are_one_too_many(world: World) -> None:
    tags = [{"ResourceType": "instance", "Tags": [{"Key": "mediaserver:stack", "Value": "twins"}]}]
    world.ec2.run_instances(ImageId=IMAGE_ID, MinCount=2, MaxCount=2, TagSpecifications=tags)
    with pytest.raises(NoInstance, match="2 GPU machines"):
        Ec2Machine(world.ec2, "twins").find()


def test_a_terminated_machine_is_not_there(world: World) -> None:
    tags = [{"ResourceType": "instance", "Tags": [{"Key": "mediaserver:stack", "Value": "gone"}]}]
    answer = world.ec2.run_instances(ImageId=IMAGE_ID, MinCount=1, MaxCount=1, TagSpecifications=tags)
    world.ec2.terminate_instances(InstanceIds=[answer["Instances"][0]["InstanceId"]])
    with pytest.raises(NoInstance):
        Ec2Machine(world.ec2, "gone").find()
