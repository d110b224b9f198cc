"""``public_address.py`` of the chart, before services that answer as clouds and Kubernetes do."""

from __future__ import annotations

import http.server
import json
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

SCRIPT = Path(__file__).parents[2] / "deploy" / "helm" / "mediaserver" / "files" / "public_address.py"
AWS, GCP = (
    "/latest/meta-data/public-ipv4",
    ("/computeMetadata/v1/instance/network-interfaces/0/access-configs/0/external-ip"),
)
ADDRESSES = [{"type": "InternalIP", "address": "10.0.0.7"}, {"type": "ExternalIP", "address": "203.0.113.9"}]


class Service(http.server.BaseHTTPRequestHandler):
    """Answers only who asks as each of them wants to be asked."""

    def do_PUT(self) -> None:
        ttl = self.headers.get("X-aws-ec2-metadata-token-ttl-seconds")
        self.say("a-token" if self.path == "/latest/api/token" and ttl else None)

    def do_GET(self) -> None:
        answers = {
            (AWS, "X-aws-ec2-metadata-token", "a-token"): "203.0.113.7",
            (GCP, "Metadata-Flavor", "Google"): "203.0.113.8\n",
            ("/api/v1/nodes/gpu-1", "Authorization", "Bearer of-the-pod"): json.dumps(
                {"status": {"addresses": ADDRESSES}}
            ),
            ("/api/v1/nodes/gpu-2", "Authorization", "Bearer of-the-pod"): json.dumps(
                {"status": {"addresses": ADDRESSES[:1]}}
            ),
        }
        said = [text for (path, name, value), text in answers.items() if self.asks(path, name, value)]
        self.say(said[0] if said else None)

    def asks(self, path: str, name: str, value: str) -> bool:
        return self.path == path and self.headers.get(name) == value

    def say(self, text: str | None) -> None:
        self.send_response(404 if text is None else 200)
        self.end_headers()
        self.wfile.write((text or "").encode())

    def log_message(self, format: str, *args: object) -> None:
        pass


@pytest.fixture
def service() -> Iterator[str]:
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Service) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()
        thread.join()


def learn(source: str, service: str, folder: Path, node: str = "gpu-1") -> tuple[int, str, str]:
    """Exit status, what it said, and what it wrote."""
    (folder / "token").write_text("of-the-pod")
    file = folder / "settings.toml"
    urls = {"METADATA_URL": service, "KUBERNETES_API": service, "SERVICE_ACCOUNT": str(folder)}
    ran = subprocess.run(
        [sys.executable, str(SCRIPT), source, str(file)],
        env=urls | {"NODE_NAME": node},
        capture_output=True,
        text=True,
        check=False,
        timeout=30,
    )
    return ran.returncode, ran.stderr.strip(), file.read_text() if file.exists() else ""


@pytest.mark.parametrize(
    ("source", "written"),
    [
        ("none", ""),
        ("aws", 'public_ip = "203.0.113.7"\n'),
        ("gcp", 'public_ip = "203.0.113.8"\n'),
        ("node", 'public_ip = "203.0.113.9"\n'),
    ],
)
def test_the_address_becomes_a_setting(service: str, tmp_path: Path, source: str, written: str) -> None:
    assert learn(source, service, tmp_path) == (0, "", written)


def test_a_node_without_one_does_not_start(service: str, tmp_path: Path) -> None:
    status, words, written = learn("node", service, tmp_path, node="gpu-2")
    assert (status, words, written) == (1, "no public address from node: this node has no ExternalIP", "")


def test_a_service_that_is_not_there_is_said_so(tmp_path: Path) -> None:
    status, words, written = learn("aws", "http://127.0.0.1:9", tmp_path)
    assert (status, written) == (1, "")
    assert words.startswith("no public address from aws: ")
