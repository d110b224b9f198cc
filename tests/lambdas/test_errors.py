from __future__ import annotations

import pytest
from botocore.exceptions import EndpointConnectionError

from lambdas import errors
from lambdas.dev.ec2 import refusal


@pytest.mark.parametrize(
    ("code", "kind", "status"),
    [
        ("InsufficientInstanceCapacity", errors.NoCapacity, 503),
        ("VcpuLimitExceeded", errors.NoCapacity, 503),
        ("RequestLimitExceeded", errors.Throttled, 429),
        ("InvalidInstanceID.NotFound", errors.NoInstance, 409),
        ("IncorrectInstanceState", errors.WrongState, 409),
        ("UnauthorizedOperation", errors.Denied, 500),
        ("SomethingNew", errors.AwsFailed, 502),
    ],
)
def test_every_error_of_aws_has_a_status_and_words(
    code: str, kind: type[errors.LifecycleError], status: int
) -> None:
    with pytest.raises(kind) as caught, errors.translated():
        raise refusal(code, "any")
    assert caught.value.status == status
    assert "gain" in str(caught.value) or "operator" in str(caught.value)


def test_no_way_to_aws_is_an_error_too() -> None:
    with pytest.raises(errors.AwsFailed), errors.translated():
        raise EndpointConnectionError(endpoint_url="https://ec2.example")
