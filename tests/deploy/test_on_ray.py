"""Gateways and their decoders' cluster belong together."""

from __future__ import annotations

import pytest
import ray

from tests.deploy.rendered import needs_kubectl, of_kind, pods, rendered
from tests.deploy.running import gateways

pytestmark = needs_kubectl

WITH_RAY = ("overlays/cpu", "overlays/gpu")


@pytest.mark.parametrize("folder", WITH_RAY)
def test_gateways_and_decoders_are_of_one_cluster(folder: str) -> None:
    (cluster,) = of_kind(rendered(folder), "RayCluster")
    name = cluster["metadata"]["name"]
    for run in gateways(folder):
        pod, container, settings = run.pod, run.container, run.settings
        assert settings["decoder"] == "ray"
        assert settings["ray_address"] == f"{name}-head-svc:6379"
        node = next(one for one in pod.containers if one["name"] == "ray-node")
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
    settings = gateways(folder)[0].settings
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
    for run in gateways("overlays/gpu"):
        names = [one["name"] for one in run.pod.containers]
        assert names == ["ray-node", "wait-for-gpu", "gateway"]
