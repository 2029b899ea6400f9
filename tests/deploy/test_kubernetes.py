"""The Kubernetes manifests: valid for Kubernetes' own schemas, confined, and true to what the server has."""

from __future__ import annotations

import copy
import ipaddress
import json
import shutil
import subprocess
from collections.abc import Iterator
from typing import Any

import kubernetes_validate
import pytest
import yaml

from pnl_backend.errors import ConfigError
from pnl_backend.settings.fields import weakness_of
from pnl_backend.settings.model import Settings, account_fields
from tests.deploy.dockerfile import DEPLOY, SETTINGS, environment, final
from tests.ops.test_metrics import exposed
from tests.support.server import ROOT

FOLDER = DEPLOY / "kubernetes"
KUSTOMIZATION: dict[str, Any] = yaml.safe_load((FOLDER / "kustomization.yaml").read_text())
VERSIONS = ("1.31", "1.37")
"""The oldest Kubernetes that the manifests are for, and the newest that the schemas know."""
SECONDS_TO_STOP = 10
"""What the server promises from SIGTERM to its end."""


def manifests(*files: str) -> Iterator[dict[str, Any]]:
    for file in files:
        yield from yaml.safe_load_all((FOLDER / file).read_text())


ALL = [*manifests(*KUSTOMIZATION["resources"])]
SECRETS = {one["metadata"]["name"]: one["stringData"] for one in manifests("secrets.example.yaml")}


def the(kind: str, name: str) -> dict[str, Any]:
    (found,) = (one for one in ALL if (one["kind"], one["metadata"]["name"]) == (kind, name))
    return found


def pod(name: str) -> dict[str, Any]:
    template: dict[str, Any] = the("Deployment", name)["spec"]["template"]
    return template


def container(name: str) -> dict[str, Any]:
    (found,) = pod(name)["spec"]["containers"]
    assert isinstance(found, dict)
    return found


@pytest.mark.parametrize("version", VERSIONS)
def test_every_manifest_is_valid_and_has_no_field_that_kubernetes_does_not_know(version: str) -> None:
    for manifest in (*ALL, *manifests("secrets.example.yaml")):
        kubernetes_validate.validate(manifest, version, strict=True)
    wrong = copy.deepcopy(pod("push"))
    wrong["spec"]["containers"][0]["readynessProbe"] = {}
    with pytest.raises(kubernetes_validate.ValidationError):
        kubernetes_validate.validate({"apiVersion": "v1", "kind": "Pod", **wrong}, version, strict=True)


