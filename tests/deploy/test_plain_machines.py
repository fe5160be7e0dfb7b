"""Units of systemd and the compose file: for one machine and for two."""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
from pathlib import Path, PurePosixPath
from typing import Any

import pytest
import yaml

from receiver.settings import ReceiveSettings
from sender.settings import SendSettings
from shared.settings import Settings
from tests.deploy.dockerfile import dockerfile
from tests.deploy.rendered import DEPLOY
from tests.deploy.running import settings_of
from tests.patience import PATIENCE

UNITS = DEPLOY / "systemd"
COMPOSE = DEPLOY / "compose.yaml"
ANALYZE = shutil.which("systemd-analyze")
DOCKER_COMPOSE = shutil.which("docker-compose")
PROGRAM = "/opt/sidewire/bin/sidewire"
SERVICES: dict[str, type[Settings]] = {"receive": ReceiveSettings, "send": SendSettings}


def unit(name: str) -> dict[str, str]:
    """Its settings; of those that come twice, the last."""
    text = (UNITS / f"sidewire-{name}.service").read_text(encoding="utf-8")
    return dict(re.findall(r"^(\w+)=(.*)$", text, re.MULTILINE))


@pytest.mark.skipif(ANALYZE is None, reason="no systemd-analyze here")
@pytest.mark.parametrize("name", SERVICES)
def test_systemd_takes_the_unit_and_finds_it_confined(name: str, tmp_path: Path) -> None:
    assert ANALYZE is not None
    text = (UNITS / f"sidewire-{name}.service").read_text(encoding="utf-8")
    copy = tmp_path / f"sidewire-{name}.service"
    copy.write_text(text.replace(PROGRAM, sys.executable))
    for command in (["verify"], ["security", "--offline=true", "--threshold=25", "--no-pager"]):
        run = subprocess.run(
            [ANALYZE, *command, str(copy)],
            capture_output=True,
            text=True,
            check=False,
            timeout=PATIENCE,
        )
        assert run.returncode == 0, run.stdout + run.stderr
        assert "Unknown" not in run.stderr


@pytest.mark.parametrize("name", SERVICES)
def test_a_unit_and_its_settings_belong_together(name: str) -> None:
    found = unit(name)
    assert found["ExecStart"] == f"{PROGRAM} {name} --config /etc/sidewire/{name}.yaml"
    settings = SERVICES[name].load({}, UNITS / f"{name}.yaml")
    written = [settings.state, getattr(settings, "sink", None)]  # type: ignore[attr-defined]
    for path in filter(None, written):
        assert PurePosixPath(path).is_relative_to(f"/var/lib/{found['StateDirectory']}")
    # A wrong command line and a damaged state are not tried again; what stopped in order is no failure.
    assert found["RestartPreventExitStatus"] == "2 3"
    assert found["SuccessExitStatus"] == "4"
    assert found["KillMode"] == "mixed"
    if isinstance(settings, ReceiveSettings):
        assert float(found["TimeoutStopSec"]) >= settings.drain_seconds + 10


def test_the_two_machines_talk_to_each_other() -> None:
    receive = ReceiveSettings.load({}, UNITS / "receive.yaml")
    send = SendSettings.load({}, UNITS / "send.yaml")
    assert send.images.rpartition(":")[2] == receive.images.rpartition(":")[2]
    assert send.captions is not None
    assert send.captions.rpartition(":")[2] == receive.captions.rpartition(":")[2]
    assert receive.tls_cert
    assert receive.tls_key
    assert receive.tokens
    assert send.tls_ca
    assert send.token_file


# -- compose ---------------------------------------------------------------------------------------


def services() -> dict[str, dict[str, Any]]:
    found: dict[str, dict[str, Any]] = yaml.safe_load(COMPOSE.read_text(encoding="utf-8"))[
        "services"
    ]
    return found


@pytest.mark.skipif(DOCKER_COMPOSE is None, reason="no docker-compose here")
def test_compose_takes_the_file() -> None:
    assert DOCKER_COMPOSE is not None
    command = [DOCKER_COMPOSE, "--file", str(COMPOSE), "--profile", "*", "config", "--quiet"]
    run = subprocess.run(command, capture_output=True, text=True, check=False, timeout=PATIENCE)
    assert run.returncode == 0, run.stderr


def test_compose_runs_what_there_is() -> None:
    targets = {stage.name for stage in dockerfile()}
    receiver, sender = services()["receiver"], services()["sender"]
    for one in (receiver, sender):
        build = one["build"]
        assert (COMPOSE.parent / build["context"] / build["dockerfile"]).is_file()
        assert build["target"] in targets
        assert one["image"] == f"sidewire-{build['target']}"
        assert one["read_only"]
        assert "/tmp" in one["tmpfs"]
    variables = {name: str(value) for name, value in receiver["environment"].items()}
    image = {"SIDEWIRE_RECEIVE_STATE": "/state", "SIDEWIRE_RECEIVE_SINK": "/pictures"}
    settings = settings_of(["receive"], image | variables)
    mounts = [volume.split(":") for volume in receiver["volumes"]]
    assert {place for _, place in mounts} == {settings["state"], settings["sink"]}
    # Nothing of it is to be had from other machines, as it is in plaintext.
    assert settings["plaintext_on_the_network"]
    for published in receiver["ports"]:
        host, outside, inside = published.rsplit(":", 2)
        assert host == "127.0.0.1"
        assert outside == inside
    inside = {published.rpartition(":")[2] for published in receiver["ports"]}
    addresses = (settings["images"], settings["captions"], settings["metrics"])
    assert inside == {address.rpartition(":")[2] for address in addresses}
    assert float(receiver["stop_grace_period"].removesuffix("s")) >= settings["drain_seconds"] + 10


def test_composes_sender_finds_its_receiver() -> None:
    sender = services()["sender"]
    settings = settings_of(sender["command"], {"SIDEWIRE_SEND_STATE": "/state"})
    assert (settings["images"], settings["captions"]) == ("receiver:7601", "receiver:7602")
    places = [
        volume.split(":")[-1 if volume.count(":") == 1 else -2] for volume in sender["volumes"]
    ]
    assert places == [settings["feed"], settings["state"]]
