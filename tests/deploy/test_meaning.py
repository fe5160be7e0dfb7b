"""Manifests say what the program knows: settings, ports, mounts, names, times."""

from __future__ import annotations

import json
import shlex
from collections.abc import Iterator, Mapping, Sequence
from functools import cache
from pathlib import PurePosixPath
from typing import Any

import pytest
import ray
from typer.testing import CliRunner

from cluster.bench.options import BenchOptions
from cluster.cli import app
from receiver.metrics import ReceiverMetrics
from receiver.monitor import create_app
from receiver.settings import ReceiveSettings
from sender.settings import SendSettings
from shared.settings import Settings
from tests.deploy.dockerfile import dockerfile
from tests.deploy.rendered import (
    JOBS,
    OVERLAYS,
    Pod,
    Resource,
    needs_kubectl,
    of_kind,
    pods,
    rendered,
    selects,
)

pytestmark = needs_kubectl

MODELS: dict[str, type[Settings]] = {
    "receive": ReceiveSettings,
    "send": SendSettings,
    "bench": BenchOptions,
}
#: Settings that name folders to write to, which must outlive a pod.
WRITTEN = {"receive": ("state", "sink"), "send": ("state",), "bench": ("out",)}
#: What each probe of a gateway asks.
KINDS = {"startup": "/healthz", "readiness": "/readyz", "liveness": "/healthz"}
WITH_RAY = ("overlays/cpu", "overlays/gpu")
#: Files that Secrets have, as docs/deploy.md makes them.
SECRETS = {
    "sidewire-tls": {"tls.crt", "tls.key", "ca.crt"},
    "sidewire-tokens": {"tokens.yaml"},
    "sidewire-sender-token": {"token"},
}


def commands(folder: str) -> Iterator[tuple[Pod, Resource, list[str], dict[str, str]]]:
    """Each run of ``sidewire``: its pod, container, arguments and environment."""
    resources = rendered(folder)
    for pod in pods(resources):
        for name in pod.names:
            for container in pod.containers:
                if "command" not in container and container.get("args"):
                    variables = pod.variables(container, name, resources)
                    yield pod, container, container["args"], variables
    for job in of_kind(resources, "RayJob"):
        head = next(pod for pod in pods(resources) if pod.labels.get("ray.io/node-type") == "head")
        program, *arguments = shlex.split(job["spec"]["entrypoint"])
        assert program == "sidewire"
        yield head, head.containers[0], arguments, {}


def settings_of(arguments: Sequence[str], variables: Mapping[str, str]) -> dict[str, Any]:
    """What the program itself makes of a command line and its environment."""
    command = arguments[0]
    prefix = MODELS[command].model_config["env_prefix"]
    for name in variables:
        if name.startswith("SIDEWIRE_"):
            assert name.startswith(prefix), name
            assert name.removeprefix(prefix).lower() in MODELS[command].model_fields, name
    shown = CliRunner().invoke(
        app, [*arguments, "--show-config", "--json"], env=dict(variables), catch_exceptions=False
    )
    assert shown.exit_code == 0, shown.output
    return {name: one["value"] for name, one in json.loads(shown.stdout).items()}


def container_of(pod: Pod, name: str) -> Resource:
    return next(one for one in pod.containers if one["name"] == name)


@cache
def gateways(folder: str) -> list[tuple[Pod, Resource, dict[str, Any]]]:
    found = [
        (pod, container, settings_of(arguments, variables))
        for pod, container, arguments, variables in commands(folder)
        if arguments[0] == "receive"
    ]
    assert found
    return found


def port_of(address: str) -> int:
    return int(address.rpartition(":")[2])


def seconds_before_stop(container: Resource) -> float:
    sleep, seconds = container["lifecycle"]["preStop"]["exec"]["command"]
    assert sleep == "sleep"
    return float(seconds)


# -- settings --------------------------------------------------------------------------------------


@pytest.mark.parametrize("folder", [*OVERLAYS, *JOBS])
def test_the_program_takes_every_command_line_and_environment(folder: str) -> None:
    runs = list(commands(folder))
    assert runs
    for _, _, arguments, variables in runs:
        assert settings_of(arguments, variables)


def test_a_setting_that_does_not_exist_is_found() -> None:
    with pytest.raises(AssertionError, match="SINKS"):
        settings_of(["receive"], {"SIDEWIRE_RECEIVE_SINKS": "/pictures"})
    with pytest.raises(AssertionError, match="--quick"):
        settings_of(["send", "--feed=f", "--images=a:1", "--quick"], {})


