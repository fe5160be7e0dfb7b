"""Manifests and the program: settings, files, images, and the time for a drain."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import PurePosixPath

import pytest

from tests.deploy.dockerfile import dockerfile
from tests.deploy.rendered import (
    JOBS,
    OVERLAYS,
    Resource,
    needs_kubectl,
    of_kind,
    pods,
    rendered,
    selects,
)
from tests.deploy.running import SECRETS, gateways, runs, settings_of

pytestmark = needs_kubectl

#: Settings that name folders to write to, which must outlive a pod.
WRITTEN = {"receive": ("state", "sink"), "send": ("state",), "bench": ("out",)}


def seconds_before_stop(container: Resource) -> float:
    sleep, seconds = container["lifecycle"]["preStop"]["exec"]["command"]
    assert sleep == "sleep"
    return float(seconds)


@pytest.mark.parametrize("folder", [*OVERLAYS, *JOBS])
def test_the_program_takes_every_command_line_and_environment(folder: str) -> None:
    found = runs(folder)
    assert found
    for run in found:
        assert run.settings


def test_a_setting_that_does_not_exist_is_found() -> None:
    with pytest.raises(AssertionError, match="SINKS"):
        settings_of(["receive"], {"SIDEWIRE_RECEIVE_SINKS": "/pictures"})
    with pytest.raises(AssertionError, match="--quick"):
        settings_of(["send", "--feed=f", "--images=a:1", "--quick"], {})


@pytest.mark.parametrize("folder", [*OVERLAYS, *JOBS])
def test_files_that_settings_name_are_mounted(folder: str) -> None:
    """What is written lies on a claim, what is secret comes from the Secret that has it."""
    for run in runs(folder):
        pod, container, settings = run.pod, run.container, run.settings
        mounts = {one["mountPath"]: one for one in container["volumeMounts"]}
        volumes = {one["name"]: one for one in pod.spec.get("volumes", ())}
        for name in WRITTEN[run.arguments[0]]:
            mount = _mount(settings[name], mounts)
            assert not mount.get("readOnly"), name
            of_pod = mount["name"] in pod.claims
            assert of_pod or "persistentVolumeClaim" in volumes[mount["name"]], name
        if run.arguments[0] == "send":
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


@pytest.mark.parametrize("folder", OVERLAYS)
def test_a_drain_has_the_time_that_it_may_take(folder: str) -> None:
    for run in gateways(folder):
        pod, container, settings = run.pod, run.container, run.settings
        needed = seconds_before_stop(container) + settings["drain_seconds"]
        assert pod.spec["terminationGracePeriodSeconds"] >= needed + 10


@pytest.mark.parametrize("folder", ["overlays/cpu", "overlays/gpu"])
def test_disruption_budgets_are_of_pods_that_there_are(folder: str) -> None:
    resources = rendered(folder)
    budgets = of_kind(resources, "PodDisruptionBudget")
    assert len(budgets) == 2
    for budget in budgets:
        chosen = {
            p.origin for p in pods(resources) if selects(budget["spec"]["selector"], p.labels)
        }
        assert chosen == {budget["metadata"]["name"]}


def test_the_small_one_needs_no_ray() -> None:
    resources = rendered("overlays/small")
    assert not [one for one in resources if one["apiVersion"].startswith("ray.io")]
    for run in gateways("overlays/small"):
        pod, container, settings = run.pod, run.container, run.settings
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
