"""What the template becomes when SAM has translated it, and what each role may then do."""

from __future__ import annotations

import hashlib
import json
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml

pytest.importorskip("cfnlint", reason="the template is checked with cfn-lint: pip install -e .[test]")
pytest.importorskip(
    "samtranslator", reason="it is translated with aws-sam-translator: pip install -e .[test]"
)

from cfnlint.decode import cfn_yaml
from samtranslator.translator.transform import transform

from lambdas.auto_stop import SCHEDULE_NAME
from lambdas.heartbeat import NAMESPACE
from lambdas.machine import STACK_TAG

AWS = Path(__file__).parents[2] / "deploy" / "aws"
TEMPLATE = AWS / "template.yaml"

FIND = ("ec2:DescribeInstances", "*")
READ_HEARTBEAT = ("cloudwatch:GetMetricStatistics", "*")
READ_KEYS = ("secretsmanager:GetSecretValue", "Keys")
PASS_ROLE = ("iam:PassRole", "SchedulerRole")
TAGGED = "instance/* of the stack"
LEASE = "schedule/auto-stop"

ALLOWED = {
    "StartFunctionRole": {
        FIND,
        READ_KEYS,
        PASS_ROLE,
        ("ec2:StartInstances", TAGGED),
        ("scheduler:CreateSchedule", LEASE),
        ("scheduler:UpdateSchedule", LEASE),
    },
    "StatusFunctionRole": {FIND, ("scheduler:GetSchedule", LEASE)},
    "StopFunctionRole": {
        FIND,
        READ_HEARTBEAT,
        READ_KEYS,
        ("ec2:StopInstances", TAGGED),
        ("scheduler:DeleteSchedule", LEASE),
    },
    "ReaperFunctionRole": {
        FIND,
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
    "SchedulerRole": {("lambda:InvokeFunction", "reaper")},
    "MachineRole": {
        READ_KEYS,
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
        ({"Fn::Sub": f"{arn}:route53:::hostedzone/${{HostedZoneId}}"}, own_proof, "_acme-challenge TXT"),
    ]
    return {(as_key(resource), as_key(condition)): word for resource, condition, word in targets}


def as_key(value: Any) -> str:
    return json.dumps(value, sort_keys=True)


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
            for policy in role.get("Policies", [])
            for statement in policy["PolicyDocument"]["Statement"]
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
    assert {route["RouteKey"] for route in routes.values()} == {"POST /start", "GET /status", "POST /stop"}
    for route in routes.values():
        assert route["AuthorizationType"] == {"Fn::If": ["UseCognito", "JWT", "CUSTOM"]}


def test_only_the_page_may_call_the_api(resources: dict[str, Any]) -> None:
    (api,) = of_type(resources, "AWS::ApiGatewayV2::Api").values()
    assert api["CorsConfiguration"]["AllowOrigins"] == [{"Fn::Sub": "https://${SiteDistribution.DomainName}"}]


def test_the_machine_is_closed_but_for_https_and_media(resources: dict[str, Any]) -> None:
    (group,) = of_type(resources, "AWS::EC2::SecurityGroup").values()
    doors = {(rule["IpProtocol"], json.dumps(rule["FromPort"])) for rule in group["SecurityGroupIngress"]}
    assert doors == {("tcp", "443"), ("udp", '{"Ref": "UdpFrom"}')}
    (template,) = of_type(resources, "AWS::EC2::LaunchTemplate").values()
    data = template["LaunchTemplateData"]
    assert data["MetadataOptions"] == {"HttpTokens": "required", "HttpPutResponseHopLimit": 1}
    assert data["BlockDeviceMappings"][0]["Ebs"]["Encrypted"] is True
    assert data["InstanceInitiatedShutdownBehavior"] == "stop"


@pytest.fixture
def boot_script(resources: dict[str, Any]) -> str:
    """What cloud-init writes for each boot, with the template's references still in it."""
    (template,) = of_type(resources, "AWS::EC2::LaunchTemplate").values()
    user_data = template["LaunchTemplateData"]["UserData"]["Fn::Base64"]["Fn::Sub"]
    assert user_data.startswith("#cloud-config\n")
    (file,) = yaml.safe_load(user_data)["write_files"]
    assert file["path"].startswith("/var/lib/cloud/scripts/per-boot/")
    assert file["permissions"] == "0755"
    script: str = file["content"]
    return script


def test_the_machine_s_boot_script_gives_the_first_boot_all_that_it_needs(boot_script: str) -> None:
    assert subprocess.run(["bash", "-n"], input=boot_script, text=True, check=False).returncode == 0
    first_boot = (AWS / "first-boot.sh").read_text()
    (needed,) = re.findall(r"^for name in (.+); do$", first_boot, re.MULTILINE)
    given = re.findall(r"^ +--([a-z-]+) ", boot_script, re.MULTILINE)
    assert given == [name.replace("_", "-") for name in needed.split()]
    assert "export AWS_DEFAULT_REGION" in boot_script


@pytest.fixture
def source(tmp_path: Path) -> Path:
    """A repository with a first boot that says so, and the tag v1."""
    repository = tmp_path / "source"
    script = repository / "deploy" / "aws" / "first-boot.sh"
    script.parent.mkdir(parents=True)
    script.write_text("#!/bin/sh\necho first boot\n")
    script.chmod(0o755)
    git(repository, "init", "--quiet")
    git(repository, "add", ".")
    git(repository, "-c", "user.name=t", "-c", "user.email=t@t", "commit", "--quiet", "--message=first")
    git(repository, "-c", "user.name=t", "-c", "user.email=t@t", "tag", "--annotate", "--message=1", "v1")
    return repository


def git(repository: Path, *words: str) -> bytes:
    return subprocess.run(["git", "-C", repository, *words], capture_output=True, check=True).stdout


def boot(
    script: str, machine: Path, source: Path, ref: str, checksum: str
) -> subprocess.CompletedProcess[str]:
    """Runs the boot script in a folder that stands for the machine."""
    (machine / "opt").mkdir(parents=True)
    (machine / "etc/mediaserver").mkdir(parents=True)
    for name, value in (
        ("${SourceUrl}", source.as_uri()),
        ("${SourceRef}", ref),
        ("${SourceSha256}", checksum),
        ("/opt", str(machine / "opt")),
        ("/etc/mediaserver", str(machine / "etc/mediaserver")),
    ):
        script = script.replace(name, value)
    return subprocess.run(["bash"], input=script, capture_output=True, text=True, check=False)


def test_the_machine_runs_the_very_source_that_the_operator_has_seen(
    boot_script: str, source: Path, tmp_path: Path
) -> None:
    archive = git(source, "-c", "tar.umask=0022", "archive", "--format=tar", "v1^{commit}")
    checksum = hashlib.sha256(archive).hexdigest()
    commit = git(source, "rev-parse", "HEAD").decode().strip()
    for ref in ("v1", commit):
        done = boot(boot_script, tmp_path / f"machine-{ref}", source, ref, checksum)
        assert (done.returncode, done.stdout.splitlines()[-1]) == (0, "first boot"), done.stderr
        assert (tmp_path / f"machine-{ref}/etc/mediaserver/first-boot-done").exists()


def test_a_source_that_has_changed_is_not_run(boot_script: str, source: Path, tmp_path: Path) -> None:
    machine = tmp_path / "machine"
    done = boot(boot_script, machine, source, "v1", "0" * 64)
    assert done.returncode != 0
    assert "did NOT match" in done.stderr
    assert "first boot" not in done.stdout
    assert not (machine / "opt" / "mediaserver").exists()
    assert not (machine / "etc/mediaserver/first-boot-done").exists()


def test_the_bucket_is_read_through_the_distribution_alone(resources: dict[str, Any]) -> None:
    (bucket,) = of_type(resources, "AWS::S3::Bucket").values()
    assert all(bucket["PublicAccessBlockConfiguration"].values())
    (policy,) = of_type(resources, "AWS::S3::BucketPolicy").values()
    (statement,) = policy["PolicyDocument"]["Statement"]
    assert statement["Action"] == "s3:GetObject"
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


def test_the_reaper_comes_every_half_hour(resources: dict[str, Any]) -> None:
    (schedule,) = of_type(resources, "AWS::Scheduler::Schedule").values()
    assert schedule["ScheduleExpression"] == "rate(30 minutes)"
    assert schedule["Name"] != SCHEDULE_NAME