@pytest.mark.parametrize("folder", [*OVERLAYS, *JOBS])
def test_files_that_settings_name_are_mounted(folder: str) -> None:
    """What is written lies on a claim, what is secret comes from the Secret that has it."""
    for pod, container, arguments, variables in commands(folder):
        settings = settings_of(arguments, variables)
        mounts = {one["mountPath"]: one for one in container["volumeMounts"]}
        volumes = {one["name"]: one for one in pod.spec.get("volumes", ())}
        for name in WRITTEN[arguments[0]]:
            mount = _mount(settings[name], mounts)
            assert not mount.get("readOnly"), name
            of_pod = mount["name"] in pod.claims
            assert of_pod or "persistentVolumeClaim" in volumes[mount["name"]], name
        if arguments[0] == "send":
            assert "persistentVolumeClaim" in volumes[_mount(settings["feed"], mounts)["name"]]
        for name in ("tls_cert", "tls_key", "tokens", "tls_ca", "token_file"):
            if settings.get(name):
                mount = _mount(settings[name], mounts)
                secret = volumes[mount["name"]]["secret"]
                files = {one["path"] for one in secret.get("items", ())}
                files = files or SECRETS[secret["secretName"]]
                assert files <= SECRETS[secret["secretName"]]
                assert PurePosixPath(settings[name]).name in files
                assert secret["defaultMode"] & 0o007 == 0


def _mount(path: str, mounts: Mapping[str, Resource]) -> Resource:
    place = PurePosixPath(path)
    return next(mounts[str(one)] for one in (place, *place.parents) if str(one) in mounts)


@pytest.mark.parametrize("folder", [*OVERLAYS, *JOBS])
def test_whatever_is_written_besides_goes_to_a_mount(folder: str) -> None:
    for pod in pods(rendered(folder)):
        for container in pod.containers:
            assert "/tmp" in {one["mountPath"] for one in container["volumeMounts"]}


# -- ports, Services, probes -----------------------------------------------------------------------


@pytest.mark.parametrize("folder", OVERLAYS)
def test_a_gateway_listens_where_it_is_looked_for(folder: str) -> None:
    for pod, container, settings in gateways(folder):
        ports = {one["name"]: one["containerPort"] for one in container["ports"]}
        assert ports == {
            "channels": port_of(settings["images"]),
            "metrics": port_of(settings["metrics"]),
        }
        assert settings["images"] == settings["captions"]
        assert settings["tls_cert"]
        assert settings["tokens"]
        assert not settings["plaintext_on_the_network"]
        assert all(name in pod.named_ports() for name in ports)


@pytest.mark.parametrize("folder", OVERLAYS)
def test_probes_ask_what_a_receiver_answers(folder: str) -> None:
    for _, container, _ in gateways(folder):
        probes = {kind: container[f"{kind}Probe"]["httpGet"] for kind in KINDS}
        assert {one["port"] for one in probes.values()} == {"metrics"}
        # A receiver that is not ready is not mended by starting it again.
        assert {kind: one["path"] for kind, one in probes.items()} == KINDS
    pages = {route.path for route in create_app(ReceiverMetrics("test"), None).routes}  # type: ignore[arg-type, attr-defined]
    assert set(KINDS.values()) <= pages


@pytest.mark.parametrize("folder", OVERLAYS)
def test_services_lead_to_ports_of_pods(folder: str) -> None:
    resources = rendered(folder)
    services = of_kind(resources, "Service")
    assert services
    for service in services:
        chosen = [
            pod for pod in pods(resources) if selects(service["spec"]["selector"], pod.labels)
        ]
        assert chosen, service["metadata"]["name"]
        for pod in chosen:
            for port in service["spec"]["ports"]:
                assert pod.named_ports()[port["targetPort"]] == port["port"]


