"""Ports, Services, probes and policies: who finds whom, and who may."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import cast

import pytest
from starlette.routing import Route

from receiver.gateway import Gateway
from receiver.metrics import ReceiverMetrics
from receiver.monitor import create_app
from tests.deploy.rendered import (
    OVERLAYS,
    Pod,
    Resource,
    needs_kubectl,
    of_kind,
    pods,
    rendered,
    selects,
)
from tests.deploy.running import gateways, port_of, runs

pytestmark = needs_kubectl

#: What each probe of a gateway asks.
KINDS = {"startup": "/healthz", "readiness": "/readyz", "liveness": "/healthz"}


@pytest.mark.parametrize("folder", OVERLAYS)
def test_a_gateway_listens_where_it_is_looked_for(folder: str) -> None:
    for run in gateways(folder):
        pod, container, settings = run.pod, run.container, run.settings
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
    for run in gateways(folder):
        container = run.container
        probes = {kind: container[f"{kind}Probe"]["httpGet"] for kind in KINDS}
        assert {one["port"] for one in probes.values()} == {"metrics"}
        # A receiver that is not ready is not mended by starting it again.
        assert {kind: one["path"] for kind, one in probes.items()} == KINDS
    web = create_app(ReceiverMetrics("test"), cast(Gateway, None))
    pages = {route.path for route in web.routes if isinstance(route, Route)}
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
    for run in found:
        pod, settings = run.pod, run.settings
        own = settings["self_address"]
        assert own == settings["advertise_images"] == settings["advertise_captions"]
        host, _, port = own.rpartition(":")
        assert pod.names == [host]
        led_to = [one.pod for one in found if selects(services[host]["selector"], one.pod.labels)]
        assert led_to == [pod]
        assert {one["port"] for one in services[host]["ports"]} == {int(port)}
        assert settings["gateways"] == [one.settings["self_address"] for one in found]
    stateful = of_kind(resources, "StatefulSet")[0]["spec"]
    assert services[stateful["serviceName"]]["clusterIP"] == "None"
    for claim in stateful["volumeClaimTemplates"]:
        assert claim["spec"]["accessModes"] == ["ReadWriteOncePod"]


@pytest.mark.parametrize("folder", OVERLAYS)
def test_senders_reach_gateways_and_nobody_else_does(folder: str) -> None:
    (run,) = runs("jobs/send")
    sender, settings = run.pod, run.settings
    resources = rendered(folder)
    services = {one["metadata"]["name"]: one["spec"] for one in of_kind(resources, "Service")}
    for address in (settings["images"], settings["captions"]):
        host, _, port = address.rpartition(":")
        assert {one["port"] for one in services[host]["ports"]} == {int(port)}
        for pod in (run.pod for run in gateways(folder)):
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
