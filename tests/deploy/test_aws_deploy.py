from __future__ import annotations

import hashlib
import re
import shutil
import subprocess
from pathlib import Path
from typing import Any

import jmespath
import pytest

pytest.importorskip("cfnlint", reason="the template is read with cfn-lint: pip install -e .[test]")

from mediaserver.settings.model import describe
from tests.deploy.programs import Programs
from tests.deploy.template import load as load_template

AWS = Path(__file__).parents[2] / "deploy" / "aws"
EXAMPLE = (AWS / "stack.env.example").read_text()


def dry_run(settings: Path) -> subprocess.CompletedProcess[str]:
    command = [str(AWS / "deploy.sh"), "--dry-run", str(settings)]
    # Without AWS's command line, too.
    return subprocess.run(command, env={"PATH": "/usr/bin:/bin"}, capture_output=True, text=True, check=False)


def filled_in(settings: Path, **values: str) -> Path:
    """The example with every empty value filled in."""
    lines = [
        f"{line}{values.get(line[:-1], 'x')}" if line.endswith("=") else line for line in EXAMPLE.splitlines()
    ]
    settings.write_text("\n".join([*lines, *(f"{name}={value}" for name, value in values.items())]) + "\n")
    return settings


def test_a_dry_run_shows_every_step_in_order(tmp_path: Path) -> None:
    done = dry_run(filled_in(tmp_path / "stack.env", SourceSha256="0" * 64))
    assert done.returncode == 0, done.stderr
    steps = [line.split()[1:4] for line in done.stdout.splitlines() if line.startswith("+")]
    assert [step[0].rpartition("/")[2] for step in steps] == ["build.sh", *["aws"] * 9]
    assert [step[1:] for step in steps[1:]] == [
        ["cloudformation", "package"],
        ["cloudformation", "deploy"],
        ["cloudformation", "execute-change-set"],
        ["ce", "update-cost-allocation-tags-status"],
        ["s3", "cp"],
        ["s3", "cp"],
        ["s3", "cp"],
        ["s3", "sync"],
        ["cloudfront", "create-invalidation"],
    ]
    assert "DomainName=gpu.example.org HostedZoneId=x" in done.stdout
    assert "--exclude tests/*" in done.stdout
    assert "--no-execute-changeset" in done.stdout


def test_the_checksum_of_the_source_is_that_of_this_checkout(tmp_path: Path) -> None:
    if not (AWS.parents[1] / ".git").exists():
        pytest.skip("this is no checkout")
    if shutil.which("git") is None:
        pytest.skip("git is not installed")
    done = dry_run(filled_in(tmp_path / "stack.env", SourceRef="HEAD"))
    assert done.returncode == 0, done.stderr
    command = ["git", "-c", "tar.umask=0022", "archive", "--format=tar", "HEAD"]
    archive = subprocess.run(command, cwd=AWS.parents[1], capture_output=True, check=True).stdout
    assert f"SourceSha256={hashlib.sha256(archive).hexdigest()}" in done.stdout
    unknown = dry_run(filled_in(tmp_path / "stack.env", SourceRef="no-such-tag"))
    assert (unknown.returncode, "no no-such-tag in this checkout" in unknown.stderr) == (1, True)


def test_what_is_not_filled_in_is_named(tmp_path: Path) -> None:
    settings = tmp_path / "stack.env"
    settings.write_text(EXAMPLE)
    done = dry_run(settings)
    assert done.returncode == 1
    assert "ARTIFACT_BUCKET is empty" in done.stderr


def test_says_what_it_takes() -> None:
    told = subprocess.run([AWS / "deploy.sh", "--help"], capture_output=True, text=True, check=True).stdout
    assert "deploy.sh [OPTION…] [STACK_ENV]" in told
    for option in ("--dry-run", "--code", "--replace", "--newest-image"):
        assert option in told
    wrong = subprocess.run([AWS / "deploy.sh", "--wet"], capture_output=True, text=True, check=False)
    assert (wrong.returncode, wrong.stderr) == (2, "deploy.sh: unknown option --wet; --help lists all\n")


