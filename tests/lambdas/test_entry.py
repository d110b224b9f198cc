from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import boto3
import pytest
from moto.server import ThreadedMotoServer

from lambdas.dev.cloud import REGION
from lambdas.machine import STACK_TAG
from tests.lambdas.world import World

ROOT = Path(__file__).parents[2]

CALL = """
import json, sys, time
begin = time.perf_counter()
from lambdas import entry
import jwt
cold = time.perf_counter() - begin
event = {"requestContext": {"authorizer": {"lambda": {"sub": "ada"}}}}
answer = getattr(entry, sys.argv[1])(event, None)
# Not ru_maxrss: that one remembers the parent's size, from before exec.
status = dict(line.split(":", 1) for line in open("/proc/self/status"))
peak_mb = int(status["VmHWM"].split()[0]) / 1024
print(json.dumps({"answer": answer, "cold_s": cold, "peak_mb": peak_mb, "jwt": jwt.__file__}))
"""


@pytest.fixture(scope="module")
def package(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What is uploaded to Lambda."""
    out = tmp_path_factory.mktemp("lambda")
    # pip of this very Python.
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    built = subprocess.run(
        [ROOT / "deploy/aws/build.sh", out],
        env=os.environ | {"PATH": path},
        capture_output=True,
        text=True,
        check=False,
    )
    if built.returncode:
        pytest.skip(f"the package cannot be built without a package registry: {built.stderr.strip()[-200:]}")
    return out


@pytest.fixture
def environment(world: World, package: Path) -> Iterator[dict[str, str]]:
    """A function's environment, with moto's server, over the world's own tables, in place of AWS."""
    moto_runs_any = "ami-12345678"
    tag = {"Key": STACK_TAG, "Value": world.settings.stack}
    ec2 = world.session.client("ec2")
    # The double of EC2 is in this process alone: here moto's own machine is started, by HTTP.
    machine = ec2.run_instances(
        ImageId=moto_runs_any,
        MinCount=1,
        MaxCount=1,
        TagSpecifications=[{"ResourceType": "instance", "Tags": [tag]}],
    )["Instances"][0]["InstanceId"]
    ec2.stop_instances(InstanceIds=[machine])
    allocation = ec2.allocate_address(Domain="vpc")
    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0)
    server.start()
    host, port = server.get_host_and_port()
    minutes = {
        "IDLE_MINUTES": "15",
        "MAX_RUN_MINUTES": "480",
        "BOOT_MINUTES": "4",
        "BOOT_LIMIT_MINUTES": "40",
        "TOKEN_MINUTES": "15",
        "PRICE_USD_HOUR": "0.526",
    }
    yield minutes | {
        "PATH": os.environ["PATH"],
        # As on Lambda: the package first, the runtime's boto3 after it.
        "PYTHONPATH": f"{package}{os.pathsep}{Path(boto3.__file__).parents[1]}",
        "AWS_ENDPOINT_URL": f"http://{host}:{port}",
        "AWS_DEFAULT_REGION": REGION,
        "AWS_ACCESS_KEY_ID": "testing",
        "AWS_SECRET_ACCESS_KEY": "testing",
        "STACK": world.settings.stack,
        "SERVER_URL": world.server.url,
        "ADDRESS": allocation["PublicIp"],
        "ALLOCATION": allocation["AllocationId"],
        "BOOT_REPORT": world.settings.boot_report,
        "START_TIMES": world.settings.start_times,
        "SCHEDULE_GROUP": world.settings.schedule_group,
        "REAPER_ARN": world.settings.reaper_arn,
        "SCHEDULER_ROLE_ARN": world.settings.scheduler_role_arn,
        "KEYS_SECRET": world.settings.keys_secret,
    }
    server.stop()
    ec2.terminate_instances(InstanceIds=[machine])


def call(name: str, environment: dict[str, str], package: Path) -> dict[str, object]:
    done = subprocess.run(
        [sys.executable, "-S", "-c", CALL, name],
        env=environment,
        cwd=package,
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )
    assert done.returncode == 0, done.stderr
    report: dict[str, object] = json.loads(done.stdout.splitlines()[-1])
    return report


def test_the_package_starts_a_machine_from_a_cold_process(
    world: World, environment: dict[str, str], package: Path
) -> None:
    report = call("start", environment, package)
    answer = report["answer"]
    assert isinstance(answer, dict)
    assert answer["statusCode"] == 202
    assert json.loads(answer["body"])["state"] == "starting"
    assert world.cloud.schedule_names == ["auto-stop"]
    # PyJWT is not part of the runtime: it must come out of the package.
    assert str(report["jwt"]).startswith(str(package))
    # The functions have 256 MB.
    assert isinstance(report["peak_mb"], float)
    assert report["peak_mb"] < 192
    print(f"cold import {report['cold_s']:.2f} s, peak {report['peak_mb']:.0f} MB")


def test_a_missing_setting_is_named(environment: dict[str, str], package: Path) -> None:
    del environment["STACK"]
    done = subprocess.run(
        [sys.executable, "-c", "import lambdas.entry"],
        env=environment,
        cwd=package,
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )
    assert "STACK is not set" in done.stderr
