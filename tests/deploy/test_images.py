"""The Dockerfile: targets, users, ports, settings, and that everything that it copies is there."""

from __future__ import annotations

import json
import re
import shlex
import shutil
import subprocess
import tomllib

import pytest

from receiver.settings import ReceiveSettings
from sender.settings import SendSettings
from tests.deploy.dockerfile import FILE, dockerfile, steps_of
from tests.deploy.rendered import DEPLOY

ROOT = DEPLOY.parents[1]
TARGETS = ("gateway", "decoder", "sender", "bench")
HADOLINT = shutil.which("hadolint")
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))


def variables(target: str) -> dict[str, str]:
    words = [word for text in steps_of(target, "ENV") for word in shlex.split(text)]
    return dict(word.split("=", 1) for word in words)


@pytest.mark.skipif(HADOLINT is None, reason="no hadolint here")
def test_hadolint_finds_nothing() -> None:
    assert HADOLINT is not None
    run = subprocess.run([HADOLINT, str(FILE)], capture_output=True, text=True, check=False)
    assert run.returncode == 0, run.stdout


def test_stages_begin_with_what_comes_before_them() -> None:
    known: set[str] = set()
    for stage in dockerfile():
        assert stage.base in known or stage.base.startswith("docker.io/library/python:3.11-slim")
        for step in stage.steps:
            for source in re.findall(r"--from=(\S+)", step.text):
                assert source in known, (stage.name, source)
        known.add(stage.name)
    assert set(TARGETS) <= known


@pytest.mark.parametrize("target", TARGETS)
def test_a_target_runs_sidewire_as_a_numeric_user(target: str) -> None:
    assert steps_of(target, "USER")[-1] == "10001:10001"
    assert json.loads(steps_of(target, "ENTRYPOINT")[-1]) == ["sidewire"]
    # Actors import from where their driver has the packages.
    assert steps_of(target, "COPY")[-1] == f"--from={target}-packages /opt/sidewire /opt/sidewire"
    assert variables(target)["HOME"] == "/tmp"


def test_settings_of_the_images_are_the_programs() -> None:
    for target, prefix, model in (
        ("gateway", "SIDEWIRE_RECEIVE_", ReceiveSettings),
        ("decoder", "SIDEWIRE_RECEIVE_", ReceiveSettings),
        ("sender", "SIDEWIRE_SEND_", SendSettings),
    ):
        named = [name for name in variables(target) if name.startswith("SIDEWIRE_")]
        assert named
        for name in named:
            assert name.startswith(prefix)
            assert name.removeprefix(prefix).lower() in model.model_fields
        (made,) = (text for text in steps_of(target, "RUN") if text.startswith("install -d"))
        for name in named:
            if name.endswith(("_STATE", "_SINK")):
                assert variables(target)[name] in made.split()


@pytest.mark.parametrize("target", ["gateway", "decoder"])
def test_ports_and_the_health_check_are_those_of_the_settings(target: str) -> None:
    defaults = ReceiveSettings.model_fields
    metrics = variables(target)["SIDEWIRE_RECEIVE_METRICS"]
    addresses = (defaults["images"].default, defaults["captions"].default, metrics)
    ports = [address.rpartition(":")[2] for address in addresses]
    assert steps_of(target, "EXPOSE")[-1].split() == ports
    assert f"http://{metrics}/readyz" in steps_of(target, "HEALTHCHECK")[-1]


def test_extras_that_are_installed_are_the_projects() -> None:
    known = PROJECT["project"]["optional-dependencies"]
    asked: set[str] = set()
    for stage in dockerfile():
        for step in stage.steps:
            for extras in re.findall(r"\.whl\)\[([a-z,]+)\]", step.text):
                asked |= set(extras.split(","))
    assert asked >= {"gateway", "sender", "decoder", "all"}
    assert asked - known.keys() == set()


def test_the_context_has_what_building_the_wheel_needs_and_no_more() -> None:
    """Every package of the wheel is let in, and only names that exist are."""
    lines = (ROOT / ".dockerignore").read_text(encoding="utf-8").splitlines()
    assert "*" in lines
    let_in = {line.removeprefix("!") for line in lines if line.startswith("!")}
    assert [name for name in let_in if not (ROOT / name).exists()] == []
    packages = {name.partition(".")[0] for name in PROJECT["tool"]["setuptools"]["packages"]}
    files = {PROJECT["project"]["readme"], "LICENSE", "pyproject.toml"}
    assert let_in == packages | files | {"weights"}


def test_torch_has_a_cpu_index_unless_another_is_given() -> None:
    (argument,) = steps_of("decoder-packages", "ARG")
    assert argument.startswith("TORCH_INDEX=")
    assert argument.endswith("/cpu")
    assert not steps_of("gateway-packages", "ARG")
