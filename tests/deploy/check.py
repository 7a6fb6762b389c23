"""What is deployed holds together: the chart in its variants, the compose file, the unit, the alerts."""

import configparser
import sys
from pathlib import Path

import yaml
from render import Chart

root = Path(__file__).resolve().parents[2]
VARIANTS = [
    {},
    {"autoscaling.enabled": True, "ingress.enabled": True, "serviceMonitor.enabled": True},
    {
        "ingress.enabled": True,
        "ingress.className": "nginx",
        "ingress.tlsSecret": "tls",
        "journal.storageClass": "fast",
        "podAnnotations": {"a": "b"},
        "env": [{"name": "A", "value": "b"}],
        "nodeSelector": {"disk": "ssd"},
        "tolerations": [{"key": "gpu", "operator": "Exists"}],
        "imagePullSecrets": [{"name": "registry"}],
        "service.annotations": {"c": "d"},
    },
]


def chart(values):
    objects = Chart(root / "deploy/helm/optimux", values=values).objects()
    names = [(one["kind"], one["metadata"]["name"]) for one in objects]
    assert len(set(names)) == len(names), names
    by_kind = {}
    for one in objects:
        assert one["apiVersion"] and one["metadata"]["labels"]["app.kubernetes.io/instance"] == "test"
        by_kind.setdefault(one["kind"], []).append(one)
    (nodes,) = by_kind["StatefulSet"]
    spec, pod = nodes["spec"], nodes["spec"]["template"]["spec"]
    labels = spec["template"]["metadata"]["labels"]
    chosen = spec["selector"]["matchLabels"].items()
    assert chosen <= labels.items(), "the set does not find its own pods"
    (container,) = pod["containers"]
    ports = {one["name"]: one["containerPort"] for one in container["ports"]}
    for service in by_kind["Service"]:
        assert service["spec"]["selector"].items() <= labels.items()
        assert all(one["targetPort"] in ports for one in service["spec"]["ports"])
    services = {one["metadata"]["name"] for one in by_kind["Service"]}
    assert spec["serviceName"] in services
    (budget,) = by_kind["PodDisruptionBudget"]
    assert budget["spec"]["selector"]["matchLabels"].items() <= labels.items()
    for probe in ("startupProbe", "readinessProbe", "livenessProbe"):
        assert container[probe]["httpGet"]["port"] in ports, probe
    # Every volume that is mounted is there, and the journal's outlives the pod.
    volumes = {one["name"] for one in pod["volumes"]}
    claims = {one["metadata"]["name"] for one in spec["volumeClaimTemplates"]}
    mounted = {one["name"]: one["mountPath"] for one in container["volumeMounts"]}
    assert set(mounted) == volumes | claims and "journal" in claims
    assert container["workingDir"] == mounted["journal"], "the journal is where the process works"
    assert spec["persistentVolumeClaimRetentionPolicy"]["whenScaled"] == "Retain"
    security = container["securityContext"]
    assert security["readOnlyRootFilesystem"] and pod["securityContext"]["runAsNonRoot"]
    # The configuration is one, and agrees with the ports.
    (config,) = by_kind["ConfigMap"]
    settings = config["data"]["optimux.toml"]
    for port in ports.values():
        assert f'"0.0.0.0:{port}"' in settings, settings
    assert ("replicas" in spec) != ("HorizontalPodAutoscaler" in by_kind), "two would set the number"
    for scaler in by_kind.get("HorizontalPodAutoscaler", []):
        assert scaler["spec"]["scaleTargetRef"]["name"] == nodes["metadata"]["name"]
        assert scaler["spec"]["metrics"][0]["pods"]["metric"]["name"] == "optimux_in_flight"
    for ingress in by_kind.get("Ingress", []):
        backend = ingress["spec"]["rules"][0]["http"]["paths"][0]["backend"]["service"]
        assert backend["name"] in services
    for monitor in by_kind.get("ServiceMonitor", []):
        wanted = monitor["spec"]["selector"]["matchLabels"].items()
        (found,) = [one for one in by_kind["Service"] if wanted <= one["metadata"]["labels"].items()]
        assert monitor["spec"]["endpoints"][0]["port"] in {one["name"] for one in found["spec"]["ports"]}
    return settings


def compose():
    stack = yaml.safe_load((root / "compose.yaml").read_text())
    volumes = set(stack["volumes"])
    for name, service in stack["services"].items():
        for place in service.get("volumes", []):
            assert place.split(":")[0] in volumes, f"{name}: {place}"
        for other in service.get("depends_on", {}):
            assert "healthcheck" in stack["services"][other], f"{name} waits for {other}"
    gateways = [one for name, one in stack["services"].items() if name.startswith("gateway")]
    assert len(gateways) == 3 and all(one["read_only"] for one in gateways)
    assert all(one["healthcheck"]["test"] == ["CMD", "optimux", "health"] for one in gateways)
    journals = {one["volumes"][0].split(":")[0] for one in gateways}
    assert len(journals) == 3, "each has a journal of its own"


def unit():
    reader = configparser.RawConfigParser(strict=False, interpolation=None)
    reader.optionxform = str
    reader.read(root / "deploy/optimux.service")
    service = reader["Service"]
    assert service["WorkingDirectory"].endswith(service["StateDirectory"])
    assert service["DynamicUser"] == "yes" and service["ProtectSystem"] == "strict"


def alerts():
    rules = yaml.safe_load((root / "deploy/prometheus/alerts.yml").read_text())
    for rule in rules["groups"][0]["rules"]:
        assert rule["expr"] and rule["labels"]["severity"] and rule["annotations"]["summary"], rule


settings = [chart(values) for values in VARIANTS][0]
compose()
unit()
alerts()
if len(sys.argv) > 1:
    Path(sys.argv[1]).write_text(settings)
print(f"the chart is good in {len(VARIANTS)} variants; so are compose.yaml, the unit and the alerts")