@pytest.mark.parametrize("folder", OVERLAYS)
def test_every_gateway_is_an_address_of_its_own(folder: str) -> None:
    """Each stream has one owner by name, so each name must lead to that pod alone."""
    resources = rendered(folder)
    found = gateways(folder)
    services = {one["metadata"]["name"]: one["spec"] for one in of_kind(resources, "Service")}
    for pod, _, settings in found:
        own = settings["self_address"]
        assert own == settings["advertise_images"] == settings["advertise_captions"]
        host, _, port = own.rpartition(":")
        assert pod.names == [host]
        led_to = [one for one, *_ in found if selects(services[host]["selector"], one.labels)]
        assert led_to == [pod]
        assert {one["port"] for one in services[host]["ports"]} == {int(port)}
        assert settings["gateways"] == [one["self_address"] for *_, one in found]
    stateful = of_kind(resources, "StatefulSet")[0]["spec"]
    assert services[stateful["serviceName"]]["clusterIP"] == "None"
    for claim in stateful["volumeClaimTemplates"]:
        assert claim["spec"]["accessModes"] == ["ReadWriteOncePod"]


@pytest.mark.parametrize("folder", OVERLAYS)
def test_senders_reach_gateways_and_nobody_else_does(folder: str) -> None:
    ((sender, _, arguments, variables),) = commands("jobs/send")
    settings = settings_of(arguments, variables)
    resources = rendered(folder)
    services = {one["metadata"]["name"]: one["spec"] for one in of_kind(resources, "Service")}
    for address in (settings["images"], settings["captions"]):
        host, _, port = address.rpartition(":")
        assert {one["port"] for one in services[host]["ports"]} == {int(port)}
        for pod, *_ in gateways(folder):
            assert selects(services[host]["selector"], pod.labels)
            assert _may_reach(sender.labels, pod, int(port), resources)
            assert not _may_reach({"app.kubernetes.io/name": "other"}, pod, int(port), resources)
    for pod in pods(resources):
        if pod.origin == "sidewire-decoders":
            assert not _may_reach(sender.labels, pod, 6379, resources)
            for other in pods(resources):
                assert _may_reach(other.labels, pod, 6379, resources)


def _may_reach(
    labels: Mapping[str, str], pod: Pod, port: int, resources: Sequence[Resource]
) -> bool:
    """Whether the policies let a pod of the same namespace in."""
    policies = [
        one["spec"]
        for one in of_kind(resources, "NetworkPolicy")
        if selects(one["spec"]["podSelector"], pod.labels)
        and "Ingress" in one["spec"]["policyTypes"]
    ]
    assert policies
    return any(
        selects(source["podSelector"], labels)
        and ("ports" not in rule or port in {one["port"] for one in rule["ports"]})
        for policy in policies
        for rule in policy["ingress"]
        for source in rule["from"]
        if "namespaceSelector" not in source
    )


def test_prometheus_finds_its_ports_and_may_ask() -> None:
    resources = rendered("overlays/cpu")
    for monitor in rendered("monitoring"):
        assert monitor["kind"] == "PodMonitor"
        chosen = [
            pod for pod in pods(resources) if selects(monitor["spec"]["selector"], pod.labels)
        ]
        assert chosen
        for pod in chosen:
            for endpoint in monitor["spec"]["podMetricsEndpoints"]:
                port = pod.named_ports()[endpoint["port"]]
                assert _open_to_monitoring(pod, port, resources)


def _open_to_monitoring(pod: Pod, port: int, resources: Sequence[Resource]) -> bool:
    monitoring = {"matchLabels": {"kubernetes.io/metadata.name": "monitoring"}}
    return any(
        {"namespaceSelector": monitoring} in rule["from"]
        and port in {one["port"] for one in rule["ports"]}
        for policy in of_kind(resources, "NetworkPolicy")
        if selects(policy["spec"]["podSelector"], pod.labels)
        for rule in policy["spec"].get("ingress", ())
    )


# -- stops and evictions ---------------------------------------------------------------------------


@pytest.mark.parametrize("folder", OVERLAYS)
def test_a_drain_has_the_time_that_it_may_take(folder: str) -> None:
    for pod, container, settings in gateways(folder):
        needed = seconds_before_stop(container) + settings["drain_seconds"]
        assert pod.spec["terminationGracePeriodSeconds"] >= needed + 10


@pytest.mark.parametrize("folder", WITH_RAY)
def test_disruption_budgets_are_of_pods_that_there_are(folder: str) -> None:
    resources = rendered(folder)
    budgets = of_kind(resources, "PodDisruptionBudget")
    assert len(budgets) == 2
    for budget in budgets:
        chosen = {
            p.origin for p in pods(resources) if selects(budget["spec"]["selector"], p.labels)
        }
        assert chosen == {budget["metadata"]["name"]}


# -- Ray -------------------------------------------------------------------------------------------


