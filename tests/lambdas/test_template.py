"""What the template becomes when SAM has translated it, and what each role may then do."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("cfnlint", reason="the template is checked with cfn-lint: pip install -e .[test]")
pytest.importorskip(
    "samtranslator", reason="it is translated with aws-sam-translator: pip install -e .[test]"
)

from cfnlint.decode import cfn_yaml
from samtranslator.translator.transform import transform

from lambdas.auto_stop import SCHEDULE_NAME
from lambdas.heartbeat import NAMESPACE
from lambdas.machine import STACK_TAG
from tests.lambdas.world import World

AWS = Path(__file__).parents[2] / "deploy" / "aws"
TEMPLATE = AWS / "template.yaml"

FIND = ("ec2:DescribeInstances", "*")
READ_HEARTBEAT = ("cloudwatch:GetMetricStatistics", "*")
READ_KEYS = ("secretsmanager:GetSecretValue", "Keys")
PASS_ROLE = ("iam:PassRole", "SchedulerRole")
TAGGED = "instance/* of the stack"
LEASE = "schedule/auto-stop"
READ_BOOT = {("ssm:GetParameters", "parameter/boot"), ("ssm:GetParameters", "parameter/starts")}

ALLOWED = {
    "StartFunctionRole": {
        FIND,
        *READ_BOOT,
        READ_KEYS,
        PASS_ROLE,
        ("ec2:StartInstances", TAGGED),
        ("ec2:AssociateAddress", TAGGED),
        ("ec2:AssociateAddress", "elastic-ip/Address"),
        ("ec2:AssociateAddress", "network-interface/*"),
        ("scheduler:GetSchedule", LEASE),
        ("scheduler:CreateSchedule", LEASE),
        ("scheduler:UpdateSchedule", LEASE),
    },
    "StatusFunctionRole": {FIND, *READ_BOOT, READ_HEARTBEAT, ("scheduler:GetSchedule", LEASE)},
    "StopFunctionRole": {
        FIND,
        *READ_BOOT,
        READ_HEARTBEAT,
        READ_KEYS,
        ("ec2:StopInstances", TAGGED),
        ("scheduler:DeleteSchedule", LEASE),
    },
    "ReaperFunctionRole": {
        FIND,
        *READ_BOOT,
        READ_HEARTBEAT,
        READ_KEYS,
        PASS_ROLE,
        ("ec2:StopInstances", TAGGED),
        ("scheduler:GetSchedule", LEASE),
        ("scheduler:CreateSchedule", LEASE),
        ("scheduler:UpdateSchedule", LEASE),
        ("scheduler:DeleteSchedule", LEASE),
    },
    "AuthorizeFunctionRole": {READ_KEYS},
    "SchedulerRole": {("lambda:InvokeFunction", "reaper"), ("lambda:InvokeFunction", "start")},
    "MachineRole": {
        READ_KEYS,
        ("secretsmanager:GetSecretValue", "Certificate"),
        ("secretsmanager:PutSecretValue", "Certificate"),
        ("ssm:GetParameter", "parameter/machine"),
        ("ssm:GetParameter", "parameter/starts"),
        ("ssm:PutParameter", "parameter/boot"),
        ("ssm:PutParameter", "parameter/starts"),
        ("ec2:DescribeTags", "*"),
        ("cloudformation:SignalResource", "this stack"),
        ("logs:CreateLogStream", "MachineLog"),
        ("logs:PutLogEvents", "MachineLog"),
        ("logs:DescribeLogStreams", "MachineLog"),
        ("s3:ListBucket", "ModelsBucket"),
        ("s3:GetObject", "ModelsBucket/*"),
        ("cloudwatch:PutMetricData", f"namespace {NAMESPACE}"),
        ("route53:ListHostedZones", "*"),
        ("route53:GetChange", "*"),
        ("route53:ChangeResourceRecordSets", "_acme-challenge TXT"),
    },
}
"""The whole of what the stack's roles may do, besides writing logs and, for the machine, SSM's core."""

MANAGED = {"AWSLambdaBasicExecutionRole", "AmazonSSMManagedInstanceCore"}


class Policies:
    """Stands for IAM's list of managed policies, which SAM asks for by name."""

    def load(self) -> dict[str, str]:
        return {
            "AWSLambdaBasicExecutionRole": "arn:aws:iam::aws:policy/service-role/AWSLambdaBasicExecutionRole"
        }


@pytest.fixture(scope="module")
def resources() -> dict[str, Any]:
    template = json.loads(json.dumps(cfn_yaml.load(str(TEMPLATE))))
    # The translator wants what `cloudformation package` makes of the folder.
    template["Globals"]["Function"]["CodeUri"] = "s3://bucket/lambda.zip"
    with pytest.MonkeyPatch.context() as environment:
        environment.setenv("AWS_DEFAULT_REGION", "eu-central-1")
        translated = transform(template, {}, Policies())
    found: dict[str, Any] = translated["Resources"]
    return found


