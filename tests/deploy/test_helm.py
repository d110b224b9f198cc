"""The chart of ``deploy/helm``, by a real Helm, against the schemas of Kubernetes. No cluster is asked."""

from __future__ import annotations

import asyncio
import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import kubernetes_validate
import pytest
import yaml

from mediaserver.child_process import free_ports, stop
from mediaserver.settings.model import CONFIG_VARIABLE, describe, load
from signaling.auth import parse_keys
from tests.support import envoy, helm
from tests.support.gateway import write_certificate
from tests.support.listening import listens
from tests.support.waiting import eventually

CHART = Path(__file__).parents[2] / "deploy" / "helm" / "mediaserver"
VERSIONS = [f"1.{minor}" for minor in range(29, 38)]
FULL = {
    "publicAddress": "node",
    "keys": {"value": json.dumps({"k1": "k" * 32})},
    "iceServers": ["stun:stun.example.org:3478", "turn:turn.example.org:3478?transport=udp"],
    "nodes": {
        "port": 9080,
        "workers": 2,
        "drainTimeoutSeconds": 600,
        "settings": {"resume_window_s": 60, "ocr": True},
        "nodeSelector": {"gpu": "l4"},
    },
    "triton": {"resources": {"requests": {"cpu": "2"}, "limits": {"memory": "8Gi"}}},
    "turn": {"enabled": True, "allowedPeers": ["10.1.0.0-10.1.255.255"], "nodeSelector": {"turn": "yes"}},
    "front": {"service": {"annotations": {"example.org/kind": "nlb"}}},
    "autoscaling": {"kind": "hpa", "minReplicas": 3, "maxReplicas": 50},
    "spare": {"replicas": 1},
    "serviceMonitor": {"enabled": True, "labels": {"team": "video"}, "tokenSecret": {"name": "control"}},
}
KEDA = {"autoscaling": {"kind": "keda"}, "triton": {"enabled": False}, "front": {"enabled": False}}
CUSTOM = {"ServiceMonitor", "ScaledObject"}
"""Kinds that Kubernetes itself does not know."""


def run(folder: Path, *arguments: str, **values: Any) -> subprocess.CompletedProcess[str]:
    chosen = folder / "values.yaml"
    chosen.write_text(yaml.safe_dump(values))
    command = [str(helm.binary()), *arguments, str(CHART), "--values", str(chosen)]
    return subprocess.run(command, capture_output=True, text=True, check=False, timeout=60)


def rendered(folder: Path, **values: Any) -> dict[tuple[str, str], dict[str, Any]]:
    """What would be applied, by kind and name."""
    ran = run(folder, "template", "release", **values)
    assert ran.returncode == 0, ran.stderr
    documents = [document for document in yaml.safe_load_all(ran.stdout) if document]
    return {(each["kind"], each["metadata"]["name"]): each for each in documents}


def nodes(folder: Path, **values: Any) -> dict[str, Any]:
    """The pod of a node."""
    deployment = rendered(folder, **values)["Deployment", "release-nodes"]
    pod: dict[str, Any] = deployment["spec"]["template"]["spec"]
    return pod


def container(pod: dict[str, Any], name: str = "mediaserver") -> dict[str, Any]:
    return next(each for each in pod["containers"] if each["name"] == name)


def environment(pod: dict[str, Any]) -> dict[str, Any]:
    """Of the server: what is written there, or where it comes from."""
    return {each["name"]: each.get("value", each.get("valueFrom")) for each in container(pod)["env"]}


@pytest.mark.parametrize("values", [{}, FULL, KEDA], ids=["default", "full", "keda"])
def test_helm_and_kubernetes_have_nothing_to_say(tmp_path: Path, values: dict[str, Any]) -> None:
    linted = run(tmp_path, "lint", "--strict", **values)
    assert linted.returncode == 0, linted.stdout
    documents = rendered(tmp_path, **values)
    assert ("Deployment", "release-nodes") in documents
    for version in VERSIONS:
        for (kind, name), document in documents.items():
            if kind not in CUSTOM:
                assert kubernetes_validate.validate(document, version, strict=True), (kind, name)


