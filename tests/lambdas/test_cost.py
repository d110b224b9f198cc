from __future__ import annotations

import json
from dataclasses import replace
from datetime import timedelta
from decimal import Decimal
from typing import Any

from moto.cloudwatch.models import cloudwatch_backends
from moto.core.models import DEFAULT_ACCOUNT_ID

from lambdas.cost import Costs
from lambdas.dev.cloud import REGION
from lambdas.machine import Machine
from lambdas.tokens import Audience, mint
from tests.lambdas.world import EPOCH, KEYS, World

MINUTE = timedelta(minutes=1)
MACHINE = Machine("i-1", "running", EPOCH)


def ran(instance_id: str, minutes: int, days_ago: int) -> None:
    """EC2 has checked the machine once in each of its minutes."""
    backend = cloudwatch_backends[DEFAULT_ACCOUNT_ID][REGION]
    day = (EPOCH - timedelta(days=days_ago)).replace(tzinfo=None)
    for minute in range(minutes):
        dimensions = [{"Name": "InstanceId", "Value": instance_id}]
        check = {"MetricName": "StatusCheckFailed", "Dimensions": dimensions, "Value": 0}
        backend.put_metric_data("AWS/EC2", [check | {"Timestamp": day + minute * MINUTE}])


def test_of_the_run_and_of_the_month(world: World) -> None:
    ran("i-1", minutes=90, days_ago=1)
    ran("i-2", minutes=30, days_ago=1)
    ran("i-1", minutes=60, days_ago=10)  # in February
    costs = Costs(world.cloudwatch, Decimal("0.5"))
    machines = [MACHINE, replace(MACHINE, instance_id="i-2")]
    cost = costs.so_far(MACHINE, machines, EPOCH + 30 * MINUTE)
    assert cost is not None
    assert (cost.run, cost.month) == (Decimal("0.25"), Decimal("1.00"))


def test_is_nothing_for_this_run_while_it_is_off(world: World) -> None:
    off = replace(MACHINE, state="stopped")
    cost = Costs(world.cloudwatch, Decimal("0.5")).so_far(off, [off], EPOCH)
    assert cost is not None
    assert cost.run == 0


def test_is_not_told_without_a_price(world: World) -> None:
    assert Costs(world.cloudwatch, Decimal(0)).so_far(MACHINE, [MACHINE], EPOCH) is None


def test_is_told_to_those_alone_who_may_see_it(world: World) -> None:
    def asked(sees_costs: bool) -> dict[str, Any]:
        life = timedelta(hours=1)
        token = mint(KEYS, Audience.API, "ada", world.now, life, sees_costs=sees_costs)
        verdict = world.handlers.authorize({"headers": {"authorization": f"Bearer {token}"}}, None)
        event = {"requestContext": {"authorizer": {"lambda": verdict["context"]}}}
        body: dict[str, Any] = json.loads(world.handlers.status(event, None)["body"])
        return body

    world.run()
    assert asked(True)["cost"].keys() == {"run_usd", "month_usd"}
    assert "cost" not in asked(False)
