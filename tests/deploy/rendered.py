"""Manifests as ``kubectl apply -k`` would send them, and the pods that would come of them."""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.patience import PATIENCE

DEPLOY = Path(__file__).parents[2] / "cluster" / "deploy"
MANIFESTS = DEPLOY / "kubernetes"
OVERLAYS = ("overlays/cpu", "overlays/gpu", "overlays/small")
JOBS = ("jobs/send", "jobs/bench", "jobs/bench-ray")

KUBECTL = shutil.which("kubectl")
needs_kubectl = pytest.mark.skipif(KUBECTL is None, reason="no kubectl here to render manifests")

Resource = dict[str, Any]


@cache
def rendered(folder: str) -> Sequence[Resource]:
    """The resources of a kustomization."""
    assert KUBECTL is not None
    command = [KUBECTL, "kustomize", str(MANIFESTS / folder)]
    run = subprocess.run(command, capture_output=True, text=True, check=False, timeout=PATIENCE)
    assert run.returncode == 0, run.stderr
    return list(yaml.safe_load_all(run.stdout))


def of_kind(resources: Sequence[Resource], kind: str) -> list[Resource]:
    return [one for one in resources if one["kind"] == kind]


@dataclass(frozen=True)
class Pod:
    """A kind of pod that a resource brings forth.

    Attributes:
        names: of its pods, where they have names of their own.
        claims: volumes that come with each of them.
        ports: of its first container beside those that it says.
    """

    origin: str
    labels: Mapping[str, str]
    spec: Resource
    names: Sequence[str] = ("pod",)
    claims: Sequence[str] = ()
    ports: Mapping[str, int] | None = None

    @property
    def containers(self) -> Sequence[Resource]:
        return [*self.spec.get("initContainers", ()), *self.spec["containers"]]

    def named_ports(self) -> dict[str, int]:
        said = {
            port["name"]: port["containerPort"]
            for one in self.containers
            for port in one.get("ports", ())
        }
        return said | dict(self.ports or {})

    def variables(
        self, container: Resource, name: str, resources: Sequence[Resource]
    ) -> dict[str, str]:
        """The environment of a container in the pod of this name; secrets are left out."""
        maps = {one["metadata"]["name"]: one["data"] for one in of_kind(resources, "ConfigMap")}
        found: dict[str, str] = {}
        for source in container.get("envFrom", ()):
            found |= maps[source["configMapRef"]["name"]]
        for one in container.get("env", ()):
            if "value" in one:
                text = one["value"]
                for known, value in found.items():
                    text = text.replace(f"$({known})", value)
                found[one["name"]] = text
            elif one["valueFrom"].get("fieldRef") == {"fieldPath": "metadata.name"}:
                found[one["name"]] = name
        return found


def pods(resources: Sequence[Resource]) -> list[Pod]:
    """All kinds of pods, as Kubernetes and KubeRay make them."""
    found = []
    for one in resources:
        kind, name, spec = one["kind"], one["metadata"]["name"], one.get("spec", {})
        if kind == "StatefulSet":
            names = [f"{name}-{number}" for number in range(spec["replicas"])]
            claims = [claim["metadata"]["name"] for claim in spec["volumeClaimTemplates"]]
            template = spec["template"]
            for pod in names:  # it labels each pod with its name
                label = {"statefulset.kubernetes.io/pod-name": pod}
                labels = template["metadata"]["labels"] | label
                found.append(Pod(name, labels, template["spec"], [pod], claims))
        elif kind == "Job":
            found.append(_of_template(name, spec["template"]))
        elif kind == "RayCluster":
            found += _of_ray(name, spec)
        elif kind == "RayJob":
            found.append(_of_template(name, spec["submitterPodTemplate"]))
            found += _of_ray(name, spec["rayClusterSpec"])
    return found


def _of_template(
    name: str, template: Resource, labels: Mapping[str, str] | None = None, **more: Any
) -> Pod:
    return Pod(name, template["metadata"]["labels"] | dict(labels or {}), template["spec"], **more)


def _of_ray(name: str, spec: Resource) -> list[Pod]:
    groups = [("head", spec["headGroupSpec"])]
    groups += [("worker", group) for group in spec["workerGroupSpecs"]]
    # What KubeRay adds.
    return [
        _of_template(
            name,
            group["template"],
            {"ray.io/cluster": name, "ray.io/node-type": kind},
            ports={"metrics": 8080, "agent": 52365},
        )
        for kind, group in groups
    ]


def selects(selector: Resource, labels: Mapping[str, str]) -> bool:
    """Whether a label selector, or a Service's plain one, takes what has these labels."""
    plain = selector.get("matchLabels", {} if "matchExpressions" in selector else selector)
    if any(labels.get(key) != value for key, value in plain.items()):
        return False
    for one in selector.get("matchExpressions", ()):
        inside = labels.get(one["key"]) in one["values"]
        if inside != (one["operator"] == "In"):
            return False
    return True