@pytest.mark.parametrize(
    "values",
    [
        {"nodes": {"maxSession": 5}},
        {"nodes": {"maxSessions": 0}},
        {"nodes": {"settings": {"Max Sessions": 5}}},
        {"publicAddress": "azure"},
        {"autoscaling": {"targetLoad": 70}},
        {"iceServers": ["stun.example.org"]},
        {"turn": {"realm": "two\nlines"}},
        {"turn": {"allowedPeers": ["10.0.0.1\nno-auth"]}},
        {"front": {"tlsSecret": ""}},
        {"fronts": {}},
    ],
    ids=str,
)
def test_values_that_cannot_be_are_refused_before_anything_is_applied(
    tmp_path: Path, values: dict[str, Any]
) -> None:
    ran = run(tmp_path, "template", "release", **values)
    assert ran.returncode != 0
    assert "values" in ran.stderr


def test_every_value_has_words(tmp_path: Path) -> None:
    """The table of the README names each value, and nothing else."""
    told = set(re.findall(r"^\| `([\w.]+)` \|", (CHART / "README.md").read_text(), re.MULTILINE))
    values = yaml.safe_load((CHART / "values.yaml").read_text())

    def names(part: Any, path: str) -> set[str]:
        if path in told or not isinstance(part, dict) or not part:
            return {path}
        return {name for key, inner in part.items() for name in names(inner, f"{path}.{key}".lstrip("."))}

    assert names(values, "") == told


def test_a_node_is_a_machine_with_its_own_triton(tmp_path: Path) -> None:
    pod = nodes(tmp_path)
    assert pod["hostNetwork"], "media comes by UDP on any port"
    [rule] = pod["affinity"]["podAntiAffinity"]["requiredDuringSchedulingIgnoredDuringExecution"]
    assert rule["topologyKey"] == "kubernetes.io/hostname"
    server, triton = container(pod), container(pod, "triton")
    shared = {"name": "shared-memory", "mountPath": "/dev/shm"}
    assert shared in server["volumeMounts"]
    assert shared in triton["volumeMounts"]
    assert server["securityContext"]["runAsGroup"] == triton["securityContext"]["runAsGroup"]
    assert triton["resources"]["limits"] == {"nvidia.com/gpu": 1}
    alone = nodes(tmp_path, triton={"enabled": False})
    assert [each["name"] for each in alone["containers"]] == ["mediaserver"]


def test_nothing_off_the_node_makes_kubernetes_kill_sessions(tmp_path: Path) -> None:
    server = container(nodes(tmp_path))
    assert server["livenessProbe"]["httpGet"] == {"path": "/healthz", "port": "http"}
    assert server["readinessProbe"]["httpGet"] == {"path": "/readyz", "port": "http"}


def test_kubernetes_waits_for_the_drain(tmp_path: Path) -> None:
    pod = nodes(tmp_path, nodes={"drainTimeoutSeconds": 600})
    assert environment(pod)["MEDIASERVER_DRAIN_TIMEOUT_S"] == "600"
    assert pod["terminationGracePeriodSeconds"] >= 600 + 60 + 10
    strategy = rendered(tmp_path)["Deployment", "release-nodes"]["spec"]["strategy"]["rollingUpdate"]
    assert strategy == {"maxSurge": 0, "maxUnavailable": 1}


def test_the_server_takes_the_settings(tmp_path: Path) -> None:
    known = {setting.variable for setting in describe()} | {CONFIG_VARIABLE}
    for values in ({}, FULL):
        given = environment(nodes(tmp_path, **values))
        assert given.keys() <= known
        given |= {"MEDIASERVER_NODE": "10.0.0.7", "MEDIASERVER_TOKEN_KEYS": json.dumps({"k1": "k" * 32})}
        settings = load(environment={**given, "MEDIASERVER_TURN_SECRET": "secret", CONFIG_VARIABLE: ""})
        assert settings.node_name == "10.0.0.7"
        assert settings.trusted_proxies
    assert settings.resume_window_s == 60


def test_keys_are_made_where_there_are_none(tmp_path: Path) -> None:
    secret = rendered(tmp_path)["Secret", "release-keys"]["stringData"]["token-keys"]
    assert parse_keys(secret)
    own = {"existingSecret": "mine"}
    assert not any(kind == "Secret" for kind, _ in rendered(tmp_path, keys=own))
    reference = environment(nodes(tmp_path, keys=own))["MEDIASERVER_TOKEN_KEYS"]
    assert reference == {"secretKeyRef": {"name": "mine", "key": "token-keys"}}