@pytest.mark.parametrize("script", sorted(AWS.rglob("*.sh")), ids=lambda path: path.name)
def test_scripts_parse(script: Path) -> None:
    shell = script.read_text().partition("\n")[0].removeprefix("#!")
    assert subprocess.run([shell, "-n", script], check=False).returncode == 0


def test_the_machine_is_given_no_setting_that_the_server_does_not_know() -> None:
    known = {setting.variable for setting in describe()}
    given = {
        name for script in AWS.rglob("*.sh") for name in re.findall(r"MEDIASERVER_\w+", script.read_text())
    }
    assert "MEDIASERVER_TOKEN_KEYS" in given
    assert given <= known


class Cloud:
    """AWS's command line as deploy.sh needs it; ``knows`` what each question is answered with."""

    def __init__(self, folder: Path) -> None:
        self.programs = Programs(folder / "bin")
        self.answers = folder / "answers"
        self.answers.mkdir()
        self.programs.add(
            "aws",
            '[ "$2 $3" != "describe-addresses --filters" ] || set -- ec2 describe-own-addresses\n'
            f'[ ! -e "{self.answers}/$1-$2" ] || cat "{self.answers}/$1-$2"\n'
            f'[ "$1 $2" != "lambda invoke" ] || '
            f'echo "{{\\"statusCode\\": $(cat "{self.answers}/drain")}}" >"${{@: -1}}"\n'
            f'[ "$1 $2" != "$(cat "{self.answers}/fails")" ]',
        )
        self.knows(
            ec2_describe_subnets="eu-central-1a x",
            ec2_describe_route_tables="local igw-1",
            ec2_describe_images="x86_64 /dev/sda1 75",
            ec2_describe_addresses="0",
            ec2_describe_own_addresses="0",
            route53_get_hosted_zone="example.org. False",
            s3api_get_bucket_location="eu-central-1",
            ec2_describe_instance_type_offerings="1",
            ec2_describe_instance_types="4",
            ec2_describe_instances="i-1",
            service_quotas_get_service_quota="8.0",
            cloudformation_deploy="Changeset created. arn:aws:cloudformation:eu-central-1:1:changeSet/a/b",
            cloudformation_describe_change_set="",
            cloudformation_describe_stacks="UPDATE_COMPLETE",
            drain="202",
            fails="",
        )

    def knows(self, **answers: str) -> None:
        for name, text in answers.items():
            service = "service-quotas" if name.startswith("service_quotas") else name.partition("_")[0]
            operation = name.removeprefix(service.replace("-", "_")).strip("_").replace("_", "-")
            (self.answers / (f"{service}-{operation}" if operation else service)).write_text(text)

    def deploy(self, settings: Path, *options: str) -> subprocess.CompletedProcess[str]:
        environment = {"HOME": str(self.answers)}
        return self.programs.run(self.script, *options, settings, environment=environment)

    @property
    def script(self) -> Path:
        """Beside a build that costs no time."""
        copy = self.answers.parent / "checkout" / "deploy" / "aws"
        if not copy.exists():
            copy.mkdir(parents=True)
            for name in ("deploy.sh", "check-account.sh", "template.yaml"):
                shutil.copy(AWS / name, copy)
            (copy / "build.sh").write_text("#!/bin/sh\n")
            (copy / "build.sh").chmod(0o755)
        return copy / "deploy.sh"


@pytest.fixture
def cloud(tmp_path: Path) -> Cloud:
    return Cloud(tmp_path)


@pytest.fixture
def stack(tmp_path: Path) -> Path:
    return filled_in(tmp_path / "stack.env", SourceSha256="0" * 64, ImageId="ami-1")


