"""Every manifest is what Kubernetes and KubeRay take."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import jsonschema
import kubernetes_validate
import pytest
import yaml

from tests.deploy.rendered import JOBS, OVERLAYS, Resource, needs_kubectl, pods, rendered

pytestmark = needs_kubectl

#: The oldest and the newest Kubernetes that this is written for: sidecars came with 1.29.
VERSIONS = ("1.29", "1.34")
KUBERAY = yaml.safe_load((Path(__file__).parent / "kuberay.yaml").read_text(encoding="utf-8"))


def check(resource: Resource, version: str) -> None:
    if resource["apiVersion"] == "ray.io/v1":
        jsonschema.validate(resource, KUBERAY)
    else:
        kubernetes_validate.validate(resource, version, strict=True)


@pytest.mark.parametrize("version", VERSIONS)
@pytest.mark.parametrize("folder", [*OVERLAYS, *JOBS])
def test_every_resource_has_its_schema(folder: str, version: str) -> None:
    resources = rendered(folder)
    assert resources
    for resource in resources:
        check(resource, version)
        assert resource["kind"] == "Namespace" or resource["metadata"]["namespace"] == "sidewire"
    for pod in pods(resources):
        # Ray's pods are templates within their own resources, which KubeRay's schema leaves open.
        whole = {"metadata": {"name": "pod", "labels": pod.labels}, "spec": pod.spec}
        check({"apiVersion": "v1", "kind": "Pod", **whole}, version)


@pytest.mark.parametrize(
    ("path", "value"),
    [
        (["spec", "workerGroup"], []),
        (["spec", "headGroupSpec", "rayStartParams", "num-cpus"], 0),
        (["spec", "workerGroupSpecs", 0, "maxReplica"], 4),
        (["spec", "authOptions", "mode"], "tokens"),
    ],
    ids=str,
)
def test_kuberays_schema_finds_what_kuberay_would_refuse(
    path: list[str | int], value: object
) -> None:
    resources = yaml.safe_load(yaml.safe_dump(list(rendered("overlays/cpu"))))
    cluster: Any = next(one for one in resources if one["kind"] == "RayCluster")
    place = cluster
    for step in path[:-1]:
        place = place[step]
    place[path[-1]] = value
    with pytest.raises(jsonschema.ValidationError):
        check(cluster, VERSIONS[-1])


@pytest.mark.parametrize("folder", [*OVERLAYS, *JOBS])
def test_pods_are_as_restricted_as_their_namespace_asks(folder: str) -> None:
    """What the level ``restricted`` of Pod Security asks, and a root file system that is read-only."""
    for pod in pods(rendered(folder)):
        user = pod.spec["securityContext"]
        assert user["runAsNonRoot"]
        assert user["runAsUser"] == user["fsGroup"] == 10001
        assert user["seccompProfile"] == {"type": "RuntimeDefault"}
        for volume in pod.spec["volumes"]:
            assert volume.keys() & {"emptyDir", "secret", "persistentVolumeClaim"}
        for container in pod.containers:
            assert container["securityContext"] == {
                "allowPrivilegeEscalation": False,
                "capabilities": {"drop": ["ALL"]},
                "readOnlyRootFilesystem": True,
            } | (
                # Of Ray's, which share their settings with KubeRay's own autoscaler.
                {"runAsNonRoot": True, "seccompProfile": {"type": "RuntimeDefault"}}
                if pod.origin == "sidewire-decoders"
                else {}
            )


@pytest.mark.parametrize("folder", [*OVERLAYS, *JOBS])
def test_every_image_has_a_place_and_a_tag(folder: str) -> None:
    for pod in pods(rendered(folder)):
        for container in pod.containers:
            place, _, tag = container["image"].rpartition(":")
            assert place.startswith("registry.example/sidewire-")
            assert tag not in {"", "latest"}