def of_type(resources: dict[str, Any], kind: str) -> dict[str, Any]:
    return {name: body["Properties"] for name, body in resources.items() if body["Type"] == kind}


def as_list(value: Any) -> list[Any]:
    return value if isinstance(value, list) else [value]


def known_targets() -> dict[tuple[str, str], str]:
    """Resource and condition of a statement, as JSON → the word for them in `ALLOWED`."""
    arn = "arn:${AWS::Partition}"
    here = "${AWS::Region}:${AWS::AccountId}"
    stack_only = {"StringEquals": {f"aws:ResourceTag/{STACK_TAG}": {"Ref": "AWS::StackName"}}}
    to_scheduler = {"StringEquals": {"iam:PassedToService": "scheduler.amazonaws.com"}}
    own_metrics = {"StringEquals": {"cloudwatch:namespace": NAMESPACE}}
    own_proof = {
        "ForAllValues:StringEquals": {
            "route53:ChangeResourceRecordSetsNormalizedRecordNames": [
                {"Fn::Sub": "_acme-challenge.${DomainName}"}
            ],
            "route53:ChangeResourceRecordSetsRecordTypes": ["TXT"],
        }
    }
    targets: list[tuple[Any, Any, str]] = [
        ("*", None, "*"),
        ("*", own_metrics, f"namespace {NAMESPACE}"),
        ({"Ref": "Keys"}, None, "Keys"),
        ({"Fn::GetAtt": ["SchedulerRole", "Arn"]}, to_scheduler, "SchedulerRole"),
        ({"Fn::Sub": f"{arn}:ec2:{here}:instance/*"}, stack_only, TAGGED),
        ({"Fn::Sub": f"{arn}:scheduler:{here}:schedule/${{ScheduleGroup}}/{SCHEDULE_NAME}"}, None, LEASE),
        ({"Fn::Sub": f"{arn}:lambda:{here}:function:${{AWS::StackName}}-reaper"}, None, "reaper"),
        ({"Fn::Sub": f"{arn}:lambda:{here}:function:${{AWS::StackName}}-start"}, None, "start"),
        ({"Fn::Sub": f"{arn}:ec2:{here}:elastic-ip/${{Address.AllocationId}}"}, None, "elastic-ip/Address"),
        ({"Fn::Sub": f"{arn}:ec2:{here}:network-interface/*"}, None, "network-interface/*"),
        ({"Ref": "Certificate"}, None, "Certificate"),
        ({"Ref": "AWS::StackId"}, None, "this stack"),
        ({"Fn::GetAtt": ["MachineLog", "Arn"]}, None, "MachineLog"),
        ({"Fn::GetAtt": ["ModelsBucket", "Arn"]}, None, "ModelsBucket"),
        ({"Fn::Sub": "${ModelsBucket.Arn}/*"}, None, "ModelsBucket/*"),
        *(
            (
                {"Fn::Sub": f"{arn}:ssm:{here}:parameter/mediaserver/${{AWS::StackName}}/{name}"},
                None,
                f"parameter/{name}",
            )
            for name in ("machine", "boot", "starts")
        ),
        ({"Fn::Sub": f"{arn}:route53:::hostedzone/${{HostedZoneId}}"}, own_proof, "_acme-challenge TXT"),
    ]
    return {(as_key(resource), as_key(condition)): word for resource, condition, word in targets}


def as_key(value: Any) -> str:
    return json.dumps(value, sort_keys=True)


def documents(resources: dict[str, Any], name: str, role: dict[str, Any]) -> list[dict[str, Any]]:
    """The policies in a role, and those beside it."""
    inside = [policy["PolicyDocument"] for policy in role.get("Policies", [])]
    beside = of_type(resources, "AWS::IAM::RolePolicy").values()
    return inside + [each["PolicyDocument"] for each in beside if each["RoleName"] == {"Ref": name}]


def test_cfn_lint_has_nothing_to_say() -> None:
    done = subprocess.run(
        [Path(sys.executable).parent / "cfn-lint", TEMPLATE], capture_output=True, text=True, check=False
    )
    assert (done.returncode, done.stdout) == (0, "")


def test_each_role_may_do_what_is_listed_and_no_more(resources: dict[str, Any]) -> None:
    words = known_targets()
    granted = {
        name: {
            (action, words.get((as_key(resource), as_key(statement.get("Condition"))), as_key(resource)))
            for document in documents(resources, name, role)
            for statement in document["Statement"]
            for action in as_list(statement["Action"])
            for resource in as_list(statement["Resource"])
        }
        for name, role in of_type(resources, "AWS::IAM::Role").items()
    }
    assert granted == ALLOWED