class TestMachine:
    """It is replaced on purpose only, and never under a session."""

    def test_stays_where_the_stack_s_change_does_not_touch_it(self, cloud: Cloud, stack: Path) -> None:
        done = cloud.deploy(stack)
        assert done.returncode == 0, done.stderr
        assert cloud.programs.called("aws cloudformation execute-change-set")
        assert not cloud.programs.called("aws lambda")

    def test_is_not_replaced_unasked(self, cloud: Cloud, stack: Path) -> None:
        cloud.knows(cloudformation_describe_change_set="Machine")
        done = cloud.deploy(stack)
        assert (done.returncode, "--replace" in done.stderr) == (1, True)
        assert not cloud.programs.called("aws cloudformation execute-change-set")

    def test_is_drained_before_it_is_replaced(self, cloud: Cloud, stack: Path) -> None:
        cloud.knows(cloudformation_describe_change_set="Machine")
        done = cloud.deploy(stack, "--replace")
        assert done.returncode == 0, done.stderr
        calls = [" ".join(call.split()[1:3]) for call in cloud.programs.calls]
        assert (
            calls.index("lambda invoke")
            < calls.index("ec2 wait")
            < calls.index("cloudformation execute-change-set")
        )
        # The fallback, too, where it is the one that runs.
        assert "tag:mediaserver:stack" in cloud.programs.called("aws ec2 describe-instances")[0]

    @pytest.mark.parametrize("status", ["409", "502", "null"])
    def test_is_not_replaced_under_a_session_nor_where_nobody_knows(
        self, cloud: Cloud, stack: Path, status: str
    ) -> None:
        cloud.knows(cloudformation_describe_change_set="Machine", drain=status)
        done = cloud.deploy(stack, "--replace")
        assert (done.returncode, "in use" in done.stderr) == (1, True)
        assert not cloud.programs.called("aws cloudformation execute-change-set")

    def test_that_runs_takes_new_code_in_place(self, cloud: Cloud, stack: Path) -> None:
        done = cloud.deploy(stack, "--code")
        assert done.returncode == 0, done.stderr
        (command,) = cloud.programs.called("aws ssm send-command")
        # What its next boot would do.
        assert command.endswith("commands=/var/lib/cloud/scripts/per-boot/mediaserver")
        assert "--instance-ids i-1 " in command

    def test_that_is_off_takes_it_at_its_next_boot(self, cloud: Cloud, stack: Path) -> None:
        cloud.knows(ec2_describe_instances="")
        done = cloud.deploy(stack, "--code")
        assert "its next boot takes the new source" in done.stdout
        assert not cloud.programs.called("aws ssm send-command")


def change(name: str, action: str = "Modify", *scope: str) -> dict[str, Any]:
    """As DescribeChangeSet tells it."""
    return {
        "Type": "Resource",
        "ResourceChange": {"Action": action, "LogicalResourceId": name, "Scope": list(scope)},
    }


@pytest.mark.parametrize(
    ("changes", "touched"),
    [
        ([change("Machine", "Modify", "Properties")], ["Machine"]),
        # It may be the one that runs.
        ([change("FallbackMachine", "Remove")], ["FallbackMachine"]),
        ([change("Machine", "Add"), change("FallbackMachine", "Add")], []),
        # Another boot limit, another tag of the stack.
        ([change("Machine", "Modify", "CreationPolicy", "Tags")], []),
        ([change("MachineSettings", "Modify", "Properties")], []),
    ],
)
def test_which_changes_touch_a_machine(
    cloud: Cloud, stack: Path, changes: list[dict[str, Any]], touched: list[str]
) -> None:
    cloud.deploy(stack)
    (question,) = cloud.programs.called("aws cloudformation describe-change-set")
    assert jmespath.search(question.partition("--query ")[2], {"Changes": changes}) == touched


class TestStack:
    def test_that_is_made_keeps_the_log_of_a_boot_that_fails(self, cloud: Cloud, stack: Path) -> None:
        """A rollback would delete the log group with the rest."""
        cloud.knows(cloudformation_describe_stacks="REVIEW_IN_PROGRESS")
        assert cloud.deploy(stack).returncode == 0
        (made,) = cloud.programs.called("aws cloudformation execute-change-set")
        assert "--disable-rollback" in made

    def test_that_was_made_goes_back_to_what_it_was(self, cloud: Cloud, stack: Path) -> None:
        assert cloud.deploy(stack).returncode == 0
        (updated,) = cloud.programs.called("aws cloudformation execute-change-set")
        assert "--disable-rollback" not in updated

    def test_that_fails_says_why(self, cloud: Cloud, stack: Path) -> None:
        cloud.knows(
            cloudformation_describe_stack_events="Machine Received FAILURE signal",
            cloudformation_describe_stack_resource="gpu-MachineLog-1",
            fails="cloudformation wait",
        )
        done = cloud.deploy(stack)
        assert done.returncode == 1
        assert "Received FAILURE signal" in done.stderr
        assert "could not be updated" in done.stderr
        assert "gpu-MachineLog-1" in done.stderr
        assert not cloud.programs.called("aws s3 ")