@pytest.mark.parametrize("folder", WITH_RAY)
def test_gateways_and_decoders_are_of_one_cluster(folder: str) -> None:
    (cluster,) = of_kind(rendered(folder), "RayCluster")
    name = cluster["metadata"]["name"]
    for pod, container, settings in gateways(folder):
        assert settings["decoder"] == "ray"
        assert settings["ray_address"] == f"{name}-head-svc:6379"
        node = container_of(pod, "ray-node")
        assert f"--address={settings['ray_address']}" in node["args"]
        assert "--num-cpus=0" in node["args"]
        assert node["restartPolicy"] == "Always"
        for one in (node, container):
            (token,) = (v for v in one["env"] if v["name"] == "RAY_AUTH_TOKEN")
            assert token["valueFrom"]["secretKeyRef"] == {"name": name, "key": "auth_token"}
            assert {"name": "RAY_AUTH_MODE", "value": "token"} in one["env"]
            mounts = {(mount["name"], mount["mountPath"]) for mount in one["volumeMounts"]}
            assert {("tmp", "/tmp"), ("shm", "/dev/shm")} <= mounts
    assert cluster["spec"]["authOptions"] == {"mode": "token"}


@pytest.mark.parametrize("folder", WITH_RAY)
def test_the_cluster_grows_to_the_decoders_that_are_asked_for(folder: str) -> None:
    (cluster,) = of_kind(rendered(folder), "RayCluster")
    spec = cluster["spec"]
    assert spec["enableInTreeAutoscaling"]
    assert spec["headGroupSpec"]["rayStartParams"]["num-cpus"] == "0"
    (group,) = spec["workerGroupSpecs"]
    (worker,) = group["template"]["spec"]["containers"]
    limits = worker["resources"]["limits"]
    cpus, gpus = int(limits["cpu"]), int(limits.get("nvidia.com/gpu", 0))
    *_, settings = gateways(folder)[0]
    assert settings["decoder_processes"] == cpus * group["maxReplicas"]
    assert group["minReplicas"] >= 1
    assert bool(gpus) == (folder == "overlays/gpu")
    if gpus:
        assert cpus * settings["decoder_gpus"] == gpus


# Ray's command line imports all of Ray, whose Serve is behind its pydantic.
@pytest.mark.filterwarnings("ignore:Using extra keyword arguments")
@pytest.mark.parametrize("folder", [*WITH_RAY, "jobs/bench-ray"])
def test_ray_takes_what_it_is_started_with(folder: str) -> None:
    from ray.scripts.scripts import start  # noqa: PLC0415

    flags = {name for option in start.params for name in option.opts}
    given: set[str] = set()
    for resource in rendered(folder):
        if resource["kind"] in ("RayCluster", "RayJob"):
            spec = resource["spec"].get("rayClusterSpec", resource["spec"])
            assert spec["rayVersion"] == ray.__version__
            for group in (spec["headGroupSpec"], *spec["workerGroupSpecs"]):
                given |= {f"--{name}" for name in group["rayStartParams"]}
    for pod in pods(rendered(folder)):
        for container in pod.containers:
            if container.get("command") == ["ray", "start"]:
                given |= {one.partition("=")[0] for one in container["args"]}
    assert len(given) >= 3
    assert given - flags == set()


def test_gateways_on_gpus_wait_for_one_after_they_have_joined() -> None:
    for pod, *_ in gateways("overlays/gpu"):
        names = [one["name"] for one in pod.containers]
        assert names == ["ray-node", "wait-for-gpu", "gateway"]


def test_the_small_one_needs_no_ray() -> None:
    resources = rendered("overlays/small")
    assert not [one for one in resources if one["apiVersion"].startswith("ray.io")]
    for pod, container, settings in gateways("overlays/small"):
        assert settings["decoder"] == "processes"
        assert [one["name"] for one in pod.containers] == ["gateway"]
        assert "sidewire-decoder:" in container["image"]
        assert int(container["resources"]["requests"]["cpu"]) >= settings["decoder_processes"]


@pytest.mark.parametrize("folder", [*OVERLAYS, *JOBS])
def test_every_image_is_a_target_of_the_dockerfile(folder: str) -> None:
    targets = {stage.name for stage in dockerfile()}
    for pod in pods(rendered(folder)):
        for container in pod.containers:
            name = container["image"].rpartition(":")[0].rpartition("/")[2]
            assert name.removeprefix("sidewire-") in targets
