"""The Python client. `InferenceClient` is where to begin."""

from mediaserver.client.client import Channel, ClientError, ClientStats, InferenceClient, Refused, Unreachable

__all__ = ["Channel", "ClientError", "ClientStats", "InferenceClient", "Refused", "Unreachable"]