def test_coturn_starts_with_what_the_chart_makes_of_the_shipped_configuration(tmp_path: Path) -> None:
    """The init step's own words in a shell, and a real coturn that reads what comes of them."""
    documents = rendered(tmp_path, turn={"enabled": True, "allowedPeers": ["10.1.0.7"]})
    secret = documents["Secret", "release-keys"]["stringData"]["turn-secret"]
    assert len(secret) >= 32
    pod = documents["Deployment", "release-turn"]["spec"]["template"]["spec"]
    (tmp_path / "etc").mkdir()
    (tmp_path / "run").mkdir()
    (tmp_path / "etc" / "turnserver.conf").write_text(
        documents["ConfigMap", "release-turn"]["data"]["turnserver.conf"]
    )
    _, _, script = pod["initContainers"][0]["command"]
    for there, here in (
        ("/etc/coturn", tmp_path / "etc"),
        ("/run/coturn", tmp_path / "run"),
        ("/scripts", CHART / "files"),
        ("python ", f"{sys.executable} "),
    ):
        assert there in script
        script = script.replace(there, str(here))
    settings = {"REALM": "turn.example.org", "TURN_SECRET": secret, "HOST_ADDRESS": "10.0.0.7"}
    subprocess.run(["sh", "-ec", script], env=os.environ | settings, check=True, timeout=60)
    made = (tmp_path / "run" / "turnserver.conf").read_text()
    lines = made.splitlines()
    assert {"use-auth-secret", "realm=turn.example.org", f"static-auth-secret={secret}"} <= {*lines}
    assert "allowed-peer-ip=10.1.0.7" in lines
    assert "denied-peer-ip=10.0.0.0-10.255.255.255" in lines
    assert asyncio.run(relay_answers(tmp_path / "run" / "turnserver.conf"))


async def relay_answers(config: Path) -> bool:
    """Whether a coturn of that file takes connections on this machine's loopback."""
    if shutil.which("turnserver") is None:
        pytest.skip("coturn is not installed (Debian: coturn)")
    [port] = free_ports(1)
    process = await asyncio.create_subprocess_exec(
        *("turnserver", "-c", str(config), "--listening-ip=127.0.0.1", "--relay-ip=127.0.0.1", "--no-tls"),
        *("--no-dtls", f"--listening-port={port}", f"--pidfile={config.with_name('pid')}"),
        stdout=asyncio.subprocess.DEVNULL,
        stderr=asyncio.subprocess.DEVNULL,
    )
    try:
        await eventually(lambda: process.returncode is not None or listens(port), 20)
        return process.returncode is None
    finally:
        await stop(process, timeout_s=10)


def test_prometheus_gets_the_labels_that_alerts_and_dashboard_ask_for(tmp_path: Path) -> None:
    monitor = rendered(tmp_path, serviceMonitor={"enabled": True})["ServiceMonitor", "release-nodes"]["spec"]
    assert monitor["attachMetadata"] == {"node": True}
    [endpoint] = monitor["endpoints"]
    labels = {each["targetLabel"]: each for each in endpoint["relabelings"]}
    assert labels["job"]["replacement"] == "mediaserver"
    assert labels["zone"]["sourceLabels"] == ["__meta_kubernetes_node_label_topology_kubernetes_io_zone"]


@pytest.mark.parametrize("port", [8080, 9080])
def test_envoy_takes_the_configuration_that_the_chart_makes(tmp_path: Path, port: int) -> None:
    documents = rendered(tmp_path, nodes={"port": port})
    text = documents["ConfigMap", "release-front"]["data"]["mediaserver.yaml"]
    write_certificate(tmp_path / "tls")
    for shipped, here in (
        ("/etc/envoy/tls/tls.crt", str(tmp_path / "tls" / "fullchain.pem")),
        ("/etc/envoy/tls/tls.key", str(tmp_path / "tls" / "privkey.pem")),
    ):
        assert shipped in text
        text = text.replace(shipped, here)
    (tmp_path / "envoy.yaml").write_text(text)
    command = [str(envoy.binary()), "--mode", "validate", "--config-path", str(tmp_path / "envoy.yaml")]
    checked = subprocess.run(command, capture_output=True, text=True, check=False, timeout=60)
    assert checked.returncode == 0, checked.stderr
    config = yaml.safe_load(text)["static_resources"]
    [cluster] = config["clusters"]
    [endpoint] = cluster["load_assignment"]["endpoints"][0]["lb_endpoints"]
    service = documents["Service", "release-nodes"]
    assert endpoint["endpoint"]["address"]["socket_address"] == {
        "address": "release-nodes.default.svc",
        "port_value": port,
    }
    assert service["spec"]["publishNotReadyAddresses"], "a node that drains takes its own sessions back"
    assert f'":{port}"' in text, "the port in a node's name, too"
    assert config["listeners"][0]["address"]["socket_address"]["port_value"] == 8443
