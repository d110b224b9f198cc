"""Rules of AWS's that the template has to hold, each as its documentation gives it.

cfn-lint knows what a template may say; these are what it should say.
"""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("cfnlint", reason="the template is read with cfn-lint: pip install -e .[test]")

from tests.deploy.template import load, of_type, references, resource

WEB = Path(__file__).resolve().parents[2] / "web"
TEMPLATE = load()
MACHINES = {name: body for name, body in of_type(TEMPLATE, "AWS::EC2::Instance").items()}
REPLACES = {"ImageId", "DiskGiB", "DiskMiBps"}
"""What an operator changes to get another machine. Nothing else may."""


def parameters_behind(name: str) -> set[str]:
    """Parameters that this resource's own properties name."""
    return {found for found in references(resource(TEMPLATE, name)) if found in TEMPLATE["Parameters"]}


def test_nothing_that_changes_often_replaces_the_machine() -> None:
    """AWS::EC2::Instance, LaunchTemplate: "Update requires: Replacement"; a template's new version is such an
    update, and its user data is part of it."""
    assert parameters_behind("MachineTemplate") == REPLACES
    in_place = {"InstanceType", "FallbackInstanceType"}  # "Some interruptions": stopped and started
    subnets = {"SubnetId", "FallbackSubnetId"}  # another zone is another machine
    for name in MACHINES:
        assert parameters_behind(name) <= in_place | subnets


def test_no_parameter_is_resolved_anew_at_each_update() -> None:
    """ "SSM parameter types": CloudFormation fetches the value at each update of the stack."""
    kinds = {name: parameter["Type"] for name, parameter in TEMPLATE["Parameters"].items()}
    assert not [name for name, kind in kinds.items() if kind.startswith("AWS::SSM")]
    assert "{{resolve:" not in json.dumps(TEMPLATE)
    assert "Default" not in TEMPLATE["Parameters"]["ImageId"]


def test_what_changes_is_read_by_the_machine_at_its_boot() -> None:
    told = {found for found in references(resource(TEMPLATE, "MachineSettings")["Value"])}
    for name in ("SourceUrl", "SourceRef", "SourceSha256", "AlarmEmail", "MaxRunMinutes", "UdpFrom", "UdpTo"):
        assert name in told


def test_no_value_that_the_machine_reads_line_by_line_can_hold_a_line() -> None:
    for name in references(resource(TEMPLATE, "MachineSettings")["Value"]):
        parameter = TEMPLATE["Parameters"].get(name)
        if parameter is None or parameter["Type"] == "Number" or "AllowedValues" in parameter:
            continue
        pattern = re.compile(parameter["AllowedPattern"])
        for bad in ("a\nB=c", "$(reboot)@example.org", "`reboot`@example.org", "a b@example.org"):
            assert not pattern.fullmatch(bad), name


@pytest.mark.parametrize("name", MACHINES)
def test_a_machine_is_made_when_it_says_so(name: str) -> None:
    """CreationPolicy: without one an instance is complete when it runs."""
    signal = MACHINES[name]["CreationPolicy"]["ResourceSignal"]
    assert signal == {"Count": 1, "Timeout": {"Fn::Sub": "PT${BootLimitMinutes}M"}}
    # "The maximum time that you can specify is 12 hours."
    assert TEMPLATE["Parameters"]["BootLimitMinutes"]["MaxValue"] <= 12 * 60


@pytest.mark.parametrize("name", MACHINES)
def test_a_machine_may_do_all_that_it_does_at_its_first_boot(name: str) -> None:
    """CloudFormation makes what depends on nothing at once: a machine whose role has no policy yet fails."""
    needed = MACHINES[name]["DependsOn"]
    assert {"MachineSettings", "MachineRolePolicy"} <= set(needed)


def test_only_one_machine_at_a_time_asks_for_the_certificate() -> None:
    """Both would prove the same name by the same record (RFC 8555, section 8.4)."""
    assert "Machine" in MACHINES["FallbackMachine"]["DependsOn"]


@pytest.mark.parametrize("name", MACHINES)
def test_a_machine_reaches_the_network_before_it_has_the_stack_s_address(name: str) -> None:
    """The address is associated with a machine that is complete, which it says over the network."""
    (interface,) = resource(TEMPLATE, name)["NetworkInterfaces"]
    assert interface["AssociatePublicIpAddress"] is True
    # RunInstances: with interfaces, subnet and groups are theirs alone.
    assert interface["GroupSet"]
    assert "SubnetId" not in resource(TEMPLATE, name)
    launched = resource(TEMPLATE, "MachineTemplate")["LaunchTemplateData"]
    assert not {"SecurityGroupIds", "SecurityGroups", "NetworkInterfaces"} & launched.keys()