@pytest.mark.skipif(shutil.which("kubectl") is None, reason="needs kubectl")
def test_kustomize_builds_all_of_it() -> None:
    done = subprocess.run(["kubectl", "kustomize", str(FOLDER)], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    built = [*yaml.safe_load_all(done.stdout)]
    assert {(one["kind"], one["metadata"]["name"]) for one in built} == {
        (one["kind"], one["metadata"]["name"]) for one in ALL
    }
    for one in built:
        kubernetes_validate.validate(one, VERSIONS[-1], strict=True)
        assert one["kind"] == "Namespace" or one["metadata"]["namespace"] == "pnl"


def test_every_file_is_built_or_explains_why_not() -> None:
    files = {path.name for path in FOLDER.iterdir()} - {"secrets.yaml"}
    named = {*KUSTOMIZATION["resources"], "kustomization.yaml", "secrets.example.yaml", "prometheus-adapter.yaml"}
    assert files == named
    (image,) = KUSTOMIZATION["images"]
    assert image["newTag"] != "latest"
    assert image["name"] == container("push")["image"] == container("poll")["image"]


def test_the_settings_exist_and_each_role_gets_those_that_it_needs() -> None:
    shared = the("ConfigMap", "pnl")["data"]
    upstream = {name.upper() for name in account_fields()}
    for role in ("push", "poll"):
        secret, server = SECRETS[f"pnl-{role}"], container(role)
        assert server["env"] == [{"name": "ROLE", "value": role}]
        assert server["envFrom"] == [{"configMapRef": {"name": "pnl"}}, {"secretRef": {"name": f"pnl-{role}"}}]
        given = {"ROLE"} | shared.keys() | secret.keys()
        assert given <= SETTINGS
        assert {"API_KEY", "BUS_URL", "DATABASE_URL"} <= given
        assert bool(given & upstream) == (role == "poll")
    assert not shared.keys() & upstream
    users = {role: SECRETS[f"pnl-{role}"]["DATABASE_URL"].split("//")[1].split(":")[0] for role in ("push", "poll")}
    assert users == {"push": "pnl_reader", "poll": "pnl_owner"}
    roles = (DEPLOY / "postgres" / "roles.sql").read_text()
    assert all(f"CREATE ROLE {user} LOGIN" in roles for user in users.values())


def test_a_push_node_starts_with_its_settings(monkeypatch: pytest.MonkeyPatch) -> None:
    shared, secret = the("ConfigMap", "pnl")["data"], SECRETS["pnl-push"]
    key = "a-read-key-of-more-than-thirty-two-characters"
    for name, value in {**environment(), **shared, **secret, "ROLE": "push", "API_KEY": key}.items():
        if name in SETTINGS:
            monkeypatch.setenv(name, value)
    assert Settings(_env_file=None).role == "push"
    monkeypatch.setenv("ANTHROPIC_API_KEY", SECRETS["pnl-poll"]["ANTHROPIC_API_KEY"])
    with pytest.raises(ConfigError, match="a push node has no credentials"):
        Settings(_env_file=None)


def test_the_example_has_no_secret_that_a_server_would_take() -> None:
    for secret in SECRETS.values():
        assert weakness_of(secret["API_KEY"])
        for name, value in secret.items():
            assert "change-me" in value or name == "JOHNS_REVENUE_URL", name
    ignored = (ROOT / ".gitignore").read_text().splitlines()
    assert "/deploy/kubernetes/secrets.yaml" in ignored


def test_the_pods_are_confined() -> None:
    assert the("Namespace", "pnl")["metadata"]["labels"]["pod-security.kubernetes.io/enforce"] == "restricted"
    user, group = map(int, final("USER")[0].split(":"))
    for role in ("push", "poll"):
        spec, server = pod(role)["spec"], container(role)
        assert spec["automountServiceAccountToken"] is False
        assert spec["securityContext"] == {
            "runAsNonRoot": True, "runAsUser": user, "runAsGroup": group, "fsGroup": group,
            "seccompProfile": {"type": "RuntimeDefault"},
        }  # fmt: skip
        assert server["securityContext"] == {
            "allowPrivilegeEscalation": False, "readOnlyRootFilesystem": True, "capabilities": {"drop": ["ALL"]},
        }  # fmt: skip
        assert "memory" in server["resources"]["limits"]
        mounts = {mount["mountPath"]: mount["name"] for mount in server["volumeMounts"]}
        assert {volume["name"] for volume in spec["volumes"]} == set(mounts.values())
        for setting in ("DB_PATH", "LOG_DIR"):
            assert any(environment()[setting].startswith(place) for place in mounts), setting


def test_both_roles_are_run_alike() -> None:
    def common(role: str) -> Any:
        text = json.dumps(pod(role)).replace(f'"{role}"', '"ROLE"').replace(f'"pnl-{role}"', '"pnl-ROLE"')
        found = json.loads(text)
        del found["spec"]["containers"][0]["resources"]["requests"]["cpu"]
        return found

    assert common("push") == common("poll")


def test_a_pod_has_time_to_shut_down_and_is_asked_by_routes_that_exist() -> None:
    routes = (ROOT / "docs" / "wire.md").read_text()
    for role in ("push", "poll"):
        server = container(role)
        command, seconds = server["lifecycle"]["preStop"]["exec"]["command"]
        assert command == "sleep"
        assert pod(role)["spec"]["terminationGracePeriodSeconds"] >= int(seconds) + SECONDS_TO_STOP
        paths = {server[f"{probe}Probe"]["httpGet"]["path"] for probe in ("startup", "liveness", "readiness")}
        assert paths == {"/health/live", "/health/ready"}
        assert all(f"GET {path}`" in routes for path in paths)
        assert server["readinessProbe"]["httpGet"]["path"] == "/health/ready"
        assert server["livenessProbe"]["httpGet"]["path"] == "/health/live"
        assert [port["containerPort"] for port in server["ports"]] == [int(environment()["PORT"])]


def test_selectors_find_the_pods() -> None:
    for role in ("push", "poll"):
        labels = pod(role)["metadata"]["labels"]
        assert the("Deployment", role)["spec"]["selector"]["matchLabels"] == labels
        assert the("Service", role)["spec"]["selector"] == labels
        assert the("PodDisruptionBudget", role)["spec"]["selector"]["matchLabels"] == labels
        for constraint in pod(role)["spec"]["topologySpreadConstraints"]:
            assert constraint["labelSelector"]["matchLabels"] == labels
    assert the("Deployment", "poll")["spec"]["replicas"] == 2
    assert "replicas" not in the("Deployment", "push")["spec"]  # the autoscaler's


def test_the_autoscaler_goes_by_a_metric_that_the_server_has() -> None:
    scaler = the("HorizontalPodAutoscaler", "push")["spec"]
    assert scaler["scaleTargetRef"] == {"apiVersion": "apps/v1", "kind": "Deployment", "name": "push"}
    assert scaler["minReplicas"] >= 2
    (metric,) = scaler["metrics"]
    name = metric["pods"]["metric"]["name"]
    assert f"\n{name}{{" in exposed().render()[0].decode()
    (rule,) = yaml.safe_load((FOLDER / "prometheus-adapter.yaml").read_text())["rules"]["custom"]
    assert rule["name"]["as"] == name
    assert rule["seriesQuery"].startswith(f"{name}{{")
    # All transports of a pod together.
    assert rule["metricsQuery"] == "sum(<<.Series>>{<<.LabelMatchers>>}) by (<<.GroupBy>>)"


def test_clients_are_sent_to_a_pod_by_their_address() -> None:
    ingress = the("Ingress", "push")
    said = ingress["metadata"]["annotations"]
    assert said["nginx.org/lb-method"] == "hash $remote_addr consistent"
    assert said["nginx.ingress.kubernetes.io/upstream-hash-by"] == "$remote_addr"
    (rule,) = ingress["spec"]["rules"]
    (path,) = rule["http"]["paths"]
    service = path["backend"]["service"]
    assert service["name"] == said["nginx.org/websocket-services"] == "push"
    assert service["port"]["name"] in [port["name"] for port in the("Service", "push")["spec"]["ports"]]


def test_push_reaches_redis_and_postgresql_alone() -> None:
    everything = the("NetworkPolicy", "nothing-else")["spec"]
    assert everything == {"podSelector": {}, "policyTypes": ["Ingress", "Egress"]}
    labels = {role: pod(role)["metadata"]["labels"] for role in ("push", "poll")}
    reached: dict[str, set[tuple[str, int]]] = {role: set() for role in labels}
    for policy in (one["spec"] for one in ALL if one["kind"] == "NetworkPolicy"):
        for role, own in labels.items():
            if policy["podSelector"].get("matchLabels", {}).items() <= own.items():
                for rule in policy.get("egress", ()):
                    for peer in rule["to"]:
                        place = peer["ipBlock"]["cidr"] if "ipBlock" in peer else "DNS"
                        reached[role] |= {(place, port["port"]) for port in rule["ports"]}
    stores = {("192.0.2.10/32", 6379), ("192.0.2.20/32", 5432)}
    assert reached["push"] == {("DNS", 53), *stores}
    assert reached["poll"] == {("DNS", 53), *stores, ("0.0.0.0/0", 443)}
    (rule,) = the("NetworkPolicy", "poll")["spec"]["egress"]
    kept = [ipaddress.ip_network(network) for network in rule["to"][0]["ipBlock"]["except"]]
    for private in ("10.1.2.3", "172.20.0.1", "192.168.1.1", "169.254.169.254", "100.64.0.1"):
        assert any(ipaddress.ip_address(private) in network for network in kept), private