def test_what_is_no_longer_said_is_the_default_again(cloud: Cloud, tmp_path: Path) -> None:
    """ "aws cloudformation deploy": a parameter that is not given keeps its value in an update."""
    stack = filled_in(tmp_path / "hours.env", SourceSha256="0" * 64, IdleMinutes="30", Hours="9-16")
    cloud.deploy(stack)
    cloud.deploy(filled_in(tmp_path / "none.env", SourceSha256="0" * 64))
    with_hours, without = cloud.programs.called("aws cloudformation deploy")
    assert {"Hours=9-16", "IdleMinutes=30"} <= set(with_hours.split())
    assert {"Hours=", "IdleMinutes=15", "FallbackSubnetId="} <= set(without.split())
    for command in (with_hours, without):
        given = [word.partition("=")[0] for word in command.partition("--parameter-overrides ")[2].split()]
        assert len(given) == len(set(given))
        assert set(given) == load_template()["Parameters"].keys()


class TestPage:
    def uploads(self, cloud: Cloud, stack: Path) -> list[str]:
        assert cloud.deploy(stack).returncode == 0
        return cloud.programs.called("aws s3 ")

    def test_browsers_ask_whether_modules_are_new(self, cloud: Cloud, stack: Path) -> None:
        """Without Cache-Control a browser decides by itself how long it keeps a file (RFC 9111, section
        4.2.2)."""
        for upload in self.uploads(cloud, stack):
            if upload.startswith("aws s3 cp"):
                assert "--cache-control" in upload
        modules = self.uploads(cloud, stack)[0]
        assert modules.startswith("aws s3 cp web/ ")
        assert "--cache-control no-cache" in modules

    def test_what_never_changes_is_kept_for_long(self, cloud: Cloud, stack: Path) -> None:
        (sample,) = [upload for upload in self.uploads(cloud, stack) if "cp web/sample/" in upload]
        assert "max-age=604800" in sample

    def test_what_is_gone_here_is_gone_there_and_nothing_is_uploaded_twice(
        self, cloud: Cloud, stack: Path
    ) -> None:
        last = self.uploads(cloud, stack)[-1]
        assert last.startswith("aws s3 sync")
        assert {"--delete", "--size-only"} <= set(last.split())


def test_the_budget_s_tag_is_activated(cloud: Cloud, stack: Path) -> None:
    cloud.deploy(stack)
    assert cloud.programs.called("aws ce update-cost-allocation-tags-status")
    (deploy,) = cloud.programs.called("aws cloudformation deploy")
    assert "--tags mediaserver:stack=mediaserver" in deploy


@pytest.mark.skipif(shutil.which("systemd-analyze") is None, reason="systemd-analyze is not installed")
def test_units_verify(tmp_path: Path) -> None:
    timer = tmp_path / "mediaserver-max-run.timer"
    shutil.copytree(AWS / "systemd", tmp_path, dirs_exist_ok=True)
    timer.write_text(timer.read_text() + "\n[Timer]\nOnBootSec=485min\n")
    keys = tmp_path / "mediaserver-keys.service"
    keys.write_text(keys.read_text().replace("/opt/mediaserver-source/deploy/aws", str(AWS)))
    read_ahead = tmp_path / "mediaserver-read-ahead.service"
    read_ahead.write_text(read_ahead.read_text().replace("/opt/mediaserver-source/deploy/aws", str(AWS)))
    done = subprocess.run(
        [
            "systemd-analyze",
            "verify",
            "--man=no",
            "--recursive-errors=no",
            timer,
            keys,
            read_ahead,
        ],
        capture_output=True,
        text=True,
        check=False,
    )
    assert (done.returncode, done.stderr) == (0, "")