def test_both_machines_are_told_apart_and_bear_the_stack_s_tag() -> None:
    tags = {name: {tag["Key"]: tag["Value"] for tag in resource(TEMPLATE, name)["Tags"]} for name in MACHINES}
    assert {name: tag["mediaserver:rank"] for name, tag in tags.items()} == {
        "Machine": "1",
        "FallbackMachine": "2",
    }
    assert all(tag["mediaserver:stack"] == {"Ref": "AWS::StackName"} for tag in tags.values())


def test_the_disk_holds_two_releases_and_is_read_fast_enough() -> None:
    """15 GB each, unpacked and as they came. gp3 gives 125 MiB/s unless more is asked for."""
    disk = resource(TEMPLATE, "MachineTemplate")["LaunchTemplateData"]["BlockDeviceMappings"][0]["Ebs"]
    assert (disk["VolumeType"], disk["Throughput"]) == ("gp3", {"Ref": "DiskMiBps"})
    assert TEMPLATE["Parameters"]["DiskGiB"]["MinValue"] >= 120
    assert TEMPLATE["Parameters"]["DiskMiBps"]["MinValue"] >= 250


@pytest.mark.parametrize("name", ["InstanceType", "FallbackInstanceType"])
@pytest.mark.parametrize(
    ("kind", "fits"),
    [
        ("g4dn.xlarge", True),
        ("g5.12xlarge", True),
        ("g6e.2xlarge", True),
        ("g4ad.xlarge", False),  # AMD's GPU
        ("g5g.xlarge", False),  # ARM's processor
        ("g6f.large", False),  # a part of a GPU, with a driver of its own
        ("p4d.24xlarge", False),
        ("c7i.large", False),
    ],
)
def test_only_machines_with_nvidia_s_gpus_and_the_image_s_processor(name: str, kind: str, fits: bool) -> None:
    pattern = TEMPLATE["Parameters"][name]["AllowedPattern"]
    assert bool(re.fullmatch(pattern, kind)) is fits


def test_no_container_behind_a_bridge_gets_the_machine_s_credentials() -> None:
    """EC2 User Guide: the limit counts network hops, and a container on a bridge is one more."""
    options = resource(TEMPLATE, "MachineTemplate")["LaunchTemplateData"]["MetadataOptions"]
    assert options == {"HttpTokens": "required", "HttpPutResponseHopLimit": 1}


class TestLimits:
    """What a service takes at most."""

    def test_of_user_data(self) -> None:
        """EC2 User Guide: 16 KB before it is encoded; references become longer than they are here."""
        script = resource(TEMPLATE, "MachineTemplate")["LaunchTemplateData"]["UserData"]["Fn::Base64"]
        assert len(script["Fn::Sub"].encode()) < 8 * 1024

    def test_of_a_parameter(self) -> None:
        """Systems Manager: 4 KB of a standard one. No value is longer than a name of DNS, 253 characters."""
        text = resource(TEMPLATE, "MachineSettings")["Value"]["Fn::Sub"]
        values = len(re.findall(r"\$\{", text))
        assert len(text) + values * 150 < 4096

    def test_of_the_functions_environment(self) -> None:
        """Lambda: 4 KB in all."""
        variables = TEMPLATE["Globals"]["Function"]["Environment"]["Variables"]
        assert len(json.dumps(variables)) + 100 * len(variables) < 4096

    def test_of_who_waits_for_whom(self) -> None:
        """API Gateway waits 10 s for an authoriser and 30 s for a function, CloudFront for both as long as
        it is told, which is 60 s at most."""
        default = TEMPLATE["Globals"]["Function"]["Timeout"]
        functions = {
            name: body["Properties"].get("Timeout", default)
            for name, body in of_type(TEMPLATE, "AWS::Serverless::Function").items()
        }
        assert functions["AuthorizeFunction"] <= 10
        slowest = max(functions[name] for name in ("StartFunction", "StatusFunction", "StopFunction"))
        assert slowest < 30
        config = resource(TEMPLATE, "SiteDistribution")["DistributionConfig"]
        (api,) = [origin for origin in config["Origins"] if origin["Id"] == "api"]
        waits = api["CustomOriginConfig"]["OriginReadTimeout"]
        assert functions["AuthorizeFunction"] + slowest < waits <= 60


def test_the_access_log_names_the_request() -> None:
    """API Gateway, AccessLogSettings: "The format must include at least $context.requestId"."""
    log = resource(TEMPLATE, "ApiStage")["AccessLogSettings"]["Format"]
    assert "$context.requestId" in log
    assert json.loads(log)


