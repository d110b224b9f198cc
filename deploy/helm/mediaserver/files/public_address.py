"""Writes the public address of this machine as a setting: ``public_address.py none|node|aws|gcp FILE``.

Runs once, before the server, with Python's own library alone.
"""

import json
import os
import ssl
import sys
import urllib.request
from ipaddress import ip_address
from pathlib import Path

METADATA = os.environ.get("METADATA_URL", "http://169.254.169.254")
API = os.environ.get("KUBERNETES_API", "https://kubernetes.default.svc")
ACCOUNT = Path(os.environ.get("SERVICE_ACCOUNT", "/var/run/secrets/kubernetes.io/serviceaccount"))
TIMEOUT_S = 10


def ask(url: str, headers: dict[str, str], method: str = "GET", trust: ssl.SSLContext | None = None) -> str:
    """The body of the answer; raises `OSError`."""
    request = urllib.request.Request(url, headers=headers, method=method)
    with urllib.request.urlopen(request, timeout=TIMEOUT_S, context=trust) as answer:
        return answer.read().decode()


def from_aws() -> str:
    """IMDSv2."""
    lifetime = {"X-aws-ec2-metadata-token-ttl-seconds": "60"}
    token = ask(f"{METADATA}/latest/api/token", lifetime, "PUT")
    return ask(f"{METADATA}/latest/meta-data/public-ipv4", {"X-aws-ec2-metadata-token": token})


def from_gcp() -> str:
    """The first interface's access configuration."""
    path = "/computeMetadata/v1/instance/network-interfaces/0/access-configs/0/external-ip"
    return ask(METADATA + path, {"Metadata-Flavor": "Google"})


def from_node() -> str:
    """The ExternalIP of the Kubernetes node."""
    token = (ACCOUNT / "token").read_text()
    trust = ssl.create_default_context(cafile=str(ACCOUNT / "ca.crt")) if API.startswith("https") else None
    url = f"{API}/api/v1/nodes/{os.environ['NODE_NAME']}"
    node = json.loads(ask(url, {"Authorization": f"Bearer {token}"}, trust=trust))
    external = [each["address"] for each in node["status"]["addresses"] if each["type"] == "ExternalIP"]
    if not external:
        raise OSError("this node has no ExternalIP")
    return external[0]


def main(source: str, file: str) -> None:
    """Ends with words where the address cannot be learnt: without it no client's media would come."""
    ways = {"aws": from_aws, "gcp": from_gcp, "node": from_node}
    try:
        text = f'public_ip = "{ip_address(ways[source]().strip())}"\n' if source in ways else ""
    except (OSError, ValueError, KeyError) as exc:
        sys.exit(f"no public address from {source}: {exc}")
    Path(file).write_text(text)


if __name__ == "__main__":
    main(*sys.argv[1:])
