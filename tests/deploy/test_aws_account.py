"""What is looked at before a stack is made: CloudFormation would find it out in the midst, and roll all of it
back."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.deploy.template import load as load_template
from tests.deploy.test_aws_deploy import AWS, Cloud, filled_in


@pytest.fixture
def cloud(tmp_path: Path) -> Cloud:
    return Cloud(tmp_path)


def stack_env(folder: Path, **values: str) -> Path:
    return filled_in(folder / "stack.env", **({"SourceSha256": "0" * 64, "ImageId": "ami-1"} | values))


def refused(cloud: Cloud, stack: Path) -> str:
    """Nothing has been made."""
    done = cloud.deploy(stack)
    assert done.returncode == 1, done.stdout
    made = cloud.programs.called("aws cloudformation") + cloud.programs.called("aws s3 ")
    assert not [call for call in made if "describe-stacks" not in call]
    return done.stderr


def test_where_all_is_right_it_goes_on(cloud: Cloud, tmp_path: Path) -> None:
    stack = stack_env(tmp_path, FallbackSubnetId="subnet-1")
    assert cloud.deploy(stack).returncode == 0
    assert cloud.programs.called("aws cloudformation deploy")


@pytest.mark.parametrize(
    ("answers", "words"),
    [
        # A new account has none.
        (
            {"service_quotas_get_service_quota": "0.0"},
            "is 0 vCPUs, and 8 are needed: aws service-quotas request-service-quota-increase",
        ),
        # Enough for the first machine alone.
        ({"service_quotas_get_service_quota": "4.0"}, "8 are needed"),
        (
            {"ec2_describe_instance_type_offerings": "0"},
            "eu-central-1a, the zone of x, does not offer g4dn.xlarge",
        ),
        ({"ec2_describe_subnets": "eu-central-1a vpc-2"}, "SubnetId: x lies in vpc-2"),
        ({"ec2_describe_route_tables": "local"}, "SubnetId: x has no route to an internet gateway"),
        ({"ec2_describe_images": "arm64 /dev/sda1 75"}, "ImageId: ami-1 has arm64"),
        ({"ec2_describe_images": "x86_64 /dev/xvda 75"}, "its disk as /dev/xvda"),
        ({"ec2_describe_images": "x86_64 /dev/sda1 200"}, "DiskGiB is 120, and ami-1 needs 200"),
        # Five are an account's, unless it asked for more; the double knows one quota.
        ({"ec2_describe_addresses": "8"}, "all of its 8 Elastic IP addresses"),
        ({"route53_get_hosted_zone": "example.com. False"}, "gpu.example.org does not lie in example.com"),
        # The end of a name is not its zone.
        ({"route53_get_hosted_zone": "ample.org. False"}, "does not lie in ample.org"),
        ({"route53_get_hosted_zone": "example.org. True"}, "private zone"),
        ({"s3api_get_bucket_location": "eu-west-1"}, "x is in eu-west-1, and has to be in eu-central-1"),
        ({"s3api_get_bucket_location": "None"}, "x is in us-east-1"),
        ({"cloudformation_describe_stacks": "CREATE_FAILED"}, "delete-stack --stack-name mediaserver"),
        ({"cloudformation_describe_stacks": "ROLLBACK_COMPLETE"}, "delete-stack"),
        ({"cloudformation_describe_stacks": "UPDATE_IN_PROGRESS"}, "again when that is over"),
    ],
)
def test_what_is_wrong_is_told(cloud: Cloud, tmp_path: Path, answers: dict[str, str], words: str) -> None:
    stack = stack_env(tmp_path, FallbackSubnetId="subnet-1")
    cloud.knows(**answers)
    assert words in refused(cloud, stack)


@pytest.mark.parametrize(
    ("values", "words"),
    [
        ({"UdpFrom": "60000", "UdpTo": "50000"}, "UdpFrom is 60000"),
        ({"UdpTo": "49152"}, "UdpFrom is 49152"),
        ({"MaxRunMinutes": "30"}, "BootLimitMinutes, 40, and would be cut off"),
    ],
)
def test_numbers_that_do_not_go_together(
    cloud: Cloud, tmp_path: Path, values: dict[str, str], words: str
) -> None:
    assert words in refused(cloud, stack_env(tmp_path, **values))


def test_a_default_is_the_template_s() -> None:
    """Where stack.env says nothing."""
    parameters = load_template()["Parameters"]
    script = (AWS / "check-account.sh").read_text()
    variables = {
        "UdpFrom": "from",
        "UdpTo": "to",
        "MaxRunMinutes": "longest",
        "BootLimitMinutes": "boot",
        "DiskGiB": "disk",
        "InstanceType": "type",
        "FallbackInstanceType": "type",
    }
    for parameter, variable in variables.items():
        assert f"{variable}=$(setting {parameter})" in script
        assert f"${{{variable}:-{parameters[parameter]['Default']}}}" in script


def test_a_stack_that_has_its_address_needs_no_other(cloud: Cloud, tmp_path: Path) -> None:
    cloud.knows(ec2_describe_addresses="8", ec2_describe_own_addresses="1")
    assert cloud.deploy(stack_env(tmp_path)).returncode == 0


def test_a_change_set_that_was_never_run_is_no_stack(cloud: Cloud, tmp_path: Path) -> None:
    cloud.knows(cloudformation_describe_stacks="REVIEW_IN_PROGRESS")
    assert cloud.deploy(stack_env(tmp_path)).returncode == 0


def test_an_image_has_to_be_chosen(cloud: Cloud, tmp_path: Path) -> None:
    stack = stack_env(tmp_path)
    stack.write_text(stack.read_text().replace("ImageId=ami-1", "ImageId=").replace("ImageId=x", "ImageId="))
    assert "--newest-image" in refused(cloud, stack)


@pytest.mark.parametrize("name", ["a" * 41, "1st", "my_stack"])
def test_a_name_that_some_resource_could_not_bear(cloud: Cloud, tmp_path: Path, name: str) -> None:
    assert "STACK_NAME" in refused(cloud, stack_env(tmp_path, STACK_NAME=name))