def test_a_stack_can_be_made_again_where_one_was() -> None:
    """A name that one sets is taken for as long as what bore it is there: of a secret until its recovery
    window ends. CloudFormation makes up others."""
    nameless = {
        "AWS::SecretsManager::Secret": "Name",
        "AWS::S3::Bucket": "BucketName",
        "AWS::Logs::LogGroup": "LogGroupName",
        # Names would need CAPABILITY_NAMED_IAM, too.
        "AWS::IAM::Role": "RoleName",
        "AWS::IAM::InstanceProfile": "InstanceProfileName",
        "AWS::EC2::SecurityGroup": "GroupName",
        "AWS::EC2::LaunchTemplate": "LaunchTemplateName",
        "AWS::SNS::Topic": "TopicName",
        "AWS::CloudWatch::Alarm": "AlarmName",
    }
    for kind, name in nameless.items():
        found = of_type(TEMPLATE, kind)
        assert found, kind
        assert not [each for each, body in found.items() if name in body.get("Properties", {})]


def test_a_change_beside_the_machine_is_no_change_of_it() -> None:
    """In a change set, what takes an attribute (GetAtt) of a resource that changes counts as changed, what
    refers to it (Ref) only where that one is replaced."""

    def attributes(value: Any) -> set[str]:
        if isinstance(value, list):
            return set().union(*map(attributes, value))
        if not isinstance(value, dict):
            return set()
        if "Fn::GetAtt" in value:
            return {".".join(value["Fn::GetAtt"])}
        return set().union(*map(attributes, value.values()))

    for name in ("MachineTemplate", *MACHINES):
        assert attributes(resource(TEMPLATE, name)) <= {"MachineTemplate.LatestVersionNumber"}


def test_the_certificate_outlives_the_machine() -> None:
    """Let's Encrypt: five certificates a week for the same names."""
    assert TEMPLATE["Resources"]["Certificate"]["Type"] == "AWS::SecretsManager::Secret"
    assert not set(references(resource(TEMPLATE, "Certificate"))) & MACHINES.keys()
    assert "CERTIFICATE_SECRET=${Certificate}" in resource(TEMPLATE, "MachineSettings")["Value"]["Fn::Sub"]
    assert TEMPLATE["Parameters"]["AcmeStaging"]["Default"] == "false"


class TestPage:
    """CloudFront before the page and the API: one origin, so no CORS and no pattern in its policy."""

    CONFIG: dict[str, Any] = resource(TEMPLATE, "SiteDistribution")["DistributionConfig"]

    def test_the_api_is_on_the_page_s_own_origin(self) -> None:
        (behaviour,) = self.CONFIG["CacheBehaviors"]
        assert behaviour["PathPattern"] == "/api/*"
        origins = {origin["Id"]: origin for origin in self.CONFIG["Origins"]}
        assert "${Api}" in origins[behaviour["TargetOriginId"]]["DomainName"]["Fn::Sub"]
        for route in of_type(TEMPLATE, "AWS::ApiGatewayV2::Route").values():
            assert route["Properties"]["RouteKey"].split(" ")[1].startswith("/api/")
        assert "CorsConfiguration" not in resource(TEMPLATE, "Api")

    def test_nothing_of_it_is_cached_and_all_but_the_host_is_passed_on(self) -> None:
        """CloudFront Developer Guide, managed policies: CachingDisabled, AllViewerExceptHostHeader."""
        (behaviour,) = self.CONFIG["CacheBehaviors"]
        assert behaviour["CachePolicyId"] == "4135ea2d-6df8-44a3-9df3-4b5a84be39ad"
        assert behaviour["OriginRequestPolicyId"] == "b689b0a8-53d0-40ab-baf2-68738e2966ac"
        assert {"GET", "POST"} <= set(behaviour["AllowedMethods"])

    def test_one_user_s_error_is_nobody_else_s(self) -> None:
        """CloudFront Developer Guide, "Control how long CloudFront caches errors": ten seconds by default."""
        kept = {each["ErrorCode"]: each["ErrorCachingMinTTL"] for each in self.CONFIG["CustomErrorResponses"]}
        from lambdas import errors

        told = {kind.status for kind in errors.LifecycleError.__subclasses__()} | {403, 504}
        # Of 401, 409 and 429 CloudFront keeps nothing by itself.
        assert told - {409, 429} <= kept.keys()
        assert set(kept.values()) == {0}

    def test_an_address_that_leads_nowhere_has_a_page(self) -> None:
        """S3, GetObject: 404 to those who may list the bucket, 403 to all others, whom nothing is told."""
        (found,) = [each for each in self.CONFIG["CustomErrorResponses"] if "ResponsePagePath" in each]
        assert (found["ErrorCode"], found["ResponseCode"]) == (404, 404)
        assert (WEB / found["ResponsePagePath"].lstrip("/")).is_file()
        statements = resource(TEMPLATE, "SiteBucketPolicy")["PolicyDocument"]["Statement"]
        assert {each["Action"] for each in statements} == {"s3:GetObject", "s3:ListBucket"}
        assert all("AWS:SourceArn" in each["Condition"]["StringEquals"] for each in statements)
        from lambdas import errors

        assert 404 not in {kind.status for kind in errors.LifecycleError.__subclasses__()}, (
            "its words are lost"
        )

    def test_the_page_s_policy_names_its_machine_and_no_pattern(self) -> None:
        headers = resource(TEMPLATE, "SiteHeaders")["ResponseHeadersPolicyConfig"]
        policy = headers["SecurityHeadersConfig"]["ContentSecurityPolicy"]["ContentSecurityPolicy"]["Fn::Sub"]
        assert "*" not in policy
        assert "wss://${DomainName}" in policy

    def test_twenty_who_wait_do_not_reach_the_throttle(self) -> None:
        """The page asks every five seconds at last, and every two at first."""
        limits = resource(TEMPLATE, "ApiStage")["DefaultRouteSettings"]
        assert limits["ThrottlingRateLimit"] >= 20 / 2
        assert limits["ThrottlingBurstLimit"] >= 2 * 20