def test_managed_policies_are_the_two_known_ones(resources: dict[str, Any]) -> None:
    managed = {
        json.dumps(arn).rstrip('"}').rpartition("/")[2]
        for role in of_type(resources, "AWS::IAM::Role").values()
        for arn in role.get("ManagedPolicyArns", [])
    }
    assert managed == MANAGED


def test_every_function_has_a_handler_that_exists(resources: dict[str, Any]) -> None:
    from lambdas.handlers import Handlers

    for function in of_type(resources, "AWS::Lambda::Function").values():
        module, _, name = function["Handler"].rpartition(".")
        assert module == "lambdas.entry"
        assert hasattr(Handlers, name)


def test_every_setting_of_the_functions_is_given(resources: dict[str, Any]) -> None:
    from tests.lambdas.test_settings import COMPLETE

    for function in of_type(resources, "AWS::Lambda::Function").values():
        assert set(function["Environment"]["Variables"]) == set(COMPLETE)


def test_every_route_asks_who_is_there(resources: dict[str, Any]) -> None:
    routes = of_type(resources, "AWS::ApiGatewayV2::Route")
    assert {route["RouteKey"] for route in routes.values()} == {
        "POST /api/start",
        "GET /api/status",
        "POST /api/stop",
    }
    for route in routes.values():
        assert route["AuthorizationType"] == {"Fn::If": ["UseCognito", "JWT", "CUSTOM"]}


def test_the_machine_is_closed_but_for_https_and_media(resources: dict[str, Any]) -> None:
    (group,) = of_type(resources, "AWS::EC2::SecurityGroup").values()
    doors = {(rule["IpProtocol"], json.dumps(rule["FromPort"])) for rule in group["SecurityGroupIngress"]}
    assert doors == {("tcp", "443"), ("udp", '{"Ref": "UdpFrom"}')}
    (template,) = of_type(resources, "AWS::EC2::LaunchTemplate").values()
    data = template["LaunchTemplateData"]
    assert data["MetadataOptions"] == {"HttpTokens": "required", "HttpPutResponseHopLimit": 1}
    assert data["BlockDeviceMappings"][0]["Ebs"]["Encrypted"] is True
    assert data["InstanceInitiatedShutdownBehavior"] == "stop"


def test_the_bucket_is_read_through_the_distribution_alone(resources: dict[str, Any]) -> None:
    for bucket in of_type(resources, "AWS::S3::Bucket").values():
        assert all(bucket["PublicAccessBlockConfiguration"].values())
    (policy,) = of_type(resources, "AWS::S3::BucketPolicy").values()
    for statement in policy["PolicyDocument"]["Statement"]:
        assert statement["Action"] in {"s3:GetObject", "s3:ListBucket"}
        assert "distribution/${SiteDistribution}" in json.dumps(statement["Condition"])


def test_every_log_ends(resources: dict[str, Any]) -> None:
    logs = of_type(resources, "AWS::Logs::LogGroup")
    assert logs
    assert all(log["RetentionInDays"] == {"Ref": "LogRetentionDays"} for log in logs.values())
    for function in of_type(resources, "AWS::Lambda::Function").values():
        assert function["LoggingConfig"]["LogGroup"]["Ref"] in logs


def test_every_alarm_and_the_budget_reach_someone(resources: dict[str, Any]) -> None:
    for alarm in of_type(resources, "AWS::CloudWatch::Alarm").values():
        assert alarm["AlarmActions"] == [{"Ref": "AlarmTopic"}]
    (budget,) = of_type(resources, "AWS::Budgets::Budget").values()
    for notification in budget["NotificationsWithSubscribers"]:
        assert notification["Subscribers"] == [{"SubscriptionType": "SNS", "Address": {"Ref": "AlarmTopic"}}]


def test_the_hours_event_starts_the_machine(resources: dict[str, Any], world: World) -> None:
    hours = resources["HoursSchedule"]["Properties"]
    answer = world.handlers.start(json.loads(hours["Target"]["Input"]), None)
    assert (answer["statusCode"], world.cloud.state) == (202, "pending")


def test_the_reaper_comes_every_half_hour(resources: dict[str, Any]) -> None:
    schedules = of_type(resources, "AWS::Scheduler::Schedule").values()
    assert {each["Name"]: each["ScheduleExpression"] for each in schedules}["reaper"] == "rate(30 minutes)"
    assert SCHEDULE_NAME not in {each["Name"] for each in schedules}
