"""The runs of ``sidewire`` that manifests ask for, and what the program makes of them."""

from __future__ import annotations

import json
import shlex
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache, cached_property
from typing import Any

from typer.testing import CliRunner

from cluster.bench.options import BenchOptions
from cluster.cli import app
from receiver.settings import ReceiveSettings
from sender.settings import SendSettings
from shared.settings import Settings
from tests.deploy.rendered import Pod, Resource, of_kind, pods, rendered

MODELS: dict[str, type[Settings]] = {
    "receive": ReceiveSettings,
    "send": SendSettings,
    "bench": BenchOptions,
}
#: Files that Secrets have, as docs/deploy.md makes them.
SECRETS = {
    "sidewire-tls": {"tls.crt", "tls.key", "ca.crt"},
    "sidewire-tokens": {"tokens.yaml"},
    "sidewire-sender-token": {"token"},
}


@dataclass(frozen=True)
class Run:
    """One run of ``sidewire``, in a container of a pod."""

    pod: Pod
    container: Resource
    arguments: Sequence[str]
    variables: Mapping[str, str]

    @cached_property
    def settings(self) -> dict[str, Any]:
        return settings_of(self.arguments, self.variables)


@cache
def runs(folder: str) -> Sequence[Run]:
    """All of a kustomization."""
    resources = rendered(folder)
    found = [
        Run(pod, container, container["args"], pod.variables(container, name, resources))
        for pod in pods(resources)
        for name in pod.names
        for container in pod.containers
        if "command" not in container and "args" in container
    ]
    for job in of_kind(resources, "RayJob"):
        head = next(pod for pod in pods(resources) if pod.labels.get("ray.io/node-type") == "head")
        program, *arguments = shlex.split(job["spec"]["entrypoint"])
        assert program == "sidewire"
        found.append(Run(head, head.containers[0], arguments, {}))
    return found


def gateways(folder: str) -> Sequence[Run]:
    """Those that receive, of which there must be some."""
    found = [run for run in runs(folder) if run.arguments[0] == "receive"]
    assert found
    return found


def settings_of(arguments: Sequence[str], variables: Mapping[str, str]) -> dict[str, Any]:
    """What the program itself makes of a command line and its environment."""
    command = arguments[0]
    prefix = MODELS[command].model_config["env_prefix"]
    for name in variables:
        if name.startswith("SIDEWIRE_"):  # the program passes over those that it does not know
            assert name.startswith(prefix), name
            assert name.removeprefix(prefix).lower() in MODELS[command].model_fields, name
    shown = CliRunner().invoke(
        app, [*arguments, "--show-config", "--json"], env=dict(variables), catch_exceptions=False
    )
    assert shown.exit_code == 0, shown.output
    return {name: one["value"] for name, one in json.loads(shown.stdout).items()}


def port_of(address: str) -> int:
    return int(address.rpartition(":")[2])