def test_names_that_are_the_account_s_say_the_region() -> None:
    """CloudFront's policies and budgets are of the account, not of a region: two stacks of one name would
    meet."""
    names = [
        resource(TEMPLATE, "SiteAccess")["OriginAccessControlConfig"]["Name"],
        resource(TEMPLATE, "SiteHeaders")["ResponseHeadersPolicyConfig"]["Name"],
        resource(TEMPLATE, "Budget")["Budget"]["BudgetName"],
    ]
    for name in names:
        assert name["Fn::Sub"].startswith("${AWS::StackName}-${AWS::Region}")


def test_the_budget_is_the_stack_s_and_not_the_account_s() -> None:
    filters = resource(TEMPLATE, "Budget")["Budget"]["CostFilters"]
    # Budgets API, CostFilters: user:KEY$VALUE.
    assert filters == {"TagKeyValue": [{"Fn::Sub": "user:mediaserver:stack$${AWS::StackName}"}]}
    for name in MACHINES:
        # Else its disk, which costs while it is off, has no tag.
        assert resource(TEMPLATE, name)["PropagateTagsToVolumeOnCreation"] is True


def test_a_boot_that_failed_is_heard_of() -> None:
    (metric,) = resource(TEMPLATE, "BootFailures")["MetricTransformations"]
    alarm = resource(TEMPLATE, "BootFails")
    assert (alarm["Namespace"], alarm["MetricName"]) == (metric["MetricNamespace"], metric["MetricName"])
    assert alarm["AlarmActions"] == [{"Ref": "AlarmTopic"}]
    assert resource(TEMPLATE, "BootFailures")["LogGroupName"] == {"Ref": "MachineLog"}


def test_who_is_shut_out_is_out_within_a_minute() -> None:
    from lambdas.tokens import _RELOAD_AFTER

    cached = resource(TEMPLATE, "KeyAuthorizer")["AuthorizerResultTtlInSeconds"]
    assert cached + _RELOAD_AFTER.total_seconds() <= 60


@pytest.mark.parametrize(
    ("hours", "fits"),
    [("9-16", True), ("0-23", True), ("", True), ("9-24", False), ("9", False), ("9 - 16", False)],
)
def test_hours_are_what_the_scheduler_understands(hours: str, fits: bool) -> None:
    assert bool(re.fullmatch(TEMPLATE["Parameters"]["Hours"]["AllowedPattern"], hours)) is fits


def test_the_hours_press_start_as_a_person_would() -> None:
    """Every five minutes: a start without capacity is made good, and nothing has to be turned off at their
    end."""
    schedule = resource(TEMPLATE, "HoursSchedule")
    assert schedule["ScheduleExpression"] == {"Fn::Sub": "cron(0/5 ${Hours} ? * ${HoursDays} *)"}
    event = json.loads(schedule["Target"]["Input"])
    assert event["requestContext"]["authorizer"]["lambda"]["sub"] == "hours"


def test_a_loading_machine_counts_as_used_for_longer_than_its_lease() -> None:
    parameters = TEMPLATE["Parameters"]
    assert parameters["BootLimitMinutes"]["Default"] == 40 > parameters["IdleMinutes"]["Default"]
    environment = TEMPLATE["Globals"]["Function"]["Environment"]["Variables"]
    assert environment["BOOT_LIMIT_MINUTES"] == {"Ref": "BootLimitMinutes"}


def test_what_people_brought_outlives_the_stack() -> None:
    assert TEMPLATE["Resources"]["ModelsBucket"]["DeletionPolicy"] == "Retain"
